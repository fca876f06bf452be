//! The command line: commands, printing, the environment and exit codes. The only room that prints or exits.

mod bench;
mod check;
mod completions;
mod embed;
pub mod exit;
mod hub;
mod init;
mod inspect;
mod list;
mod place;
mod preview;
mod process;
mod report;
mod run;
mod say;
mod schema;

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::model::{CheckpointOptions, DeviceChoice, Dtype, Encoder, LoadOptions, ModelError, ModelSource};
use exit::Failure;

#[derive(Parser)]
#[command(
    name = "clip-audit",
    version,
    about = "Audits CLIP-like image-text models for bias and robustness",
    after_help = "Exit codes: 0 every gate passed, 1 a gate failed, 2 usage or suite invalid, 3 model or input invalid,\n\
                  4 something undecided or unmeasured, 5 environment (device, memory, disk, folder in use), 130 interrupted."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run an audit: suite in, record, reports and exit code out
    Run(run::Run),
    /// Write a commented suite to start from, with pictures
    Init(init::Init),
    /// Read and check a suite and count its probes, without running the model
    Check(check::Check),
    /// Draw a contact sheet of a suite's probes
    Preview(preview::Preview),
    /// Write reports again from a record, without a model
    Report(report::Report),
    /// Write features and activations of images and texts, to compare a model with any reference
    Embed(embed::Embed),
    /// Show what a checkpoint is: architecture, hashes, taps, preprocessing
    Inspect(inspect::Inspect),
    /// List the kinds, suites, models and formats this program knows
    List(list::List),
    /// Measure how fast a model runs here, alone and inside a whole audit
    Bench(bench::Bench),
    /// Write the JSON Schema of a suite, for editors
    Schema(schema::Schema),
    /// Write the completions of a shell
    Completions(completions::Completions),
}

/// How the model runs.
#[derive(Args, Clone)]
struct Compute {
    /// Where the model runs: auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto", value_parser = str::parse::<DeviceChoice>)]
    device: DeviceChoice,
    /// Number format of the model: f32, bf16, f16, or auto: for `run`, the fastest that agrees with f32 on a sample
    #[arg(long, default_value = "f32", value_parser = precision)]
    dtype: Precision,
    /// Images per forward pass
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=4096))]
    batch: Option<u16>,
    /// Threads of the model (default: all cores)
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Whether the weights were trained with QuickGELU, where the checkpoint does not say
    #[arg(long, value_name = "true|false", value_parser = clap::value_parser!(bool))]
    quick_gelu: Option<bool>,
    /// SHA-256 that a file of weights must have, compared before it is parsed; once for each file
    #[arg(long, value_name = "HASH", value_parser = crate::model::sha256)]
    expect_sha256: Vec<String>,
    /// Let a suite name a model of Hugging Face's hub (hf://), and download what the cache lacks
    #[arg(long)]
    allow_download: bool,
    /// The suite's folder, where the suite names the model.
    #[arg(skip)]
    inside: Option<PathBuf>,
}

/// A number format, or the wish that the program choose.
#[derive(Clone, Copy)]
enum Precision {
    Auto,
    Is(Dtype),
}

fn precision(text: &str) -> Result<Precision, String> {
    match text {
        "auto" => Ok(Precision::Auto),
        text => text.parse().map(Precision::Is).map_err(|error: String| format!("{error}, or auto")),
    }
}

impl Compute {
    fn load(&self, model: &str) -> anyhow::Result<Box<dyn Encoder>> {
        self.open(&model.parse()?)
    }

    /// What the suite says of its model, where the command line does not say it otherwise.
    fn saying(mut self, placed: &place::Placed, given: Option<&str>) -> Self {
        let said = &placed.suite.model;
        if given.is_none() {
            self.inside = placed.folder().map(Path::to_owned);
            self.quick_gelu = self.quick_gelu.or(said.quick_gelu);
            if self.expect_sha256.is_empty() {
                self.expect_sha256 = said.expected();
            }
        } else if !said.expected().is_empty() && self.expect_sha256.is_empty() {
            say::log(
                "note: expect-sha256 of the suite is for its own model; the one of --model is not compared with it",
            );
        }
        self
    }

    fn open(&self, source: &ModelSource) -> anyhow::Result<Box<dyn Encoder>> {
        let Precision::Is(dtype) = self.dtype else {
            let message = "--dtype auto compares number formats on the probes of a suite, which only `run` shows to the \
                           model: give f32, bf16 or f16";
            return Err(Failure::usage(message).into());
        };
        Ok(self.open_as(source, dtype, self.batch.map(usize::from))?)
    }

    fn open_as(
        &self,
        source: &ModelSource,
        dtype: Dtype,
        batch: Option<usize>,
    ) -> Result<Box<dyn Encoder>, ModelError> {
        let options = LoadOptions {
            device: self.device,
            dtype,
            batch,
            threads: self.threads.map(usize::from),
            checkpoint: CheckpointOptions {
                quick_gelu: self.quick_gelu,
                expect_sha256: self.expect_sha256.clone(),
                inside: self.inside.clone(),
            },
            hub: hub::options(self.allow_download),
        };
        crate::model::load(source, &options)
    }
}

/// Runs the program with the arguments of the process.
pub fn main() -> ExitCode {
    ExitCode::from(start(std::env::args_os().collect()))
}

fn start(arguments: Vec<OsString>) -> u8 {
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are results, not errors: clap prints them to stdout.
            let code = if error.use_stderr() { exit::USAGE } else { exit::PASS };
            // What was typed stands in the message.
            match error.use_stderr() {
                true => say::log(error.render().to_string().trim_end()),
                false => drop(error.print()),
            }
            return code;
        }
    };
    let result = match cli.command {
        Command::Run(command) => command.run(&arguments),
        Command::Check(command) => command.run(),
        Command::Preview(command) => command.run(),
        Command::Report(command) => command.run(),
        Command::Embed(command) => command.run(),
        Command::Inspect(command) => command.run(),
        Command::List(command) => command.run(),
        Command::Init(command) => command.run(),
        Command::Bench(command) => command.run(),
        Command::Schema(command) => command.run(),
        Command::Completions(command) => command.run(),
    };
    result.unwrap_or_else(|error| {
        say::log(format!("clip-audit: {}", message(&error)));
        exit::of_error(&error)
    })
}

/// An error with its causes; one that the text before tells already is not told again.
fn message(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string).filter(|cause| !cause.is_empty()) {
        if !text.ends_with(&cause) {
            let separator = if text.is_empty() { "" } else { ": " };
            text = text + separator + &cause;
        }
    }
    text
}

/// Where the program may write when the user names no folder.
fn default_output(suite: &str) -> Result<PathBuf, exit::Failure> {
    // A stranger's suite may be called `../../elsewhere`.
    let mut parts = Path::new(suite).components();
    match (parts.next(), parts.next()) {
        (Some(Component::Normal(name)), None) if name == suite => Ok(PathBuf::from("reports").join(suite)),
        _ => {
            Err(exit::Failure::usage(format!("the suite's name `{suite}` cannot name a folder; choose one with --out")))
        }
    }
}
