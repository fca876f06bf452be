//! The layers both towers are made of, as plain structs over tensors, made for inference: batch norm is folded, activations
//! lie channels last. Every call uses tch's fallible variants, since the others panic.

use tch::{Device, Kind, TchError, Tensor};

use super::ModelError;
use super::device::has_avx512;
use super::tensors::Tensors;

/// What a call into libtorch gives.
pub(super) type Run<T> = Result<T, TchError>;

/// Names and shapes of tensors, in the order in which a tower lists them.
pub(super) type Shapes = Vec<(String, Vec<usize>)>;

/// Where a model computes and in which type.
#[derive(Clone, Copy, Debug)]
pub(super) struct Compute {
    pub(super) device: Device,
    pub(super) kind: Kind,
}

impl Compute {
    /// The same device in f32: for what costs next to nothing beside the blocks of the image tower, and would otherwise bring
    /// as much error as all of them.
    pub(super) fn precise(self) -> Self {
        Self { kind: Kind::Float, ..self }
    }

    /// For convolutions between few channels: in bf16 on the CPU they are computed in f32. Few channels average few roundings,
    /// and every later layer hears of them: without those of layers of at most 64 channels, bf16 errs less than half as much
    /// about the reference model. Wide models have hardly any, and GPUs have f16, which rounds eight times finer.
    pub(super) fn between(self, channels: usize) -> Self {
        if channels <= NARROW { self.outermost() } else { self }
    }

    /// For the last convolutions of a tower, whose roundings nothing averages: f32 where bf16 is computed on the CPU.
    pub(super) fn outermost(self) -> Self {
        let rounds = self.kind == Kind::BFloat16 && self.device == Device::Cpu;
        if rounds { self.precise() } else { self }
    }

    /// A weight that convolutions and products compute with, in the compute type.
    pub(super) fn weight(self, tensors: &mut Tensors, name: &str) -> Result<Tensor, ModelError> {
        Ok(tensors.take(name)?.f_to_device(self.device)?.f_to_kind(self.kind)?)
    }

    /// The type of what is added to a product or convolution: oneDNN adds it in f32, before the sum is rounded.
    fn bias(self) -> Kind {
        if onednn_computes(self.kind, self.device) { Kind::Float } else { self.kind }
    }

    /// A parameter of a normalisation, which stays f32 whatever the compute type.
    fn parameter(self, tensors: &mut Tensors, name: &str) -> Result<Tensor, ModelError> {
        Ok(tensors.take(name)?.f_to_device(self.device)?)
    }
}

/// Appends a dotted name and a shape.
pub(super) fn expect(shapes: &mut Shapes, prefix: &str, name: &str, shape: &[usize]) {
    shapes.push((format!("{prefix}{name}"), shape.to_vec()));
}

/// Up to so many channels bf16 is not worth its error.
const NARROW: usize = 64;

/// What batch norm adds to a variance before it divides by its root; the same everywhere in CLIP.
const EPSILON: f64 = 1e-5;

/// A convolution. A batch norm behind it is folded into its weight and bias, so that it costs nothing.
pub(super) struct Convolution {
    weight: Tensor,       // [out, in, kernel, kernel], channels last
    bias: Option<Tensor>, // [out]
    stride: i64,
    padding: i64,
}

impl Convolution {
    pub(super) fn shapes(shapes: &mut Shapes, prefix: &str, out: usize, input: usize, kernel: usize) {
        expect(shapes, prefix, ".weight", &[out, input, kernel, kernel]);
    }

    pub(super) fn new(
        tensors: &mut Tensors,
        compute: Compute,
        prefix: &str,
        stride: i64,
        padding: i64,
    ) -> Result<Self, ModelError> {
        let weight = compute.weight(tensors, &format!("{prefix}.weight"))?;
        Ok(Self { weight: channels_last(&weight)?, bias: None, stride, padding })
    }

    /// A convolution and the batch norm with running statistics behind it, as one convolution: with
    /// `s = weight / sqrt(running_var + epsilon)` its weight is `s * W` and its bias `bias - s * running_mean`. Computed
    /// in f64 and rounded once.
    pub(super) fn normed(
        tensors: &mut Tensors,
        compute: Compute,
        prefix: &str,
        norm: &str,
        (stride, padding): (i64, i64),
    ) -> Result<Self, ModelError> {
        let mut double = |name: &str| Ok::<_, ModelError>(tensors.take(name)?.f_to_kind(Kind::Double)?);
        let weight = double(&format!("{prefix}.weight"))?; // [out, in, kernel, kernel]
        let mut parameter = |name: &str| double(&format!("{norm}.{name}")); // [out]
        let (gamma, beta) = (parameter("weight")?, parameter("bias")?);
        let (mean, variance) = (parameter("running_mean")?, parameter("running_var")?);
        let scale = gamma.f_div(&variance.f_add_scalar(EPSILON)?.f_sqrt()?)?; // [out]
        let bias = beta.f_sub(&mean.f_mul(&scale)?)?; // [out]
        let weight = weight.f_mul(&scale.f_reshape([-1, 1, 1, 1])?)?;
        let place = |tensor: &Tensor, kind: Kind| tensor.f_to_kind(kind)?.f_to_device(compute.device);
        let (weight, bias) = (place(&weight, compute.kind)?, place(&bias, compute.bias())?);
        Ok(Self { weight: channels_last(&weight)?, bias: Some(bias), stride, padding })
    }

    /// [N, in, H, W] of any type -> [N, out, H', W'] in the weight's.
    pub(super) fn forward(&self, x: &Tensor) -> Run<Tensor> {
        let x = x.f_to_kind(self.weight.f_kind()?)?;
        convolve(&x, &self.weight, self.bias.as_ref(), [self.stride; 2], [self.padding; 2])
    }
}

/// Names and shapes of a batch norm, which is folded into the convolution before it.
pub(super) fn batch_norm(shapes: &mut Shapes, prefix: &str, channels: usize) {
    for name in [".weight", ".bias", ".running_mean", ".running_var"] {
        expect(shapes, prefix, name, &[channels]);
    }
}

/// Lays [N, C, H, W] out as [N, H, W, C] without changing its shape: oneDNN and the tensor cores compute in this layout, and
/// activations keep that of the pictures, which come so.
fn channels_last(x: &Tensor) -> Run<Tensor> {
    x.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])
}

/// Whether a convolution or product on the CPU goes through oneDNN by name. Left to itself, libtorch chooses another
/// implementation for kernels of 1 x 1 on one thread, so that results would depend on the number of threads. oneDNN
/// computes bf16 only where there is AVX-512, and f16 on hardly any processor.
fn through_onednn(x: &Tensor) -> Run<bool> {
    Ok(onednn_computes(x.f_kind()?, x.device()))
}

fn onednn_computes(kind: Kind, device: Device) -> bool {
    let computes = match kind {
        Kind::Float => true,
        Kind::BFloat16 => has_avx512(),
        _ => false,
    };
    computes && device == Device::Cpu && tch::utils::has_mkldnn()
}

/// The explicit calls, because the short one lets cuDNN choose its algorithm by timing and compute f32 in TF32 (10 bits of
/// mantissa): here benchmark and TF32 are off and determinism is on.
fn convolve(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, stride: [i64; 2], padding: [i64; 2]) -> Run<Tensor> {
    if through_onednn(x)? {
        return x.f_mkldnn_convolution(weight, bias, padding, stride, [1, 1], 1);
    }
    let (transposed, output_padding, groups) = (false, [0, 0], 1);
    let (benchmark, deterministic, cudnn, tf32) = (false, true, true, false);
    x.f_internal_convolution(
        weight,
        bias,
        stride,
        padding,
        [1, 1],
        transposed,
        output_padding,
        groups,
        benchmark,
        deterministic,
        cudnn,
        tf32,
    )
}

/// A product with bias.
pub(super) struct Linear {
    weight: Tensor, // [out, in]
    bias: Tensor,   // [out]
}

impl Linear {
    pub(super) fn shapes(shapes: &mut Shapes, prefix: &str, out: usize, input: usize) {
        expect(shapes, prefix, ".weight", &[out, input]);
        expect(shapes, prefix, ".bias", &[out]);
    }

    pub(super) fn new(tensors: &mut Tensors, compute: Compute, prefix: &str) -> Result<Self, ModelError> {
        Self::named(tensors, compute, &format!("{prefix}.weight"), &format!("{prefix}.bias"))
    }

    /// For tensors that do not follow the usual names.
    pub(super) fn named(tensors: &mut Tensors, compute: Compute, weight: &str, bias: &str) -> Result<Self, ModelError> {
        let bias = compute.parameter(tensors, bias)?.f_to_kind(compute.bias())?;
        Ok(Self { weight: compute.weight(tensors, weight)?, bias })
    }

    /// [.., in] -> [.., out]. On the CPU a convolution of 1 x 1 over the rows, which is the same sum: the product in f32 is
    /// MKL's, at half the speed of oneDNN on processors that are not Intel's, and in bf16 a slower path to oneDNN.
    pub(super) fn forward(&self, x: &Tensor) -> Run<Tensor> {
        if !through_onednn(x)? {
            return x.f_linear(&self.weight, Some(&self.bias));
        }
        let (out, input) = self.weight.size2()?;
        let mut shape = x.size();
        let rows = x.f_reshape([1, -1, 1, input])?.f_permute([0, 3, 1, 2])?; // [1, in, rows, 1], channels last
        let weight = self.weight.f_reshape([out, input, 1, 1])?;
        let y = convolve(&rows, &weight, Some(&self.bias), [1, 1], [0, 0])?; // [1, out, rows, 1]
        if let Some(last) = shape.last_mut() {
            *last = out;
        }
        y.f_permute([0, 2, 3, 1])?.f_reshape(shape)
    }
}

/// Layer normalisation over the last dimension.
pub(super) struct LayerNorm {
    weight: Tensor, // [W]
    bias: Tensor,   // [W]
}

impl LayerNorm {
    pub(super) fn shapes(shapes: &mut Shapes, prefix: &str, width: usize) {
        expect(shapes, prefix, ".weight", &[width]);
        expect(shapes, prefix, ".bias", &[width]);
    }

    pub(super) fn new(tensors: &mut Tensors, compute: Compute, prefix: &str) -> Result<Self, ModelError> {
        let mut parameter = |name: &str| compute.parameter(tensors, &format!("{prefix}.{name}"));
        Ok(Self { weight: parameter("weight")?, bias: parameter("bias")? })
    }

    /// [.., W] -> the same shape; computed in f32 and given back in the type that came in. The kernel of the CPU does both
    /// by itself, that of CUDA takes one type only.
    pub(super) fn forward(&self, x: &Tensor) -> Run<Tensor> {
        let (epsilon, cudnn) = (1e-5, true);
        let norm =
            |x: &Tensor| x.f_layer_norm(self.weight.size(), Some(&self.weight), Some(&self.bias), epsilon, cudnn);
        if x.device() == Device::Cpu {
            return norm(x);
        }
        norm(&x.f_to_kind(Kind::Float)?)?.f_to_kind(x.f_kind()?)
    }
}

/// Positions from which on a CPU the fused attention beats plain products in half precision: at 77 it takes twice their
/// time, at 197 two thirds.
const FUSED_FROM: i64 = 128;

/// Scaled dot-product attention, [N, heads, Q, d] x [N, heads, K, d] -> [N, heads, Q, d]; `mask` [Q, K] is added to the
/// scores. The softmax is f32. By the fused kernel where it is faster; on CUDA not in f32, where the kernel that is chosen
/// need not compute in f32 throughout.
pub(super) fn attention(query: &Tensor, key: &Tensor, value: &Tensor, mask: Option<&Tensor>) -> Run<Tensor> {
    let kind = query.f_kind()?;
    let fused = match (query.device(), kind) {
        (Device::Cpu, Kind::Float) => true,
        (Device::Cpu, _) => key.size4()?.2 >= FUSED_FROM,
        (_, kind) => kind != Kind::Float,
    };
    if fused {
        let (dropout, causal, grouped) = (0.0, false, false);
        return Tensor::f_scaled_dot_product_attention(query, key, value, mask, dropout, causal, None, grouped);
    }
    let width = query.size().last().copied().unwrap_or(1);
    let scaled = query.f_mul_scalar(1.0 / (width as f64).sqrt())?;
    let mut scores = scaled.f_matmul(&key.f_transpose(-2, -1)?)?; // [N, heads, Q, K]
    if let Some(mask) = mask {
        scores = scores.f_add(mask)?;
    }
    scores.f_softmax(-1, Kind::Float)?.f_to_kind(kind)?.f_matmul(value)
}

/// [N, L, heads * d] -> [N, heads, L, d].
pub(super) fn split_heads(x: &Tensor, heads: usize) -> Run<Tensor> {
    let (n, length, width) = x.size3()?;
    let heads = heads as i64;
    x.f_reshape([n, length, heads, width / heads])?.f_transpose(1, 2)
}

/// [N, heads, L, d] -> [N, L, heads * d].
pub(super) fn join_heads(x: &Tensor) -> Run<Tensor> {
    let (n, heads, length, width) = x.size4()?;
    x.f_transpose(1, 2)?.f_reshape([n, length, heads * width])
}
