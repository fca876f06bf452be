//! CLIP's text transformer: token and position embeddings, pre-norm blocks under a causal mask, and the value at the
//! end-of-text token projected into the shared space. It computes in f32 whatever the image tower does: prompts are few, and
//! what is wrong with one of them is wrong with every answer.

use tch::{Kind, Tensor};

use super::ModelError;
use super::block::{Activation, Block, Stack};
use super::layers::{Compute, LayerNorm, Run, Shapes, expect};
use super::tensors::Tensors;
use super::watch::Watch;

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
    /// Hidden units of a block's MLP.
    pub(super) hidden: usize,
    /// Whether what a block adds is scaled per channel.
    pub(super) layer_scale: bool,
    /// Dimension of the embedding.
    pub(super) dimension: usize,
}

impl Sizes {
    fn stack(&self) -> Stack {
        let Self { width, heads, layers, hidden, layer_scale, .. } = *self;
        Stack { prefix: "transformer", layers, width, heads, hidden, layer_scale }
    }

    /// The sizes the tensors tell, each falling back on the configuration's where its tensor is missing. Heads leave no
    /// trace in any shape.
    pub(super) fn of(tensors: &Tensors, configured: &Self) -> Self {
        let side = |name: &str, dimension: usize| tensors.shape(name)?.get(dimension).copied();
        let Stack { layers, width, hidden, layer_scale, .. } = configured.stack().told_by(tensors);
        Self {
            context_length: side("positional_embedding", 0).unwrap_or(configured.context_length),
            vocabulary: side("token_embedding.weight", 0).unwrap_or(configured.vocabulary),
            width: side("ln_final.weight", 0).unwrap_or(width),
            heads: configured.heads,
            layers,
            hidden,
            layer_scale,
            dimension: side("text_projection", 1).unwrap_or(configured.dimension),
        }
    }

    /// What the tower cannot be built with.
    pub(super) fn problems(&self) -> Vec<String> {
        self.stack().problems("text")
    }

    /// Names and shapes of every tensor of the tower.
    pub(super) fn shapes(&self) -> Shapes {
        let mut shapes = Shapes::new();
        expect(&mut shapes, "", "token_embedding.weight", &[self.vocabulary, self.width]);
        expect(&mut shapes, "", "positional_embedding", &[self.context_length, self.width]);
        self.stack().shapes(&mut shapes);
        LayerNorm::shapes(&mut shapes, "ln_final", self.width);
        expect(&mut shapes, "", "text_projection", &[self.width, self.dimension]);
        shapes
    }
}

/// The least of 16, 32, 64 .. and the context length that holds a text, its end included. A token sees only those before it
/// and the features are read at the end of the text, so that nothing behind it need be computed: most prompts are a sixth of
/// the context. The length depends on the text alone, and so do its features.
pub(super) fn length_of(ids: &[u32]) -> usize {
    let used = ids.iter().rposition(|id| *id != 0).map_or(0, |last| last + 1);
    std::iter::successors(Some(16), |length| Some(length * 2))
        .find(|length| *length >= used)
        .unwrap_or(used)
        .min(ids.len())
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

impl TextTransformer {
    /// Takes the tower's tensors.
    pub(super) fn new(
        tensors: &mut Tensors,
        compute: Compute,
        sizes: &Sizes,
        activation: Activation,
    ) -> Result<Self, ModelError> {
        let compute = compute.precise();
        let side = sizes.context_length as i64;
        let mask = Tensor::f_full([side, side], f64::NEG_INFINITY, (Kind::Float, compute.device))?.f_triu(1)?;
        let blocks = sizes.stack().build(tensors, compute, activation)?;
        Ok(Self {
            token_embedding: compute.weight(tensors, "token_embedding.weight")?,
            positional_embedding: compute.weight(tensors, "positional_embedding")?,
            mask,
            blocks,
            ln_final: LayerNorm::new(tensors, compute, "ln_final")?,
            projection: compute.weight(tensors, "text_projection")?,
        })
    }

    /// Text features before normalisation: token ids [N, L] (i64) -> [N, D]; L may be less than the context length.
    pub(super) fn forward(&self, tokens: &Tensor) -> Run<Tensor> {
        let embedded = Tensor::f_embedding(&self.token_embedding, tokens, -1, false, false)?; // [N, L, W]
        let length = tokens.size2()?.1;
        let mut x = embedded.f_add(&self.positional_embedding.f_narrow(0, 0, length)?)?; // [N, L, W]
        let mask = self.mask.f_narrow(0, 0, length)?.f_narrow(1, 0, length)?.f_contiguous()?; // [L, L]
        let mut watch = Watch::new(&[], &[]); // the text tower has no places
        for block in &self.blocks {
            x = block.forward(&x, Some(&mask), &mut watch)?;
        }
        let x = self.ln_final.forward(&x)?; // [N, L, W]
        let (n, _, width) = x.size3()?;
        // The end-of-text token has the highest id, so it stands where the ids are largest.
        let end = tokens.f_argmax(-1, false)?.f_reshape([n, 1, 1])?.f_expand([n, 1, width], false)?;
        let pooled = x.f_gather(1, &end, false)?.f_squeeze_dim(1)?; // [N, W]
        pooled.f_matmul(&self.projection) // [N, D]
    }
}
