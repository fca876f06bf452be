//! `clip-audit report`: writes reports again from a record, without a model.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use super::exit::{self, Failure};
use super::place::Output;
use super::say;
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
}

impl Report {
    pub(super) fn run(&self) -> anyhow::Result<u8> {
        let formats = formats(&self.format)?;
        let invalid = |message: String| Failure { code: exit::INPUT, message };
        let bytes =
            std::fs::read(&self.record).map_err(|error| invalid(format!("{}: {error}", self.record.display())))?;
        let audit = read_audit(&bytes).map_err(|error| invalid(format!("{}: {error}", self.record.display())))?;
        let beside = self.record.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let output = Output::open(self.out.as_deref().unwrap_or(beside))?;
        for path in write(&audit, &formats, self.templates.as_deref(), &output)? {
            say::line(path.display().to_string())?;
        }
        Ok(exit::of_judgement(audit.judgement))
    }
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
