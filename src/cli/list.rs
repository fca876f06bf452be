//! `clip-audit list`: what this program knows.

use clap::Args;
use serde_json::{Map, Value, json};

use super::{exit, say};
use crate::measure::{AnyMeasure, AnyRead};
use crate::model::{self, MODELS};
use crate::probe::AnyGenerate;
use crate::report::FORMATS;
use crate::suite::shipped;
use crate::types::Kind;

#[derive(Args)]
pub(super) struct List {
    /// As one JSON object
    #[arg(long)]
    json: bool,
}

impl List {
    pub(super) fn run(&self) -> anyhow::Result<u8> {
        let sections = sections();
        if self.json {
            let all: Map<String, Value> = sections
                .into_iter()
                .map(|(key, _, kinds)| {
                    let one = |kind: Kind| json!({ "name": kind.name, "about": kind.about });
                    (key.to_owned(), kinds.into_iter().map(one).collect())
                })
                .collect();
            say::line(serde_json::to_string_pretty(&all)?)?;
            return Ok(exit::PASS);
        }
        let widest = sections.iter().flat_map(|(_, _, kinds)| kinds).map(|kind| kind.name.len()).max().unwrap_or(0);
        for (_, title, kinds) in sections {
            say::line(title)?;
            kinds.iter().try_for_each(|kind| say::line(format!("  {:<widest$}  {}", kind.name, kind.about)))?;
        }
        Ok(exit::PASS)
    }
}

/// Key, title and entries of every list.
fn sections() -> [(&'static str, &'static str, Vec<Kind>); 7] {
    let suites = shipped::suites().map(|(name, about)| Kind { name, about }).collect();
    let formats = FORMATS.iter().map(|format| Kind { name: format.name(), about: format.about() }).collect();
    [
        ("suites", "suites that ship: `clip-audit run NAME`", suites),
        ("models", "models that ship: `model: { use: NAME }` or --model NAME", MODELS.to_vec()),
        ("checkpoints", "checkpoints that can be read: `model: { use: PATH }` or --model PATH", model::formats()),
        ("probes", "kinds of probes: `generate: { KIND: ... }`", AnyGenerate::KINDS.to_vec()),
        ("readouts", "kinds of readouts: `read: { KIND: ... }`", AnyRead::KINDS.to_vec()),
        ("measures", "kinds of measures: `compute: { KIND: ... }`", AnyMeasure::KINDS.to_vec()),
        ("formats", "report formats: --format NAME,NAME", formats),
    ]
}
