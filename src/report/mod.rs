//! Reports: pure functions of the audit record. One file per format; a report never computes a statistic.

mod axis;
mod cards;
mod changes;
mod chart;
mod csv;
mod evidence;
mod html;
mod json;
mod junit;
mod markdown;
mod text;
mod view;
mod words;

use std::io::Write;

use crate::types::{AUDIT_SCHEMA, Audit};

pub use csv::Csv;
pub use html::{Html, TEMPLATES, check_templates, write_html};
pub use json::{Json, digest};
pub use junit::Junit;
pub use markdown::Markdown;

/// Every report format. A new one is a file and a line here.
pub const FORMATS: &[&dyn Format] = &[&Html { templates: None }, &Json, &Csv, &Junit, &Markdown];

/// A record larger than this is refused before it is parsed: a run writes at most some 20 MB.
pub const MAX_RECORD_BYTES: usize = 64 << 20;

/// A report format.
pub trait Format: Send + Sync {
    /// The name on the command line (`html`).
    fn name(&self) -> &'static str;

    /// The file written in the output folder (`report.html`).
    fn file_name(&self) -> &'static str;

    /// One line for `list`.
    fn about(&self) -> &'static str;

    /// Writes the report.
    ///
    /// # Errors
    /// When the record holds a number that is none, the template is broken or the writer refuses.
    fn write(&self, audit: &Audit, out: &mut dyn Write) -> Result<(), ReportError>;
}

/// The format of that name.
pub fn format(name: &str) -> Option<&'static dyn Format> {
    FORMATS.iter().copied().find(|format| format.name() == name)
}

/// Reads an `audit.json`, so that a report can be made again without a model.
///
/// # Errors
/// When the bytes are too many, are no JSON record, or carry another schema version.
pub fn read_audit(bytes: &[u8]) -> Result<Audit, ReportError> {
    #[derive(serde::Deserialize)]
    struct Versioned {
        schema: u32,
    }
    if bytes.len() > MAX_RECORD_BYTES {
        return Err(ReportError::TooLarge { bytes: bytes.len(), limit: MAX_RECORD_BYTES });
    }
    let found = serde_json::from_slice::<Versioned>(bytes).map_err(ReportError::Malformed)?.schema;
    if found != AUDIT_SCHEMA {
        return Err(ReportError::Schema { found, known: AUDIT_SCHEMA });
    }
    serde_json::from_slice(bytes).map_err(ReportError::Malformed)
}

/// Why a report could not be written, or a record not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The writer refused.
    #[error("cannot write the report: {0}")]
    Io(#[from] std::io::Error),
    /// A template is broken.
    #[error("template {name}: {message}")]
    Template {
        /// File name.
        name: String,
        /// What minijinja says, with its line.
        message: String,
    },
    /// The record cannot be serialised.
    #[error("cannot serialise the record: {0}")]
    Json(#[from] serde_json::Error),
    /// The record holds a NaN or an infinity, which JSON cannot carry.
    #[error("the record holds a number that is not finite: {place}")]
    NotFinite {
        /// Where, by field and id.
        place: String,
    },
    /// More bytes than a record has.
    #[error("the record has {bytes} bytes, more than the {limit} this program reads")]
    TooLarge {
        /// Size found.
        bytes: usize,
        /// Size allowed.
        limit: usize,
    },
    /// Not JSON, or not a record.
    #[error("not an audit record: {0}")]
    Malformed(serde_json::Error),
    /// A record of another version of the schema.
    #[error(
        "the record has schema version {found}, this program reads version {known}: use the release of clip-audit that wrote it"
    )]
    Schema {
        /// Version in the file.
        found: u32,
        /// Version of this program.
        known: u32,
    },
}
