//! `clip-audit inspect`: what a checkpoint is.

use clap::Args;

use super::{Compute, exit, say};

#[derive(Args)]
pub(super) struct Inspect {
    /// A model that ships, or a checkpoint: a folder or a file
    model: String,
    #[command(flatten)]
    compute: Compute,
}

impl Inspect {
    pub(super) fn run(&self) -> anyhow::Result<u8> {
        let encoder = self.compute.load(&self.model)?;
        let info = encoder.info();
        let record = &info.record;
        say::line(format!("{} ({})", record.name, record.format))?;
        say::line(format!("  architecture      {}", record.architecture))?;
        say::line(format!("  fingerprint       {}", record.fingerprint))?;
        for file in &record.files {
            say::line(format!("  file              {} {} bytes sha256 {}", file.name, file.bytes, file.sha256))?;
        }
        for (name, value) in record.facts.iter().chain(&record.preprocessing) {
            say::line(format!("  {name:<17} {value}"))?;
        }
        for places in info.places() {
            say::line(format!("  taps              {places}"))?;
        }
        Ok(exit::PASS)
    }
}
