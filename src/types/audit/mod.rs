//! The audit record: finished numbers, finished charts as data, findings and evidence. The only serialised result
//! schema; reports and the exit code are pure functions of it.

mod baseline;
mod estimate;
mod exhibit;
mod finding;
mod provenance;

use serde::{Deserialize, Serialize};

pub use baseline::{Baseline, Change, Delta};
pub use estimate::{Direction, Estimate, EstimateError, Measurement, Quantity, Scale, Simultaneous, Test, Value};
pub use exhibit::{Bar, CurvePoint, Exhibit, ExhibitKind, Series};
pub use finding::{
    Bound, Detectable, Evidence, Finding, Origin, Prediction, Quarantined, Severity, Verdict, WaiverRecord,
};
pub use provenance::{
    Artifact, FileRecord, MeasureRecord, ModelRecord, Numerics, Precision, Provenance, SetRecord, StatisticRecord,
    SuiteRecord, Thumbnails, Trial,
};

/// Version of the schema. A reader refuses versions it does not know.
pub const AUDIT_SCHEMA: u32 = 2;

/// What the exit code says of an audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Judgement {
    /// Every gate passed, waived fails aside: exit code 0.
    Pass,
    /// A gate failed: exit code 1.
    Fail,
    /// Something undecided or unmeasured, or nothing was measured: exit code 4.
    Inconclusive,
}

/// The record of one audit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Audit {
    /// Version of this schema.
    pub schema: u32,
    /// Pass, fail or inconclusive, as the findings say.
    pub judgement: Judgement,
    /// One sentence that says why.
    pub reason: String,
    /// Who, when, where.
    pub provenance: Provenance,
    /// The audited model.
    pub model: ModelRecord,
    /// What floating-point results depend on.
    pub numerics: Numerics,
    /// The suite as it was used.
    pub suite: SuiteRecord,
    /// The measures of the suite, in its order.
    pub measures: Vec<MeasureRecord>,
    /// Every number.
    pub measurements: Vec<Measurement>,
    /// Every chart.
    pub exhibits: Vec<Exhibit>,
    /// Every finding, worst first.
    pub findings: Vec<Finding>,
    /// What changed against an earlier audit, when one was given.
    pub baseline: Option<Baseline>,
    /// The probes findings cite, with their twins.
    pub evidence: Vec<Evidence>,
    /// Inputs that could not be used.
    pub quarantined: Vec<Quarantined>,
    /// What a reader should know: limits, approximations, notes of the renderer with counts.
    pub notes: Vec<String>,
}
