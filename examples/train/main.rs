//! Makes the reference model of this repository: prepares the training data, trains, measures, and writes the weights.
//! CONTRIBUTING.md says how to run it.

mod captions;
mod chance;
mod corpus;
mod course;
mod draw;
mod figures;
mod measure;
mod names;
mod optimiser;
mod prepare;
mod run;
mod sample;
mod sheet;
mod store;
mod towers;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use clip_audit::model::{DeviceChoice, Tokenizer};
use course::Course;

/// Trains the reference model.
#[derive(Parser)]
#[command(name = "train")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Rasterises the pictures and lays out words and fonts, from what `scripts/train-data` fetched.
    Prepare {
        /// Folder that `scripts/train-data` filled.
        #[arg(long)]
        fetched: PathBuf,
        /// Folder to write.
        #[arg(long)]
        out: PathBuf,
    },
    /// Trains, or goes on where the run's folder has a checkpoint.
    Run {
        /// What to train: reference, reference-biased or reference-deaf.
        #[arg(long, default_value = "reference", value_parser = course::of_name)]
        course: &'static Course,
        /// Folder that `prepare` wrote.
        #[arg(long)]
        data: PathBuf,
        /// Folder of the run: checkpoint, curves and, in the end, the model.
        #[arg(long)]
        out: PathBuf,
        /// open_clip folder of the model that a sibling starts from.
        #[arg(long)]
        base: Option<PathBuf>,
        /// Steps of the whole training instead of the course's; a step sees 256 images.
        #[arg(long)]
        steps: Option<u64>,
        /// Everything random follows from it.
        #[arg(long, default_value_t = 7)]
        seed: u64,
        /// Stop after this many steps without finishing; the same command goes on.
        #[arg(long)]
        stop_after: Option<u64>,
        /// Where to compute: cpu, cuda or cuda:NUMBER.
        #[arg(long, default_value = "cpu")]
        device: DeviceChoice,
    },
    /// Draws the samples of a step as a sheet, to be looked at, and prints their captions row by row.
    Sheet {
        /// Whose samples.
        #[arg(long, default_value = "reference", value_parser = course::of_name)]
        course: &'static Course,
        /// Folder that `prepare` wrote.
        #[arg(long)]
        data: PathBuf,
        /// PNG to write.
        #[arg(long)]
        out: PathBuf,
        /// Share of the training that is done.
        #[arg(long, default_value_t = 0.5)]
        share: f64,
    },
    /// Writes figures of people that no model was trained on, in an audit and apart from it.
    Figures {
        /// Folder that `prepare` wrote.
        #[arg(long)]
        data: PathBuf,
        /// Folder to write.
        #[arg(long)]
        out: PathBuf,
    },
    /// Measures a model of the reference model's sizes on data it was not trained on.
    Measure {
        /// Folder that `prepare` wrote.
        #[arg(long)]
        data: PathBuf,
        /// open_clip folder.
        #[arg(long)]
        model: PathBuf,
    },
}

#[cfg(test)]
mod tests;

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Prepare { fetched, out } => prepare::prepare(&fetched, &out),
        Command::Run { course, data, out, base, steps, seed, stop_after, device } => {
            let (device, steps) = (clip_audit::model::device(device)?, steps.unwrap_or(course.steps));
            run::run(&run::Plan { course, data, out, base, steps, seed, stop_after, device }).map(drop)
        }
        Command::Sheet { course, data, out, share } => sheet::write(&corpus::Corpus::read(&data)?, course, &out, share),
        Command::Figures { data, out } => figures::write(&corpus::Corpus::read(&data)?, &out),
        Command::Measure { data, model } => {
            let corpus = corpus::Corpus::read(&data)?;
            let sizes = towers::REFERENCE;
            let tokenizer = Tokenizer::new(sizes.vocabulary as usize, sizes.context as usize)?;
            for (name, value) in measure::thorough(&store::import(&model)?, &corpus, &tokenizer)? {
                println!("{name}\t{value:.1}");
            }
            Ok(())
        }
    }
}
