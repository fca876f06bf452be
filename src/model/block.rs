//! The pre-norm transformer block (Vaswani et al. 2017 as CLIP uses it, `ResidualAttentionBlock` of openai/CLIP) that
//! image and text towers are stacks of, and the sizes such a stack has.

use tch::Tensor;

use super::ModelError;
use super::layers::{Compute, LayerNorm, Linear, Run, Shapes, attention, expect, join_heads, split_heads};
use super::tensors::Tensors;
use super::watch::{Layout, Watch};
use crate::types::Site;

/// Which Gaussian error linear unit the weights were trained with; the wrong one is silently wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activation {
    /// `x * sigmoid(1.702 x)`.
    QuickGelu,
    /// `x * Phi(x)`, exact.
    Gelu,
}

impl Activation {
    /// In place as far as it goes: these values are the largest of a block.
    fn forward(self, mut x: Tensor) -> Run<Tensor> {
        match self {
            Self::QuickGelu => x.f_mul_scalar(1.702)?.f_sigmoid_()?.f_mul_(&x),
            Self::Gelu => x.f_gelu_("none"),
        }
    }
}

/// Everything that decides the shapes of a stack of blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stack {
    /// What the names of its tensors begin with.
    pub(super) prefix: &'static str,
    /// Blocks.
    pub(super) layers: usize,
    /// Width of the residual stream.
    pub(super) width: usize,
    /// Attention heads, which leave no trace in any shape.
    pub(super) heads: usize,
    /// Hidden units of a block's MLP.
    pub(super) hidden: usize,
    /// Whether what a block adds is scaled per channel (Touvron et al. 2021, `LayerScale`).
    pub(super) layer_scale: bool,
}

impl Stack {
    fn block(&self, layer: usize) -> String {
        format!("{}.resblocks.{layer}", self.prefix)
    }

    /// The sizes the tensors tell, each falling back on the configuration's where its tensor is missing or odd.
    pub(super) fn told_by(&self, tensors: &Tensors) -> Self {
        let first = self.block(0);
        let side = |name: &str, dimension: usize| tensors.shape(&format!("{first}{name}"))?.get(dimension).copied();
        let layers = tensors.blocks(&format!("{}.resblocks.", self.prefix));
        Self {
            layers: if layers == 0 { self.layers } else { layers },
            width: side(".ln_1.weight", 0).unwrap_or(self.width),
            hidden: side(".mlp.c_fc.weight", 0).unwrap_or(self.hidden),
            layer_scale: if layers == 0 { self.layer_scale } else { side(".ls_1.gamma", 0).is_some() },
            ..*self
        }
    }

    /// What the stack of a tower cannot be built with.
    pub(super) fn problems(&self, tower: &str) -> Vec<String> {
        let divides = self.heads > 0 && self.width.is_multiple_of(self.heads);
        let problem = format!("the {tower} tower's width {} does not divide into {} heads", self.width, self.heads);
        if divides { Vec::new() } else { vec![problem] }
    }

    /// Appends names and shapes of every tensor of the stack.
    pub(super) fn shapes(&self, shapes: &mut Shapes) {
        for layer in 0..self.layers {
            let prefix = self.block(layer);
            LayerNorm::shapes(shapes, &format!("{prefix}.ln_1"), self.width);
            expect(shapes, &prefix, ".attn.in_proj_weight", &[3 * self.width, self.width]);
            expect(shapes, &prefix, ".attn.in_proj_bias", &[3 * self.width]);
            Linear::shapes(shapes, &format!("{prefix}.attn.out_proj"), self.width, self.width);
            LayerNorm::shapes(shapes, &format!("{prefix}.ln_2"), self.width);
            Linear::shapes(shapes, &format!("{prefix}.mlp.c_fc"), self.hidden, self.width);
            Linear::shapes(shapes, &format!("{prefix}.mlp.c_proj"), self.width, self.hidden);
            if self.layer_scale {
                expect(shapes, &prefix, ".ls_1.gamma", &[self.width]);
                expect(shapes, &prefix, ".ls_2.gamma", &[self.width]);
            }
        }
    }

    /// Takes the tensors of every block.
    pub(super) fn build(
        &self,
        tensors: &mut Tensors,
        compute: Compute,
        activation: Activation,
    ) -> Result<Vec<Block>, ModelError> {
        (0..self.layers).map(|layer| Block::new(tensors, compute, self, layer, activation)).collect()
    }
}

/// One block.
pub(super) struct Block {
    /// What its places are called in taps: `block0` is the first.
    name: String,
    ln_1: LayerNorm,
    qkv: Linear,
    out: Linear,
    scale_1: Option<Tensor>, // [W]
    ln_2: LayerNorm,
    fc: Linear,
    proj: Linear,
    scale_2: Option<Tensor>, // [W]
    heads: usize,
    activation: Activation,
}

impl Block {
    fn new(
        tensors: &mut Tensors,
        compute: Compute,
        stack: &Stack,
        layer: usize,
        activation: Activation,
    ) -> Result<Self, ModelError> {
        let prefix = stack.block(layer);
        let mut scale = |name: &str| {
            stack.layer_scale.then(|| compute.weight(tensors, &format!("{prefix}.{name}.gamma"))).transpose()
        };
        let (scale_1, scale_2) = (scale("ls_1")?, scale("ls_2")?);
        let qkv = Linear::named(
            tensors,
            compute,
            &format!("{prefix}.attn.in_proj_weight"),
            &format!("{prefix}.attn.in_proj_bias"),
        )?;
        Ok(Self {
            name: format!("block{layer}"),
            ln_1: LayerNorm::new(tensors, compute, &format!("{prefix}.ln_1"))?,
            qkv,
            out: Linear::new(tensors, compute, &format!("{prefix}.attn.out_proj"))?,
            scale_1,
            ln_2: LayerNorm::new(tensors, compute, &format!("{prefix}.ln_2"))?,
            fc: Linear::new(tensors, compute, &format!("{prefix}.mlp.c_fc"))?,
            proj: Linear::new(tensors, compute, &format!("{prefix}.mlp.c_proj"))?,
            scale_2,
            heads: stack.heads,
            activation,
        })
    }

    /// [N, L, W] -> [N, L, W]; `mask` [L, L] is added to the attention scores.
    pub(super) fn forward(&self, x: &Tensor, mask: Option<&Tensor>, watch: &mut Watch<'_>) -> Run<Tensor> {
        let width = x.size3()?.2;
        let qkv = self.qkv.forward(&self.ln_1.forward(x)?)?; // [N, L, 3 W]
        let head = |part: i64| split_heads(&qkv.f_narrow(2, part * width, width)?, self.heads); // [N, heads, L, d]
        let attended = join_heads(&attention(&head(0)?, &head(1)?, &head(2)?, mask)?)?; // [N, L, W]
        let x = scaled(self.out.forward(&attended)?, self.scale_1.as_ref())?.f_add_(x)?; // [N, L, W]
        let hidden = self.activation.forward(self.fc.forward(&self.ln_2.forward(&x)?)?)?; // [N, L, M]
        let hidden = watch.visit(&self.name, Site::MlpHidden, Layout::Tokens, hidden)?;
        let x = scaled(self.proj.forward(&hidden)?, self.scale_2.as_ref())?.f_add_(&x)?; // [N, L, W]
        watch.visit(&self.name, Site::Residual, Layout::Tokens, x)
    }
}

/// What a block adds, per channel.
fn scaled(mut x: Tensor, scale: Option<&Tensor>) -> Run<Tensor> {
    match scale {
        Some(scale) => x.f_mul_(scale),
        None => Ok(x),
    }
}
