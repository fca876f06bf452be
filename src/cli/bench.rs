//! `clip-audit bench`: how fast this machine runs a model, alone and inside a whole audit, and where the time goes.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use image::RgbImage;
use serde_json::{Value, json};

use super::exit::{self, Failure};
use super::process::Process;
use super::{Compute, place, run, say};
use crate::audit::{self, Request};
use crate::model::{ARCHITECTURES, Encoder, ModelSource};
use crate::types::Thumbnails;

#[derive(Args)]
pub(super) struct Bench {
    /// The suite of the audit: a file, or the name of a suite that ships
    #[arg(default_value = "typographic", conflicts_with = "encoder_only")]
    suite: String,
    /// The model, instead of the one the suite names: a name that ships or a checkpoint folder
    #[arg(long, conflicts_with = "arch")]
    model: Option<String>,
    /// Random weights in the size of a published model, by open_clip's name (RN50x4, ViT-B-32, ...)
    #[arg(long, requires = "random_weights", conflicts_with_all = ["expect_sha256", "quick_gelu"])]
    arch: Option<String>,
    /// Confirms that the weights of --arch are random: their audit means nothing but its speed
    #[arg(long, requires = "arch")]
    random_weights: bool,
    /// Measure the encoder alone, no audit
    #[arg(long)]
    encoder_only: bool,
    /// Measure the encoder for at least this long
    #[arg(long, default_value_t = 8.0, value_name = "SECONDS", value_parser = seconds)]
    seconds: f64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    compute: Compute,
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("`{text}` is not a number of seconds"))?;
    if (0.0..=3600.0).contains(&seconds) { Ok(seconds) } else { Err("expected 0 to 3600 seconds".to_owned()) }
}

impl Bench {
    pub(super) fn run(&self) -> anyhow::Result<u8> {
        let placed = (!self.encoder_only).then(|| place::suite(&self.suite)).transpose()?;
        let source = match (&self.arch, &placed) {
            (Some(name), _) => ModelSource::Random(name.clone()),
            (None, Some(placed)) => placed.model(self.model.as_deref(), self.compute.allow_download)?.parse()?,
            (None, None) => match &self.model {
                Some(model) => model.parse()?,
                None => {
                    let known = ARCHITECTURES.join(", ");
                    let message =
                        format!("no model to measure: give --model, or --random-weights with --arch (one of {known})");
                    return Err(Failure::usage(message).into());
                }
            },
        };
        let compute = match (&self.arch, &placed) {
            (None, Some(placed)) => self.compute.clone().saying(placed, self.model.as_deref()),
            _ => self.compute.clone(),
        };
        let encoder = compute.open(&source)?;
        let encoder = &*encoder;
        let mut found = json!({
            "model": encoder.info().record.name,
            "architecture": encoder.info().record.architecture,
            "random_weights": self.arch.is_some(),
            "numerics": encoder.numerics(),
            "encoder_images_per_second": images_per_second(encoder, self.seconds)?,
        });
        if let Some(placed) = placed {
            merge(&mut found, whole(encoder, placed)?);
        }
        let process = Process::now();
        found["peak_memory_bytes"] = json!(process.peak_memory_bytes);
        found["processor_seconds"] = json!(process.seconds);
        if self.json {
            say::line(serde_json::to_string_pretty(&found)?)?;
        } else {
            lines("", &found).iter().try_for_each(say::line)?;
        }
        Ok(exit::PASS)
    }
}

fn merge(into: &mut Value, from: Value) {
    if let (Some(into), Value::Object(from)) = (into.as_object_mut(), from) {
        into.extend(from);
    }
}

/// A value a line, nested ones behind the names they stand under.
fn lines(prefix: &str, value: &Value) -> Vec<String> {
    match value {
        Value::Object(entries) => entries
            .iter()
            .flat_map(|(name, value)| {
                let name = name.replace('_', " ");
                lines(&if prefix.is_empty() { name } else { format!("{prefix}, {name}") }, value)
            })
            .collect(),
        Value::Number(number) if number.is_f64() => {
            vec![format!("{prefix}: {:.3}", number.as_f64().unwrap_or_default())]
        }
        Value::String(text) => vec![format!("{prefix}: {text}")],
        other => vec![format!("{prefix}: {other}")],
    }
}

/// Pictures embedded in a second once everything is warm, from bytes to features. What is in the pictures does not matter.
fn images_per_second(encoder: &dyn Encoder, seconds: f64) -> anyhow::Result<f64> {
    let side = encoder.info().image_size;
    let picture = |number: u32| {
        RgbImage::from_fn(side, side, |x, y| {
            image::Rgb([x * 7 + number, y * 5, x * y + number].map(|value| value as u8))
        })
    };
    let count = encoder.numerics().batch as u32;
    let pictures: Vec<RgbImage> = (0..count).map(picture).collect();
    encoder.encode_images(&pictures, &[], &[])?;
    let (started, mut rounds) = (Instant::now(), 0.0);
    while rounds < 2.0 || started.elapsed().as_secs_f64() < seconds {
        encoder.encode_images(&pictures, &[], &[])?;
        rounds += 1.0;
    }
    Ok(rounds * f64::from(count) / started.elapsed().as_secs_f64())
}

/// A whole audit from nothing, in a folder that is thrown away.
fn whole(encoder: &dyn Encoder, placed: place::Placed) -> anyhow::Result<Value> {
    let folder = tempfile::tempdir().context("a folder for the observations")?;
    let place::Placed { suite, files } = placed;
    let bar = run::progress(false);
    let request = Request {
        suite: &suite,
        files: &files,
        encoder,
        chunks: PathBuf::from(folder.path()),
        today: jiff::tz::Offset::UTC.to_datetime(jiff::Timestamp::now()).date(),
        thumbnails: Thumbnails::Full,
        progress: &|planned, done, computed| run::show(&bar, planned, done, computed),
        stop: &AtomicBool::new(false),
    };
    let before = Process::now();
    let started = Instant::now();
    let done = audit::run(&request);
    bar.finish_and_clear();
    let (done, wall) = (done?, started.elapsed().as_secs_f64());
    let spent = &done.spent;
    let share = |part: Duration| part.as_secs_f64() / wall;
    Ok(json!({
        "suite": suite.name,
        "probes": done.plans.len(),
        "end_to_end_seconds": wall,
        "end_to_end_processor_seconds": Process::now().seconds - before.seconds,
        "end_to_end_images_per_second": done.audit.provenance.probes_computed as f64 / wall,
        // Of the wall clock: what the run waits for, one after the other.
        "share_of_wall": {
            "encode_texts": share(spent.texts),
            "encode_images": share(spent.encoding),
            "wait_for_pictures": share(spent.waiting),
            "write": share(spent.writing),
            "measure": share(spent.measuring),
        },
        // Summed over the threads that draw while the model works.
        "thread_seconds": {
            "render": spent.drawing.as_secs_f64(),
            "decode_and_preprocess": spent.fitting.as_secs_f64(),
        },
    }))
}
