//! From files to a checkpoint in canonical form: tensors by open_clip's names, and sizes that tensors and configuration
//! agree on. A format reads its files into a configuration and tensors; everything else is common. Nothing in a
//! checkpoint is ever executed.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::block::Activation;
use super::tensors::{Tensors, sha256};
use super::tokenizer::Tokenizer;
use super::{ModelError, openclip, text, tower};
use crate::types::{FileRecord, Fingerprint, Kind};

/// A layout of files on disk that can be read.
pub(super) struct Format {
    /// Name and one line about it.
    pub(super) kind: Kind,
    /// Whether a path looks like this format.
    pub(super) detects: fn(&Path) -> bool,
    /// Reads it.
    pub(super) read: fn(&Path) -> Result<Checkpoint, ModelError>,
}

/// Every format, in the order in which they are tried. A new one is a file of its own and a line here.
pub(super) const FORMATS: &[Format] = &[openclip::FORMAT];

/// What a configuration says about a model.
#[derive(Clone, Debug)]
pub(super) struct Configuration {
    pub(super) vision: Arc<dyn tower::Sizes>,
    pub(super) text: text::Sizes,
    pub(super) activation: Activation,
    /// Why this activation, as a fragment.
    pub(super) activation_reason: String,
    /// Mean of red, green and blue in 0 to 1.
    pub(super) mean: [f64; 3],
    /// Standard deviation of red, green and blue.
    pub(super) std: [f64; 3],
}

/// A model in canonical form, checked, not yet on any device.
pub(super) struct Checkpoint {
    pub(super) format: &'static str,
    pub(super) files: Vec<FileRecord>,
    pub(super) configuration: Configuration,
    pub(super) tokenizer: Tokenizer,
    pub(super) fingerprint: Fingerprint,
    /// The towers' tensors and the logit scale.
    pub(super) tensors: Tensors,
    pub(super) logit_scale: f64,
}

/// Reads a checkpoint from disk, by the first format that recognises it.
///
/// # Errors
/// When no format does, or listing every problem of the checkpoint.
pub(super) fn read(path: &Path) -> Result<Checkpoint, ModelError> {
    if let Some(format) = FORMATS.iter().find(|format| (format.detects)(path)) {
        return (format.read)(path);
    }
    let known: Vec<String> =
        FORMATS.iter().map(|format| format!("{} ({})", format.kind.name, format.kind.about)).collect();
    let found = match fs::metadata(path) {
        Err(error) => error.to_string(),
        Ok(found) if found.is_dir() => "the folder holds no checkpoint of a known format".to_owned(),
        Ok(_) => "this is a file, not the folder of a checkpoint".to_owned(),
    };
    Err(refuse(path, vec![format!("{found}; known formats: {}", known.join(", "))]))
}

/// An error about a checkpoint.
pub(super) fn refuse(path: &Path, problems: Vec<String>) -> ModelError {
    ModelError::Checkpoint { path: path.display().to_string(), problems }
}

/// Puts a checkpoint together from what a format read, checking each against the other.
///
/// # Errors
/// Listing every problem of configuration and tensors.
pub(super) fn assemble(
    path: &Path,
    format: &'static str,
    files: Vec<FileRecord>,
    configuration: Result<Configuration, Vec<String>>,
    tensors: Result<Tensors, Vec<String>>,
) -> Result<Checkpoint, ModelError> {
    let (configuration, tensors) = match (configuration, tensors) {
        (Ok(configuration), Ok(tensors)) => (configuration, tensors),
        (configuration, tensors) => {
            let problems = configuration.err().into_iter().chain(tensors.err()).flatten().collect();
            return Err(refuse(path, problems));
        }
    };
    let mut problems = compare(&configuration, &tensors);
    let tokenizer = Tokenizer::new(configuration.text.vocabulary, configuration.text.context_length);
    if let Err(error) = &tokenizer {
        problems.push(format!("tokenizer: {error}"));
    }
    let logit_scale = match logit_scale(&tensors) {
        Ok(scale) => scale,
        Err(problem) => {
            problems.extend(problem);
            f64::NAN
        }
    };
    if !problems.is_empty() {
        return Err(refuse(path, problems));
    }
    let fingerprint = tensors.fingerprint()?;
    Ok(Checkpoint { format, files, configuration, tokenizer: tokenizer?, fingerprint, tensors, logit_scale })
}

/// Name of the tensor whose exponential cosines are multiplied by.
pub(super) const LOGIT_SCALE: &str = "logit_scale";

/// What cosines are multiplied by: the exponential of the tensor. `Err(None)` when the tensor is missing or misshaped,
/// which `compare` reports.
fn logit_scale(tensors: &Tensors) -> Result<f64, Option<String>> {
    let raw = tensors.scalar(LOGIT_SCALE).ok_or(None)?;
    let scale = f64::from(raw).exp();
    // Training clamps at 100; 1000 leaves room for models that did not.
    if scale > 0.0 && scale <= 1000.0 {
        Ok(scale)
    } else {
        Err(Some(format!("tensor `{LOGIT_SCALE}` is {raw}, a scale of {scale:.3e}, expected at most 1000")))
    }
}

/// Every way in which tensors and configuration disagree.
fn compare(configuration: &Configuration, tensors: &Tensors) -> Vec<String> {
    let expected = |vision: &dyn tower::Sizes, text: &text::Sizes| {
        let mut shapes = vision.shapes();
        shapes.extend(text.shapes());
        shapes.push((LOGIT_SCALE.to_owned(), Vec::new()));
        shapes
    };
    let vision = configuration.vision.told_by(tensors);
    let text = text::Sizes::of(tensors, &configuration.text);
    let mut problems = mismatches(configuration, &*vision, &text);
    problems.extend(configuration.vision.problems());
    problems.extend(configuration.text.problems());
    // A wrong configuration over whole tensors is one problem, not a hundred misshaped tensors; a broken tensor under a
    // right configuration likewise. So the differences are told against whichever of the two explains the file better.
    let by_tensors = tensors.differences(&expected(&*vision, &text));
    let by_configuration = tensors.differences(&expected(&*configuration.vision, &configuration.text));
    // The model is built by the configuration: unless a problem stands already, its differences are the ones that count.
    let told = problems.is_empty() || by_configuration.len() <= by_tensors.len();
    problems.extend(if told { by_configuration } else { by_tensors });
    problems
}

/// Sizes that the configuration gives otherwise than the tensors.
fn mismatches(configuration: &Configuration, vision: &dyn tower::Sizes, text: &text::Sizes) -> Vec<String> {
    let said = &configuration.text;
    let presence = tower::presence;
    let layer_scale = ("layer scale (text_cfg.ls_init_value)", presence(said.layer_scale), presence(text.layer_scale));
    let of_text = [
        ("embed_dim (text tower)", said.dimension, text.dimension),
        ("text_cfg.context_length", said.context_length, text.context_length),
        ("text_cfg.vocab_size", said.vocabulary, text.vocabulary),
        ("text_cfg.width", said.width, text.width),
        ("text_cfg.layers", said.layers, text.layers),
        ("the text tower's MLP width (text_cfg.mlp_ratio)", said.hidden, text.hidden),
    ];
    let of_vision = configuration.vision.fields().into_iter().zip(vision.fields());
    of_vision
        .map(|((name, said), (_, found))| (name, said, found))
        .chain(of_text.map(|(name, said, found)| (name, said.to_string(), found.to_string())))
        .chain([layer_scale])
        .filter(|(_, said, found)| said != found)
        .map(|(name, said, found)| format!("{name} is {said} in the configuration, {found} in the tensors"))
        .collect()
}

/// Reads a file of a checkpoint whole, with its record. Only plain files: a pipe would wait for ever.
///
/// # Errors
/// The problem, naming the file.
pub(super) fn read_file(folder: &Path, name: &str) -> Result<(Vec<u8>, FileRecord), String> {
    let path = folder.join(name);
    let found = fs::metadata(&path).map_err(|error| format!("{name}: {error}"))?;
    if !found.is_file() {
        return Err(format!("{name} is not a plain file"));
    }
    let bytes = fs::read(&path).map_err(|error| format!("{name}: {error}"))?;
    let record = record(name, &bytes);
    Ok((bytes, record))
}

/// A file by its contents.
pub(super) fn record(name: &str, bytes: &[u8]) -> FileRecord {
    FileRecord { name: name.to_owned(), bytes: bytes.len() as u64, sha256: sha256(bytes) }
}
