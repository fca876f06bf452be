//! CLIP's text transformer: token and position embeddings, pre-norm blocks under a causal mask, and the value at the
//! end-of-text token projected into the shared space.

use tch::{Kind, Tensor};

use super::ModelError;
use super::layers::{Compute, LayerNorm, Linear, Run, Shapes, attention, expect, join_heads, split_heads};
use super::tensors::Tensors;

/// Which Gaussian error linear unit the weights were trained with; the wrong one is silently wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activation {
    /// `x * sigmoid(1.702 x)`.
    QuickGelu,
    /// `x * Phi(x)`, exact.
    Gelu,
}

impl Activation {
    fn forward(self, x: &Tensor) -> Run<Tensor> {
        match self {
            Self::QuickGelu => x.f_mul(&x.f_mul_scalar(1.702)?.f_sigmoid()?),
            Self::Gelu => x.f_gelu("none"),
        }
    }
}

/// Everything that decides the shapes of the tower.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sizes {
    /// Tokens per text.
    pub(super) context_length: usize,
    /// Distinct tokens.
    pub(super) vocabulary: usize,
    /// Width of the residual stream.
    pub(super) width: usize,
    /// Attention heads.
    pub(super) heads: usize,
    /// Blocks.
    pub(super) layers: usize,
    /// Dimension of the embedding.
    pub(super) dimension: usize,
}

impl Sizes {
    /// Hidden units of a block's MLP.
    fn hidden(&self) -> usize {
        self.width * 4
    }

    /// The sizes the tensors tell, each falling back on the configuration's where its tensor is missing. Heads leave no
    /// trace in any shape.
    pub(super) fn of(tensors: &Tensors, configured: &Self) -> Self {
        let side = |name: &str, dimension: usize| tensors.shape(name)?.get(dimension).copied();
        let layers = tensors.blocks("transformer.resblocks.");
        Self {
            context_length: side("positional_embedding", 0).unwrap_or(configured.context_length),
            vocabulary: side("token_embedding.weight", 0).unwrap_or(configured.vocabulary),
            width: side("ln_final.weight", 0).unwrap_or(configured.width),
            heads: configured.heads,
            layers: if layers == 0 { configured.layers } else { layers },
            dimension: side("text_projection", 1).unwrap_or(configured.dimension),
        }
    }

    /// What the tower cannot be built with.
    pub(super) fn problems(&self) -> Vec<String> {
        let divides = self.heads > 0 && self.width.is_multiple_of(self.heads);
        let problem = format!("the text tower's width {} does not divide into {} heads", self.width, self.heads);
        if divides { Vec::new() } else { vec![problem] }
    }

    /// Names and shapes of every tensor of the tower.
    pub(super) fn shapes(&self) -> Shapes {
        let mut shapes = Shapes::new();
        expect(&mut shapes, "", "token_embedding.weight", &[self.vocabulary, self.width]);
        expect(&mut shapes, "", "positional_embedding", &[self.context_length, self.width]);
        for layer in 0..self.layers {
            let prefix = format!("transformer.resblocks.{layer}");
            LayerNorm::shapes(&mut shapes, &format!("{prefix}.ln_1"), self.width);
            expect(&mut shapes, &prefix, ".attn.in_proj_weight", &[3 * self.width, self.width]);
            expect(&mut shapes, &prefix, ".attn.in_proj_bias", &[3 * self.width]);
            Linear::shapes(&mut shapes, &format!("{prefix}.attn.out_proj"), self.width, self.width);
            LayerNorm::shapes(&mut shapes, &format!("{prefix}.ln_2"), self.width);
            Linear::shapes(&mut shapes, &format!("{prefix}.mlp.c_fc"), self.hidden(), self.width);
            Linear::shapes(&mut shapes, &format!("{prefix}.mlp.c_proj"), self.width, self.hidden());
        }
        LayerNorm::shapes(&mut shapes, "ln_final", self.width);
        expect(&mut shapes, "", "text_projection", &[self.width, self.dimension]);
        shapes
    }
}

/// The text tower.
pub(super) struct TextTransformer {
    token_embedding: Tensor,      // [V, W]
    positional_embedding: Tensor, // [L, W]
    mask: Tensor,                 // [L, L]: 0 on and below the diagonal, -infinity above
    blocks: Vec<Block>,
    ln_final: LayerNorm,
    projection: Tensor, // [W, D]
}

struct Block {
    ln_1: LayerNorm,
    qkv: Linear,
    out: Linear,
    ln_2: LayerNorm,
    fc: Linear,
    proj: Linear,
    heads: usize,
    activation: Activation,
}

impl TextTransformer {
    /// Takes the tower's tensors.
    pub(super) fn new(
        tensors: &mut Tensors,
        compute: Compute,
        sizes: &Sizes,
        activation: Activation,
    ) -> Result<Self, ModelError> {
        let side = sizes.context_length as i64;
        let mask = Tensor::f_full([side, side], f64::NEG_INFINITY, (Kind::Float, compute.device))?.f_triu(1)?;
        let blocks = (0..sizes.layers).map(|layer| {
            let prefix = format!("transformer.resblocks.{layer}");
            Ok(Block {
                ln_1: LayerNorm::new(tensors, compute, &format!("{prefix}.ln_1"))?,
                qkv: Linear::named(
                    tensors,
                    compute,
                    &format!("{prefix}.attn.in_proj_weight"),
                    &format!("{prefix}.attn.in_proj_bias"),
                )?,
                out: Linear::new(tensors, compute, &format!("{prefix}.attn.out_proj"))?,
                ln_2: LayerNorm::new(tensors, compute, &format!("{prefix}.ln_2"))?,
                fc: Linear::new(tensors, compute, &format!("{prefix}.mlp.c_fc"))?,
                proj: Linear::new(tensors, compute, &format!("{prefix}.mlp.c_proj"))?,
                heads: sizes.heads,
                activation,
            })
        });
        let blocks = blocks.collect::<Result<_, ModelError>>()?;
        Ok(Self {
            token_embedding: compute.weight(tensors, "token_embedding.weight")?,
            positional_embedding: compute.weight(tensors, "positional_embedding")?,
            mask: mask.f_to_kind(compute.kind)?,
            blocks,
            ln_final: LayerNorm::new(tensors, compute, "ln_final")?,
            projection: compute.weight(tensors, "text_projection")?,
        })
    }

    /// Text features before normalisation: token ids [N, L] (i64) -> [N, D].
    pub(super) fn forward(&self, tokens: &Tensor) -> Run<Tensor> {
        let embedded = Tensor::f_embedding(&self.token_embedding, tokens, -1, false, false)?; // [N, L, W]
        let mut x = embedded.f_add(&self.positional_embedding)?; // [N, L, W]
        for block in &self.blocks {
            x = block.forward(&x, &self.mask)?;
        }
        let x = self.ln_final.forward(&x)?; // [N, L, W]
        let (n, _, width) = x.size3()?;
        // The end-of-text token has the highest id, so it stands where the ids are largest.
        let end = tokens.f_argmax(-1, false)?.f_reshape([n, 1, 1])?.f_expand([n, 1, width], false)?;
        let pooled = x.f_gather(1, &end, false)?.f_squeeze_dim(1)?; // [N, W]
        pooled.f_matmul(&self.projection) // [N, D]
    }
}

impl Block {
    /// [N, L, W] -> [N, L, W].
    fn forward(&self, x: &Tensor, mask: &Tensor) -> Run<Tensor> {
        let width = x.size3()?.2;
        let qkv = self.qkv.forward(&self.ln_1.forward(x)?)?; // [N, L, 3 W]
        let head = |part: i64| split_heads(&qkv.f_narrow(2, part * width, width)?, self.heads); // [N, heads, L, d]
        let attended = join_heads(&attention(&head(0)?, &head(1)?, &head(2)?, Some(mask))?)?; // [N, L, W]
        let x = x.f_add(&self.out.forward(&attended)?)?; // [N, L, W]
        let hidden = self.activation.forward(&self.fc.forward(&self.ln_2.forward(&x)?)?)?; // [N, L, 4 W]
        x.f_add(&self.proj.forward(&hidden)?)
    }
}
