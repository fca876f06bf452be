//! What changed against an earlier audit of the same suite.

use serde::{Deserialize, Serialize};

use super::{Scale, Value, Verdict};

/// The earlier audit and the changes since, finding by finding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// SHA-256 of its `audit.json`.
    pub sha256: String,
    /// When it finished, UTC.
    pub finished: String,
    /// Version of the program that wrote it.
    pub version: String,
    /// Name of the model.
    pub model: String,
    /// Fingerprint of the model's weights.
    pub weights: String,
    /// What makes the two audits hard to compare, in sentences: another suite text, other weights, other numerics.
    pub differences: Vec<String>,
    /// Every finding of either audit, those of this one first and in its order.
    pub changes: Vec<Change>,
}

/// A finding in both audits, or in one of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Id of the finding.
    pub id: String,
    /// Its title.
    pub title: String,
    /// What became of it.
    pub delta: Delta,
    /// Its verdict in the earlier audit.
    pub before: Option<Verdict>,
    /// Its verdict now.
    pub after: Option<Verdict>,
    /// How the numbers are printed.
    pub scale: Scale,
    /// The number judged in the earlier audit.
    pub value_before: Option<Value>,
    /// The number judged now.
    pub value_after: Option<Value>,
}

/// What became of a finding since the earlier audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delta {
    /// It passed before and does not now.
    Broken,
    /// It is open, and was not there before.
    New,
    /// It was open before and is, with another verdict.
    Changed,
    /// It did not pass before and does now.
    Fixed,
    /// It is not there any more.
    Gone,
    /// The same verdict as before.
    Same,
}
