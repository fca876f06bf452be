//! The vision transformer of CLIP (Dosovitskiy et al. 2021; `VisionTransformer` of openai/CLIP and of open_clip, with
//! the options of the models published with it): patches become tokens behind a class token, blocks work on all of them,
//! and the class token or the mean of the patches is projected into the shared space.

use std::sync::Arc;

use tch::{Kind, Tensor};

use super::ModelError;
use super::block::{Activation, Block, Stack};
use super::layers::{Compute, Convolution, LayerNorm, Run, Shapes, expect};
use super::tensors::Tensors;
use super::tower::{self, TokenPool, Tower, Vision};
use super::watch::{self, Watch};
use crate::types::{Pool, Site, Tap};

const PREFIX: &str = "visual";

/// Everything that decides the shapes of the tower, and what it does with them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sizes {
    stack: Stack,
    /// Side of a patch, pixels.
    patch: usize,
    /// Side of the input, pixels.
    image_size: usize,
    /// Dimension of the embedding.
    dimension: usize,
    /// Whether tokens are normalised before the first block.
    pre_norm: bool,
    pool: TokenPool,
    /// Whether the last normalisation comes after the pool.
    norm_after_pool: bool,
}

/// A transformer has patches, and one stage.
pub(super) fn recognise(vision: &Vision) -> Option<Arc<dyn tower::Sizes>> {
    let patches = vision.patches?;
    let [layers] = <[usize; 1]>::try_from(vision.layers.as_slice()).ok()?;
    let Vision { width, image_size, dimension, .. } = *vision;
    let stack = Stack {
        prefix: "visual.transformer",
        layers,
        width,
        // As open_clip does, rounding down.
        heads: width / vision.head_width.max(1),
        hidden: patches.hidden,
        layer_scale: patches.layer_scale,
    };
    let tower::Patches { side: patch, pre_norm, pool, norm_after_pool, .. } = patches;
    Some(Arc::new(Sizes { stack, patch, image_size, dimension, pre_norm, pool, norm_after_pool }))
}

impl Sizes {
    /// Patches a side. Pixels beyond the last whole patch are seen by none, as in open_clip.
    fn grid(&self) -> usize {
        self.image_size / self.patch.max(1)
    }
}

impl tower::Sizes for Sizes {
    /// Heads, pool and the order of pool and norm leave no trace in any shape; of the image side only the number of
    /// patches does.
    fn told_by(&self, tensors: &Tensors) -> Arc<dyn tower::Sizes> {
        let side = |name: &str, dimension: usize| tensors.shape(&format!("{PREFIX}{name}"))?.get(dimension).copied();
        let stack = self.stack.told_by(tensors);
        let patch = match tensors.shape(&format!("{PREFIX}.conv1.weight")).as_deref() {
            Some(&[_, _, height, width]) if height == width && height > 0 => height,
            _ => self.patch,
        };
        let positions = side(".positional_embedding", 0).unwrap_or(0);
        let grid = positions.saturating_sub(1).isqrt();
        let odd = grid == 0 || grid * grid + 1 != positions;
        let image_size = if odd || self.image_size / patch == grid { self.image_size } else { grid * patch };
        let normed = side(".ln_pre.weight", 0).or_else(|| side(".ln_pre.bias", 0)).is_some();
        Arc::new(Self {
            pre_norm: if positions == 0 { self.pre_norm } else { normed },
            dimension: side(".proj", 1).unwrap_or(self.dimension),
            stack,
            patch,
            image_size,
            ..*self
        })
    }

    fn fields(&self) -> Vec<(&'static str, String)> {
        vec![
            ("embed_dim (image tower)", self.dimension.to_string()),
            ("vision_cfg.width", self.stack.width.to_string()),
            ("vision_cfg.image_size", self.image_size.to_string()),
            ("vision_cfg.patch_size", self.patch.to_string()),
            ("vision_cfg.layers", self.stack.layers.to_string()),
            ("the image tower's MLP width (vision_cfg.mlp_ratio)", self.stack.hidden.to_string()),
            ("layer scale (vision_cfg.ls_init_value)", tower::presence(self.stack.layer_scale)),
            ("the norm before the first block (vision_cfg.no_ln_pre)", tower::presence(self.pre_norm)),
        ]
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = self.stack.problems("image");
        if self.grid() == 0 {
            problems.push(format!("an image of {} px holds no patch of {} px", self.image_size, self.patch));
        }
        problems
    }

    fn shapes(&self) -> Shapes {
        let mut shapes = Shapes::new();
        let width = self.stack.width;
        Convolution::shapes(&mut shapes, &format!("{PREFIX}.conv1"), width, 3, self.patch);
        expect(&mut shapes, PREFIX, ".class_embedding", &[width]);
        expect(&mut shapes, PREFIX, ".positional_embedding", &[self.grid() * self.grid() + 1, width]);
        if self.pre_norm {
            LayerNorm::shapes(&mut shapes, &format!("{PREFIX}.ln_pre"), width);
        }
        self.stack.shapes(&mut shapes);
        LayerNorm::shapes(&mut shapes, &format!("{PREFIX}.ln_post"), width);
        expect(&mut shapes, PREFIX, ".proj", &[width, self.dimension]);
        shapes
    }

    fn places(&self) -> Vec<watch::Place> {
        let block = |layer: usize| {
            let name = format!("block{layer}");
            [(name.clone(), Site::Residual, self.stack.width), (name, Site::MlpHidden, self.stack.hidden)]
        };
        (0..self.stack.layers).flat_map(block).collect()
    }

    /// In the last block only what the pool reads has a way to the embedding.
    fn neurons(&self) -> Tap {
        let pool = match self.pool {
            TokenPool::Class => Pool::Class,
            TokenPool::Average => Pool::Mean,
        };
        Tap { layer: format!("block{}", self.stack.layers.saturating_sub(1)), site: Site::MlpHidden, pool }
    }

    fn image_size(&self) -> usize {
        self.image_size
    }

    fn dimension(&self) -> usize {
        self.dimension
    }

    /// Of every token the residual stream, what goes into the block, and queries, keys and values with what they become, or
    /// the hidden units twice; and of every head how much each token looks at each.
    fn live_values(&self) -> usize {
        let (tokens, Stack { width, hidden, heads, .. }) = (self.grid() * self.grid() + 1, &self.stack);
        tokens * (2 * width + (4 * width).max(2 * hidden)) + heads * tokens * tokens
    }

    fn architecture(&self) -> String {
        format!(
            "VisionTransformer of {} blocks, width {}, {} px patches",
            self.stack.layers, self.stack.width, self.patch
        )
    }

    fn details(&self) -> String {
        let grid = self.grid();
        let mut details = format!(
            "{grid} x {grid} patches and a class token, {} heads, {} hidden units a block",
            self.stack.heads, self.stack.hidden
        );
        if !self.pre_norm {
            details.push_str(", no norm before the first block");
        }
        if self.stack.layer_scale {
            details.push_str(", layer scale");
        }
        details.push_str(match (self.pool, self.norm_after_pool) {
            (TokenPool::Class, _) => ", the class token is the embedding",
            (TokenPool::Average, true) => ", the mean of the patches, then normalised, is the embedding",
            (TokenPool::Average, false) => ", the mean of the normalised patches is the embedding",
        });
        let unseen = self.image_size - grid * self.patch;
        if unseen > 0 {
            details.push_str(&format!(", {unseen} px at the right and bottom edge are in no patch"));
        }
        details
    }

    fn build(
        &self,
        tensors: &mut Tensors,
        compute: Compute,
        activation: Activation,
    ) -> Result<Box<dyn Tower>, ModelError> {
        Ok(Box::new(VisionTransformer::new(tensors, compute, self, activation)?))
    }
}

/// The image tower.
struct VisionTransformer {
    patches: Convolution,
    class_embedding: Tensor,      // [W]
    positional_embedding: Tensor, // [P + 1, W]
    ln_pre: Option<LayerNorm>,
    blocks: Vec<Block>,
    pool: TokenPool,
    norm_after_pool: bool,
    ln_post: LayerNorm,
    projection: Tensor, // [W, D], f32
}

impl VisionTransformer {
    /// Takes the tower's tensors.
    fn new(tensors: &mut Tensors, compute: Compute, sizes: &Sizes, activation: Activation) -> Result<Self, ModelError> {
        let patches = Convolution::new(tensors, compute, &format!("{PREFIX}.conv1"), sizes.patch as i64, 0)?;
        let ln_pre = sizes.pre_norm.then(|| LayerNorm::new(tensors, compute, &format!("{PREFIX}.ln_pre")));
        Ok(Self {
            patches,
            ln_pre: ln_pre.transpose()?,
            class_embedding: compute.weight(tensors, &format!("{PREFIX}.class_embedding"))?,
            positional_embedding: compute.weight(tensors, &format!("{PREFIX}.positional_embedding"))?,
            blocks: sizes.stack.build(tensors, compute, activation)?,
            pool: sizes.pool,
            norm_after_pool: sizes.norm_after_pool,
            ln_post: LayerNorm::new(tensors, compute, &format!("{PREFIX}.ln_post"))?,
            projection: compute.precise().weight(tensors, &format!("{PREFIX}.proj"))?,
        })
    }

    /// The token of the embedding, normalised, in f32 whatever the blocks compute in: [N, P + 1, W] -> [N, W].
    fn pool(&self, x: &Tensor) -> Run<Tensor> {
        let patches = x.size3()?.1 - 1;
        let mean = |x: &Tensor| x.f_mean_dim([1].as_slice(), false, None);
        let patches = || x.f_narrow(1, 1, patches)?.f_to_kind(Kind::Float);
        match (self.pool, self.norm_after_pool) {
            (TokenPool::Class, _) => self.ln_post.forward(&x.f_select(1, 0)?.f_to_kind(Kind::Float)?),
            (TokenPool::Average, true) => self.ln_post.forward(&mean(&patches()?)?),
            (TokenPool::Average, false) => mean(&self.ln_post.forward(&patches()?)?),
        }
    }
}

impl Tower for VisionTransformer {
    fn forward(&self, images: &Tensor, watch: &mut Watch<'_>) -> Run<Tensor> {
        let x = self.patches.forward(images)?; // [N, W, G, G]
        let x = x.f_flatten(2, 3)?.f_transpose(1, 2)?; // [N, P, W]
        let (n, _, width) = x.size3()?;
        let class = self.class_embedding.f_expand([n, 1, width], false)?; // [N, 1, W]
        let mut x = Tensor::f_cat(&[&class, &x], 1)?.f_add(&self.positional_embedding)?; // [N, P + 1, W]
        if let Some(norm) = &self.ln_pre {
            x = norm.forward(&x)?;
        }
        for block in &self.blocks {
            x = block.forward(&x, None, watch)?;
        }
        self.pool(&x)?.f_matmul(&self.projection) // [N, D]
    }
}
