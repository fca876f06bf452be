//! Findings: what a gate, a control or the data say, with the probes that show it, waivers, and what was left out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Scale, Value};
use crate::types::ProbeId;

/// Where a finding comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A limit of the suite.
    Gate,
    /// Something a measure flags without a limit.
    Flag,
    /// The audit's check on itself.
    Control,
    /// Inputs that could not be used, or were used with a reservation.
    DataQuality,
}

/// What a gate says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The whole interval is on the right side of the limit.
    Pass,
    /// The whole interval is on the wrong side.
    Fail,
    /// Undecided, the point on the wrong side.
    Warn,
    /// Undecided, the point on the right side.
    Inconclusive,
    /// There is no number.
    NotMeasured,
    /// A fail that somebody accepted until a date.
    Waived,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nice to know.
    Info,
    /// Minor.
    Low,
    /// Should be mended.
    Medium,
    /// Must be mended before release.
    High,
    /// Harms people.
    Critical,
}

/// On which side of its limit a gate wants the whole interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// `max`: the interval must not rise above the limit.
    AtMost,
    /// `min`: the interval must not fall below the limit.
    AtLeast,
}

/// A claim about the model or the data, with what supports it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Stable: `F-` and eight hexadecimal digits over origin, gate and measurement.
    pub id: String,
    /// Where it comes from.
    pub origin: Origin,
    /// What was decided.
    pub verdict: Verdict,
    /// How much it matters.
    pub severity: Severity,
    /// One line: the gate's id or what was found.
    pub title: String,
    /// In plain words, with the numbers.
    pub message: String,
    /// The gate's id; empty when the origin is no gate.
    pub gate: String,
    /// The rule in words (`at most 0.1 (95 % interval)`).
    pub rule: String,
    /// How the limit, the number judged and the detectable number are printed.
    pub scale: Scale,
    /// The limit of the gate, for the drawing.
    pub limit: Option<f64>,
    /// Which side of the limit is acceptable, for the drawing.
    pub bound: Option<Bound>,
    /// The measurement judged, by id.
    pub measurement: Option<String>,
    /// The number the verdict looked at: the measurement's value, or for one row of many its value at the level that
    /// holds for all rows together.
    pub judged: Option<Value>,
    /// Probes that show it.
    pub evidence: Vec<ProbeId>,
    /// The waiver that applies.
    pub waiver: Option<WaiverRecord>,
    /// The smallest break of the limit that this many data would have found.
    pub detectable: Option<Detectable>,
}

impl Finding {
    /// What to call it before its message, which names the row itself: the gate, or what was found where no gate asked.
    pub fn name(&self) -> &str {
        if self.gate.is_empty() { &self.title } else { &self.gate }
    }
}

/// How much worse than its limit a number has to be for the gate to fail most of the time, at the n and the clusters at
/// hand: what the audit could have missed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Detectable {
    /// The true number, on the wrong side of the limit.
    pub value: f64,
    /// The chance with which the gate fails there.
    pub power: f64,
}

/// A fail that somebody accepts until a date, as the suite states it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaiverRecord {
    /// Id of the gate.
    pub gate: String,
    /// Who accepts the fail.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// Where it is followed up; empty when not stated.
    pub ticket: String,
    /// Who approved it; empty when not stated.
    pub approver: String,
    /// The first day, YYYY-MM-DD; empty when not stated.
    pub since: String,
    /// The last day, YYYY-MM-DD.
    pub until: String,
    /// What it did: `waives 2 findings`, `waives nothing: ...`.
    pub effect: String,
}

/// A readout's answer for one probe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// The label.
    pub label: String,
    /// Softmax at the model's own scale, 0 to 1.
    pub probability: f64,
    /// Cosine between image and label.
    pub cosine: f64,
}

/// One probe a finding cites: what was shown and what the model said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The probe.
    pub probe: ProbeId,
    /// Its set.
    pub set: String,
    /// Its facts.
    pub labels: BTreeMap<String, String>,
    /// Its cluster.
    pub cluster: String,
    /// Its clean twin.
    pub source: Option<ProbeId>,
    /// Its control twin.
    pub control: Option<ProbeId>,
    /// Share of pixels that differ from the clean twin.
    pub cover: Option<f64>,
    /// The first predictions per readout.
    pub predictions: BTreeMap<String, Vec<Prediction>>,
    /// PNG without metadata, base64; `None` where the policy hides it.
    pub thumbnail: Option<String>,
    /// Notes of the renderer.
    pub notes: Vec<String>,
}

/// An input that could not be used. Listed, never dropped silently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// The probe.
    pub probe: ProbeId,
    /// Its set.
    pub set: String,
    /// Its facts.
    pub labels: BTreeMap<String, String>,
    /// The files it was made from.
    pub files: Vec<String>,
    /// Why, as a lower-case fragment.
    pub reason: String,
}
