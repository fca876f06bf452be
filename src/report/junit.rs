//! `junit.xml`: a test case per finding of a gate, for the test views of CI systems. A fail is a failure, what could not
//! be decided or measured an error, a waived fail skipped: a green view means that every gate passed.

use std::io::Write;

use super::{Format, ReportError, json, text, words};
use crate::types::{Audit, Finding, Judgement, Origin, Verdict};

/// Gates as test cases.
pub struct Junit;

impl Format for Junit {
    fn name(&self) -> &'static str {
        "junit"
    }
    fn file_name(&self) -> &'static str {
        "junit.xml"
    }
    fn about(&self) -> &'static str {
        "a test case per gate, for the test views of CI systems"
    }
    fn write(&self, audit: &Audit, out: &mut dyn Write) -> Result<(), ReportError> {
        json::require_finite(audit)?;
        let mut cases: Vec<Case> =
            audit.findings.iter().filter(|finding| finding.origin == Origin::Gate).map(Case::of).collect();
        // An audit can fail without a failed gate (nothing measured, a control that failed): never green then.
        if audit.judgement != Judgement::Pass && cases.iter().all(|case| matches!(case.outcome, "" | "skipped")) {
            let outcome = if audit.judgement == Judgement::Fail { "failure" } else { "error" };
            let kind = words::judgement(audit.judgement).word;
            cases.push(Case {
                name: "verdict".to_owned(),
                outcome,
                kind,
                message: audit.reason.clone(),
                body: String::new(),
            });
        }
        let having = |outcome: &str| cases.iter().filter(|case| case.outcome == outcome).count();
        let counts = format!(
            r#"tests="{}" failures="{}" errors="{}" skipped="{}""#,
            cases.len(),
            having("failure"),
            having("error"),
            having("skipped")
        );
        let suite = attribute(&audit.suite.name);
        let totals = counts.split(" skipped").next().unwrap_or_default();
        writeln!(out, r#"<?xml version="1.0" encoding="UTF-8"?>"#)?;
        writeln!(out, r#"<testsuites name="clip-audit" {totals}>"#)?;
        writeln!(out, r#"  <testsuite name="{suite}" {counts}>"#)?;
        writeln!(out, "    <properties>")?;
        let facts = [
            ("judgement", words::judgement(audit.judgement).word),
            ("reason", &audit.reason),
            ("model", &audit.model.name),
            ("weights", &audit.model.fingerprint.0),
            ("suite sha256", &audit.suite.sha256),
            ("clip-audit", &audit.provenance.version),
        ];
        for (name, value) in facts {
            writeln!(out, r#"      <property name="{name}" value="{}"/>"#, attribute(value))?;
        }
        writeln!(out, "    </properties>")?;
        for case in &cases {
            let name = attribute(&case.name);
            write!(out, r#"    <testcase classname="{suite}" name="{name}""#)?;
            let (outcome, kind, message) = (case.outcome, case.kind, attribute(&case.message));
            match outcome {
                "" => writeln!(out, "/>")?,
                "skipped" => writeln!(out, r#"><skipped message="{message}"/></testcase>"#)?,
                _ => writeln!(
                    out,
                    r#"><{outcome} type="{kind}" message="{message}">{}</{outcome}></testcase>"#,
                    escaped(&case.body, 4000)
                )?,
            }
        }
        writeln!(out, "  </testsuite>")?;
        writeln!(out, "</testsuites>")?;
        Ok(())
    }
}

struct Case {
    name: String,
    /// Name of the element inside the case; empty for a pass.
    outcome: &'static str,
    kind: &'static str,
    message: String,
    body: String,
}

impl Case {
    fn of(finding: &Finding) -> Self {
        let outcome = match finding.verdict {
            Verdict::Pass => "",
            Verdict::Fail => "failure",
            Verdict::Warn | Verdict::Inconclusive | Verdict::NotMeasured => "error",
            Verdict::Waived => "skipped",
        };
        let message = match (&finding.waiver, finding.verdict) {
            (Some(waiver), Verdict::Waived) => waiver.in_words(),
            _ => finding.message.clone(),
        };
        let name = match finding.measurement.as_deref() {
            Some(measurement) => format!("{} [{measurement}]", finding.gate),
            None => finding.gate.clone(),
        };
        let severity = words::severity(finding.severity).word.to_lowercase();
        let (rule, id) = (&finding.rule, &finding.id);
        let body = format!("{}\nrule: {rule}\nseverity: {severity}\nreport.html#{id}", finding.message);
        Self { name, outcome, kind: words::verdict(finding.verdict).word, message, body }
    }
}

fn attribute(value: &str) -> String {
    escaped(value, 1000).replace('\n', "&#10;").replace('\t', "&#9;")
}

/// Text for XML 1.0: characters it forbids, or that would be invisible, become visible escapes.
fn escaped(value: &str, limit: usize) -> String {
    let mut safe = String::new();
    for character in text::visible(&text::shorten(value, limit)).chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            other => safe.push(other),
        }
    }
    safe
}
