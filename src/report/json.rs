//! `audit.json`: the record itself, pretty-printed in the order of its fields. Two runs of the same audit differ in
//! `provenance` alone, and reading and writing a record again keeps every byte.

use std::fmt::Write as _;
use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CharEscape, Formatter, PrettyFormatter, Serializer};
use sha2::{Digest, Sha256};

use super::text::needs_escape;
use super::{Format, ReportError};
use crate::types::{Audit, ExhibitKind};

/// The record as JSON.
pub struct Json;

impl Format for Json {
    fn name(&self) -> &'static str {
        "json"
    }
    fn file_name(&self) -> &'static str {
        "audit.json"
    }
    fn about(&self) -> &'static str {
        "the record itself: every number, chart, finding and thumbnail, for programs and for rendering again"
    }
    fn write(&self, audit: &Audit, out: &mut dyn Write) -> Result<(), ReportError> {
        out.write_all(&bytes(audit)?)?;
        Ok(())
    }
}

/// Lower-case hexadecimal SHA-256 of `audit.json` as [`Json`] writes it: what `sha256sum audit.json` prints. A report
/// prints it, so that paper ties to the file.
///
/// # Errors
/// When the record holds a number that is none.
pub fn digest(audit: &Audit) -> Result<String, ReportError> {
    Ok(Sha256::digest(bytes(audit)?).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

fn bytes(audit: &Audit) -> Result<Vec<u8>, ReportError> {
    require_finite(audit)?;
    let mut bytes = Vec::new();
    audit.serialize(&mut Serializer::with_formatter(&mut bytes, Readable(PrettyFormatter::new())))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// serde_json writes NaN as `null`, which reads back as "nothing there": name the place instead.
/// Estimates are finite by construction, so only the bare numbers are looked at.
pub(super) fn require_finite(audit: &Audit) -> Result<(), ReportError> {
    let require = |value: f64, place: &dyn Fn() -> String| match value.is_finite() {
        true => Ok(()),
        false => Err(ReportError::NotFinite { place: place() }),
    };
    for measurement in &audit.measurements {
        let test = measurement.test.iter();
        for value in test.flat_map(|test| [Some(test.statistic), Some(test.p), test.adjusted_p]).flatten() {
            require(value, &|| format!("test of measurement {}", measurement.id))?;
        }
    }
    for exhibit in &audit.exhibits {
        let numbers: Vec<f64> = match &exhibit.kind {
            ExhibitKind::Matrix { values, .. } => values.iter().flatten().copied().flatten().collect(),
            ExhibitKind::Curve { series, .. } => series.iter().flat_map(|line| &line.points).map(|p| p.x).collect(),
            ExhibitKind::Histogram { edges, .. } => edges.clone(),
            ExhibitKind::Bars { .. } | ExhibitKind::Table { .. } => Vec::new(),
        };
        for value in numbers {
            require(value, &|| format!("exhibit {}", exhibit.id))?;
        }
    }
    for finding in &audit.findings {
        require(finding.limit.unwrap_or_default(), &|| format!("limit of finding {}", finding.id))?;
    }
    for evidence in &audit.evidence {
        require(evidence.cover.unwrap_or_default(), &|| format!("cover of probe {}", evidence.probe))?;
        for prediction in evidence.predictions.values().flatten() {
            for value in [prediction.probability, prediction.cosine] {
                require(value, &|| format!("predictions of probe {}", evidence.probe))?;
            }
        }
    }
    Ok(())
}

/// Pretty-printing that also escapes what would be invisible, reorder a line or drive a terminal. The same JSON to a
/// parser, and safe to print.
struct Readable(PrettyFormatter<'static>);

impl Formatter for Readable {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        let mut clean = 0;
        for (at, character) in fragment.char_indices().filter(|(_, character)| needs_escape(*character)) {
            out.write_all(&fragment.as_bytes()[clean..at])?;
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
            clean = at + character.len_utf8();
        }
        out.write_all(&fragment.as_bytes()[clean..])
    }
    fn write_char_escape<W: ?Sized + Write>(&mut self, out: &mut W, escape: CharEscape) -> io::Result<()> {
        self.0.write_char_escape(out, escape)
    }
    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_array(out)
    }
    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_array(out)
    }
    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(out, first)
    }
    fn end_array_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_array_value(out)
    }
    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_object(out)
    }
    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_object(out)
    }
    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(out, first)
    }
    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_object_value(out)
    }
    fn end_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_object_value(out)
    }
}
