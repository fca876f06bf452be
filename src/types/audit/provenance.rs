//! What was audited, with what and when: model, numerics, suite, sets, measures, files, run.

use serde::{Deserialize, Serialize};

use super::{Direction, WaiverRecord};
use crate::types::{Fingerprint, Tap};

/// A file by its contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Name as the suite or the model folder gives it.
    pub name: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Lower-case hexadecimal SHA-256.
    pub sha256: String,
}

/// The audited model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelRecord {
    /// As the suite or the command line named it.
    pub name: String,
    /// Checkpoint format (`open_clip folder`).
    pub format: String,
    /// Architecture and sizes in one line (`ModifiedResNet [1, 2, 1, 1], width 32, 80 px`).
    pub architecture: String,
    /// Over the canonical weights.
    pub fingerprint: Fingerprint,
    /// The files it was read from.
    pub files: Vec<FileRecord>,
    /// Facts in order: parameters, embedding dimension, context length, activation, logit scale, ...
    pub facts: Vec<(String, String)>,
    /// Preprocessing facts in order: size, resize mode, crop, mean, standard deviation, alpha and EXIF policy.
    pub preprocessing: Vec<(String, String)>,
    /// The taps recorded.
    pub taps: Vec<Tap>,
}

/// What floating-point results depend on beside weights and inputs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numerics {
    /// `cpu` or `cuda` with the device's name.
    pub device: String,
    /// `f32`, `bf16` or `f16`.
    pub dtype: String,
    /// Images per forward pass; the last one is padded.
    pub batch: usize,
    /// Threads inside one operator.
    pub threads: usize,
    /// Release of libtorch.
    pub libtorch: String,
    /// Instruction set libtorch chose.
    pub cpu_capability: String,
}

/// A probe set as it was used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetRecord {
    /// Id in the suite.
    pub id: String,
    /// Kind and version of the generator.
    pub generator: String,
    /// Probes planned.
    pub planned: usize,
    /// Probes the model saw.
    pub observed: usize,
    /// Probes that could not be used.
    pub quarantined: usize,
    /// Independent clusters planned.
    pub clusters: usize,
    /// SHA-256 over the set's recipes and the contents of every file they depend on.
    pub sha256: String,
    /// How its probes are shown.
    pub thumbnails: Thumbnails,
}

/// The suite as it was used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SuiteRecord {
    /// Its name.
    pub name: String,
    /// Its own description, when it has one.
    pub description: String,
    /// What it states of the system and its data, in order: provider, intended purpose, known misuse, content warning,
    /// licences, consent. Empty where it states nothing; a report says so.
    pub facts: Vec<(String, String)>,
    /// SHA-256 of the file.
    pub sha256: String,
    /// The file's text.
    pub text: String,
    /// The suite with every default filled in, as YAML: what the program understood.
    pub effective: String,
    /// SHA-256 of `effective`.
    pub effective_sha256: String,
    /// The seed used.
    pub seed: u64,
    /// Its probe sets.
    pub sets: Vec<SetRecord>,
    /// Its source files (pictures, lists, fonts) by their contents.
    pub files: Vec<FileRecord>,
    /// Its waivers, those that waived nothing included.
    pub waivers: Vec<WaiverRecord>,
}

/// How probes are shown in reports. The order is from least to most shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Thumbnails {
    /// Not at all.
    None,
    /// Too blurred to recognise a face.
    Blurred,
    /// As the model saw them.
    #[default]
    Full,
}

/// A statistic of a measure: what a reader needs to compute it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatisticRecord {
    /// The name in gates and ids.
    pub name: String,
    /// What it says.
    pub about: String,
    /// The formula of the number.
    pub formula: String,
    /// How its interval is made, and its test where there is one.
    pub method: String,
    /// What `n` counts.
    pub counted: String,
    /// Which direction is worse.
    pub worse: Direction,
}

/// A measure as it was used: what its numbers mean, so that a reader needs no other document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeasureRecord {
    /// Id in the suite.
    pub id: String,
    /// Kind of the measure (`attack-success`).
    pub kind: String,
    /// What the kind measures, one line.
    pub about: String,
    /// The probe sets it looks at.
    pub sets: Vec<String>,
    /// Its statistics.
    pub statistics: Vec<StatisticRecord>,
}

/// A file written beside the record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// File name in the output folder.
    pub name: String,
    /// What it is.
    pub about: String,
}

/// Who, when, where: the only part that differs between two runs of the same audit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// Version of the program.
    pub version: String,
    /// Commit the program was built from, with `-dirty` where files had changed; empty when unknown.
    pub commit: String,
    /// UTC, RFC 3339.
    pub started: String,
    /// UTC, RFC 3339.
    pub finished: String,
    /// Operating system and architecture.
    pub system: String,
    /// Processor.
    pub processor: String,
    /// The command, to run it again.
    pub command: String,
    /// Probes computed in this run.
    pub probes_computed: usize,
    /// Probes taken from finished chunks.
    pub probes_reused: usize,
    /// Files beside the record.
    pub artifacts: Vec<Artifact>,
    /// How the precision was chosen, where the program chose it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<Precision>,
}

/// How a precision was chosen: every one was tried on the same probes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Precision {
    /// Probes tried, spread over sets and groups.
    pub sample: usize,
    /// The fastest that agrees with f32.
    pub chosen: String,
    /// What came of each, f32 first.
    pub trials: Vec<Trial>,
}

/// One precision against f32.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// `f32`, `bf16` or `f16`.
    pub dtype: String,
    /// Images that the model embedded in a second.
    pub images_per_second: f64,
    /// Smallest cosine between the embeddings, or the activations of a tap, of one probe here and in f32.
    pub cosine: f64,
    /// Probes that have an answer in one of the two only.
    pub lost: usize,
    /// Predictions compared: probes times readouts.
    pub predictions: usize,
    /// Predictions whose first label is another one than in f32.
    pub flipped: usize,
    /// The largest distance, among those, between the first two probabilities of f32.
    pub margin: f64,
    /// Whether that is agreement.
    pub agrees: bool,
    /// Why it could not be tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}
