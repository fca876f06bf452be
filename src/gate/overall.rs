//! What all findings come to: pass, fail or inconclusive, with a reason in one sentence.

use std::collections::BTreeSet;

use super::COUNTED_AS_PASSED;
use crate::types::{Finding, Judgement, Origin, Verdict};

/// What a finding does to the judgement.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Weight {
    Fails,
    Undecided,
    Counts,
    Notice,
}

/// A gate's verdict counts as it is. A control or a data-quality finding that is more than a warning leaves the audit
/// undecided: its numbers cannot be trusted, but that is no fault of the model. Flags and warnings of other origins are
/// for the reader alone.
fn weight(finding: &Finding) -> Weight {
    match (finding.origin, finding.verdict) {
        (Origin::Gate, Verdict::Fail) => Weight::Fails,
        (Origin::Gate, Verdict::Warn | Verdict::Inconclusive | Verdict::NotMeasured)
        | (Origin::Control | Origin::DataQuality, Verdict::Fail | Verdict::Inconclusive | Verdict::NotMeasured) => {
            Weight::Undecided
        }
        (Origin::Gate, Verdict::Pass | Verdict::Waived) => Weight::Counts,
        _ => Weight::Notice,
    }
}

/// The judgement and why. Without a gate that judged anything the audit is inconclusive, never passed.
pub fn overall(findings: &[Finding]) -> (Judgement, String) {
    let of = |wanted: Weight| findings.iter().filter(move |finding| weight(finding) == wanted);
    let gates: BTreeSet<&str> =
        findings.iter().filter(|finding| finding.origin == Origin::Gate).map(|finding| finding.gate.as_str()).collect();
    let list = |wanted: Weight| {
        let first =
            of(wanted).max_by_key(|finding| finding.severity).map(|one| format!("{}: {}", one.name(), one.message));
        let more = of(wanted).count().saturating_sub(1);
        let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
        format!("{}{more}", first.unwrap_or_default())
    };
    if of(Weight::Fails).next().is_some() {
        let failed: BTreeSet<&str> = of(Weight::Fails).map(|finding| finding.gate.as_str()).collect();
        let count = format!("{} of {} gate{} failed", failed.len(), gates.len(), plural(gates.len()));
        return (Judgement::Fail, format!("{count}. {}", list(Weight::Fails)));
    }
    if of(Weight::Undecided).next().is_some() {
        return (
            Judgement::Inconclusive,
            format!("no gate failed, but not all is decided. {}", list(Weight::Undecided)),
        );
    }
    if of(Weight::Counts).next().is_none() {
        return (Judgement::Inconclusive, "nothing was judged: no gate looked at any number".to_owned());
    }
    let waived: BTreeSet<&str> =
        findings.iter().filter(|one| one.verdict == Verdict::Waived).map(|one| one.gate.as_str()).collect();
    let passed = gates.len() - waived.len();
    let undecided = of(Weight::Counts).filter(|finding| finding.message.ends_with(COUNTED_AS_PASSED));
    let undecided: BTreeSet<&str> = undecided.map(|finding| finding.gate.as_str()).collect();
    let mut reason = match (passed, waived.len()) {
        (1, 0) => "the one gate passed".to_owned(),
        (passed, 0) => format!("all {passed} gates passed"),
        (passed, waived) => {
            format!("{passed} of {} gate{} passed, {waived} failed and waived", gates.len(), plural(gates.len()))
        }
    };
    if !undecided.is_empty() {
        reason.push_str(&format!(", {} of them undecided and counted as passed", undecided.len()));
    }
    (Judgement::Pass, reason)
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// Worst first: what fails, what is undecided, what was waived, notices, what passed; within these by severity, and then
/// in the order given.
pub fn sort(findings: &mut [Finding]) {
    findings.sort_by_key(|finding| {
        let rank = match weight(finding) {
            Weight::Fails => 0,
            Weight::Undecided => 1,
            Weight::Counts if finding.verdict == Verdict::Waived => 2,
            Weight::Notice => 3,
            Weight::Counts => 4,
        };
        (rank, std::cmp::Reverse(finding.severity))
    });
}
