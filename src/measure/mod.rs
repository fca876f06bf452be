//! Measures: pure functions from observations to numbers and charts. One file per measure; readouts turn embeddings into
//! predictions first. A measure never sees a pixel.

use std::collections::BTreeMap;

use crate::types::{ChunkError, Direction, Exhibit, Measurement, Observations, Problem, Tap};

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
    /// Taps to record.
    pub taps: Vec<Tap>,
}

/// A statistic a measure gives, for gates to choose and for `list`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statistic {
    /// The name in gates and ids.
    pub name: &'static str,
    /// One line.
    pub about: &'static str,
    /// Which direction is worse.
    pub worse: Direction,
}

/// What a measure gives.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// Numbers, in a fixed order.
    pub measurements: Vec<Measurement>,
    /// Charts, in a fixed order.
    pub exhibits: Vec<Exhibit>,
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

    /// The labels its rows are broken down by (`on: each` of a gate ranges over them).
    fn by(&self) -> &[String] {
        &[]
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
}
