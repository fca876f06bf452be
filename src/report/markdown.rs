//! `summary.md`: the verdict and the worst findings, small enough for the step summary of a CI job and for a comment.

use std::fmt::Write as _;
use std::io::Write;

use super::{Format, ReportError, json, text, words};
use crate::types::{Audit, Finding, Value, Verdict};

/// A summary as Markdown.
pub struct Markdown;

/// Findings are listed until the summary has this many bytes; a few hundred more follow.
const LIST_BYTES: usize = 40_000;
/// Characters of a cell that are printed.
const CELL: usize = 160;

impl Format for Markdown {
    fn name(&self) -> &'static str {
        "markdown"
    }
    fn file_name(&self) -> &'static str {
        "summary.md"
    }
    fn about(&self) -> &'static str {
        "verdict and worst findings under 64 KB, for the step summary of a CI job"
    }
    fn write(&self, audit: &Audit, out: &mut dyn Write) -> Result<(), ReportError> {
        json::require_finite(audit)?;
        out.write_all(summary(audit)?.as_bytes())?;
        Ok(())
    }
}

fn summary(audit: &Audit) -> Result<String, ReportError> {
    let mut page = String::new();
    let (model, suite) = (cell(&audit.model.name), cell(&audit.suite.name));
    let verdict = words::judgement(audit.judgement).word.to_uppercase();
    let _ = writeln!(page, "## {verdict}: {model} on {suite}\n\n{}\n", cell_of(&audit.reason, 600));
    let counts =
        [Verdict::Fail, Verdict::Warn, Verdict::Inconclusive, Verdict::NotMeasured, Verdict::Waived, Verdict::Pass]
            .map(|verdict| (words::verdict(verdict).word.to_lowercase(), words::having(audit, verdict)))
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(word, count)| format!("{count} {word}"))
            .collect::<Vec<_>>();
    let counts = if counts.is_empty() { "none".to_owned() } else { counts.join(", ") };
    let _ = writeln!(page, "Findings: {counts}. Quarantined inputs: {}.", audit.quarantined.len());
    for warning in words::warnings(audit) {
        let _ = writeln!(page, "\n> {}", cell_of(&warning, 300));
    }
    let listed = words::notable(audit).map(|(_, finding)| finding).chain(passed(audit));
    let mut rows = String::new();
    let mut left = 0_usize;
    for finding in listed {
        let row = if left == 0 { row(audit, finding) } else { String::new() };
        if left > 0 || rows.len() + row.len() > LIST_BYTES {
            left += 1;
        } else {
            rows.push_str(&row);
        }
    }
    if !rows.is_empty() {
        page.push_str("\n| verdict | severity | finding | estimate | rule | n | clusters |\n");
        page.push_str("|---|---|---|---|---|--:|--:|\n");
        page.push_str(&rows);
    }
    if left > 0 {
        let _ =
            writeln!(page, "\n{left} more findings are not listed here; `report.html` and `audit.json` have them all.");
    }
    let _ = writeln!(
        page,
        "\nWeights `{}` · suite `{}` · seed {} · clip-audit {} ({}) · audit.json sha256 `{}`",
        code(&audit.model.fingerprint.0),
        code(&audit.suite.sha256),
        audit.suite.seed,
        cell(&audit.provenance.version),
        cell(&words::commit(audit)),
        json::digest(audit)?,
    );
    Ok(page)
}

fn passed(audit: &Audit) -> impl Iterator<Item = &Finding> {
    audit.findings.iter().filter(|finding| finding.verdict == Verdict::Pass)
}

fn row(audit: &Audit, finding: &Finding) -> String {
    let judged = finding.measurement.as_ref();
    let judged = judged.and_then(|id| audit.measurements.iter().find(|measurement| measurement.id == *id));
    let (estimate, n, clusters) = match judged {
        None => (String::new(), String::new(), String::new()),
        Some(measurement) => {
            let estimate = match finding.judged.as_ref().unwrap_or(&measurement.value) {
                Value::Measured(estimate) => {
                    let [point, low, high] = text::estimate(estimate, finding.scale, finding.limit);
                    format!("{point} [{low}, {high}]")
                }
                Value::NotMeasured { reason } => format!("not measured: {}", cell(reason)),
            };
            (estimate, text::count(measurement.n as u64), text::count(measurement.clusters as u64))
        }
    };
    let (verdict, severity) =
        (words::verdict(finding.verdict).word, words::severity(finding.severity).word.to_lowercase());
    let (name, message, rule) = (cell(finding.name()), cell_of(&finding.message, 400), cell(&finding.rule));
    let id = code(&finding.id);
    format!("| **{verdict}** | {severity} | {name} ({id}): {message} | {estimate} | {rule} | {n} | {clusters} |\n")
}

fn cell(value: &str) -> String {
    cell_of(value, CELL)
}

/// Text that no Markdown reader takes for anything else: everything that could be markup becomes an entity.
fn cell_of(value: &str, limit: usize) -> String {
    let mut safe = String::new();
    for character in text::line(value, limit).chars() {
        match character {
            '|' | '`' | '<' | '>' | '&' | '*' | '_' | '[' | ']' | '\\' | '#' | '!' | '~' | '@' | '$' | '{' | '}' => {
                let _ = write!(safe, "&#{};", u32::from(character));
            }
            other => safe.push(other),
        }
    }
    // A bare address would become a link.
    safe.replace("://", "&#58;//").replace("www.", "www&#46;")
}

/// A hash inside a code span: nothing but letters, digits and dashes.
fn code(value: &str) -> String {
    text::shorten(value, 80).chars().filter(|c| c.is_ascii_alphanumeric() || " -().".contains(*c)).collect()
}
