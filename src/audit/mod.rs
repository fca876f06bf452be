//! The whole pipeline in one screen, and the only place where the stages meet: suite -> plan -> observations ->
//! measurements -> findings -> evidence -> record.

mod cost;
mod evidence;
mod perception;
mod precision;
mod record;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use jiff::civil::Date;

use crate::gate;
use crate::measure::{MeasureError, Measured, Predictions, Seen};
use crate::model::{Encoder, ModelError, ModelInfo};
use crate::observe::{self, Job, ObserveError, Renderer, Spent};
use crate::probe::{Files, Generate};
use crate::suite::{self, PlanError, Suite};
use crate::types::{AUDIT_SCHEMA, Audit, Observations, ProbePlan, Provenance, Tap, Thumbnails};

pub use cost::{Cost, Question, Time, cost};
pub use precision::{Choice, choose};
pub use record::probes;

/// What to audit, with what, and where finished chunks stand.
pub struct Request<'a> {
    /// The suite, read and checked.
    pub suite: &'a Suite,
    /// The suite's files.
    pub files: &'a Files,
    /// The model.
    pub encoder: &'a dyn Encoder,
    /// Folder of finished chunks; it exists.
    pub chunks: PathBuf,
    /// The day waivers are judged by.
    pub today: Date,
    /// The most that is shown of any probe, whatever the suite allows.
    pub thumbnails: Thumbnails,
    /// Told how many probes are planned, are done, and were computed now.
    pub progress: &'a (dyn Fn(usize, usize, usize) + Sync),
    /// Set by an interrupt.
    pub stop: &'a AtomicBool,
}

/// The record of an audit and where its observations stand.
#[derive(Debug)]
pub struct Done {
    /// The record; times and command of its provenance are for the caller to fill in.
    pub audit: Audit,
    /// The chunk files of this audit, in order.
    pub chunks: Vec<PathBuf>,
    /// The probes planned.
    pub plans: Arc<Vec<ProbePlan>>,
    /// Where the time went.
    pub spent: Spent,
}

/// Why there is no audit.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The probes cannot be planned.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The model could not be shown the probes.
    #[error(transparent)]
    Observe(#[from] ObserveError),
    /// A readout or measure could not read the observations.
    #[error("{id}: {source}")]
    Measure {
        /// Suite id of the readout or measure.
        id: String,
        /// What went wrong.
        source: MeasureError,
    },
    /// The model could not be loaded, or failed outside the audit itself.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// No precision could be chosen.
    #[error("precision: {0}")]
    Precision(String),
    /// The evidence could not be drawn again.
    #[error("evidence: {0}")]
    Evidence(String),
}

impl AuditError {
    /// The images of the pass that memory did not suffice for.
    pub fn out_of_memory(&self) -> Option<usize> {
        match self {
            Self::Model(ModelError::Memory { batch, .. })
            | Self::Observe(ObserveError::Model(ModelError::Memory { batch, .. })) => *batch,
            _ => None,
        }
    }
}

/// Tries with the batch asked for, and from the start with half of it as often as memory runs out, because the batch is part
/// of the numerics profile and every number of an audit comes from one. Also gives the first batch that was too large.
///
/// # Errors
/// Those of the last try.
pub fn within_memory<T>(
    asked: Option<usize>,
    told: &dyn Fn(usize),
    mut attempt: impl FnMut(Option<usize>) -> Result<T, AuditError>,
) -> Result<(T, Option<usize>), AuditError> {
    let (mut batch, mut first) = (asked, None);
    loop {
        match attempt(batch) {
            Ok(done) => return Ok((done, first)),
            Err(error) => match error.out_of_memory() {
                Some(used) if used > 1 => {
                    first = first.or(Some(used));
                    batch = Some(used / 2);
                    told(used / 2);
                }
                _ => return Err(error),
            },
        }
    }
}

/// Runs an audit.
///
/// # Errors
/// When the suite does not fit its files, the model or the file system fails, or the user interrupts. Inputs that cannot
/// be used and numbers that cannot be estimated are no errors: they stand in the record.
pub fn run(request: &Request<'_>) -> Result<Done, AuditError> {
    let Request { files, encoder, .. } = request;
    let suite = &bound(request.suite, encoder.info());
    let planned = suite::plan(suite, files, encoder.info().image_size)?;
    let plans = Arc::new(planned.plans);
    let generators = generators(suite);
    let sources = observe::sources(&plans, files);
    let (taps, prompts) = (taps(suite), prompts(suite));

    let observed = observe::observe(&Job {
        plans: &plans,
        generators: &generators,
        files,
        sources: &sources,
        encoder: *encoder,
        taps: &taps,
        interventions: &[],
        prompts: &prompts,
        folder: request.chunks.clone(),
        progress: &|done, computed| (request.progress)(plans.len(), done, computed),
        stop: request.stop,
    })?;
    let observations = &observed.observations;
    let seen = Instant::now();

    let readouts = read(suite, observations)?;
    let measured = measure(suite, observations, &readouts)?;

    let policy = evidence::Policy::of(suite, request.thumbnails);
    let sets = record::sets(suite, &plans, observations, &sources, &policy);
    let mut findings = gate::judge(&suite.gates, &suite.waivers, &measured.measurements, request.today);
    let used = gate::count_use(&plans, &observations.quarantined, &groups(suite));
    findings.extend(gate::quarantine_findings(&used, suite.quarantine.max));
    findings.extend(gate::copy_findings(&plans, &record::contents(&sources)));
    let perceptions = perception::perceptions(suite, observations, &readouts)?;
    findings.extend(perceptions.iter().map(gate::perception_finding));
    gate::sort(&mut findings);
    evidence::shorten(&mut findings);
    let (judgement, reason) = gate::overall(&findings);

    let renderer = Renderer::new(&plans, &generators, files);
    let evidence = evidence::collect(&findings, &measured, observations, &readouts, &renderer, &policy)
        .map_err(AuditError::Evidence)?;

    let mut notes: Vec<String> = suite.notes.iter().chain(&planned.notes).map(ToString::to_string).collect();
    notes.extend(measured.notes.iter().cloned());
    notes.extend(record::notes(&plans, observations));
    let audit = Audit {
        schema: AUDIT_SCHEMA,
        judgement,
        reason,
        provenance: Provenance {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: env!("CLIP_AUDIT_COMMIT").to_owned(),
            probes_computed: observed.computed,
            probes_reused: observed.reused,
            ..Provenance::default()
        },
        model: record::model(*encoder, &taps),
        numerics: encoder.numerics().clone(),
        suite: record::suite(suite, sets, &sources, gate::waivers(&suite.waivers, &findings, request.today)),
        measures: record::measures(suite),
        measurements: measured.measurements,
        exhibits: measured.exhibits,
        findings,
        baseline: None,
        evidence,
        quarantined: observations.quarantined.clone(),
        notes,
    };
    drop(renderer);
    let spent = Spent { measuring: seen.elapsed(), ..observed.spent };
    Ok(Done { audit, chunks: observed.chunks, plans, spent })
}

/// Who draws each set; the control twins of a set are drawn by the same generator.
pub fn generators(suite: &Suite) -> BTreeMap<String, &dyn Generate> {
    let entry = |id: String, generate| (id, generate);
    suite
        .probes
        .iter()
        .flat_map(|probe| {
            let generate: &dyn Generate = &*probe.generate;
            [entry(probe.id.clone(), generate), entry(format!("{}.control", probe.id), generate)]
        })
        .collect()
}

/// The suite for this model: taps that it leaves open become the model's own neurons.
fn bound(suite: &Suite, model: &ModelInfo) -> Suite {
    let mut suite = suite.clone();
    for tap in suite.measures.iter_mut().filter_map(|entry| entry.compute.open_tap()) {
        tap.get_or_insert_with(|| model.neurons.clone());
    }
    suite
}

/// Every tap a measure needs, once, sorted.
fn taps(suite: &Suite) -> Vec<Tap> {
    let needed: BTreeSet<Tap> = suite.measures.iter().flat_map(|measure| measure.compute.needs().taps).collect();
    needed.into_iter().collect()
}

/// Every label some measure breaks its numbers down by: the groups that inputs may be lost from unevenly.
fn groups(suite: &Suite) -> BTreeSet<String> {
    suite.measures.iter().flat_map(|measure| measure.compute.by().to_vec()).collect()
}

/// Every prompt of every readout, once, in the order of the suite.
fn prompts(suite: &Suite) -> Vec<String> {
    let mut prompts: Vec<String> = Vec::new();
    let mut known = BTreeSet::new();
    for prompt in suite.readouts.iter().flat_map(|readout| readout.read.prompts()) {
        if known.insert(prompt.clone()) {
            prompts.push(prompt);
        }
    }
    prompts
}

fn read(suite: &Suite, observations: &Observations) -> Result<BTreeMap<String, Predictions>, AuditError> {
    let one = |readout: &suite::ReadoutEntry| {
        let predictions = readout
            .read
            .predict(observations)
            .map_err(|source| AuditError::Measure { id: readout.id.clone(), source })?;
        Ok((readout.id.clone(), predictions))
    };
    suite.readouts.iter().map(one).collect()
}

fn measure(
    suite: &Suite,
    observations: &Observations,
    readouts: &BTreeMap<String, Predictions>,
) -> Result<Measured, AuditError> {
    let mut all = Measured::default();
    for entry in &suite.measures {
        let seen = Seen { id: &entry.id, observations, readouts, seed: suite.seed };
        let one =
            entry.compute.measure(&seen).map_err(|source| AuditError::Measure { id: entry.id.clone(), source })?;
        all.measurements.extend(one.measurements);
        all.exhibits.extend(one.exhibits);
        all.notes.extend(one.notes);
    }
    Ok(all)
}

/// The sets of a plan with their sizes, in the order of the plan.
pub fn sizes(plans: &[ProbePlan]) -> Vec<(String, usize)> {
    let mut sizes: Vec<(String, usize)> = Vec::new();
    for plan in plans {
        match sizes.iter_mut().find(|(set, _)| **set == *plan.set) {
            Some((_, count)) => *count += 1,
            None => sizes.push((plan.set.to_string(), 1)),
        }
    }
    sizes
}
