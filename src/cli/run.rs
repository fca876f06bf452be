//! `clip-audit run`: suite in; record, reports and exit code out.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::exit::{self, Failure};
use super::{Compute, Precision, default_output, place, report, say};
use crate::audit::{self, Choice, Request};
use crate::gate;
use crate::model::ModelSource;
use crate::report::check_templates;
use crate::types::{Artifact, Audit, ProbePlan, Thumbnails, Verdict, write_probes};

#[derive(Args)]
pub(super) struct Run {
    /// A suite file, or the name of a suite that ships (see `clip-audit list`)
    suite: String,
    /// The model, instead of the one the suite names: a name that ships or a checkpoint: a folder or a file
    #[arg(long)]
    model: Option<String>,
    /// Output folder [default: reports/NAME-OF-THE-SUITE]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Folder of finished chunks [default: observations/ in the output folder]
    #[arg(long)]
    cache: Option<PathBuf>,
    /// Report formats, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "html,json")]
    format: Vec<String>,
    /// Folder of templates that replace those of the program
    #[arg(long)]
    templates: Option<PathBuf>,
    /// An earlier audit.json of the same suite: the reports say what changed since
    #[arg(long)]
    baseline: Option<PathBuf>,
    /// Show less of the probes than the suite allows; more is never shown
    #[arg(long, value_enum)]
    thumbnails: Option<Shown>,
    /// Show no progress
    #[arg(long)]
    quiet: bool,
    #[command(flatten)]
    compute: Compute,
}

/// How much of a probe a report shows.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Shown {
    /// Nothing
    None,
    /// Too little to recognise a face
    Blurred,
    /// As the model saw it
    Full,
}

impl From<Shown> for Thumbnails {
    fn from(shown: Shown) -> Self {
        match shown {
            Shown::None => Self::None,
            Shown::Blurred => Self::Blurred,
            Shown::Full => Self::Full,
        }
    }
}

impl Run {
    pub(super) fn run(&self, arguments: &[OsString]) -> anyhow::Result<u8> {
        let started = jiff::Timestamp::now();
        let formats = report::formats(&self.format)?;
        // Hours of work must not end at a template that could have been refused at once.
        self.templates.as_deref().map(check_templates).transpose()?;
        let placed = place::suite(&self.suite)?;
        let model = placed.model(self.model.as_deref(), self.compute.allow_download)?;
        let compute = self.compute.clone().saying(&placed, self.model.as_deref());
        let place::Placed { suite, files } = placed;
        suite.notes.iter().for_each(|note| say::log(note.to_string()));
        let baseline = self.baseline.as_deref().map(|path| report::baseline(path, &suite.name)).transpose()?;
        let folder = self.out.clone().map_or_else(|| default_output(&suite.name), Ok)?;
        let output = place::Output::open(&folder)?;
        let chunks = place::chunks(self.cache.as_deref(), &output)?;
        let source: ModelSource = model.parse()?;

        let stop = stop_on_interrupt()?;
        let bar = progress(self.quiet);
        let attempt = |batch: Option<usize>| {
            let open = |dtype| compute.open_as(&source, dtype, batch);
            let (encoder, precision) = match self.compute.dtype {
                Precision::Is(dtype) => (open(dtype)?, None),
                Precision::Auto => {
                    let choice = Choice { suite: &suite, files: &files, chunks: &chunks, stop: &stop, open: &open };
                    audit::choose(&choice).map(|(encoder, precision)| (encoder, Some(precision)))?
                }
            };
            let done = audit::run(&Request {
                suite: &suite,
                files: &files,
                encoder: &*encoder,
                chunks: chunks.clone(),
                today: jiff::tz::Offset::UTC.to_datetime(started).date(),
                thumbnails: self.thumbnails.map_or(Thumbnails::Full, Thumbnails::from),
                progress: &|planned, done, computed| show(&bar, planned, done, computed),
                stop: &stop,
            })?;
            Ok((done, precision))
        };
        let told = |batch| say::log(format!("memory ran out; starting again with a batch of {batch}"));
        let found = audit::within_memory(self.compute.batch.map(usize::from), &told, attempt);
        bar.finish_and_clear();
        let ((done, precision), too_large) = found?;
        let audit::Done { mut audit, chunks, plans, .. } = done;
        if let Some(first) = too_large {
            let batch = audit.numerics.batch;
            audit.notes.push(format!("memory ran out with a batch of {first}; the whole audit ran with {batch}"));
        }

        audit.provenance.precision = precision;
        audit.provenance.started = seconds(started);
        audit.provenance.finished = seconds(jiff::Timestamp::now());
        audit.provenance.system = format!("{} {}", std::env::consts::OS, std::env::consts::ARCH);
        audit.provenance.processor = processor();
        audit.provenance.command = command(arguments);
        observations(&mut audit, &chunks, &plans, &output)?;
        if let Some((before, sha256)) = baseline {
            audit.baseline = Some(gate::compare(&before, sha256, &audit));
        }
        self.tell_thumbnails(&audit);
        let written = report::write(&audit, &formats, self.templates.as_deref(), &output)?;
        summary(&audit)?;
        for path in written {
            say::line(format!("  {}", path.display()))?;
        }
        Ok(exit::of_judgement(audit.judgement))
    }
}

impl Run {
    /// Asking for more than the suite allows must not look as if it had been heard.
    fn tell_thumbnails(&self, audit: &Audit) {
        let Some(asked) = self.thumbnails.map(Thumbnails::from) else { return };
        for set in audit.suite.sets.iter().filter(|set| set.thumbnails < asked) {
            say::log(format!("--thumbnails shows no more of `{}` than the suite allows", set.id));
        }
    }
}

/// Writes what joins the chunks to their probes, so that anybody can compute the numbers again.
fn observations(
    audit: &mut Audit,
    chunks: &[PathBuf],
    plans: &[ProbePlan],
    output: &place::Output,
) -> anyhow::Result<()> {
    let listing: String = chunks.iter().filter_map(|path| Some(format!("{}\n", path.file_name()?.to_str()?))).collect();
    output.write("observations.txt", |out| Ok(out.write_all(listing.as_bytes())?))?;
    write_probes(&output.folder().join("probes.arrow"), plans)
        .map_err(|error| Failure::environment(error.to_string()))?;
    let artifact = |name: &str, about: &str| Artifact { name: name.to_owned(), about: about.to_owned() };
    audit.provenance.artifacts = vec![
        artifact("probes.arrow", "every probe planned: id, set, cluster, twins, labels"),
        artifact(
            "observations.txt",
            "the Arrow files with what the model said: of the prompts, then of the probes in the order of the plan",
        ),
    ];
    Ok(())
}

/// The judgement and the findings in a few lines.
fn summary(audit: &Audit) -> std::io::Result<()> {
    say::line(format!("{} {}: {}", word(audit.judgement), audit.suite.name, audit.reason))?;
    for finding in &audit.findings {
        let mark = match finding.verdict {
            Verdict::Pass => "pass",
            Verdict::Fail => "FAIL",
            Verdict::Warn => "warn",
            Verdict::Inconclusive => "undecided",
            Verdict::NotMeasured => "not measured",
            Verdict::Waived => "waived",
        };
        say::line(format!("  {mark:<12} {}: {}", finding.name(), finding.message))?;
    }
    if !audit.quarantined.is_empty() {
        say::line(format!("  {} inputs could not be used; the reports list them", audit.quarantined.len()))?;
    }
    let provenance = &audit.provenance;
    say::line(format!("  {} probes computed, {} reused", provenance.probes_computed, provenance.probes_reused))
}

fn word(judgement: crate::types::Judgement) -> &'static str {
    match judgement {
        crate::types::Judgement::Pass => "PASS",
        crate::types::Judgement::Fail => "FAIL",
        crate::types::Judgement::Inconclusive => "INCONCLUSIVE",
    }
}

/// A bar on a terminal's stderr; nothing where nobody looks.
pub(super) fn progress(quiet: bool) -> ProgressBar {
    let hidden = quiet || !std::io::stderr().is_terminal();
    let target = if hidden { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let bar = ProgressBar::with_draw_target(None, target);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} probes, {msg}, {eta} left") {
        bar.set_style(style);
    }
    bar
}

/// Moves the bar.
pub(super) fn show(bar: &ProgressBar, planned: usize, done: usize, computed: usize) {
    bar.set_length(planned as u64);
    bar.set_position(done as u64);
    bar.set_message(format!("{computed} computed"));
}

/// The first interrupt lets the chunk in flight finish; the second ends the process at once.
fn stop_on_interrupt() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(exit::INTERRUPTED));
        }
        say::log("finishing the chunk in flight; interrupt again to stop at once");
    })
    .map_err(|error| Failure::environment(format!("cannot watch for interrupts: {error}")))?;
    Ok(stop)
}

/// UTC to the second, RFC 3339.
fn seconds(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn processor() -> String {
    let information = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = information.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map(|(_, name)| name.trim().to_owned()).unwrap_or_default()
}

/// The command as it can be typed again; the program by its name, not by where it happens to stand.
fn command(arguments: &[OsString]) -> String {
    let quote = |argument: &OsString| {
        let text = argument.to_string_lossy();
        let plain = text.chars().all(|character| character.is_ascii_alphanumeric() || "-_./=,:".contains(character));
        if plain && !text.is_empty() { text.into_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
    };
    let rest = arguments.iter().skip(1).map(quote);
    std::iter::once("clip-audit".to_owned()).chain(rest).collect::<Vec<_>>().join(" ")
}
