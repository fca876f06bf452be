//! The vocabulary every room shares: labels and ids, probe plans, units and taps, matrices, observations and the audit
//! record. Nothing here knows how a probe is drawn, a model is run or a number is estimated.

mod audit;
mod kinds;
mod matrix;
mod observations;
mod plan;
mod unit;

pub use audit::{
    AUDIT_SCHEMA, Artifact, Audit, Bar, CurvePoint, Direction, Estimate, EstimateError, Evidence, Exhibit, ExhibitKind,
    FileRecord, Finding, Judgement, Measurement, ModelRecord, Numerics, Origin, Prediction, Provenance, Quarantined,
    Series, SetRecord, Severity, SuiteRecord, Test, Value, Verdict,
};
pub(crate) use kinds::kinds;
pub use kinds::{Kind, Problem};
pub use matrix::Matrix;
pub use observations::{Chunk, ChunkError, Observations, Observed, read_chunk, write_chunk};
pub use plan::{Labels, ProbeId, ProbePlan, Recipe, Rendered, digest};
pub use unit::{Fingerprint, Intervention, Pool, Site, Tap, Unit};
