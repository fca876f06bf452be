//! CLIP's ResNet (Radford et al. 2021, section 2.4; `ModifiedResNet` of openai/CLIP): three stem convolutions, average
//! pooling before strided convolutions, and attention pooling instead of an average at the end.

use std::sync::Arc;

use tch::{Kind, Tensor};

use super::ModelError;
use super::block::Activation;
use super::layers::{Compute, Convolution, Linear, Run, Shapes, batch_norm, expect};
use super::tensors::Tensors;
use super::tower::{self, Tower, Vision};
use super::watch::{self, Layout, Watch};
use crate::types::{Pool, Site, Tap};

/// A bottleneck block puts out four times its own width.
const EXPANSION: usize = 4;
/// The attention pool works on `width * 32` channels over a grid of `image_size / 32` positions a side.
const REDUCTION: usize = 32;

const PREFIX: &str = "visual";
const STAGES: [&str; 4] = ["layer1", "layer2", "layer3", "layer4"];

/// Everything that decides the shapes of the tower.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sizes {
    /// Blocks per stage.
    layers: [usize; 4],
    /// Channels after the stem.
    width: usize,
    /// Heads of the attention pool.
    heads: usize,
    /// Side of the input, pixels.
    image_size: usize,
    /// Dimension of the embedding.
    dimension: usize,
}

/// A ResNet has four stages and no patches.
pub(super) fn recognise(vision: &Vision) -> Option<Arc<dyn tower::Sizes>> {
    if vision.patches.is_some() {
        return None;
    }
    let layers = <[usize; 4]>::try_from(vision.layers.as_slice()).ok()?;
    let Vision { width, image_size, dimension, .. } = *vision;
    // As open_clip does: heads follow from the channels of the attention pool.
    let heads = width * REDUCTION / vision.head_width.max(1);
    Some(Arc::new(Sizes { layers, width, heads, image_size, dimension }))
}

impl Sizes {
    /// Channels that the last stage puts out.
    fn features(&self) -> usize {
        self.width * REDUCTION
    }

    /// Positions a side that the attention pool has embeddings for.
    fn grid(&self) -> usize {
        self.image_size / REDUCTION
    }

    /// The blocks of a stage, 0 to 3.
    fn blocks(&self, stage: usize) -> Vec<BlockSizes> {
        let planes = self.width << stage;
        let before = if stage == 0 { self.width } else { planes / 2 * EXPANSION };
        (0..self.layers[stage])
            .map(|block| BlockSizes {
                prefix: format!("{PREFIX}.{}.{block}", STAGES[stage]),
                // A stage's last block is the one that is meant by the stage's name.
                name: match STAGES[stage] {
                    stage_name if block + 1 == self.layers[stage] => stage_name.to_owned(),
                    stage_name => format!("{stage_name}.{block}"),
                },
                input: if block == 0 { before } else { planes * EXPANSION },
                planes,
                stride: if block == 0 && stage > 0 { 2 } else { 1 },
                last: stage + 1 == STAGES.len() && block + 1 == self.layers[stage],
            })
            .collect()
    }
}

impl tower::Sizes for Sizes {
    /// The sizes the tensors tell, each falling back on the configuration's where its tensor is missing or odd. Heads
    /// leave no trace in any shape; of the image side only the grid of the last stage does.
    fn told_by(&self, tensors: &Tensors) -> Arc<dyn tower::Sizes> {
        let side = |name: &str, dimension: usize| tensors.shape(&format!("{PREFIX}{name}"))?.get(dimension).copied();
        let counted = STAGES.map(|stage| tensors.blocks(&format!("{PREFIX}.{stage}.")));
        let positions = side(".attnpool.positional_embedding", 0).unwrap_or(0);
        let grid = positions.saturating_sub(1).isqrt();
        let fits = grid > 0 && grid * grid + 1 == positions && grid != self.grid();
        Arc::new(Self {
            layers: if counted.contains(&0) { self.layers } else { counted },
            width: side(".layer1.0.conv1.weight", 0).unwrap_or(self.width),
            heads: self.heads,
            image_size: if fits { grid * REDUCTION } else { self.image_size },
            dimension: side(".attnpool.c_proj.weight", 0).unwrap_or(self.dimension),
        })
    }

    /// What the tower cannot be built with.
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.width == 0 || !self.width.is_multiple_of(2) {
            problems.push(format!("the image tower's width {} must be even and above 0", self.width));
        }
        if self.heads == 0 || !self.features().is_multiple_of(self.heads) {
            problems.push(format!(
                "the attention pool's {} channels do not divide into {} heads",
                self.features(),
                self.heads
            ));
        }
        // Stride 2 with padding rounds up, the four average pools round down.
        let last_grid = self.image_size.div_ceil(2) / 16;
        if self.grid() == 0 || last_grid != self.grid() {
            problems.push(format!(
                "an image of {} px gives a grid of {last_grid} positions a side, the attention pool is made for {}",
                self.image_size,
                self.grid()
            ));
        }
        problems
    }

    /// Names and shapes of every tensor of the tower.
    fn shapes(&self) -> Shapes {
        let mut shapes = Shapes::new();
        let (half, width) = (self.width / 2, self.width);
        for (number, (out, input)) in [(half, 3), (half, half), (width, half)].into_iter().enumerate() {
            Convolution::shapes(&mut shapes, &format!("{PREFIX}.conv{}", number + 1), out, input, 3);
            batch_norm(&mut shapes, &format!("{PREFIX}.bn{}", number + 1), out);
        }
        for block in (0..STAGES.len()).flat_map(|stage| self.blocks(stage)) {
            let (input, planes, out) = (block.input, block.planes, block.planes * EXPANSION);
            for (number, (out, input, kernel)) in
                [(planes, input, 1), (planes, planes, 3), (out, planes, 1)].into_iter().enumerate()
            {
                Convolution::shapes(&mut shapes, &format!("{}.conv{}", block.prefix, number + 1), out, input, kernel);
                batch_norm(&mut shapes, &format!("{}.bn{}", block.prefix, number + 1), out);
            }
            if block.downsamples() {
                Convolution::shapes(&mut shapes, &format!("{}.downsample.0", block.prefix), out, input, 1);
                batch_norm(&mut shapes, &format!("{}.downsample.1", block.prefix), out);
            }
        }
        let pool = format!("{PREFIX}.attnpool");
        let features = self.features();
        expect(&mut shapes, &pool, ".positional_embedding", &[self.grid() * self.grid() + 1, features]);
        for name in [".q_proj", ".k_proj", ".v_proj"] {
            Linear::shapes(&mut shapes, &format!("{pool}{name}"), features, features);
        }
        Linear::shapes(&mut shapes, &format!("{pool}.c_proj"), self.dimension, features);
        shapes
    }

    /// Every place that can be tapped.
    fn places(&self) -> Vec<watch::Place> {
        let mut places = Vec::new();
        for block in (0..STAGES.len()).flat_map(|stage| self.blocks(stage)) {
            let units = block.planes * EXPANSION;
            places.push((block.name.clone(), Site::PreRelu, units));
            places.push((block.name, Site::PostRelu, units));
        }
        places.push(("attnpool".to_owned(), Site::Output, self.dimension));
        places
    }

    fn neurons(&self) -> Tap {
        let [.., last] = STAGES;
        Tap { layer: last.to_owned(), site: Site::PreRelu, pool: Pool::Mean }
    }

    fn fields(&self) -> Vec<(&'static str, String)> {
        vec![
            ("embed_dim (image tower)", self.dimension.to_string()),
            ("vision_cfg.width", self.width.to_string()),
            ("vision_cfg.image_size", self.image_size.to_string()),
            ("vision_cfg.layers", format!("{:?}", self.layers)),
        ]
    }

    fn image_size(&self) -> usize {
        self.image_size
    }

    fn dimension(&self) -> usize {
        self.dimension
    }

    /// In the first stage a block's input, its shortcut and its output: three times [4 W, S/4, S/4].
    fn live_values(&self) -> usize {
        3 * EXPANSION * self.width * self.image_size.div_ceil(4).pow(2)
    }

    fn architecture(&self) -> String {
        format!("ModifiedResNet {:?}, width {}", self.layers, self.width)
    }

    fn details(&self) -> String {
        format!("{} stem channels, {} attention-pool heads", self.width, self.heads)
    }

    fn build(&self, tensors: &mut Tensors, compute: Compute, _: Activation) -> Result<Box<dyn Tower>, ModelError> {
        Ok(Box::new(ModifiedResNet::new(tensors, compute, self)?))
    }
}

/// What decides the shapes of one block.
struct BlockSizes {
    prefix: String,
    /// What its places are called in taps: `layer2.0`, or `layer2` for the last of a stage.
    name: String,
    input: usize,
    planes: usize,
    stride: i64,
    /// The last of the tower.
    last: bool,
}

impl BlockSizes {
    /// Whether the shortcut needs a convolution of its own.
    fn downsamples(&self) -> bool {
        self.stride > 1 || self.input != self.planes * EXPANSION
    }
}

/// The image tower.
struct ModifiedResNet {
    stem: [Convolution; 3],
    stages: [Vec<Bottleneck>; 4],
    pool: AttentionPool,
}

struct Bottleneck {
    name: String,
    conv1: Convolution,
    conv2: Convolution,
    conv3: Convolution,
    downsample: Option<Convolution>,
    stride: i64,
}

/// In f32 whatever the tower computes in: roundings in the blocks are averaged over positions here, those of the pool are not.
struct AttentionPool {
    positional_embedding: Tensor, // [P + 1, C]
    query: Linear,
    key: Tensor,        // [C, C]
    value: Tensor,      // [C, C]
    value_bias: Tensor, // [C]
    output: Linear,
    heads: usize,
}

impl ModifiedResNet {
    /// Takes the tower's tensors.
    fn new(tensors: &mut Tensors, compute: Compute, sizes: &Sizes) -> Result<Self, ModelError> {
        let half = sizes.width / 2;
        let mut stem = |number: usize, stride: i64, channels: usize| {
            let compute = compute.between(channels);
            let (convolution, norm) = (format!("{PREFIX}.conv{number}"), format!("{PREFIX}.bn{number}"));
            Convolution::normed(tensors, compute, &convolution, &norm, (stride, 1))
        };
        let stem = [stem(1, 2, half)?, stem(2, 1, half)?, stem(3, 1, sizes.width)?];
        let mut stage = |number: usize| {
            let blocks = sizes.blocks(number).into_iter();
            blocks.map(|block| Bottleneck::new(tensors, compute, &block)).collect::<Result<Vec<_>, ModelError>>()
        };
        let stages = [stage(0)?, stage(1)?, stage(2)?, stage(3)?];
        Ok(Self { stem, stages, pool: AttentionPool::new(tensors, compute.precise(), sizes.heads)? })
    }
}

impl Tower for ModifiedResNet {
    fn forward(&self, images: &Tensor, watch: &mut Watch<'_>) -> Run<Tensor> {
        let mut x = images.shallow_clone(); // [N, 3, S, S]
        for convolution in &self.stem {
            x = relu(convolution.forward(&x)?)?; // [N, W or W/2, S/2, S/2]
        }
        x = average(&x, 2)?; // [N, W, S/4, S/4]
        for block in self.stages.iter().flatten() {
            x = watch.visit(&block.name, Site::PreRelu, Layout::Grid, block.before_relu(&x)?)?; // [N, 4 planes, H, H]
            x = watch.visit(&block.name, Site::PostRelu, Layout::Grid, relu(x)?)?;
        }
        // [N, 32 W, S/32, S/32]
        watch.visit("attnpool", Site::Output, Layout::Single, self.pool.forward(&x)?) // [N, D]
    }
}

impl Bottleneck {
    fn new(tensors: &mut Tensors, compute: Compute, sizes: &BlockSizes) -> Result<Self, ModelError> {
        let prefix = &sizes.prefix;
        let compute = compute.between(sizes.planes);
        let outward = if sizes.last { compute.outermost() } else { compute };
        let mut convolution = |name: &str, norm: &str, padding: i64, compute: Compute| {
            // Every convolution has stride 1: an average pool before it does the striding.
            let (convolution, norm) = (format!("{prefix}.{name}"), format!("{prefix}.{norm}"));
            Convolution::normed(tensors, compute, &convolution, &norm, (1, padding))
        };
        let shortcut = sizes.downsamples().then(|| convolution("downsample.0", "downsample.1", 0, outward));
        Ok(Self {
            name: sizes.name.clone(),
            downsample: shortcut.transpose()?,
            conv1: convolution("conv1", "bn1", 0, compute)?,
            conv2: convolution("conv2", "bn2", 1, compute)?,
            conv3: convolution("conv3", "bn3", 0, outward)?,
            stride: sizes.stride,
        })
    }

    /// `bn3(conv3(..)) + identity`, the block's value before its last ReLU: [N, C, H, H] -> [N, 4 P, H/s, H/s], in the type of
    /// conv3.
    fn before_relu(&self, x: &Tensor) -> Run<Tensor> {
        let out = relu(self.conv1.forward(x)?)?; // [N, P, H, H]
        let out = relu(self.conv2.forward(&out)?)?; // [N, P, H, H]
        let out = average(&out, self.stride)?; // [N, P, H/s, H/s]
        let mut out = self.conv3.forward(&out)?; // [N, 4 P, H/s, H/s]
        match &self.downsample {
            Some(shortcut) => out.f_add_(&shortcut.forward(&average(x, self.stride)?)?),
            None => out.f_add_(x),
        }
    }
}

impl AttentionPool {
    fn new(tensors: &mut Tensors, compute: Compute, heads: usize) -> Result<Self, ModelError> {
        let prefix = format!("{PREFIX}.attnpool");
        let positional_embedding = compute.weight(tensors, &format!("{prefix}.positional_embedding"))?;
        let mut linear = |name: &str| Linear::new(tensors, compute, &format!("{prefix}.{name}"));
        let (query, output) = (linear("q_proj")?, linear("c_proj")?);
        let mut weight = |name: &str| compute.weight(tensors, &format!("{prefix}.{name}"));
        let (key, value, value_bias) = (weight("k_proj.weight")?, weight("v_proj.weight")?, weight("v_proj.bias")?);
        // Of no consequence, as `forward` says, but a tensor that no layer takes is refused.
        drop(weight("k_proj.bias")?);
        Ok(Self { positional_embedding, query, key, value, value_bias, output, heads })
    }

    /// The mean position asks all positions, itself included: [N, C, H, H] -> [N, D].
    ///
    /// One position asks, so keys and values of the others need not be made, which would cost P + 1 products where one is
    /// enough. A score is q . (K x + b) = (K^T q) . x + q . b, of which the last is the same for every position and falls out
    /// of the softmax; the answer is the sum of p (V x + b) = V (sum of p x) + b, since the shares p add up to 1.
    fn forward(&self, x: &Tensor) -> Run<Tensor> {
        let x = x.f_flatten(2, 3)?.f_transpose(1, 2)?.f_to_kind(Kind::Float)?; // [N, P, C]
        let mean = x.f_mean_dim([1].as_slice(), true, None)?; // [N, 1, C]
        let x = Tensor::f_cat(&[&mean, &x], 1)?.f_add(&self.positional_embedding)?; // [N, P + 1, C]
        let (n, _, channels) = x.size3()?;
        let heads = self.heads as i64;
        let width = channels / heads; // d
        let query = self.query.forward(&x.f_narrow(1, 0, 1)?)?; // [N, 1, C]
        let query = query.f_mul_scalar(1.0 / (width as f64).sqrt())?.f_reshape([n, heads, width])?.f_transpose(0, 1)?;
        let asked = query.f_bmm(&self.key.f_reshape([heads, width, channels])?)?.f_transpose(0, 1)?; // [N, heads, C]
        let scores = asked.f_bmm(&x.f_transpose(1, 2)?)?; // [N, heads, P + 1]
        let shares = scores.f_softmax(-1, Kind::Float)?;
        let pooled = shares.f_bmm(&x)?.f_transpose(0, 1)?; // [heads, N, C]
        let value = self.value.f_reshape([heads, width, channels])?.f_transpose(1, 2)?; // [heads, C, d]
        let answer = pooled.f_bmm(&value)?.f_transpose(0, 1)?.f_reshape([n, channels])?; // [N, C]
        self.output.forward(&answer.f_add(&self.value_bias)?) // [N, D]
    }
}

/// In place: the argument is always fresh from a convolution or a sum, and no tap keeps a reference to it.
fn relu(mut x: Tensor) -> Run<Tensor> {
    x.f_relu_()
}

/// Average pooling without overlap; the identity for a stride of 1.
fn average(x: &Tensor, stride: i64) -> Run<Tensor> {
    if stride == 1 {
        return Ok(x.shallow_clone());
    }
    x.f_avg_pool2d([stride; 2], [stride; 2], [0, 0], false, true, None)
}
