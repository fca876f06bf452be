//! Exit codes: stable, documented, each tested. Usage and environment errors come before a judgement, a fail before what
//! is undecided.

use crate::audit::AuditError;
use crate::measure::MeasureError;
use crate::model::ModelError;
use crate::observe::ObserveError;
use crate::probe::ProbeError;
use crate::report::ReportError;
use crate::suite::{PlanError, SuiteError};
use crate::types::{ChunkError, Judgement};

/// Every gate passed; waived fails are listed.
pub const PASS: u8 = 0;
/// A gate failed.
pub const FAIL: u8 = 1;
/// The command line or the suite is invalid.
pub const USAGE: u8 = 2;
/// The model or an input is invalid.
pub const INPUT: u8 = 3;
/// Something is undecided or unmeasured, or nothing was measured.
pub const INCONCLUSIVE: u8 = 4;
/// The environment: device, memory, disk, folder in use.
pub const ENVIRONMENT: u8 = 5;
/// Interrupted; the same command goes on.
pub const INTERRUPTED: u8 = 130;

/// The exit code of a finished audit.
pub fn of_judgement(judgement: Judgement) -> u8 {
    match judgement {
        Judgement::Pass => PASS,
        Judgement::Fail => FAIL,
        Judgement::Inconclusive => INCONCLUSIVE,
    }
}

/// A failure that already knows its exit code.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The exit code.
    pub code: u8,
    /// What the user reads.
    pub message: String,
}

impl Failure {
    /// The command line or the suite is invalid.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { code: USAGE, message: message.into() }
    }

    /// The environment refuses.
    pub fn environment(message: impl Into<String>) -> Self {
        Self { code: ENVIRONMENT, message: message.into() }
    }
}

/// The exit code of an error: the first cause in its chain that has one decides.
pub fn of_error(error: &anyhow::Error) -> u8 {
    error
        .chain()
        .find_map(|cause| {
            if let Some(failure) = cause.downcast_ref::<Failure>() {
                return Some(failure.code);
            }
            if cause.is::<SuiteError>() {
                return Some(USAGE);
            }
            if let Some(error) = cause.downcast_ref::<AuditError>() {
                return Some(of_audit(error));
            }
            if let Some(error) = cause.downcast_ref::<PlanError>() {
                return Some(of_plan(error));
            }
            if let Some(ReportError::Template { .. }) = cause.downcast_ref::<ReportError>() {
                // Those inside the program are tested; this one came with --templates.
                return Some(USAGE);
            }
            if let Some(error) = cause.downcast_ref::<ModelError>() {
                return Some(of_model(error));
            }
            cause.downcast_ref::<ProbeError>().map(of_probe)
        })
        .unwrap_or(ENVIRONMENT)
}

fn of_audit(error: &AuditError) -> u8 {
    match error {
        AuditError::Plan(error) => of_plan(error),
        AuditError::Model(error) | AuditError::Observe(ObserveError::Model(error)) => of_model(error),
        AuditError::Observe(ObserveError::Interrupted { .. }) => INTERRUPTED,
        AuditError::Measure { source: MeasureError::Readout(_), .. } => INPUT,
        AuditError::Observe(ObserveError::Chunk(ChunkError::Io { .. } | ChunkError::Damaged { .. }))
        | AuditError::Measure { .. }
        | AuditError::Precision(_)
        | AuditError::Evidence(_) => ENVIRONMENT,
    }
}

fn of_plan(error: &PlanError) -> u8 {
    match error {
        PlanError::Suite(_) => USAGE,
        PlanError::Inputs { .. } => INPUT,
    }
}

fn of_probe(error: &ProbeError) -> u8 {
    match error {
        ProbeError::Specification { .. } => USAGE,
        ProbeError::Source { .. } | ProbeError::Picture(_) | ProbeError::File(_) => INPUT,
    }
}

fn of_model(error: &ModelError) -> u8 {
    match error {
        ModelError::Checkpoint { .. } | ModelError::Input(_) => INPUT,
        ModelError::Device(_)
        | ModelError::Memory { .. }
        | ModelError::Network(_)
        | ModelError::Library(_)
        | ModelError::File { .. } => ENVIRONMENT,
    }
}
