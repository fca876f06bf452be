//! What an audit would cost: the time is measured on a few probes and one batch of the model, disk and memory are counted.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use image::RgbImage;
use rayon::prelude::*;

use super::{AuditError, bound, generators, prompts, taps};
use crate::model::{Encoder, ModelError};
use crate::observe::{self, Found, Job, Renderer};
use crate::probe::Files;
use crate::suite::Suite;
use crate::types::{ProbePlan, Tap};

/// What to ask the costs of.
pub struct Question<'a> {
    /// The suite, read and checked.
    pub suite: &'a Suite,
    /// The suite's files.
    pub files: &'a Files,
    /// The model.
    pub encoder: &'a dyn Encoder,
    /// The probes of the suite.
    pub plans: &'a Arc<Vec<ProbePlan>>,
    /// Folder of finished chunks, where there may be some.
    pub chunks: Option<&'a Path>,
    /// Whether to measure the time: it takes some passes of the model.
    pub timed: bool,
}

/// What an audit would cost.
#[derive(Clone, Debug)]
pub struct Cost {
    /// Probes that stand in finished chunks; `None` when nobody looked.
    pub finished: Option<usize>,
    /// How long the rest takes; `None` when nobody measured or nothing could be drawn.
    pub time: Option<Time>,
    /// Probes drawn for the measurement.
    pub tried: usize,
    /// Those that could not be used, as their number and the reason of the first.
    pub unusable: Option<(usize, String)>,
    /// What a run writes, bytes, without reports.
    pub disk_bytes: u64,
    /// Values recorded of each probe: of the embedding and of the taps.
    pub values: (usize, usize),
    /// What a run holds in memory beside the model, a batch, and the plans, bytes.
    pub memory_bytes: u64,
}

/// How long an audit takes, and what that rests on.
#[derive(Clone, Copy, Debug)]
pub struct Time {
    /// Everything but measures and reports.
    pub total: Duration,
    /// The model at work, one probe.
    pub encoding: Duration,
    /// Drawing and preprocessing on all cores, one probe.
    pub drawing: Duration,
    /// The prompts, all of them.
    pub texts: Duration,
    /// Timed passes of the model.
    pub passes: usize,
}

/// Probes beside each other in the plan that are drawn together, as a run does: they share a clean picture.
const NEIGHBOURS: usize = 16;
/// The fewest probes drawn for a measurement, where there are as many.
const DRAWN: usize = 64;
/// Timed passes: as many as fit, at least one.
const PASSES: usize = 5;
const PASSES_TAKE: Duration = Duration::from_secs(2);
/// Files that are read to find the chunks of an earlier run; hashing more would take longer than a check may.
const HASHED_FILES: usize = 20_000;
/// A record with its thumbnails, and the report made from it.
const RECORD_BYTES: u64 = 20 << 20;
/// Plans whose texts are counted; a table of plans is estimated from them.
const COUNTED: usize = 1024;

/// Estimates what a run would cost.
///
/// # Errors
/// When the model fails.
pub fn cost(question: &Question<'_>) -> Result<Cost, AuditError> {
    let Question { files, encoder, plans, .. } = *question;
    let suite = &bound(question.suite, encoder.info());
    let (taps, prompts) = (taps(suite), prompts(suite));
    let generators = generators(suite);
    let looked =
        question.chunks.map_or_else(|| Some(observe::unfinished(plans)), |folder| look(question, suite, folder));
    let finished = looked.as_ref().map(|found| found.finished);

    let mut tried = 0;
    let mut unusable = None;
    let mut time = None;
    if question.timed {
        let renderer = Renderer::new(plans, &generators, files);
        let sample: Vec<&ProbePlan> = sample(plans, encoder.numerics().batch.max(DRAWN));
        tried = sample.len();
        let started = Instant::now();
        let drawn: Vec<Result<RgbImage, String>> =
            sample.par_iter().map(|plan| draw(encoder, &renderer, plan)).collect();
        let drawing = started.elapsed() / tried.max(1) as u32;
        let refused: Vec<&String> = drawn.iter().filter_map(|drawn| drawn.as_ref().err()).collect();
        unusable = refused.first().map(|first| (refused.len(), (*first).clone()));
        let pictures: Vec<RgbImage> = drawn.into_iter().filter_map(Result::ok).collect();
        let found = looked.unwrap_or_else(|| observe::unfinished(plans));
        let prompts = if found.texts { &[] } else { prompts.as_slice() };
        time = measure(encoder, &pictures, &taps, prompts, drawing, &found.left)?;
    }

    let units = tapped(encoder, &taps);
    let values = (encoder.info().dimension, units.iter().sum());
    Ok(Cost {
        finished,
        time,
        tried,
        unusable,
        disk_bytes: disk(plans, prompts.len(), values, &units),
        values,
        memory_bytes: memory(suite, encoder, plans.len()),
    })
}

fn draw(encoder: &dyn Encoder, renderer: &Renderer<'_>, plan: &ProbePlan) -> Result<RgbImage, String> {
    let rendered = renderer.render(plan).map_err(|error| error.to_string())?;
    encoder.preprocess(&rendered.image).map_err(|error| error.to_string())
}

/// Some probes from everywhere in the plan, neighbours together.
fn sample(plans: &[ProbePlan], count: usize) -> Vec<&ProbePlan> {
    if plans.len() <= count {
        return plans.iter().collect();
    }
    let groups = count.div_ceil(NEIGHBOURS);
    let start = |group: usize| (plans.len() - NEIGHBOURS.min(plans.len())) * group / groups.saturating_sub(1).max(1);
    (0..groups).flat_map(|group| plans.iter().skip(start(group)).take(NEIGHBOURS)).take(count).collect()
}

/// One pass that warms caches and allocators, then some that count.
fn measure(
    encoder: &dyn Encoder,
    pictures: &[RgbImage],
    taps: &[Tap],
    prompts: &[String],
    drawing: Duration,
    left: &[usize],
) -> Result<Option<Time>, AuditError> {
    let numerics = encoder.numerics();
    let batch = &pictures[..pictures.len().min(numerics.batch)];
    if batch.is_empty() {
        return Ok(None);
    }
    let model = |error: ModelError| AuditError::Observe(error.into());
    let mut passes: Vec<Duration> = Vec::new();
    encoder.encode_images(batch, taps, &[]).map_err(model)?;
    while passes.len() < PASSES && passes.iter().sum::<Duration>() < PASSES_TAKE {
        let started = Instant::now();
        encoder.encode_images(batch, taps, &[]).map_err(model)?;
        passes.push(started.elapsed());
    }
    let mut texts = Duration::ZERO;
    if !prompts.is_empty() {
        let some = &prompts[..prompts.len().min(numerics.batch)];
        encoder.encode_texts(some).map_err(model)?;
        let started = Instant::now();
        encoder.encode_texts(some).map_err(model)?;
        texts = started.elapsed() * prompts.len().div_ceil(numerics.batch) as u32;
    }
    passes.sort_unstable();
    let pass = passes.get(passes.len() / 2).copied().unwrap_or_default();
    // A pass costs the same however full it is.
    let needed: usize = left.iter().map(|probes| probes.div_ceil(numerics.batch)).sum();
    let model = pass.mul_f64(needed as f64);
    let pictures = drawing.mul_f64(left.iter().sum::<usize>() as f64);
    // On a CPU drawing takes cores from the model; a GPU works while the next probes are drawn.
    let total = texts + if numerics.device == "cpu" { model + pictures } else { model.max(pictures) };
    let encoding = pass / numerics.batch as u32;
    Ok(Some(Time { total, encoding, drawing, texts, passes: passes.len() }))
}

/// What an earlier run left in `folder`; `None` when looking would take too long.
fn look(question: &Question<'_>, suite: &Suite, folder: &Path) -> Option<Found> {
    let plans = question.plans;
    let mut chunks = std::fs::read_dir(folder).into_iter().flatten().flatten();
    if !chunks.any(|entry| entry.file_name().to_string_lossy().ends_with(".arrow")) {
        return Some(observe::unfinished(plans));
    }
    let names: BTreeSet<&str> = plans.iter().flat_map(|plan| plan.recipe.files.iter().map(|name| &**name)).collect();
    if names.len() > HASHED_FILES {
        return None;
    }
    let sources = observe::sources(plans, question.files);
    Some(observe::found(&Job {
        plans,
        generators: &generators(suite),
        files: question.files,
        sources: &sources,
        encoder: question.encoder,
        taps: &taps(suite),
        interventions: &[],
        prompts: &prompts(suite),
        folder: folder.to_owned(),
        progress: &|_, _| (),
        stop: &AtomicBool::new(false),
    }))
}

/// Units of each tap.
fn tapped(encoder: &dyn Encoder, taps: &[Tap]) -> Vec<usize> {
    let sites = &encoder.info().sites;
    let units = |tap: &Tap| sites.iter().find(|(layer, site, _)| *layer == tap.layer && *site == tap.site);
    taps.iter().map(|tap| units(tap).map_or(0, |(_, _, units)| *units)).collect()
}

/// Bytes of the chunks and of the table of plans: four for every value, and what Arrow writes around them.
fn disk(plans: &[ProbePlan], prompts: usize, (embedding, units): (usize, usize), tapped: &[usize]) -> u64 {
    // Id, cover and notes with their offsets.
    let probe = 32 + 4 * (embedding + units) as u64;
    let chunks = observe::unfinished(plans).left.len() as u64;
    // A tap stands in columns of 64 units.
    let columns = 4 + tapped.iter().map(|units| units.div_ceil(64)).sum::<usize>() as u64;
    let texts = described(4) + (32 + 4 * embedding as u64) * prompts as u64;
    let step = plans.len().div_ceil(COUNTED).max(1);
    let counted: Vec<(u64, u64)> = plans.iter().step_by(step).map(row).collect();
    let row = counted.iter().map(|(bytes, _)| bytes).sum::<u64>() as f64 / counted.len().max(1) as f64;
    let table = described(counted.iter().map(|(_, columns)| *columns).max().unwrap_or_default());
    texts + table + chunks * described(columns) + probe * plans.len() as u64 + (row * plans.len() as f64) as u64
}

/// Bytes that describe the columns of an Arrow file: in its schema, twice, and in the record batch.
fn described(columns: u64) -> u64 {
    400 + 360 * columns
}

/// Bytes of a plan in the table, texts with their offsets and a bit each that says whether there is one; and its columns.
fn row(plan: &ProbePlan) -> (u64, u64) {
    let twins = [&plan.source, &plan.control].map(|twin| if twin.is_some() { 16 } else { 0 });
    let labels: Vec<u64> = plan.labels.iter().map(|(_, value)| value.len() as u64).collect();
    let columns = 5 + labels.len() as u64;
    let texts = (plan.set.len() + plan.cluster.len()) as u64 + twins.iter().chain(&labels).sum::<u64>();
    (16 + texts + 4 * columns + columns.div_ceil(8), columns)
}

/// Bytes that a run holds beside the model and the plans: the record, pixels of the chunks in flight, and of every probe its
/// place, cover, notes and first predictions.
fn memory(suite: &Suite, encoder: &dyn Encoder, probes: usize) -> u64 {
    let side = u64::from(encoder.info().image_size);
    let pixels = 3 * side * side * 3 * observe::CHUNK_PROBES as u64;
    // Five predictions of 12 bytes and their list, for every readout.
    let probe = 160 + 90 * suite.readouts.len() as u64;
    RECORD_BYTES + pixels + probe * probes as u64
}
