//! The model under audit: checkpoint formats, tokenizer, preprocessing, towers, taps, interventions and devices.
//! The only room that names `tch`.

mod archive;
mod blob;
mod block;
mod checkpoint;
mod clip;
mod device;
mod entry;
mod export;
mod hub;
mod hugging;
mod json;
mod layers;
mod lone;
mod openclip;
mod overlay;
mod pickle;
mod random;
mod rename;
mod resnet;
mod settings;
mod shards;
mod source;
mod tensors;
mod text;
mod tokenizer;
mod torch;
mod tower;
mod vit;
mod watch;
mod weights;

use std::path::PathBuf;

use image::RgbImage;

pub use checkpoint::{CheckpointOptions, sha256};
pub use device::{DeviceChoice, Dtype, LIBTORCH, LoadOptions, batch_within};
pub use export::write_embeddings;
pub use hub::{HubOptions, Repository, Token};
pub use random::ARCHITECTURES;
pub use source::{MODELS, ModelSource, formats, load};
pub use tokenizer::Tokenizer;

use crate::types::{Intervention, Matrix, ModelRecord, Numerics, Site, Tap};

/// The device of a choice, with CUDA's library opened where it is needed, for what computes beside the towers.
///
/// # Errors
/// When CUDA is asked for and cannot be used.
pub fn device(choice: DeviceChoice) -> Result<tch::Device, ModelError> {
    Ok(device::open(&LoadOptions { device: choice, ..LoadOptions::default() })?.0)
}

/// What is known of a loaded model.
#[derive(Clone, Debug)]
pub struct ModelInfo {
    /// The part that goes into the audit record (its `taps` are filled by the audit).
    pub record: ModelRecord,
    /// Side of the image input, pixels.
    pub image_size: u32,
    /// Dimension of the shared embedding.
    pub dimension: usize,
    /// What cosines are multiplied by before softmax.
    pub logit_scale: f64,
    /// What is added to logits (0 for CLIP).
    pub logit_bias: f64,
    /// Tokens per text, start and end included.
    pub context_length: usize,
    /// Every place that can be tapped, with its number of units.
    pub sites: Vec<(String, Site, usize)>,
    /// The neurons nearest to the embedding, pooled as the embedding pools them: what a suite taps that names no tap. In a ResNet
    /// the pre-ReLU channels of the last block, in a transformer the hidden units of the last block's MLP.
    pub neurons: Tap,
}

impl ModelInfo {
    /// Every place that can be tapped, in few lines.
    pub fn places(&self) -> Vec<String> {
        watch::listed(&self.sites)
    }
}

/// What a batch of images gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Encoded {
    /// Image features before normalisation, [images, dimension].
    pub features: Matrix,
    /// Pooled activations, [images, units], in the order of the taps asked for.
    pub taps: Vec<Matrix>,
}

/// A model that embeds images and texts in one space.
pub trait Encoder: Send + Sync {
    /// What is known of the model.
    fn info(&self) -> &ModelInfo;

    /// Device, dtype, batch and threads the results depend on.
    fn numerics(&self) -> &Numerics;

    /// Text features before normalisation, [texts, dimension].
    ///
    /// # Errors
    /// When a text has more tokens than the model's context, or libtorch fails.
    fn encode_texts(&self, texts: &[String]) -> Result<Matrix, ModelError>;

    /// Brings a picture of any size to the model's input: resize and crop; no floating-point yet.
    ///
    /// # Errors
    /// When the picture is too extreme to be resized.
    fn preprocess(&self, image: &RgbImage) -> Result<RgbImage, ModelError>;

    /// Image features and activations of preprocessed pictures (`image_size` x `image_size`). Runs at the compute batch
    /// of `numerics`, the last batch padded, whatever the number of images.
    ///
    /// # Errors
    /// When a picture has the wrong size, a tap or intervention names no place of this model, or libtorch fails.
    fn encode_images(
        &self,
        images: &[RgbImage],
        taps: &[Tap],
        interventions: &[Intervention],
    ) -> Result<Encoded, ModelError>;
}

/// Why a model cannot be loaded or run.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The checkpoint cannot be used; every problem is listed. Exit code 3.
    #[error("{path}: {}", problems.join("; "))]
    Checkpoint {
        /// File or folder.
        path: String,
        /// Lower-case fragments.
        problems: Vec<String>,
    },
    /// A text, picture, tap or intervention does not fit the model. Exit code 3.
    #[error("{0}")]
    Input(String),
    /// The device asked for cannot be used. Exit code 5.
    #[error("{0}")]
    Device(String),
    /// Memory ran out. Exit code 5, when a smaller batch does not help.
    #[error("memory ran out{} ({message}); use a device with more of it", of_batch(*batch))]
    Memory {
        /// Images of the pass; none outside one, as when weights are loaded.
        batch: Option<usize>,
        /// libtorch's words.
        message: String,
    },
    /// A model of the hub could not be downloaded. Exit code 5.
    #[error("{0}")]
    Network(String),
    /// libtorch failed.
    #[error("libtorch: {0}")]
    Library(String),
    /// A file could not be written. Exit code 5.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
}

fn of_batch(batch: Option<usize>) -> String {
    batch.map_or_else(String::new, |batch| format!(" in a pass of {batch}"))
}

impl ModelError {
    /// The error of a pass of so many images: less of them need less memory.
    fn of_pass(self, images: usize) -> Self {
        match self {
            Self::Memory { message, .. } => Self::Memory { batch: Some(images), message },
            other => other,
        }
    }
}

impl From<tch::TchError> for ModelError {
    fn from(error: tch::TchError) -> Self {
        let text = match error {
            tch::TchError::Torch(text) => text,
            other => other.to_string(),
        };
        // What follows is a C++ stack trace.
        let message = text.split("\nException raised from").next().unwrap_or_default().trim();
        if message.contains("out of memory") || message.contains("can't allocate memory") {
            Self::Memory { batch: None, message: message.to_owned() }
        } else {
            Self::Library(message.to_owned())
        }
    }
}
