//! `clip-audit check`: reads and checks a suite and counts its probes, without running the model.

use clap::Args;

use super::{Compute, exit, place, say};
use crate::audit;
use crate::model::Dtype;
use crate::suite;

#[derive(Args)]
pub(super) struct Check {
    /// A suite file, or the name of a suite that ships
    suite: String,
    /// The model, instead of the one the suite names
    #[arg(long)]
    model: Option<String>,
    #[command(flatten)]
    compute: Compute,
}

impl Check {
    pub(super) fn run(&self) -> anyhow::Result<u8> {
        let placed = place::suite(&self.suite)?;
        let encoder = self.compute.open_as(&placed.model(self.model.as_deref())?.parse()?, Dtype::F32, None)?;
        let place::Placed { suite, files } = placed;
        let planned = suite::plan(&suite, &files, encoder.info().image_size)?;
        for (set, probes) in audit::sizes(&planned.plans) {
            say::line(format!("{set}: {probes} probes"))?;
        }
        for note in suite.notes.iter().chain(&planned.notes) {
            say::line(format!("note: {note}"))?;
        }
        say::line(format!(
            "{}: ok, {} probes, {} measures, {} gates",
            suite.name,
            planned.plans.len(),
            suite.measures.len(),
            suite.gates.len()
        ))?;
        Ok(exit::PASS)
    }
}
