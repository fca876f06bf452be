//! `clip-audit list`: what this program knows.

use clap::Args;

use super::{exit, say};
use crate::measure::{AnyMeasure, AnyRead};
use crate::model::MODELS;
use crate::probe::AnyGenerate;
use crate::report::FORMATS;
use crate::suite::shipped;
use crate::types::Kind;

#[derive(Args)]
pub(super) struct List {}

impl List {
    pub(super) fn run(&self) -> anyhow::Result<u8> {
        let kinds = |title: &str, kinds: &[Kind]| -> std::io::Result<()> {
            say::line(title)?;
            kinds.iter().try_for_each(|kind| say::line(format!("  {:<18} {}", kind.name, kind.about)))
        };
        let suites: Vec<Kind> = shipped::suites().map(|(name, about)| Kind { name, about }).collect();
        let formats: Vec<Kind> =
            FORMATS.iter().map(|format| Kind { name: format.name(), about: format.about() }).collect();
        kinds("suites", &suites)?;
        kinds("models", MODELS)?;
        kinds("probes (generate)", AnyGenerate::KINDS)?;
        kinds("readouts (read)", AnyRead::KINDS)?;
        kinds("measures (compute)", AnyMeasure::KINDS)?;
        kinds("formats", &formats)?;
        Ok(exit::PASS)
    }
}
