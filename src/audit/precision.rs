//! The precision that `--dtype auto` takes: the fastest of several that says of a sample of the probes what f32 says of
//! them. A precision is a profile of its own, so the choice is made once, before the audit, and kept beside its chunks.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use image::RgbImage;
use tempfile::TempDir;

use super::{AuditError, bound, generators, groups, prompts, read, taps};
use crate::measure::Predictions;
use crate::model::{Dtype, Encoder, ModelError};
use crate::observe::{self, Job, Sources};
use crate::probe::Files;
use crate::suite::{self, Suite};
use crate::types::{Chunk, Matrix, Observations, Precision, ProbeId, ProbePlan, Trial, digest, temporary_file};

/// Probes that every precision is tried on.
const SAMPLE: usize = 256;

/// Cosines below this between the embeddings, or the tapped activations, of one probe are no agreement.
const COSINE: f64 = 0.999;

/// The share of predictions whose first label may be another one than in f32.
const FLIPPED: f64 = 0.005;

/// How close f32's first two probabilities have to be for its first label to be a matter of rounding.
const MARGIN: f64 = 0.05;

/// What to choose for.
pub struct Choice<'a> {
    /// The suite, read and checked.
    pub suite: &'a Suite,
    /// The suite's files.
    pub files: &'a Files,
    /// Folder of finished chunks, where the choice is kept for a run that goes on.
    pub chunks: &'a Path,
    /// Set by an interrupt.
    pub stop: &'a AtomicBool,
    /// Opens the model in a precision.
    pub open: &'a dyn Fn(Dtype) -> Result<Box<dyn Encoder>, ModelError>,
}

/// The model in the fastest precision that agrees with f32, and what every one said.
///
/// # Errors
/// When the suite does not fit its files, or the model fails in f32. A candidate that fails does not agree.
pub fn choose(choice: &Choice<'_>) -> Result<(Box<dyn Encoder>, Precision), AuditError> {
    let exact = (choice.open)(Dtype::F32)?;
    let suite = bound(choice.suite, exact.info());
    let planned = suite::plan(&suite, choice.files, exact.info().image_size)?;
    let plans = sample(&planned.plans, &suite);
    let sources = observe::sources(&plans, choice.files);
    let kept = kept(choice, &*exact, &plans, &sources);
    if let Some(precision) = fs::read(&kept).ok().and_then(|bytes| serde_json::from_slice::<Precision>(&bytes).ok())
        && let Ok(dtype) = precision.chosen.parse()
    {
        let encoder = if dtype == Dtype::F32 { exact } else { (choice.open)(dtype)? };
        return Ok((encoder, precision));
    }

    let look = |encoder: &dyn Encoder| look(choice, &suite, &plans, &sources, encoder);
    let reference = look(&*exact)?;
    let mut precision =
        Precision { sample: plans.len(), chosen: String::new(), trials: vec![reference.trial(&reference)?] };
    let mut best = (reference.images_per_second, exact);
    for &dtype in candidates(&best.1.numerics().device) {
        let tried = (choice.open)(dtype).map_err(AuditError::Model).and_then(|encoder| Ok((look(&*encoder)?, encoder)));
        let trial = match tried {
            Ok((seen, encoder)) => {
                let trial = seen.trial(&reference)?;
                if trial.agrees && seen.images_per_second > best.0 {
                    best = (seen.images_per_second, encoder);
                }
                trial
            }
            Err(error @ AuditError::Observe(observe::ObserveError::Interrupted { .. })) => return Err(error),
            Err(error) if error.out_of_memory().is_some() => return Err(error),
            Err(error) => Trial { dtype: dtype.to_string(), problem: Some(error.to_string()), ..Trial::default() },
        };
        precision.trials.push(trial);
    }
    let encoder = best.1;
    precision.chosen.clone_from(&encoder.numerics().dtype);
    keep(&kept, &precision)?;
    Ok((encoder, precision))
}

/// What is tried beside f32. No processor that runs this program computes faster in f16 than in bf16.
fn candidates(device: &str) -> &'static [Dtype] {
    if device == "cpu" { &[Dtype::Bf16] } else { &[Dtype::Bf16, Dtype::F16] }
}

/// Where the choice for this model, machine and sample is kept.
fn kept(choice: &Choice<'_>, exact: &dyn Encoder, plans: &[ProbePlan], sources: &Sources) -> PathBuf {
    let mut parts = vec![
        env!("CARGO_PKG_VERSION").to_owned(),
        exact.info().record.fingerprint.to_string(),
        format!("{:?}", exact.numerics()),
        format!("{SAMPLE} {COSINE} {FLIPPED} {MARGIN}"),
    ];
    parts.extend(plans.iter().map(|plan| plan.id.to_string()));
    parts.extend(sources.iter().map(|(name, source)| format!("{name} {source:?}")));
    parts.extend(prompts(choice.suite));
    choice.chunks.join(format!("{}.precision.json", &digest(&parts)[..32]))
}

/// Writes the choice under a temporary name, so that it stands whole or not at all.
fn keep(path: &Path, precision: &Precision) -> Result<(), AuditError> {
    let failed = |error: &dyn std::fmt::Display| AuditError::Precision(format!("{}: {error}", path.display()));
    let folder = path.parent().unwrap_or(Path::new("."));
    let file = temporary_file(folder, "precision").map_err(|error| failed(&error))?;
    serde_json::to_writer_pretty(&file, precision).map_err(|error| failed(&error))?;
    file.persist(path).map_err(|error| failed(&error))?;
    Ok(())
}

/// Probes spread over sets and groups, the same ones for the same suite and seed: one of every group after the other, in
/// the order of a digest, which has nothing to do with what they show. Their clean twins come along, for they are drawn
/// from them.
fn sample(plans: &[ProbePlan], suite: &Suite) -> Vec<ProbePlan> {
    let by = groups(suite);
    let mut cells: BTreeMap<Vec<&str>, Vec<usize>> = BTreeMap::new();
    for (index, plan) in plans.iter().enumerate() {
        let labels = by.iter().map(|name| plan.labels.get(name).map_or("", |value| value));
        cells.entry(std::iter::once(&*plan.set).chain(labels).collect()).or_default().push(index);
    }
    let mut cells: Vec<Vec<usize>> = cells.into_values().collect();
    let place = |index: &usize| digest(&[suite.seed.to_string(), plans[*index].id.to_string()]);
    cells.iter_mut().for_each(|cell| cell.sort_by_cached_key(place));
    let longest = cells.iter().map(Vec::len).max().unwrap_or(0);
    let turns = (0..longest).flat_map(|turn| cells.iter().filter_map(move |cell| cell.get(turn)));
    let taken: Vec<usize> = turns.copied().take(SAMPLE).collect();
    let twins: BTreeSet<_> = taken.iter().filter_map(|&index| plans.get(index)?.source.as_ref()).collect();
    let mut wanted: BTreeSet<usize> = taken.iter().copied().collect();
    wanted.extend(plans.iter().enumerate().filter(|(_, plan)| twins.contains(&plan.id)).map(|(index, _)| index));
    wanted.into_iter().filter_map(|index| plans.get(index).cloned()).collect()
}

/// What the model said in one precision.
struct Look {
    dtype: String,
    images_per_second: f64,
    observations: Observations,
    readouts: BTreeMap<String, Predictions>,
    /// The chunks that the observations are read from.
    _folder: TempDir,
}

fn look(
    choice: &Choice<'_>,
    suite: &Suite,
    plans: &[ProbePlan],
    sources: &Sources,
    encoder: &dyn Encoder,
) -> Result<Look, AuditError> {
    let folder =
        tempfile::tempdir().map_err(|error| AuditError::Precision(format!("a folder for the sample: {error}")))?;
    let (generators, taps, prompts) = (generators(suite), taps(suite), prompts(suite));
    // The first pass of a precision chooses kernels and lays weights out.
    let side = encoder.info().image_size;
    encoder.encode_images(&vec![RgbImage::new(side, side); encoder.numerics().batch], &taps, &[])?;
    let observed = observe::observe(&Job {
        plans: &Arc::new(plans.to_vec()),
        generators: &generators,
        files: choice.files,
        sources,
        encoder,
        taps: &taps,
        interventions: &[],
        prompts: &prompts,
        folder: folder.path().to_owned(),
        progress: &|_, _| (),
        stop: choice.stop,
    })?;
    let readouts = read(suite, &observed.observations)?;
    Ok(Look {
        dtype: encoder.numerics().dtype.clone(),
        images_per_second: observed.computed as f64 / observed.spent.encoding.as_secs_f64().max(1e-9),
        observations: observed.observations,
        readouts,
        _folder: folder,
    })
}

impl Look {
    /// Compares with what the reference said of the same probes.
    fn trial(&self, reference: &Self) -> Result<Trial, AuditError> {
        let mut trial = Trial {
            dtype: self.dtype.clone(),
            images_per_second: self.images_per_second,
            cosine: 1.0,
            ..Trial::default()
        };
        let vectors = reference.vectors()?;
        let mut ours = self.vectors()?;
        for (id, expected) in &vectors {
            let found = ours.remove(id).unwrap_or_default();
            trial.lost += usize::from(found.len() != expected.len());
            let cosines = expected.iter().zip(&found).map(|(expected, found)| cosine(expected, found));
            trial.cosine = cosines.fold(trial.cosine, f64::min);
        }
        // A probe that f32 has no answer to and this one has is a disagreement as well.
        trial.lost += ours.len();
        for (id, expected) in &reference.readouts {
            let Some(found) = self.readouts.get(id) else { continue };
            for (row, probe) in reference.observations.probes.iter().enumerate() {
                let Some(other) = self.observations.row(&probe.plan.id) else { continue };
                trial.predictions += 1;
                if expected.top1(row) != found.top1(other) {
                    trial.flipped += 1;
                    let [first, second, ..] = expected.top[row][..] else { continue };
                    trial.margin = trial.margin.max(f64::from(first.probability - second.probability));
                }
            }
        }
        let allowed = FLIPPED * trial.predictions as f64;
        trial.agrees =
            trial.lost == 0 && trial.cosine >= COSINE && trial.flipped as f64 <= allowed && trial.margin <= MARGIN;
        Ok(trial)
    }

    /// Of every probe its embedding and its activations, tap by tap.
    fn vectors(&self) -> Result<BTreeMap<ProbeId, Vec<Vec<f32>>>, AuditError> {
        let mut vectors = BTreeMap::new();
        let visit = |_, chunk: &Chunk| {
            for (row, id) in chunk.ids.iter().enumerate() {
                let of = |matrix: &Matrix| matrix.row(row).to_vec();
                let all = std::iter::once(&chunk.embeddings).chain(chunk.taps.values()).map(of).collect();
                vectors.insert(id.clone(), all);
            }
        };
        self.observations.for_each_chunk(visit).map_err(|error| AuditError::Precision(error.to_string()))?;
        Ok(vectors)
    }
}

/// The cosine of two vectors; 1 for two zeros, which say the same, and 0 for a zero beside anything else.
fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let (aa, bb) = (dot(a, a), dot(b, b));
    match (aa == 0.0, bb == 0.0) {
        (true, true) => 1.0,
        (false, false) => dot(a, b) / (aa * bb).sqrt(),
        _ => 0.0,
    }
}
