//! The command line: commands, printing, the environment and exit codes. The only room that prints or exits.

mod check;
mod embed;
pub mod exit;
mod inspect;
mod list;
mod place;
mod report;
mod run;
mod say;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::model::{DeviceChoice, Dtype, Encoder, LoadOptions, ModelSource};

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
    /// Read and check a suite and count its probes, without running the model
    Check(check::Check),
    /// Write reports again from a record, without a model
    Report(report::Report),
    /// Write features and activations of images and texts, to compare a model with any reference
    Embed(embed::Embed),
    /// Show what a checkpoint is: architecture, hashes, taps, preprocessing
    Inspect(inspect::Inspect),
    /// List the kinds, suites, models and formats this program knows
    List(list::List),
}

/// How the model runs.
#[derive(Args, Clone)]
struct Compute {
    /// Where the model runs: auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto", value_parser = str::parse::<DeviceChoice>)]
    device: DeviceChoice,
    /// Number format of the model: f32, bf16 or f16
    #[arg(long, default_value = "f32", value_parser = str::parse::<Dtype>)]
    dtype: Dtype,
    /// Images per forward pass
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=4096))]
    batch: Option<u16>,
    /// Threads of the model (default: all cores)
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

impl Compute {
    fn load(&self, model: &str) -> anyhow::Result<Box<dyn Encoder>> {
        let source: ModelSource = model.parse()?;
        let options = LoadOptions {
            device: self.device,
            dtype: self.dtype,
            batch: self.batch.map(usize::from),
            threads: self.threads.map(usize::from),
        };
        Ok(crate::model::load(&source, &options)?)
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
            let _ = error.print();
            return code;
        }
    };
    let result = match cli.command {
        Command::Run(command) => command.run(&arguments),
        Command::Check(command) => command.run(),
        Command::Report(command) => command.run(),
        Command::Embed(command) => command.run(),
        Command::Inspect(command) => command.run(),
        Command::List(command) => command.run(),
    };
    result.unwrap_or_else(|error| {
        let mut stderr = std::io::stderr().lock();
        let _ = writeln!(stderr, "clip-audit: {}", say::inert(&message(&error)));
        exit::of_error(&error)
    })
}

/// Where the program may write when the user names no folder.
fn default_output(suite: &str) -> PathBuf {
    PathBuf::from("reports").join(suite)
}

/// The error with its causes, those left out whose words already stand in what they caused.
fn message(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |mut text, cause| {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text.push_str(if text.is_empty() { "" } else { ": " });
            text.push_str(&cause);
        }
        text
    })
}
