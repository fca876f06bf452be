//! `clip-audit schema`: the JSON Schema of a suite, for editors and for programs that write suites.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::{exit, place, say};
use crate::suite;

/// How the schema is called beside a suite that names it in its first line.
pub(super) const FILE: &str = "suite.schema.json";

#[derive(Args)]
pub(super) struct Schema {
    /// The file to write [default: standard output]
    #[arg(long)]
    out: Option<PathBuf>,
}

impl Schema {
    pub(super) fn run(&self) -> anyhow::Result<u8> {
        let text = text()?;
        match &self.out {
            Some(path) => {
                place::write_whole(path, |out: &mut dyn Write| Ok(out.write_all(text.as_bytes())?))?;
                say::line(path.display().to_string())?;
            }
            None => say::line(text.trim_end())?,
        }
        Ok(exit::PASS)
    }
}

/// The schema as a file.
pub(super) fn text() -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(&suite::schema())? + "\n")
}
