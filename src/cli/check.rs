//! `clip-audit check`: reads and checks a suite, counts its probes, and estimates what auditing them costs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::process::Process;
use super::{Compute, Precision, default_output, exit, place, say};
use crate::audit::{self, Cost, Question};
use crate::model::{Dtype, Encoder};
use crate::suite;

#[derive(Args)]
pub(super) struct Check {
    /// A suite file, or the name of a suite that ships
    suite: String,
    /// The model, instead of the one the suite names
    #[arg(long)]
    model: Option<String>,
    /// Output folder of the run, where finished work may stand [default: reports/NAME-OF-THE-SUITE]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Folder of finished chunks [default: observations/ in the output folder]
    #[arg(long)]
    cache: Option<PathBuf>,
    /// Measure no time: the model is loaded but not run
    #[arg(long)]
    fast: bool,
    #[command(flatten)]
    compute: Compute,
}

impl Check {
    pub(super) fn run(&self) -> anyhow::Result<u8> {
        let placed = place::suite(&self.suite)?;
        let source = placed.model(self.model.as_deref(), self.compute.allow_download)?.parse()?;
        let compute = self.compute.clone().saying(&placed, self.model.as_deref());
        let place::Placed { suite, files } = placed;
        // A name that cannot be a folder is `run`'s to refuse.
        let out = self.out.clone().or_else(|| default_output(&suite.name).ok());
        let chunks = self.cache.clone().or_else(|| Some(out?.join("observations")));
        // What `auto` will choose is found out on the probes of a run; nothing it may choose is slower.
        let (dtype, auto) = match self.compute.dtype {
            Precision::Is(dtype) => (dtype, false),
            Precision::Auto => (Dtype::F32, true),
        };
        let attempt = |batch| {
            let encoder = compute.open_as(&source, dtype, batch)?;
            let planned = suite::plan(&suite, &files, encoder.info().image_size)?;
            let plans = Arc::new(planned.plans);
            let question = Question {
                suite: &suite,
                files: &files,
                encoder: &*encoder,
                plans: &plans,
                chunks: chunks.as_deref(),
                timed: !self.fast,
            };
            let cost = audit::cost(&question)?;
            Ok((encoder, plans, planned.notes, cost))
        };
        let found = audit::within_memory(self.compute.batch.map(usize::from), &|_| (), attempt)?;
        let ((encoder, plans, notes, cost), _) = found;
        for (set, probes) in audit::sizes(&plans) {
            say::line(format!("{set}: {probes} probes"))?;
        }
        for note in suite.notes.iter().chain(&notes) {
            say::line(format!("note: {note}"))?;
        }
        if auto {
            say::line("note: measured in f32; --dtype auto may find something faster")?;
        }
        for line in lines(&cost, plans.len(), &*encoder) {
            say::line(line)?;
        }
        say::line(format!(
            "{}: ok, {} probes, {} measures, {} gates",
            suite.name,
            plans.len(),
            suite.measures.len(),
            suite.gates.len()
        ))?;
        Ok(exit::PASS)
    }
}

/// The cost in words, with what each number rests on.
fn lines(cost: &Cost, probes: usize, encoder: &dyn Encoder) -> Vec<String> {
    let numerics = encoder.numerics();
    let mut lines = Vec::new();
    if let Some((count, first)) = &cost.unusable {
        lines.push(format!("note: {count} of {} probes that were tried cannot be used: {first}", cost.tried));
    }
    match cost.finished {
        Some(0) => {}
        Some(finished) => lines.push(format!("finished: {finished} of {probes} probes, which are not computed again")),
        None => lines.push("finished: not looked for, because too many files would have to be read".to_owned()),
    }
    if let Some(time) = &cost.time {
        let each = |duration: Duration| format!("{:.2} ms", duration.as_secs_f64() * 1e3);
        lines.push(format!(
            "time: about {} without measures and reports (each probe {} of the model and {} of drawing; the prompts {})",
            span(time.total),
            each(time.encoding),
            each(time.drawing),
            span(time.texts),
        ));
        lines.push(format!(
            "  measured on {} and {} of {} pictures on {}, {}, with {}; a busy machine takes longer",
            audit::probes(cost.tried),
            counted(time.passes, "pass", "passes"),
            numerics.batch,
            numerics.device,
            numerics.dtype,
            counted(numerics.threads, "thread", "threads"),
        ));
    } else if cost.tried > 0 {
        lines.push("time: unknown, because no probe that was tried can be used".to_owned());
    }
    let (embedding, units) = cost.values;
    lines.push(format!(
        "disk: about {} without reports; of every probe {embedding} values of the embedding and {units} of units",
        size(cost.disk_bytes)
    ));
    let peak = Process::now().peak_memory_bytes;
    if peak > 0 {
        lines.push(format!(
            "memory: about {}: {} as this check, and {} for pictures in flight, predictions and the record",
            size(peak + cost.memory_bytes),
            size(peak),
            size(cost.memory_bytes)
        ));
    }
    lines
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// A time as one says it: two digits are all an estimate has.
fn span(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds {
        0.0 => "0 s".to_owned(),
        ..0.095 => "0.1 s".to_owned(),
        0.095..9.95 => format!("{seconds:.1} s"),
        9.95..99.5 => format!("{seconds:.0} s"),
        99.5..5970.0 => format!("{:.0} min", seconds / 60.0),
        5970.0..172_800.0 => format!("{:.1} h", seconds / 3600.0),
        _ => format!("{:.1} days", seconds / 86_400.0),
    }
}

/// Bytes in decimal units.
fn size(bytes: u64) -> String {
    let bytes = bytes as f64;
    match bytes {
        ..995_000.0 => format!("{:.0} kB", bytes / 1e3),
        995_000.0..9_950_000.0 => format!("{:.1} MB", bytes / 1e6),
        9_950_000.0..995_000_000.0 => format!("{:.0} MB", bytes / 1e6),
        _ => format!("{:.1} GB", bytes / 1e9),
    }
}
