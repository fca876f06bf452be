//! `measurements.csv`: one row per measurement, for spreadsheets and data frames. Text that a spreadsheet would run as a
//! formula is made inert; numbers stay numbers, with every digit.

use std::io::Write;

use super::{Format, ReportError, json, text};
use crate::types::{Audit, Direction, Measurement, Value};

/// The measurements as CSV.
pub struct Csv;

const COLUMNS: [&str; 24] = [
    "id",
    "measure",
    "readout",
    "statistic",
    "group",
    "layer",
    "site",
    "unit",
    "worse",
    "measured",
    "point",
    "low",
    "high",
    "level",
    "method",
    "reason",
    "n",
    "clusters",
    "test",
    "test_statistic",
    "p",
    "adjusted_p",
    "family",
    "evidence",
];

impl Format for Csv {
    fn name(&self) -> &'static str {
        "csv"
    }
    fn file_name(&self) -> &'static str {
        "measurements.csv"
    }
    fn about(&self) -> &'static str {
        "one row per measurement, for spreadsheets and data frames"
    }
    fn write(&self, audit: &Audit, out: &mut dyn Write) -> Result<(), ReportError> {
        json::require_finite(audit)?;
        let mut table = csv::Writer::from_writer(out);
        table.write_record(COLUMNS).map_err(refused)?;
        for measurement in &audit.measurements {
            table.write_record(row(measurement)).map_err(refused)?;
        }
        table.flush()?;
        Ok(())
    }
}

fn refused(error: csv::Error) -> ReportError {
    ReportError::Io(std::io::Error::other(error))
}

fn row(measurement: &Measurement) -> [String; COLUMNS.len()] {
    // `Debug` writes the shortest digits that read back as the same number, with an exponent where it is needed.
    let number = |value: Option<f64>| value.map(|value| format!("{value:?}")).unwrap_or_default();
    let (estimate, reason) = match &measurement.value {
        Value::Measured(estimate) => (Some(estimate), ""),
        Value::NotMeasured { reason } => (None, reason.as_str()),
    };
    let unit = measurement.unit.as_ref();
    let test = measurement.test.as_ref();
    let group: Vec<String> = measurement.group.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let evidence: Vec<String> = measurement.evidence.iter().map(ToString::to_string).collect();
    [
        inert(&measurement.id),
        inert(&measurement.measure),
        inert(&measurement.readout),
        inert(&measurement.statistic),
        inert(&group.join("; ")),
        inert(unit.map_or("", |unit| &unit.layer)),
        unit.map(|unit| unit.site.to_string()).unwrap_or_default(),
        unit.map(|unit| unit.index.to_string()).unwrap_or_default(),
        match measurement.worse {
            Direction::Higher => "higher".to_owned(),
            Direction::Lower => "lower".to_owned(),
        },
        estimate.is_some().to_string(),
        number(estimate.map(|estimate| estimate.point())),
        number(estimate.map(|estimate| estimate.low())),
        number(estimate.map(|estimate| estimate.high())),
        number(estimate.map(|estimate| estimate.level())),
        inert(estimate.map_or("", |estimate| estimate.method())),
        inert(reason),
        measurement.n.to_string(),
        measurement.clusters.to_string(),
        inert(test.map_or("", |test| &test.name)),
        number(test.map(|test| test.statistic)),
        number(test.map(|test| test.p)),
        number(test.and_then(|test| test.adjusted_p)),
        test.map(|test| test.family.to_string()).unwrap_or_default(),
        inert(&evidence.join(" ")),
    ]
}

/// Text a spreadsheet shows and never runs: what could start a formula is preceded by an apostrophe (OWASP, CSV
/// injection), control and invisible characters are visible escapes.
fn inert(cell: &str) -> String {
    let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    let shown = text::visible(cell);
    if formula { format!("'{shown}") } else { shown.into_owned() }
}
