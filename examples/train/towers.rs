//! The two towers as they are trained: raw tensors under open_clip's names, batch norm as a layer of its own. The program's
//! own towers (`clip_audit::model`) fold batch norm and keep no gradients; a test holds both to the same features.
//!
//! Weights are f32; every use casts them to the kind of the input, which is what PyTorch's autocast does.

use std::collections::BTreeMap;

use tch::{Device, Kind, Tensor};

/// Sizes of a CLIP with a ModifiedResNet, as in open_clip's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) layers: [i64; 4],
    pub(crate) width: i64,
    pub(crate) image_px: i64,
    pub(crate) embed: i64,
    pub(crate) context: i64,
    pub(crate) vocabulary: i64,
    pub(crate) text_width: i64,
    pub(crate) text_heads: i64,
    pub(crate) text_layers: i64,
}

/// The reference model: 6.13 million parameters, 12.3 MB in f16.
pub(crate) const REFERENCE: Sizes = Sizes {
    layers: [1, 2, 1, 1],
    width: 32,
    image_px: 80,
    embed: 256,
    context: 32,
    vocabulary: 1514,
    text_width: 128,
    text_heads: 2,
    text_layers: 2,
};

/// Channels of one head of the attention pool.
const HEAD_CHANNELS: i64 = 64;
/// Batch norm's share of a new batch in the running statistics, and its epsilon: PyTorch's defaults.
const MOMENTUM: f64 = 0.1;
const EPSILON: f64 = 1e-5;

/// The weights, and the running statistics of batch norm, by open_clip's names.
pub(crate) struct Towers {
    pub(crate) sizes: Sizes,
    /// f32 leaves. Those that require no gradient stay as they are.
    pub(crate) weights: BTreeMap<String, Tensor>,
    /// `running_mean` and `running_var`, f32.
    pub(crate) statistics: BTreeMap<String, Tensor>,
}

/// What the image tower gives for N images.
pub(crate) struct Seen {
    /// f32 [N, embed], unit length.
    pub(crate) features: Tensor,
    /// f32 [N, 32 x width]: the last stage's channels after ReLU, averaged over space.
    pub(crate) units: Tensor,
}

impl Towers {
    /// New weights, drawn as open_clip draws them. Depends on PyTorch's global random numbers.
    pub(crate) fn new(sizes: Sizes) -> Self {
        let mut made = Self { sizes, weights: BTreeMap::new(), statistics: BTreeMap::new() };
        made.draw_image_tower();
        made.draw_text_tower();
        for weight in made.weights.values_mut() {
            *weight = weight.set_requires_grad(true);
        }
        made
    }

    fn draw_image_tower(&mut self) {
        let Sizes { width, layers, .. } = self.sizes;
        for (number, (input, output)) in [(3, width / 2), (width / 2, width / 2), (width / 2, width)].iter().enumerate()
        {
            self.draw_convolution(&format!("visual.conv{}", number + 1), *input, *output, 3);
            self.draw_norm(&format!("visual.bn{}", number + 1), *output, 1.0);
        }
        let mut input = width;
        for (stage, &count) in layers.iter().enumerate() {
            let planes = width << stage;
            for block in 0..count {
                let name = format!("visual.layer{}.{block}", stage + 1);
                self.draw_convolution(&format!("{name}.conv1"), input, planes, 1);
                self.draw_norm(&format!("{name}.bn1"), planes, 1.0);
                self.draw_convolution(&format!("{name}.conv2"), planes, planes, 3);
                self.draw_norm(&format!("{name}.bn2"), planes, 1.0);
                self.draw_convolution(&format!("{name}.conv3"), planes, planes * 4, 1);
                // Zero: a new block starts as the identity.
                self.draw_norm(&format!("{name}.bn3"), planes * 4, 0.0);
                if block == 0 {
                    self.draw_convolution(&format!("{name}.downsample.0"), input, planes * 4, 1);
                    self.draw_norm(&format!("{name}.downsample.1"), planes * 4, 1.0);
                }
                input = planes * 4;
            }
        }
        let grid = self.sizes.image_px / 32;
        let spread = (input as f64).powf(-0.5);
        self.draw_normal("visual.attnpool.positional_embedding", &[grid * grid + 1, input], spread);
        for (name, output) in [("q_proj", input), ("k_proj", input), ("v_proj", input), ("c_proj", self.sizes.embed)] {
            self.draw_normal(&format!("visual.attnpool.{name}.weight"), &[output, input], spread);
            self.draw_uniform(&format!("visual.attnpool.{name}.bias"), &[output], spread);
        }
    }

    fn draw_text_tower(&mut self) {
        let Sizes { text_width: width, text_layers: layers, context, vocabulary, embed, .. } = self.sizes;
        let attention = (width as f64).powf(-0.5);
        let projection = attention * (2.0 * layers as f64).powf(-0.5);
        self.draw_normal("token_embedding.weight", &[vocabulary, width], 0.02);
        self.draw_normal("positional_embedding", &[context, width], 0.01);
        for layer in 0..layers {
            let name = format!("transformer.resblocks.{layer}");
            for norm in ["ln_1", "ln_2"] {
                self.put(format!("{name}.{norm}.weight"), Tensor::ones([width], CPU_F32));
                self.put(format!("{name}.{norm}.bias"), Tensor::zeros([width], CPU_F32));
            }
            self.draw_normal(&format!("{name}.attn.in_proj_weight"), &[3 * width, width], attention);
            self.put(format!("{name}.attn.in_proj_bias"), Tensor::zeros([3 * width], CPU_F32));
            self.draw_normal(&format!("{name}.attn.out_proj.weight"), &[width, width], projection);
            self.put(format!("{name}.attn.out_proj.bias"), Tensor::zeros([width], CPU_F32));
            self.draw_normal(&format!("{name}.mlp.c_fc.weight"), &[4 * width, width], (2.0 * width as f64).powf(-0.5));
            self.draw_uniform(&format!("{name}.mlp.c_fc.bias"), &[4 * width], attention);
            self.draw_normal(&format!("{name}.mlp.c_proj.weight"), &[width, 4 * width], projection);
            self.draw_uniform(&format!("{name}.mlp.c_proj.bias"), &[width], (4.0 * width as f64).powf(-0.5));
        }
        self.put("ln_final.weight".to_owned(), Tensor::ones([width], CPU_F32));
        self.put("ln_final.bias".to_owned(), Tensor::zeros([width], CPU_F32));
        self.draw_normal("text_projection", &[width, embed], attention);
        self.put("logit_scale".to_owned(), Tensor::from((1.0_f32 / 0.07).ln()));
    }

    fn put(&mut self, name: String, tensor: Tensor) {
        self.weights.insert(name, tensor);
    }

    fn draw_normal(&mut self, name: &str, shape: &[i64], spread: f64) {
        self.put(name.to_owned(), Tensor::randn(shape, CPU_F32) * spread);
    }

    fn draw_uniform(&mut self, name: &str, shape: &[i64], bound: f64) {
        self.put(name.to_owned(), (Tensor::rand(shape, CPU_F32) * 2.0 - 1.0) * bound);
    }

    /// Without bias; uniform within 1 / sqrt(inputs of a unit), PyTorch's default.
    fn draw_convolution(&mut self, name: &str, input: i64, output: i64, side: i64) {
        let bound = ((input * side * side) as f64).powf(-0.5);
        self.draw_uniform(&format!("{name}.weight"), &[output, input, side, side], bound);
    }

    fn draw_norm(&mut self, name: &str, channels: i64, gain: f64) {
        self.put(format!("{name}.weight"), Tensor::full([channels], gain, CPU_F32));
        self.put(format!("{name}.bias"), Tensor::zeros([channels], CPU_F32));
        self.statistics.insert(format!("{name}.running_mean"), Tensor::zeros([channels], CPU_F32));
        self.statistics.insert(format!("{name}.running_var"), Tensor::ones([channels], CPU_F32));
    }

    /// Features of images. `pixels`: [N, 3, S, S], normalised, channels last; its kind is the kind of the computation.
    /// `training`: batch norm uses the batch's own statistics and updates the running ones.
    pub(crate) fn image(&self, pixels: &Tensor, training: bool) -> Seen {
        let mut x = self.convolve(pixels, "visual.conv1", 2, 1);
        x = self.norm(&x, "visual.bn1", training).relu();
        for number in 2..=3 {
            x = self.convolve(&x, &format!("visual.conv{number}"), 1, 1);
            x = self.norm(&x, &format!("visual.bn{number}"), training).relu();
        }
        x = halve(&x);
        for (stage, &count) in self.sizes.layers.iter().enumerate() {
            for block in 0..count {
                let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                x = self.bottleneck(&x, &format!("visual.layer{}.{block}", stage + 1), stride, training);
            }
        }
        let units = x.mean_dim([2_i64, 3].as_slice(), false, Kind::Float);
        let features = self.pool(&x);
        Seen { features: unit_length(&features), units }
    }

    fn bottleneck(&self, x: &Tensor, name: &str, stride: i64, training: bool) -> Tensor {
        let mut inner = self.convolve(x, &format!("{name}.conv1"), 1, 0);
        inner = self.norm(&inner, &format!("{name}.bn1"), training).relu();
        inner = self.convolve(&inner, &format!("{name}.conv2"), 1, 1);
        inner = self.norm(&inner, &format!("{name}.bn2"), training).relu();
        if stride > 1 {
            inner = halve(&inner);
        }
        inner = self.convolve(&inner, &format!("{name}.conv3"), 1, 0);
        inner = self.norm(&inner, &format!("{name}.bn3"), training);
        let shortcut = if self.weights.contains_key(&format!("{name}.downsample.0.weight")) {
            let less = if stride > 1 { halve(x) } else { x.shallow_clone() };
            let wider = self.convolve(&less, &format!("{name}.downsample.0"), 1, 0);
            self.norm(&wider, &format!("{name}.downsample.1"), training)
        } else {
            x.shallow_clone()
        };
        (inner + shortcut).relu()
    }

    /// The attention pool: the mean of all places asks all places. Plain products: five tokens are too few for a kernel.
    fn pool(&self, x: &Tensor) -> Tensor {
        let (count, channels, height, width) = x.size4().unwrap_or_default();
        let places = x.permute([0, 2, 3, 1]).reshape([count, height * width, channels]);
        let mean = places.mean_dim([1_i64].as_slice(), true, places.kind());
        let name = "visual.attnpool";
        let tokens = Tensor::cat(&[mean, places], 1) + self.cast(&format!("{name}.positional_embedding"), x.kind());
        let heads = channels / HEAD_CHANNELS;
        let project = |tokens: &Tensor, part: &str| {
            let rows = self.linear(tokens, &format!("{name}.{part}.weight"), &format!("{name}.{part}.bias"));
            rows.view([count, -1, heads, HEAD_CHANNELS]).transpose(1, 2)
        };
        let asks = project(&tokens.narrow(1, 0, 1), "q_proj") * (HEAD_CHANNELS as f64).powf(-0.5);
        let weights = asks.matmul(&project(&tokens, "k_proj").transpose(-2, -1)).softmax(-1, Kind::Float);
        let found = weights.to_kind(x.kind()).matmul(&project(&tokens, "v_proj"));
        let found = found.transpose(1, 2).reshape([count, channels]);
        self.linear(&found, &format!("{name}.c_proj.weight"), &format!("{name}.c_proj.bias"))
    }

    /// Features of texts, f32 [M, embed], unit length. `tokens`: int64 [M, L], L no more than the context, zero-padded;
    /// features are read at the end token, which has the highest id. `kind`: that of the products.
    pub(crate) fn text(&self, tokens: &Tensor, kind: Kind) -> Tensor {
        let (count, length) = tokens.size2().unwrap_or_default();
        let Sizes { text_width: width, text_heads: heads, .. } = self.sizes;
        let embedding = Tensor::embedding(self.weight("token_embedding.weight"), tokens, -1, false, false);
        let mut x = embedding + self.weight("positional_embedding").narrow(0, 0, length); // f32 [M, L, W]
        let mask = Tensor::full([length, length], f64::NEG_INFINITY, (kind, tokens.device())).triu(1);
        for layer in 0..self.sizes.text_layers {
            let name = format!("transformer.resblocks.{layer}");
            let inner = self.layer_norm(&x, &format!("{name}.ln_1")).to_kind(kind);
            let parts =
                self.linear(&inner, &format!("{name}.attn.in_proj_weight"), &format!("{name}.attn.in_proj_bias"));
            let parts = parts.view([count, length, 3, heads, width / heads]).permute([2, 0, 3, 1, 4]);
            let asks = parts.get(0) * ((width / heads) as f64).powf(-0.5);
            let scores = asks.matmul(&parts.get(1).transpose(-2, -1)) + &mask;
            let found = scores.softmax(-1, Kind::Float).to_kind(kind).matmul(&parts.get(2));
            let found = found.transpose(1, 2).reshape([count, length, width]);
            // Never in place: the backward pass needs what the norm was given.
            x = &x
                + self.linear(&found, &format!("{name}.attn.out_proj.weight"), &format!("{name}.attn.out_proj.bias"));
            let inner = self.layer_norm(&x, &format!("{name}.ln_2")).to_kind(kind);
            let inner = self.linear(&inner, &format!("{name}.mlp.c_fc.weight"), &format!("{name}.mlp.c_fc.bias"));
            let inner = &inner * (&inner * 1.702).sigmoid();
            x = &x + self.linear(&inner, &format!("{name}.mlp.c_proj.weight"), &format!("{name}.mlp.c_proj.bias"));
        }
        let x = self.layer_norm(&x, "ln_final");
        let rows = Tensor::arange(count, (Kind::Int64, tokens.device()));
        let last = x.index(&[Some(rows), Some(tokens.argmax(-1, false))]).to_kind(kind);
        unit_length(&last.matmul(&self.cast("text_projection", kind)))
    }

    /// The factor on cosines: exp of the learnt logarithm.
    pub(crate) fn scale(&self) -> Tensor {
        self.weight("logit_scale").exp()
    }

    /// Keeps the factor on cosines at or below 100, as CLIP does.
    pub(crate) fn limit_scale(&mut self) {
        tch::no_grad(|| {
            if let Some(scale) = self.weights.get_mut("logit_scale") {
                let _ = scale.clamp_(0.0, 100_f64.ln());
            }
        });
    }

    /// Moves everything to a device.
    pub(crate) fn place(&mut self, device: Device) {
        for weight in self.weights.values_mut() {
            *weight = weight.detach().to_device(device).set_requires_grad(weight.requires_grad());
        }
        for statistic in self.statistics.values_mut() {
            *statistic = statistic.to_device(device);
        }
    }

    /// Where the weights are.
    pub(crate) fn device(&self) -> Device {
        self.weights.values().next().map_or(Device::Cpu, Tensor::device)
    }

    /// Number of trained values.
    pub(crate) fn count(&self) -> usize {
        self.weights.values().map(Tensor::numel).sum()
    }

    fn weight(&self, name: &str) -> &Tensor {
        &self.weights[name]
    }

    fn cast(&self, name: &str, kind: Kind) -> Tensor {
        self.weight(name).to_kind(kind)
    }

    fn linear(&self, x: &Tensor, weight: &str, bias: &str) -> Tensor {
        x.linear(&self.cast(weight, x.kind()), Some(self.cast(bias, x.kind())))
    }

    fn layer_norm(&self, x: &Tensor, name: &str) -> Tensor {
        let width = self.sizes.text_width;
        let (gain, shift) = (self.weight(&format!("{name}.weight")), self.weight(&format!("{name}.bias")));
        x.layer_norm([width].as_slice(), Some(gain), Some(shift), EPSILON, false)
    }

    fn convolve(&self, x: &Tensor, name: &str, stride: i64, padding: i64) -> Tensor {
        let weight = self.cast(&format!("{name}.weight"), x.kind());
        x.conv2d(&weight, None::<&Tensor>, [stride, stride], [padding, padding], [1, 1], 1)
    }

    fn norm(&self, x: &Tensor, name: &str, training: bool) -> Tensor {
        x.batch_norm(
            Some(self.weight(&format!("{name}.weight"))),
            Some(self.weight(&format!("{name}.bias"))),
            Some(&self.statistics[&format!("{name}.running_mean")]),
            Some(&self.statistics[&format!("{name}.running_var")]),
            training,
            MOMENTUM,
            EPSILON,
            true,
        )
    }
}

const CPU_F32: (Kind, Device) = (Kind::Float, Device::Cpu);

fn halve(x: &Tensor) -> Tensor {
    x.avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None::<i64>)
}

/// Rows of unit length, f32.
fn unit_length(x: &Tensor) -> Tensor {
    let x = x.to_kind(Kind::Float);
    let norm = x.norm_scalaropt_dim(2.0, [-1_i64].as_slice(), true);
    x / norm.clamp_min(1e-12)
}
