//! `clip-audit report`: writes reports again from a record, without a model.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use sha2::{Digest, Sha256};

use super::exit::{self, Failure};
use super::place::Output;
use super::say;
use crate::gate;
use crate::report::{FORMATS, Format, read_audit, write_html};
use crate::types::Audit;

#[derive(Args)]
pub(super) struct Report {
    /// The record, audit.json
    record: PathBuf,
    /// Output folder [default: the folder of the record]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Report formats, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "html")]
    format: Vec<String>,
    /// Folder of templates that replace those of the program
    #[arg(long)]
    templates: Option<PathBuf>,
    /// An earlier audit.json of the same suite: the reports say what changed since. The record then holds the comparison
    /// and is written too, so `--out` has to name another folder
    #[arg(long, requires = "out")]
    baseline: Option<PathBuf>,
}

impl Report {
    pub(super) fn run(&self) -> anyhow::Result<u8> {
        let mut formats = formats(&self.format)?;
        let (mut audit, _) = read(&self.record)?;
        let beside = self.record.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = self.out.as_deref().unwrap_or(beside);
        if let Some(path) = &self.baseline {
            let same = |one: &Path, other: &Path| {
                one.canonicalize().ok().zip(other.canonicalize().ok()).is_some_and(|(one, other)| one == other)
            };
            if same(folder, beside) {
                let message = "--baseline writes a record with the comparison: give --out a folder of its own";
                return Err(Failure::usage(message.to_owned()).into());
            }
            let (before, sha256) = baseline(path, &audit.suite.name)?;
            audit.baseline = Some(gate::compare(&before, sha256, &audit));
            // What the pages print as the record's digest has to lie beside them.
            if !formats.iter().any(|format| format.name() == "json") {
                formats.extend(FORMATS.iter().copied().filter(|format| format.name() == "json"));
            }
        }
        let output = Output::open(folder)?;
        for path in write(&audit, &formats, self.templates.as_deref(), &output)? {
            say::line(path.display().to_string())?;
        }
        Ok(exit::of_judgement(audit.judgement))
    }
}

/// A record and the SHA-256 of its file.
fn read(path: &Path) -> anyhow::Result<(Audit, String)> {
    let invalid = |message: String| Failure { code: exit::INPUT, message: format!("{}: {message}", path.display()) };
    let bytes = std::fs::read(path).map_err(|error| invalid(error.to_string()))?;
    let audit = read_audit(&bytes).map_err(|error| invalid(error.to_string()))?;
    let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((audit, sha256))
}

/// An earlier record of the suite of this name, with the SHA-256 of its file.
pub(super) fn baseline(path: &Path, suite: &str) -> anyhow::Result<(Audit, String)> {
    let (audit, sha256) = read(path)?;
    let refused =
        |error: gate::BaselineError| Failure { code: exit::INPUT, message: format!("{}: {error}", path.display()) };
    gate::comparable(&audit, suite).map_err(refused)?;
    Ok((audit, sha256))
}

/// The formats of these names.
pub(super) fn formats(names: &[String]) -> anyhow::Result<Vec<&'static dyn Format>> {
    let find = |name: &String| {
        let found = FORMATS.iter().copied().find(|format| format.name() == name);
        let known = || FORMATS.iter().map(|format| format.name()).collect::<Vec<_>>().join(", ");
        Ok(found.ok_or_else(|| Failure::usage(format!("no report format `{name}`; there are {}", known())))?)
    };
    names.iter().map(find).collect()
}

/// Writes the record in every format; the record itself first, so that the rest can always be made again.
pub(super) fn write(
    audit: &Audit,
    formats: &[&dyn Format],
    templates: Option<&Path>,
    output: &Output,
) -> anyhow::Result<Vec<PathBuf>> {
    let mut ordered: Vec<&dyn Format> = formats.to_vec();
    ordered.sort_by_key(|format| format.name() != "json");
    ordered
        .into_iter()
        .map(|format| {
            output.write(format.file_name(), |out: &mut dyn Write| match (format.name(), templates) {
                ("html", Some(_)) => Ok(write_html(audit, templates, out)?),
                _ => Ok(format.write(audit, out)?),
            })
        })
        .collect()
}
