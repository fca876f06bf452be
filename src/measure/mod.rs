//! Measures: pure functions from observations to numbers and charts. One file per measure; readouts turn embeddings into
//! predictions first. A measure never sees a pixel.

mod accuracy;
mod activations;
mod attacks;
mod charts;
mod dose;
mod drop;
mod effects;
mod harm;
mod pairs;
mod rows;
mod success;
mod units;
mod zeroshot;

use std::collections::BTreeMap;

use crate::types::{ChunkError, Direction, Exhibit, Measurement, Observations, Problem, Scale, Tap, kinds};

pub use accuracy::Accuracy;
pub use dose::DoseResponse;
pub use drop::AccuracyDrop;
pub use harm::HarmRate;
pub use success::AttackSuccess;
pub use units::WordDrivenUnits;
pub use zeroshot::ZeroShot;

kinds! {
    /// The readouts: what follows `read:` in a suite.
    AnyRead: Read {
        "zero-shot" => ZeroShot(ZeroShot): "the label whose prompts the picture is closest to, by cosine",
    }
}

kinds! {
    /// The measures: what follows `compute:` in a suite.
    AnyMeasure: Measure {
        "accuracy" => Accuracy(Accuracy): "share of probes given their own label, per label and per group",
        "harm-rate" => HarmRate(HarmRate): "share of probes given a label that does harm, per group",
        "attack-success" => AttackSuccess(AttackSuccess): "share of pictures a written word turns into its target, beside control twins",
        "accuracy-drop" => AccuracyDrop(AccuracyDrop): "accuracy lost from clean pictures to their attacked twins, paired",
        "dose-response" => DoseResponse(DoseResponse): "attack success against a numeric label such as size: trend, and where it reaches half",
        "word-driven-units" => WordDrivenUnits(WordDrivenUnits): "units whose activation a word changes beyond its control twin, chosen on half of the pictures",
    }
}

/// A readout: turns embeddings into predictions over a label set. The specification that serde reads implements it.
pub trait Read: Send + Sync {
    /// The label set, in the order of the suite.
    fn labels(&self) -> &[String];

    /// Every prompt whose text features are needed, without repetition.
    fn prompts(&self) -> Vec<String>;

    /// What is wrong with the specification on its own.
    fn check(&self) -> Vec<Problem>;

    /// The predictions for every row of the observations, streamed chunk by chunk.
    ///
    /// # Errors
    /// When a chunk cannot be read any more, or a prompt has no text feature.
    fn predict(&self, seen: &Observations) -> Result<Predictions, MeasureError>;
}

/// What a readout says of every probe, streamed once over the embeddings.
#[derive(Clone, Debug, Default)]
pub struct Predictions {
    /// The label set, in the order of the suite.
    pub labels: Vec<String>,
    /// Per row of the observations: the first labels by probability (at most 5), ties to the lowest label index.
    pub top: Vec<Vec<Ranked>>,
}

/// One label of a prediction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranked {
    /// Index into the label set.
    pub label: u32,
    /// Softmax at the model's own scale, 0 to 1.
    pub probability: f32,
    /// Cosine between image and label.
    pub cosine: f32,
}

impl Predictions {
    /// The predicted label index of a row.
    pub fn top1(&self, row: usize) -> u32 {
        self.top[row][0].label
    }
}

/// Everything a measure may look at.
pub struct Seen<'a> {
    /// Suite id of the measure.
    pub id: &'a str,
    /// What the model said.
    pub observations: &'a Observations,
    /// What each readout made of it, by readout id.
    pub readouts: &'a BTreeMap<String, Predictions>,
    /// The suite's seed, for resampling.
    pub seed: u64,
}

/// What a measure depends on, so that the suite can be checked and the model tapped.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    /// Probe sets: field of the specification and the set it names.
    pub sets: Vec<(&'static str, String)>,
    /// Labels that must exist on the probes of a set: path, set, label.
    pub labels: Vec<(Vec<String>, String, String)>,
    /// Sets whose probes carry the truth: their `label` must be in the label set of every readout.
    pub truth: Vec<String>,
    /// Sets whose probes carry a target: their `target` must be in the label set of every readout.
    pub targets: Vec<String>,
    /// Labels that some readout must be able to answer, and each readout all of them or none: path and label.
    pub answers: Vec<(Vec<String>, String)>,
    /// Probes that must exist: path, set, and the labels with the values at least one probe of the set has together.
    pub selections: Vec<(Vec<String>, String, BTreeMap<String, String>)>,
    /// Taps to record.
    pub taps: Vec<Tap>,
}

/// A statistic a measure gives, for gates to choose and for `list`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statistic {
    /// The name in gates and ids.
    pub name: &'static str,
    /// The claim of the number (`changed to the written word`), as in `Quantity`.
    pub about: &'static str,
    /// How the number is computed, in symbols or words.
    pub formula: &'static str,
    /// How its interval is made, and its test where there is one.
    pub method: &'static str,
    /// What `n` counts (`eligible pairs`), as in `Quantity`.
    pub counted: &'static str,
    /// How it is printed.
    pub scale: Scale,
    /// Which direction is worse.
    pub worse: Direction,
    /// Whether there is one number for each of several units: no gate can range over them.
    pub of_units: bool,
}

/// How the interval of a share over clusters is made.
const OF_RATES: &str = "Wilson's score interval at the effective number of trials over clusters (Korn and Graubard 1998); \
                        Clopper-Pearson over clusters where none or all count";
/// How the interval of a paired difference over clusters is made, with its test.
const OF_PAIRS: &str = "Tango's score interval at the effective number of pairs over clusters; where tested, sign-flip \
                        permutation over clusters, Holm's correction over the rows of the measure";

/// What a measure gives.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// Numbers, in a fixed order.
    pub measurements: Vec<Measurement>,
    /// Charts, in a fixed order.
    pub exhibits: Vec<Exhibit>,
    /// What a reader should know of these numbers (`12 pairs left out: their clean twin was quarantined`).
    pub notes: Vec<String>,
}

/// A measure. The specification that serde reads implements it.
pub trait Measure: Send + Sync {
    /// The statistics this measure gives.
    fn statistics(&self) -> &'static [Statistic];

    /// What is wrong with the specification on its own.
    fn check(&self) -> Vec<Problem> {
        Vec::new()
    }

    /// What it depends on.
    fn needs(&self) -> Needs;

    /// Its tap, where a suite may leave it open: then it is the neurons of whichever model is audited, set before the run.
    fn open_tap(&mut self) -> Option<&mut Option<Tap>> {
        None
    }

    /// The labels its rows are broken down by (`on: each` of a gate ranges over them).
    fn by(&self) -> &[String] {
        &[]
    }

    /// The set whose pictures the model must recognise for a good number to mean anything: what sees nothing cannot be
    /// misled.
    fn presumes(&self) -> Option<&str> {
        None
    }

    /// Whether its numbers are of a readout; those of units are not.
    fn of_readouts(&self) -> bool {
        true
    }

    /// The numbers. What cannot be estimated is returned as `NotMeasured`, never left out.
    ///
    /// # Errors
    /// When a chunk cannot be read any more.
    fn measure(&self, seen: &Seen<'_>) -> Result<Measured, MeasureError>;
}

/// Why a measure could not run.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    /// A chunk file disappeared or changed.
    #[error(transparent)]
    Chunk(#[from] ChunkError),
    /// The observations do not hold what the measure needs.
    #[error("{0}")]
    Observations(String),
    /// The model's features do not allow a readout: the label set does not fit the model.
    #[error("{0}")]
    Readout(String),
}

/// The labels of a `by` list as `Needs::labels` wants them.
fn by_labels(by: &[String], set: &str) -> Vec<(Vec<String>, String, String)> {
    let path = |place: usize| vec!["by".to_owned(), place.to_string()];
    by.iter().enumerate().map(|(place, label)| (path(place), set.to_owned(), label.clone())).collect()
}
