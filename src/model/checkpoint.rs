//! From files to a checkpoint in canonical form: tensors by open_clip's names, and sizes that tensors and configuration
//! agree on. A format reads its files into a configuration and tensors; everything else is common. Nothing in a
//! checkpoint is ever executed.

use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use super::blob::Blob;
use super::block::Activation;
use super::tensors::Tensors;
use super::tokenizer::Tokenizer;
use super::{ModelError, hugging, lone, openclip, overlay, text, tower};
use crate::types::{FileRecord, Fingerprint, Kind};

/// A layout of files on disk that can be read.
pub(super) struct Format {
    /// Name and one line about it.
    pub(super) kind: Kind,
    /// Whether a path looks like this format.
    pub(super) detects: fn(&Path) -> bool,
    /// Reads it.
    pub(super) read: fn(&Path, &CheckpointOptions) -> Result<Parts, Vec<String>>,
}

/// Every format, in the order in which they are tried. A new one is a file of its own and a line here.
pub(super) const FORMATS: &[Format] = &[overlay::FORMAT, openclip::FORMAT, hugging::FORMAT, lone::FORMAT];

/// What is said of a checkpoint besides its files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckpointOptions {
    /// The activation function, where the files leave it open: QuickGELU (`x * sigmoid(1.702 x)`) or exact GELU.
    pub quick_gelu: Option<bool>,
    /// SHA-256 of the files of weights, in lower-case hexadecimal; none asks for nothing. Compared before any file of
    /// weights is parsed.
    pub expect_sha256: Vec<String>,
    /// The folder that a checkpoint must not lead out of, as an overlay does by the base it names; none where the user
    /// named the checkpoint.
    pub inside: Option<PathBuf>,
}

impl CheckpointOptions {
    /// Compares the files of weights with the hashes that are expected, if any are.
    ///
    /// # Errors
    /// Every file that was not expected, and every hash that no file has.
    pub(super) fn check(&self, weights: &[Rc<Blob>]) -> Result<(), Vec<String>> {
        if self.expect_sha256.is_empty() {
            return Ok(());
        }
        let expected = self.expect_sha256.join(" or ");
        let unexpected =
            weights.iter().map(|blob| blob.record()).filter(|file| !self.expect_sha256.contains(&file.sha256));
        let mut problems: Vec<String> = unexpected
            .map(|file| {
                format!("{}: its SHA-256 is {}, expected {expected}; it was not read further", file.name, file.sha256)
            })
            .collect();
        if problems.is_empty() {
            let found = |hash: &String| weights.iter().any(|blob| blob.record().sha256 == *hash);
            let missing = self.expect_sha256.iter().filter(|hash| !found(hash));
            problems.extend(missing.map(|hash| format!("no file of weights has the expected SHA-256 {hash}")));
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// The activation that files leave open, or the one that files give where nobody asks for another.
    ///
    /// # Errors
    /// When what is asked for contradicts the files.
    pub(super) fn activation(&self, files: Option<(Activation, String)>) -> Result<(Activation, String), String> {
        let asked = self.quick_gelu.map(|quick| if quick { Activation::QuickGelu } else { Activation::Gelu });
        match (files, asked) {
            (Some((said, reason)), Some(asked)) if said != asked => {
                Err(format!("the activation asked for contradicts the checkpoint: {reason}; leave --quick-gelu out"))
            }
            (Some(found), _) => Ok(found),
            (None, Some(asked)) => Ok((asked, "asked for with --quick-gelu, for the files do not say".to_owned())),
            (None, None) => {
                Err("the files do not say whether the weights were trained with QuickGELU or exact GELU, and \
                                 the wrong one is silently wrong: say --quick-gelu true or --quick-gelu false"
                    .to_owned())
            }
        }
    }
}

/// A SHA-256 as it is written, brought to lower case.
///
/// # Errors
/// When the text is none.
pub fn sha256(text: &str) -> Result<String, String> {
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("a SHA-256 is 64 hexadecimal digits".to_owned())
    }
}

/// What a format reads from its files, to be checked against each other.
pub(super) struct Parts {
    pub(super) format: &'static str,
    /// Every file read.
    pub(super) files: Vec<FileRecord>,
    pub(super) configuration: Result<Configuration, Vec<String>>,
    pub(super) tensors: Result<Tensors, Vec<String>>,
    /// What a reader of the record should know of how the files were read.
    pub(super) facts: Vec<(String, String)>,
    /// The tokenizer's merges, where the files bring them.
    pub(super) merges: Option<Merges>,
}

/// The merges a tokenizer was saved with.
pub(super) struct Merges {
    pub(super) file: String,
    /// As [`Tokenizer::sha256`] makes it.
    pub(super) sha256: String,
}

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
    /// What a canonical tensor or key of open_clip is called in the files, where they call it otherwise.
    pub(super) called: Option<fn(&str) -> Option<String>>,
}

impl Configuration {
    /// A problem with a canonical name or key, and what the files call it.
    fn of_files(&self, name: &str, problem: String) -> String {
        match self.called.and_then(|called| called(name)) {
            Some(called) => format!("{problem} (in the files: {called})"),
            None => problem,
        }
    }
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
    /// How the files were read.
    pub(super) facts: Vec<(String, String)>,
}

/// Reads a checkpoint from disk, by the first format that recognises it.
///
/// # Errors
/// When no format does, or listing every problem of the checkpoint.
pub(super) fn read(path: &Path, options: &CheckpointOptions) -> Result<Checkpoint, ModelError> {
    let Some(format) = FORMATS.iter().find(|format| (format.detects)(path)) else {
        return Err(refuse(path, vec![unknown(path)]));
    };
    let parts = (format.read)(path, options).map_err(|problems| refuse(path, problems))?;
    assemble(path, parts)
}

/// Why a path is no checkpoint.
pub(super) fn unknown(path: &Path) -> String {
    let known: Vec<String> =
        FORMATS.iter().map(|format| format!("{} ({})", format.kind.name, format.kind.about)).collect();
    let found = match fs::metadata(path) {
        Err(error) => return error.to_string(),
        Ok(found) if found.is_dir() => "the folder holds no checkpoint of a known format",
        Ok(_) => "this is neither a file nor a folder",
    };
    format!("{found}; known formats: {}", known.join(", "))
}

/// An error about a checkpoint.
pub(super) fn refuse(path: &Path, problems: Vec<String>) -> ModelError {
    ModelError::Checkpoint { path: path.display().to_string(), problems }
}

/// Puts a checkpoint together from what a format read, checking each part against the other.
///
/// # Errors
/// Listing every problem of configuration and tensors.
pub(super) fn assemble(path: &Path, parts: Parts) -> Result<Checkpoint, ModelError> {
    let Parts { format, files, configuration, tensors, facts, merges } = parts;
    let (configuration, tensors) = match (configuration, tensors) {
        (Ok(configuration), Ok(tensors)) => (configuration, tensors),
        (configuration, tensors) => {
            let problems = configuration.err().into_iter().chain(tensors.err()).flatten().collect();
            return Err(refuse(path, problems));
        }
    };
    let mut problems = compare(&configuration, &tensors);
    let tokenizer = Tokenizer::new(configuration.text.vocabulary, configuration.text.context_length);
    match (&tokenizer, merges) {
        (Err(error), _) => problems.push(format!("tokenizer: {error}")),
        (Ok(tokenizer), Some(Merges { file, sha256 })) if tokenizer.sha256() != sha256 => {
            problems.push(format!("{file}: lists other merges than CLIP's: another tokenizer is not supported"));
        }
        _ => {}
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
    Ok(Checkpoint { format, files, configuration, tokenizer: tokenizer?, fingerprint, tensors, logit_scale, facts })
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
    let differences = |expected: &[(String, Vec<usize>)]| -> Vec<String> {
        let found = tensors.differences(expected).into_iter();
        found.map(|(name, problem)| configuration.of_files(&name, problem)).collect()
    };
    let by_tensors = differences(&expected(&*vision, &text));
    let by_configuration = differences(&expected(&*configuration.vision, &configuration.text));
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
        .map(|(name, said, found)| {
            configuration.of_files(name, format!("{name} is {said} in the configuration, {found} in the tensors"))
        })
        .collect()
}
