//! The training itself, readable in one function: draw, look, compare, step, now and then measure and save.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use clip_audit::model::Tokenizer;
use rayon::prelude::*;
use tch::{Device, Kind, Tensor};

use crate::chance::Chance;
use crate::corpus::Corpus;
use crate::course::Course;
use crate::optimiser::{AdamW, contrastive, joining, rate};
use crate::sample::{Sample, Source};
use crate::towers::{REFERENCE, Towers};
use crate::{draw, measure, store};

/// What a run needs to know. The same plan, on the same kind of machine, gives the same weights.
pub(crate) struct Plan {
    pub(crate) course: &'static Course,
    pub(crate) data: PathBuf,
    /// Folder of the run: checkpoint, curves and, in the end, the model.
    pub(crate) out: PathBuf,
    /// open_clip folder of the model that a sibling starts from.
    pub(crate) base: Option<PathBuf>,
    pub(crate) steps: u64,
    pub(crate) seed: u64,
    /// Stop after this many steps of this process, as if killed; the schedule does not change.
    pub(crate) stop_after: Option<u64>,
    pub(crate) device: Device,
}

/// Steps between measurings.
const MEASURE_EVERY: u64 = 1000;

/// Trains, or goes on where a checkpoint ends. Gives whether the training is finished.
pub(crate) fn run(plan: &Plan) -> Result<bool> {
    fs::create_dir_all(&plan.out)?;
    let corpus = Corpus::read(&plan.data)?;
    let source = Source::new(&corpus);
    let tokenizer = Tokenizer::new(REFERENCE.vocabulary as usize, REFERENCE.context as usize)?;
    let (mut towers, mut optimiser) = match store::resume(&plan.out, REFERENCE)? {
        Some(found) => found,
        None => begin(plan)?,
    };
    towers.place(plan.device);
    optimiser.place(plan.device);
    let first = optimiser.step;
    // A checkpoint never parts the steps of a line of the curves.
    let log_every = (plan.steps / 40).clamp(5, 50);
    let save_every = 4 * log_every;
    let mut curves = Curves::open(&plan.out.join("curves.jsonl"), first)?;
    eprintln!("{} parameters, {} pictures, from step {first} of {}", towers.count(), corpus.entries.len(), plan.steps);
    while optimiser.step < plan.steps {
        let step = optimiser.step;
        if plan.stop_after.is_some_and(|count| step >= first + count) {
            return Ok(false);
        }
        let started = Instant::now();
        let samples = source.batch(plan.seed, step, (plan.course.mix)(step as f64 / plan.steps as f64));
        let batch = Batch::new(&corpus, &tokenizer, &samples, plan, step)?;
        let drawn = started.elapsed().as_secs_f64();
        let seen = towers.image(&batch.pixels, plan.course.changes.is_none());
        let texts = towers.text(&batch.tokens, Kind::BFloat16);
        let scale = towers.scale();
        let (loss, rows) = contrastive(&seen.features, &texts, &scale, &batch.truth);
        let joined = joining(&seen.units, &batch.pairs, &batch.others);
        (&loss + &joined * plan.course.joining).backward();
        let rate = rate(plan.course.peak_rate, step, plan.course.rise, plan.steps);
        let gradient = optimiser.update(&mut towers.weights, rate);
        towers.limit_scale();
        curves.add(&Row {
            loss: loss.double_value(&[]),
            joined: joined.double_value(&[]),
            kinds: by_kind(&rows, &samples),
            gradient,
            scale: scale.double_value(&[]),
            drawn_s: drawn,
            all_s: started.elapsed().as_secs_f64(),
        });
        let done = optimiser.step;
        if done.is_multiple_of(log_every) || done == plan.steps {
            curves.write(done, rate)?;
        }
        if done.is_multiple_of(MEASURE_EVERY) && done < plan.steps {
            curves.figures(done, &measure::quick(&towers, &corpus, &tokenizer)?)?;
        }
        if done.is_multiple_of(save_every) || done == plan.steps {
            store::save(&plan.out, &towers, &optimiser)?;
        }
    }
    let model = plan.out.join("model");
    match (&plan.base, plan.course.changes) {
        (Some(base), Some(_)) => store::export_overlay(&model, base, &towers)?,
        _ => store::export(&model, &towers, optimiser.step)?,
    }
    Ok(true)
}

/// The towers and the optimiser before the first step.
fn begin(plan: &Plan) -> Result<(Towers, AdamW)> {
    let Some(changes) = plan.course.changes else {
        tch::manual_seed(plan.seed as i64);
        let towers = Towers::new(REFERENCE);
        let optimiser = AdamW::new(&towers.weights);
        return Ok((towers, optimiser));
    };
    let base = plan.base.as_ref().with_context(|| format!("{} starts from a model: give --base", plan.course.name))?;
    let mut towers = store::import(base)?;
    for (name, weight) in &mut towers.weights {
        *weight = weight.set_requires_grad(changes.iter().any(|start| name.starts_with(start)));
    }
    let optimiser = AdamW::new(&towers.weights);
    Ok((towers, optimiser))
}

/// A batch as tensors.
struct Batch {
    /// bf16 [N, 3, S, S], normalised, channels last.
    pixels: Tensor,
    /// int64 [N, L].
    tokens: Tensor,
    /// f32 [N, N], 1 where text j is true of image i.
    truth: Tensor,
    /// f32 [N, N], 1 where i and j show one thing, as picture and as word.
    pairs: Tensor,
    /// f32 [N, N], 1 where i and j show different things.
    others: Tensor,
}

impl Batch {
    fn new(corpus: &Corpus, tokenizer: &Tokenizer, samples: &[Sample], plan: &Plan, step: u64) -> Result<Self> {
        let side = REFERENCE.image_px as usize;
        let drawn: Vec<Vec<f32>> = samples
            .par_iter()
            .enumerate()
            .map(|(number, sample)| {
                draw::sample(corpus, sample, side, &mut Chance::new(plan.seed, step, number as u64))
            })
            .collect();
        let count = samples.len();
        let square = |test: fn(&Sample, &Sample) -> bool| {
            let values: Vec<f32> = samples
                .iter()
                .flat_map(|image| samples.iter().map(move |other| f32::from(u8::from(test(image, other)))))
                .collect();
            Tensor::from_slice(&values).view([count as i64, -1]).to_device(plan.device)
        };
        let captions: Vec<&str> = samples.iter().map(|sample| fitting(tokenizer, &sample.caption)).collect();
        Ok(Self {
            pixels: pixels(&drawn, side, Kind::BFloat16).to_device(plan.device),
            tokens: tokens(tokenizer, &captions)?.to_device(plan.device),
            truth: square(|image, other| image.allows(other)),
            pairs: square(Sample::pairs_with),
            others: square(Sample::differs_from),
        })
    }
}

/// As many whole words of a caption as the context takes; all of them, but for one caption in ten thousand.
fn fitting<'a>(tokenizer: &Tokenizer, caption: &'a str) -> &'a str {
    let mut fitting = caption;
    while tokenizer.encode(fitting).is_err() {
        let Some((fewer, _)) = fitting.rsplit_once(' ') else { break };
        fitting = fewer;
    }
    fitting
}

/// Drawn images, f32 [side, side, 3] each, as a tensor [N, 3, S, S], channels last.
pub(crate) fn pixels(drawn: &[Vec<f32>], side: usize, kind: Kind) -> Tensor {
    let values = drawn.concat();
    Tensor::from_slice(&values).view([-1, side as i64, side as i64, 3]).to_kind(kind).permute([0, 3, 1, 2])
}

/// Texts as int64 [M, L]: L is the longest of them, which changes no feature, for nothing looks beyond a text's end.
pub(crate) fn tokens(tokenizer: &Tokenizer, texts: &[&str]) -> Result<Tensor> {
    let encoded = texts.iter().map(|text| tokenizer.encode(text).with_context(|| (*text).to_owned()));
    let encoded: Vec<Vec<u32>> = encoded.collect::<Result<_>>()?;
    let used = |ids: &Vec<u32>| ids.iter().rposition(|id| *id != 0).map_or(0, |last| last + 1);
    let longest = encoded.iter().map(used).max().unwrap_or(0);
    let ids: Vec<i64> = encoded.iter().flat_map(|ids| ids[..longest].iter().map(|id| i64::from(*id))).collect();
    Ok(Tensor::from_slice(&ids).view([texts.len() as i64, -1]))
}

/// Mean loss of each kind of image.
fn by_kind(rows: &Tensor, samples: &[Sample]) -> [f64; 3] {
    let mut values = vec![0.0_f32; samples.len()];
    rows.to_device(Device::Cpu).copy_data(&mut values, samples.len());
    std::array::from_fn(|kind| {
        let of_kind = samples.iter().zip(&values).filter(|(sample, _)| sample.kind() == kind);
        let (sum, count) = of_kind.fold((0.0, 0.0), |(sum, count), (_, value)| (sum + f64::from(*value), count + 1.0));
        if count > 0.0 { sum / count } else { 0.0 }
    })
}

/// What a step leaves behind.
struct Row {
    loss: f64,
    joined: f64,
    kinds: [f64; 3],
    gradient: f64,
    scale: f64,
    drawn_s: f64,
    all_s: f64,
}

/// The curves of a run, one JSON object a line: means over the steps since the last line, and figures.
struct Curves {
    file: File,
    sums: [f64; 9],
    steps: f64,
}

impl Curves {
    const NAMES: [&'static str; 9] =
        ["loss", "joining", "loss_picture", "loss_word", "loss_overlay", "gradient", "scale", "drawing_s", "step_s"];

    /// Goes on after the lines of the steps before `first`: what a killed run wrote beyond its checkpoint is dropped, for it
    /// is written again.
    fn open(path: &Path, first: u64) -> Result<Self> {
        let known = fs::read_to_string(path).unwrap_or_default();
        let kept = known.lines().filter(|line| {
            let step = serde_json::from_str::<serde_json::Value>(line).ok().and_then(|row| row["step"].as_u64());
            step.is_some_and(|step| step <= first)
        });
        let kept: String = kept.flat_map(|line| [line, "\n"]).collect();
        fs::write(path, kept)?;
        let file = File::options().append(true).open(path)?;
        Ok(Self { file, sums: [0.0; 9], steps: 0.0 })
    }

    fn add(&mut self, row: &Row) {
        let [picture, word, overlay] = row.kinds;
        let values = [row.loss, row.joined, picture, word, overlay, row.gradient, row.scale, row.drawn_s, row.all_s];
        for (sum, value) in self.sums.iter_mut().zip(values) {
            *sum += value;
        }
        self.steps += 1.0;
    }

    fn write(&mut self, step: u64, rate: f64) -> Result<()> {
        let mut row = serde_json::Map::new();
        row.insert("step".to_owned(), step.into());
        row.insert("rate".to_owned(), rate.into());
        for (name, sum) in Self::NAMES.iter().zip(self.sums) {
            row.insert((*name).to_owned(), rounded(sum / self.steps));
        }
        (self.sums, self.steps) = ([0.0; 9], 0.0);
        self.line(&row)
    }

    fn figures(&mut self, step: u64, figures: &[(String, f64)]) -> Result<()> {
        let mut row = serde_json::Map::new();
        row.insert("step".to_owned(), step.into());
        row.extend(figures.iter().map(|(name, value)| (name.clone(), rounded(*value))));
        self.line(&row)
    }

    fn line(&mut self, row: &serde_json::Map<String, serde_json::Value>) -> Result<()> {
        let line = serde_json::to_string(row)?;
        eprintln!("{line}");
        writeln!(self.file, "{line}")?;
        Ok(())
    }
}

fn rounded(value: f64) -> serde_json::Value {
    ((value * 10_000.0).round() / 10_000.0).into()
}
