//! Image towers: what a configuration must say to be one, how its tensors are checked, and how it is built. A new tower is
//! a file that implements `Sizes` and `Tower`, and a line in `TOWERS`.

use std::fmt::Debug;
use std::sync::Arc;

use tch::Tensor;

use super::block::Activation;
use super::layers::{Compute, Run, Shapes};
use super::tensors::Tensors;
use super::watch::{Place, Watch};
use super::{ModelError, resnet, vit};
use crate::types::Tap;

/// What a configuration says of an image tower, before anybody knows which one it is.
#[derive(Clone, Debug)]
pub(super) struct Vision {
    /// Blocks per stage; a transformer has one stage.
    pub(super) layers: Vec<usize>,
    /// Channels after the stem, or of the residual stream.
    pub(super) width: usize,
    /// Channels per attention head.
    pub(super) head_width: usize,
    /// Side of the input, pixels.
    pub(super) image_size: usize,
    /// Dimension of the embedding.
    pub(super) dimension: usize,
    /// What only a transformer has; a ResNet has none.
    pub(super) patches: Option<Patches>,
}

/// What only a transformer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Patches {
    /// Side of a patch, pixels.
    pub(super) side: usize,
    /// Hidden units of a block's MLP.
    pub(super) hidden: usize,
    /// Whether tokens are normalised before the first block.
    pub(super) pre_norm: bool,
    /// What the tokens become.
    pub(super) pool: TokenPool,
    /// Whether the last normalisation comes after the pool.
    pub(super) norm_after_pool: bool,
    /// Whether what a block adds is scaled per channel.
    pub(super) layer_scale: bool,
}

impl Patches {
    /// A transformer as OpenAI published it.
    pub(super) fn clip(side: usize, width: usize) -> Self {
        Self {
            side,
            hidden: 4 * width,
            pre_norm: true,
            pool: TokenPool::Class,
            norm_after_pool: false,
            layer_scale: false,
        }
    }
}

/// How a transformer's tokens become one embedding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenPool {
    /// The class token's value.
    Class,
    /// The mean over the patches, without the class token.
    Average,
}

/// A part that there is or is not, in the words of a field.
pub(super) fn presence(there: bool) -> String {
    if there { "present" } else { "absent" }.to_owned()
}

/// Takes the configuration that is its own, and only that.
type Recognise = fn(&Vision) -> Option<Arc<dyn Sizes>>;

/// Every image tower.
pub(super) const TOWERS: &[Recognise] = &[resnet::recognise, vit::recognise];

/// The tower of a configuration.
pub(super) fn recognise(vision: &Vision) -> Option<Arc<dyn Sizes>> {
    TOWERS.iter().find_map(|tower| tower(vision))
}

/// Everything that decides the shapes of an image tower.
pub(super) trait Sizes: Debug + Send + Sync {
    /// The sizes the tensors tell, each falling back on the configuration's where its tensor is missing or odd.
    fn told_by(&self, tensors: &Tensors) -> Arc<dyn Sizes>;

    /// The sizes by the configuration's keys, to compare what it says with what the tensors tell.
    fn fields(&self) -> Vec<(&'static str, String)>;

    /// What the tower cannot be built with.
    fn problems(&self) -> Vec<String>;

    /// Names and shapes of every tensor of the tower.
    fn shapes(&self) -> Shapes;

    /// Every place that can be tapped.
    fn places(&self) -> Vec<Place>;

    /// The neurons nearest to the embedding, pooled as the embedding pools them.
    fn neurons(&self) -> Tap;

    /// Side of the input, pixels.
    fn image_size(&self) -> usize;

    /// Dimension of the embedding.
    fn dimension(&self) -> usize;

    /// About how many values of one picture are alive at once where the tower is widest.
    fn live_values(&self) -> usize;

    /// Name and sizes in one line (`ModifiedResNet [1, 2, 1, 1], width 32`).
    fn architecture(&self) -> String;

    /// Sizes beyond that line.
    fn details(&self) -> String;

    /// Takes the tower's tensors. A ResNet has no use for the activation: its ReLUs are fixed.
    ///
    /// # Errors
    /// When a tensor cannot be brought to its device.
    fn build(
        &self,
        tensors: &mut Tensors,
        compute: Compute,
        activation: Activation,
    ) -> Result<Box<dyn Tower>, ModelError>;
}

/// An image tower on its device.
pub(super) trait Tower: Send {
    /// Image features before normalisation: [N, 3, S, S] -> [N, D].
    fn forward(&self, images: &Tensor, watch: &mut Watch<'_>) -> Run<Tensor>;
}
