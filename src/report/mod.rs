//! Reports: pure functions of the audit record. One file per format; a report never computes a statistic.

use std::io::Write;

use crate::types::Audit;

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
    /// When the template is broken or the writer refuses.
    fn write(&self, audit: &Audit, out: &mut dyn Write) -> Result<(), ReportError>;
}

/// Why a report could not be written.
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
}
