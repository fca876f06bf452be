//! Where models come from: the one shipped inside the program, or a folder.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::blob::Blob;
use super::checkpoint::{CheckpointOptions, FORMATS, assemble, read, refuse};
use super::clip::ClipEncoder;
use super::device::{self, LoadOptions};
use super::hub::{Repository, SCHEME};
use super::layers::Compute;
use super::{Encoder, ModelError, openclip, random};
use crate::types::Kind;

/// The name of the shipped model.
const REFERENCE: &str = "reference";

/// Every model that ships with the program, by the name a suite may use.
pub const MODELS: &[Kind] = &[Kind {
    name: REFERENCE,
    about: "a very small CLIP (6 million parameters, 80 px) trained on emoji and rendered words, made to be audited",
}];

static REFERENCE_CONFIGURATION: &[u8] =
    include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/models/reference/open_clip_config.json"));
static REFERENCE_WEIGHTS: &[u8] =
    include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/models/reference/open_clip_model.safetensors"));

/// The model to load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelSource {
    /// The shipped one.
    Reference,
    /// A checkpoint on disk: a folder, or a file of weights.
    Folder(PathBuf),
    /// A repository of Hugging Face's hub.
    Hub(Repository),
    /// Random weights in the size of an architecture of `ARCHITECTURES`. No text names them: they are for measuring speed, and
    /// an audit of them would mean nothing.
    Random(String),
}

impl FromStr for ModelSource {
    type Err = ModelError;

    /// A shipped name, `hf://org/name@revision`, or a path. (A folder that bears a shipped name is written `./reference`.)
    fn from_str(text: &str) -> Result<Self, ModelError> {
        match text {
            REFERENCE => Ok(Self::Reference),
            "" => Err(ModelError::Input(
                "the model's name is empty: expected `reference`, a path or hf://org/name@revision".to_owned(),
            )),
            remote if remote.starts_with(SCHEME) => Ok(Self::Hub(remote.parse()?)),
            remote if remote.contains("://") => Err(ModelError::Input(format!(
                "the model `{remote}` is not on this machine: expected `reference`, a path or hf://org/name@revision"
            ))),
            path => Ok(Self::Folder(PathBuf::from(path))),
        }
    }
}

/// The checkpoint formats that can be read.
pub fn formats() -> Vec<Kind> {
    FORMATS.iter().map(|format| format.kind).collect()
}

/// Reads a model, checks it whole and brings it onto its device.
///
/// # Errors
/// When the checkpoint cannot be used (every problem is listed), the device cannot, or memory runs out.
pub fn load(source: &ModelSource, options: &LoadOptions) -> Result<Box<dyn Encoder>, ModelError> {
    let (device, numerics) = device::open(options)?;
    device::use_threads(numerics.threads);
    let (name, checkpoint) = match source {
        ModelSource::Reference => {
            let place = Path::new(REFERENCE);
            let configuration = Blob::held(openclip::CONFIGURATION, REFERENCE_CONFIGURATION);
            let weights = Blob::held(openclip::WEIGHTS[0], REFERENCE_WEIGHTS);
            let parts = openclip::read(&configuration, &weights, &options.checkpoint);
            (REFERENCE.to_owned(), assemble(place, parts.map_err(|problems| refuse(place, problems))?)?)
        }
        ModelSource::Folder(path) => (path.display().to_string(), read(path, &options.checkpoint)?),
        ModelSource::Hub(repository) => {
            let found = repository.find(&options.hub)?;
            let inside = CheckpointOptions { inside: Some(found.folder.clone()), ..options.checkpoint.clone() };
            let mut checkpoint = read(&found.folder, &inside)?;
            checkpoint.facts.push(("revision".to_owned(), repository.about(&found)));
            (repository.pinned(&found.commit), checkpoint)
        }
        ModelSource::Random(name) => (format!("{name} with random weights"), random::checkpoint(name)?),
    };
    let numerics = device::sized(device, numerics, options, checkpoint.configuration.vision.live_values());
    let compute = Compute { device, kind: options.dtype.kind() };
    Ok(Box::new(ClipEncoder::new(&name, checkpoint, compute, numerics)?))
}
