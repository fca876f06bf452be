//! The vocabulary every room shares: labels and ids, probe plans, units and taps, matrices, observations and the audit
//! record. Nothing here knows how a probe is drawn, a model is run or a number is estimated.

mod audit;
mod kinds;
mod labels;
mod matrix;
mod observations;
mod plan;
mod unit;
mod words;

pub use audit::{
    AUDIT_SCHEMA, Artifact, Audit, Bar, Baseline, Bound, Change, CurvePoint, Delta, Detectable, Direction, Estimate,
    EstimateError, Evidence, Exhibit, ExhibitKind, FileRecord, Finding, Judgement, MeasureRecord, Measurement,
    ModelRecord, Numerics, Origin, Precision, Prediction, Provenance, Quantity, Quarantined, Scale, Series, SetRecord,
    Severity, Simultaneous, StatisticRecord, SuiteRecord, Test, Thumbnails, Trial, Value, Verdict, WaiverRecord,
};
pub(crate) use kinds::kinds;
pub use kinds::{Kind, Problem};
pub use labels::{Facts, Labels};
pub use matrix::Matrix;
pub use observations::{
    Chunk, ChunkError, Observations, Observed, read_chunk, temporary_file, write_chunk, write_probes,
};
pub use plan::{Parameters, ProbeId, ProbePlan, Recipe, Rendered, SharedPlan, digest};
pub use unit::{Fingerprint, Intervention, Pool, Site, Tap, Unit};
