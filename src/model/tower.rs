//! Image towers: what a configuration must say to be one, how its tensors are checked, and how it is built. A new tower is
//! a file that implements `Sizes` and `Tower`, and a line in `TOWERS`.

use std::fmt::Debug;
use std::sync::Arc;

use tch::Tensor;

use super::layers::{Compute, Run, Shapes};
use super::tensors::Tensors;
use super::watch::{Place, Watch};
use super::{ModelError, resnet};

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
}

/// Takes the configuration that is its own, and only that.
type Recognise = fn(&Vision) -> Option<Arc<dyn Sizes>>;

/// Every image tower.
pub(super) const TOWERS: &[Recognise] = &[resnet::recognise];

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

    /// Side of the input, pixels.
    fn image_size(&self) -> usize;

    /// Dimension of the embedding.
    fn dimension(&self) -> usize;

    /// Name and sizes in one line (`ModifiedResNet [1, 2, 1, 1], width 32`).
    fn architecture(&self) -> String;

    /// Sizes beyond that line.
    fn details(&self) -> String;

    /// Takes the tower's tensors.
    ///
    /// # Errors
    /// When a tensor cannot be brought to its device.
    fn build(&self, tensors: &mut Tensors, compute: Compute) -> Result<Box<dyn Tower>, ModelError>;
}

/// An image tower on its device.
pub(super) trait Tower: Send {
    /// Image features before normalisation: [N, 3, S, S] -> [N, D].
    fn forward(&self, images: &Tensor, watch: &mut Watch<'_>) -> Run<Tensor>;
}
