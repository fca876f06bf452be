//! Probes x model -> observations: batching, chunks, resume, progress and quarantine.
//!
//! A chunk is a file named by everything its contents depend on. What is finished is never computed again, so caching
//! and resuming after a kill are one mechanism. Pixels exist only for the chunks in flight.

mod found;
mod key;
mod render;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use image::RgbImage;

use crate::model::{Encoder, ModelError};
use crate::probe::{Files, Generate, ProbeError};
use crate::types::{
    Chunk, ChunkError, FileRecord, Intervention, Matrix, Observations, ProbeId, ProbePlan, Quarantined, Tap,
    read_chunk, write_chunk,
};

pub use found::{Found, found, unfinished};
pub use key::{Sources, sources};
pub use render::Renderer;

/// Probes per chunk: some seconds of work for a large model on a CPU, some megabytes of pixels.
pub const CHUNK_PROBES: usize = 256;

/// What to observe, with what, and where finished chunks stand.
pub struct Job<'a> {
    /// The probes, those of one entry of the suite one after the other.
    pub plans: &'a Arc<Vec<ProbePlan>>,
    /// Who draws a set, by set id (control sets included).
    pub generators: &'a BTreeMap<String, &'a dyn Generate>,
    /// The suite's files.
    pub files: &'a Files,
    /// Contents of every file the probes depend on.
    pub sources: &'a Sources,
    /// The model.
    pub encoder: &'a dyn Encoder,
    /// What to record.
    pub taps: &'a [Tap],
    /// What to hold fixed.
    pub interventions: &'a [Intervention],
    /// The prompts of the readouts, each once.
    pub prompts: &'a [String],
    /// Folder of finished chunks; it exists.
    pub folder: PathBuf,
    /// Told after every chunk how many probes are done, and how many of them were computed now.
    pub progress: &'a (dyn Fn(usize, usize) + Sync),
    /// Set by an interrupt: the chunk in flight is finished, then the run stops.
    pub stop: &'a AtomicBool,
}

/// What observing gave.
#[derive(Debug)]
pub struct Observed {
    /// The observations.
    pub observations: Observations,
    /// Probes the model was shown now; those that could not be used are neither computed nor reused.
    pub computed: usize,
    /// Probes taken from finished chunks.
    pub reused: usize,
    /// The files with what the model said: of the prompts, then of the probes, in order.
    pub chunks: Vec<PathBuf>,
    /// Where the time went.
    pub spent: Spent,
}

/// Where the time of a run went. All but the first two follow each other on the clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    /// Drawing probes, summed over threads.
    pub drawing: Duration,
    /// Preprocessing what was drawn, summed over threads.
    pub fitting: Duration,
    /// The model at work on texts.
    pub texts: Duration,
    /// The model at work on pictures.
    pub encoding: Duration,
    /// Nothing to show to the model: the next pictures are not drawn yet.
    pub waiting: Duration,
    /// Writing chunks, while the model stands still.
    pub writing: Duration,
    /// Everything after the last probe: readouts, measures, gates, evidence.
    pub measuring: Duration,
}

/// Counts a stage's time in nanoseconds from several threads.
#[derive(Default)]
struct Clock(AtomicU64);

impl Clock {
    fn time<T>(&self, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let result = work();
        self.0.fetch_add(u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        result
    }

    fn read(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

/// The stages of observing.
#[derive(Default)]
struct Clocks {
    drawing: Clock,
    fitting: Clock,
    texts: Clock,
    encoding: Clock,
    waiting: Clock,
    writing: Clock,
}

/// Why observing stopped.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// The model refused or failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A chunk cannot be written or read.
    #[error(transparent)]
    Chunk(#[from] ChunkError),
    /// The user interrupted; finished chunks are kept.
    #[error("interrupted after {done} of {planned} probes; run the same command again to go on")]
    Interrupted {
        /// Probes done.
        done: usize,
        /// Probes planned.
        planned: usize,
    },
}

/// A probe ready for the model, or the reason why it cannot be used.
type Prepared = Result<(RgbImage, Option<f32>, Vec<String>), ProbeError>;

/// The pictures of one chunk on their way to the model.
struct Pending {
    number: usize,
    pictures: Vec<Prepared>,
}

/// Shows every probe to the model, or finds that it was shown already.
///
/// # Errors
/// When the model fails, a chunk cannot be written, or the user interrupts. A picture that cannot be used is no error:
/// it is quarantined, and tried again on the next run.
pub fn observe(job: &Job<'_>) -> Result<Observed, ObserveError> {
    let spans = spans(job.plans);
    let paths: Vec<PathBuf> =
        spans.iter().map(|span| job.folder.join(key::chunk(job, &job.plans[span.clone()]))).collect();
    let mut finished: Vec<bool> = Vec::with_capacity(spans.len());
    for (span, path) in spans.iter().zip(&paths) {
        // A chunk that lacks a probe held back an input that failed: it is tried again. A damaged one is made anew, and so
        // is one that stands under another one's name.
        let ids = job.plans[span.clone()].iter().map(|plan| &plan.id);
        finished.push(path.exists() && read_chunk(path).is_ok_and(|chunk| chunk.ids.iter().eq(ids)));
    }
    let chunks = std::iter::once(job.folder.join(key::texts(job))).chain(paths.iter().cloned()).collect();
    let clocks = Clocks::default();
    let observations = clocks.texts.time(|| texts(job))?;
    let mut observed = Observed { observations, computed: 0, reused: 0, chunks, spent: Spent::default() };
    let renderer = Renderer::new(job.plans, job.generators, job.files);

    std::thread::scope(|scope| -> Result<(), ObserveError> {
        // One chunk is drawn while the model works on the one before it; the bound keeps pixels from piling up.
        let (send, receive) = mpsc::sync_channel::<Pending>(1);
        let (spans_of_renderer, todo) = (&spans, &finished);
        let (renderer, clocks) = (&renderer, &clocks);
        scope.spawn(move || {
            for (number, span) in spans_of_renderer.iter().enumerate().filter(|(number, _)| !todo[*number]) {
                let pictures = prepare(job, renderer, &job.plans[span.clone()], clocks);
                if job.stop.load(Ordering::Relaxed) || send.send(Pending { number, pictures }).is_err() {
                    return;
                }
            }
        });
        for (number, span) in spans.iter().enumerate() {
            let plans = &job.plans[span.clone()];
            let interrupted = || ObserveError::Interrupted { done: span.start, planned: job.plans.len() };
            let chunk = if finished[number] {
                observed.reused += plans.len();
                read_chunk(&paths[number])?
            } else {
                if job.stop.load(Ordering::Relaxed) {
                    return Err(interrupted());
                }
                let pending = clocks.waiting.time(|| receive.recv()).map_err(|_| interrupted())?;
                debug_assert_eq!(pending.number, number, "chunks arrive in order");
                let quarantined = &mut observed.observations.quarantined;
                let chunk = clocks.encoding.time(|| encode(job, plans, pending.pictures, quarantined))?;
                clocks.writing.time(|| write_chunk(&paths[number], &chunk))?;
                observed.computed += chunk.ids.len();
                chunk
            };
            observed.observations.push(job.plans, span.clone(), chunk, Some(paths[number].clone()));
            (job.progress)(span.end, observed.computed);
        }
        Ok(())
    })?;
    observed.spent = Spent {
        drawing: clocks.drawing.read(),
        fitting: clocks.fitting.read(),
        texts: clocks.texts.read(),
        encoding: clocks.encoding.read(),
        waiting: clocks.waiting.read(),
        writing: clocks.writing.read(),
        measuring: Duration::ZERO,
    };
    Ok(observed)
}

/// The probes of one chunk stand side by side in the plan and come from one entry of the suite, so that editing one entry
/// leaves the chunks of the others as they are.
fn spans(plans: &[ProbePlan]) -> Vec<std::ops::Range<usize>> {
    fn entry(plan: &ProbePlan) -> Option<&str> {
        plan.set.split('.').next()
    }
    let mut spans = Vec::new();
    let mut first = 0;
    for index in 1..=plans.len() {
        let ends =
            index == plans.len() || index - first == CHUNK_PROBES || entry(&plans[index]) != entry(&plans[first]);
        if ends {
            spans.push(first..index);
            first = index;
        }
    }
    spans
}

/// Draws the probes of one chunk.
fn prepare(job: &Job<'_>, renderer: &Renderer<'_>, plans: &[ProbePlan], clocks: &Clocks) -> Vec<Prepared> {
    use rayon::prelude::*;
    let draw = |plan: &ProbePlan| {
        let rendered = clocks.drawing.time(|| renderer.render(plan))?;
        let image = clocks.fitting.time(|| job.encoder.preprocess(&rendered.image));
        let image = image.map_err(|error| ProbeError::Picture(error.to_string()))?;
        Ok((image, rendered.cover, rendered.notes))
    };
    let drawn: Vec<Prepared> = plans.par_iter().map(draw).collect();
    let changed = key::changed(job, plans);
    let unchanged = |(plan, prepared): (&ProbePlan, Prepared)| match plan
        .recipe
        .files
        .iter()
        .find(|name| changed.contains(&***name))
    {
        Some(name) if prepared.is_ok() => {
            Err(ProbeError::Picture(format!("{name}: was changed while the run was going on; run again")))
        }
        _ => prepared,
    };
    plans.iter().zip(drawn).map(unchanged).collect()
}

/// Runs the model on what could be drawn; the rest, and what the model gives no finite answer to, is quarantined.
fn encode(
    job: &Job<'_>,
    plans: &[ProbePlan],
    pictures: Vec<Prepared>,
    quarantined: &mut Vec<Quarantined>,
) -> Result<Chunk, ObserveError> {
    let mut kept = Vec::new();
    let mut images = Vec::new();
    for (plan, prepared) in plans.iter().zip(pictures) {
        match prepared {
            Ok((image, cover, notes)) => {
                kept.push((plan, cover, notes));
                images.push(image);
            }
            Err(error) => quarantined.push(quarantine(plan, error.to_string())),
        }
    }
    let encoded = job.encoder.encode_images(&images, job.taps, job.interventions)?;
    let mut usable = Vec::new();
    for (row, (plan, _, _)) in kept.iter().enumerate() {
        match unusable(&encoded.features, &encoded.taps, row) {
            None => usable.push(row),
            Some(reason) => quarantined.push(quarantine(plan, reason.to_owned())),
        }
    }
    let taps = job.taps.iter().cloned().zip(encoded.taps.iter().map(|values| values.select(&usable))).collect();
    Ok(Chunk {
        ids: usable.iter().map(|&row| kept[row].0.id.clone()).collect(),
        covers: usable.iter().map(|&row| kept[row].1).collect(),
        notes: usable.iter().map(|&row| kept[row].2.clone()).collect(),
        embeddings: encoded.features.select(&usable),
        taps,
    })
}

fn unusable(features: &Matrix, taps: &[Matrix], row: usize) -> Option<&'static str> {
    let feature = features.row(row);
    if !feature.iter().all(|value| value.is_finite()) {
        return Some("the model gave an embedding that is not finite");
    }
    if feature.iter().all(|value| *value == 0.0) {
        return Some("the model gave an embedding of length zero, which has no direction");
    }
    if !taps.iter().all(|tap| tap.row(row).iter().all(|value| value.is_finite())) {
        return Some("the model gave an activation that is not finite");
    }
    None
}

fn quarantine(plan: &ProbePlan, reason: String) -> Quarantined {
    Quarantined {
        probe: plan.id.clone(),
        set: plan.set.to_string(),
        labels: plan.labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
        files: plan.recipe.files.iter().map(ToString::to_string).collect(),
        reason,
    }
}

/// The prompts' features, kept like a chunk so that a finished audit needs no forward pass at all.
fn texts(job: &Job<'_>) -> Result<Observations, ObserveError> {
    let ids: Vec<ProbeId> = job.prompts.iter().map(|prompt| ProbeId::named(prompt)).collect();
    let path = job.folder.join(key::texts(job));
    let stored = if path.exists() { read_chunk(&path).ok().filter(|chunk| chunk.ids == ids) } else { None };
    let features = match stored {
        Some(chunk) => chunk.embeddings,
        None => {
            let embeddings = job.encoder.encode_texts(job.prompts)?;
            let chunk = Chunk {
                covers: vec![None; ids.len()],
                notes: vec![Vec::new(); ids.len()],
                ids,
                embeddings,
                taps: BTreeMap::new(),
            };
            write_chunk(&path, &chunk)?;
            chunk.embeddings
        }
    };
    let finite = |row: &[f32]| row.iter().all(|value| value.is_finite()) && row.iter().any(|value| *value != 0.0);
    if let Some(index) = features.iter_rows().position(|row| !finite(row)) {
        let message = format!("the prompt `{}` has an embedding that is zero or not finite", job.prompts[index]);
        return Err(ModelError::Input(message).into());
    }
    let info = job.encoder.info();
    let mut observations = Observations::default();
    observations.prompts = job.prompts.to_vec();
    observations.prompt_features = features;
    observations.weights = info.record.fingerprint.clone();
    observations.logit_scale = info.logit_scale;
    observations.logit_bias = info.logit_bias;
    Ok(observations)
}

/// The record of every source file, sorted by name.
pub fn file_records(sources: &Sources) -> Vec<FileRecord> {
    sources
        .iter()
        .filter_map(|(name, source)| {
            source.as_ref().ok().map(|(bytes, sha256)| FileRecord {
                name: name.clone(),
                bytes: *bytes,
                sha256: sha256.clone(),
            })
        })
        .collect()
}
