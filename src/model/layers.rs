//! The layers both towers are made of, as plain structs over tensors: batch norm stays unfolded, and nothing here is
//! particular to inference. Every call uses tch's fallible variants, since the others panic.

use tch::{Device, Kind, TchError, Tensor};

use super::ModelError;
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
    /// A weight that convolutions and products compute with, in the compute type.
    pub(super) fn weight(self, tensors: &mut Tensors, name: &str) -> Result<Tensor, ModelError> {
        Ok(tensors.take(name)?.f_to_device(self.device)?.f_to_kind(self.kind)?)
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

/// A convolution without bias.
pub(super) struct Convolution {
    weight: Tensor, // [out, in, kernel, kernel]
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
        Ok(Self { weight: compute.weight(tensors, &format!("{prefix}.weight"))?, stride, padding })
    }

    /// [N, in, H, W] -> [N, out, H', W']. The explicit call, because the short one lets cuDNN choose its algorithm by
    /// timing and compute f32 in TF32 (10 bits of mantissa): here benchmark and TF32 are off and determinism is on.
    pub(super) fn forward(&self, x: &Tensor) -> Run<Tensor> {
        let (stride, padding) = ([self.stride; 2], [self.padding; 2]);
        let (benchmark, deterministic, cudnn, tf32) = (false, true, true, false);
        x.f_internal_convolution(
            &self.weight,
            None::<&Tensor>,
            stride,
            padding,
            [1, 1],
            false,
            [0, 0],
            1,
            benchmark,
            deterministic,
            cudnn,
            tf32,
        )
    }
}

/// Batch normalisation with its running statistics.
pub(super) struct BatchNorm {
    weight: Tensor,       // [C]
    bias: Tensor,         // [C]
    running_mean: Tensor, // [C]
    running_var: Tensor,  // [C]
}

impl BatchNorm {
    pub(super) fn shapes(shapes: &mut Shapes, prefix: &str, channels: usize) {
        for name in [".weight", ".bias", ".running_mean", ".running_var"] {
            expect(shapes, prefix, name, &[channels]);
        }
    }

    pub(super) fn new(tensors: &mut Tensors, compute: Compute, prefix: &str) -> Result<Self, ModelError> {
        let mut parameter = |name: &str| compute.parameter(tensors, &format!("{prefix}.{name}"));
        Ok(Self {
            weight: parameter("weight")?,
            bias: parameter("bias")?,
            running_mean: parameter("running_mean")?,
            running_var: parameter("running_var")?,
        })
    }

    /// [N, C, H, W] -> the same shape, with the running statistics (evaluation mode).
    pub(super) fn forward(&self, x: &Tensor) -> Run<Tensor> {
        let (training, momentum, epsilon, cudnn) = (false, 0.1, 1e-5, true);
        x.f_batch_norm(
            Some(&self.weight),
            Some(&self.bias),
            Some(&self.running_mean),
            Some(&self.running_var),
            training,
            momentum,
            epsilon,
            cudnn,
        )
    }
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
        Ok(Self { weight: compute.weight(tensors, weight)?, bias: compute.weight(tensors, bias)? })
    }

    /// [.., in] -> [.., out].
    pub(super) fn forward(&self, x: &Tensor) -> Run<Tensor> {
        x.f_linear(&self.weight, Some(&self.bias))
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

    /// [.., W] -> the same shape; computed in f32 and given back in the type that came in.
    pub(super) fn forward(&self, x: &Tensor) -> Run<Tensor> {
        let kind = x.f_kind()?;
        let (epsilon, cudnn) = (1e-5, true);
        x.f_to_kind(Kind::Float)?
            .f_layer_norm(self.weight.size(), Some(&self.weight), Some(&self.bias), epsilon, cudnn)?
            .f_to_kind(kind)
    }
}

/// Scaled dot-product attention by plain products, [N, heads, Q, d] x [N, heads, K, d] -> [N, heads, Q, d]; `mask` [Q, K]
/// is added to the scores. For sequences as short as CLIP's this is faster on CPUs than the fused kernel. The softmax
/// is f32.
pub(super) fn attention(query: &Tensor, key: &Tensor, value: &Tensor, mask: Option<&Tensor>) -> Run<Tensor> {
    let kind = query.f_kind()?;
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
