//! What every format says in words: verdicts, severities, what deserves a look, what to know before reading on.

use serde::Serialize;

use crate::types::{Audit, Delta, Finding, Judgement, Origin, Severity, Thumbnails, Verdict};

/// A word with the key its class and icon go by.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Word {
    pub(super) key: &'static str,
    pub(super) word: &'static str,
}

pub(super) fn judgement(judgement: Judgement) -> Word {
    let (key, word) = match judgement {
        Judgement::Pass => ("pass", "Pass"),
        Judgement::Fail => ("fail", "Fail"),
        Judgement::Inconclusive => ("inconclusive", "Inconclusive"),
    };
    Word { key, word }
}

pub(super) fn verdict(verdict: Verdict) -> Word {
    let (key, word) = match verdict {
        Verdict::Pass => ("pass", "Pass"),
        Verdict::Fail => ("fail", "Fail"),
        Verdict::Warn => ("warn", "Warning"),
        Verdict::Inconclusive => ("inconclusive", "Inconclusive"),
        Verdict::NotMeasured => ("not-measured", "Not measured"),
        Verdict::Waived => ("waived", "Waived"),
    };
    Word { key, word }
}

pub(super) fn severity(severity: Severity) -> Word {
    let (key, word) = match severity {
        Severity::Info => ("info", "Info"),
        Severity::Low => ("low", "Low"),
        Severity::Medium => ("medium", "Medium"),
        Severity::High => ("high", "High"),
        Severity::Critical => ("critical", "Critical"),
    };
    Word { key, word }
}

pub(super) fn origin(origin: Origin) -> Word {
    let (key, word) = match origin {
        Origin::Gate => ("gate", "Gate"),
        Origin::Flag => ("flag", "Flag"),
        Origin::Control => ("control", "Control"),
        Origin::DataQuality => ("data-quality", "Data quality"),
    };
    Word { key, word }
}

pub(super) fn delta(delta: Delta) -> Word {
    let (key, word) = match delta {
        Delta::Broken => ("broken", "Passed before"),
        Delta::New => ("new", "New"),
        Delta::Changed => ("changed", "Other verdict"),
        Delta::Fixed => ("fixed", "Passes now"),
        Delta::Gone => ("gone", "Gone"),
        Delta::Same => ("same", "As before"),
    };
    Word { key, word }
}

/// Findings that want a reader, with their place in the record: everything but a pass, waived ones last.
pub(super) fn notable(audit: &Audit) -> impl Iterator<Item = (usize, &Finding)> {
    let wanted = |waived: bool| {
        let open = move |finding: &Finding| finding.verdict != Verdict::Pass && finding.verdict != Verdict::Waived;
        let kept = move |finding: &Finding| if waived { finding.verdict == Verdict::Waived } else { open(finding) };
        audit.findings.iter().enumerate().filter(move |(_, finding)| kept(finding))
    };
    wanted(false).chain(wanted(true))
}

/// How many findings have this verdict.
pub(super) fn having(audit: &Audit, verdict: Verdict) -> usize {
    audit.findings.iter().filter(|finding| finding.verdict == verdict).count()
}

/// The commit as a reader wants it: what is unknown or dirty is said in words.
pub(super) fn commit(audit: &Audit) -> String {
    match audit.provenance.commit.as_str() {
        "" => "unknown commit".to_owned(),
        commit => commit.to_owned(),
    }
}

/// What a reader should know before reading on.
pub(super) fn warnings(audit: &Audit) -> Vec<String> {
    let mut warnings = Vec::new();
    if audit.provenance.commit.ends_with("-dirty") {
        warnings.push("The program was built from sources with uncommitted changes.".to_owned());
    }
    if audit.provenance.commit.is_empty() && !audit.provenance.version.is_empty() {
        warnings.push("The program does not know the commit it was built from.".to_owned());
    }
    if audit.numerics.dtype != "f32" {
        let dtype = &audit.numerics.dtype;
        warnings.push(format!("The model ran in {dtype}: numbers can differ from those in f32, which is the default."));
    }
    for waiver in audit.suite.waivers.iter().filter(|waiver| waiver.effect.contains("it has ended")) {
        warnings.push(format!("The waiver for {} ended on {} and waives nothing.", waiver.gate, waiver.until));
    }
    for (name, text) in audit.suite.facts.iter().filter(|(name, _)| name.eq_ignore_ascii_case("content warning")) {
        warnings.push(format!("{name}: {text}"));
    }
    for (policy, how) in [(Thumbnails::None, "not shown"), (Thumbnails::Blurred, "shown blurred")] {
        let sets = audit.suite.sets.iter().filter(|set| set.thumbnails == policy).map(|set| set.id.as_str());
        let sets: Vec<&str> = sets.collect();
        if !sets.is_empty() {
            warnings.push(format!("By the picture policy, probes of {} are {how}.", sets.join(", ")));
        }
    }
    for set in &audit.suite.sets {
        let accounted = set.observed.saturating_add(set.quarantined);
        if accounted != set.planned {
            let (planned, id) = (set.planned, &set.id);
            warnings.push(format!("Probe set {id} planned {planned} probes, but {accounted} are accounted for."));
        }
    }
    match audit.quarantined.len() {
        0 => {}
        1 => warnings.push("1 input could not be used and is listed under quarantined inputs.".to_owned()),
        many => warnings.push(format!("{many} inputs could not be used and are listed under quarantined inputs.")),
    }
    match having(audit, Verdict::Waived) {
        0 => {}
        1 => warnings.push("1 failed gate is waived.".to_owned()),
        many => warnings.push(format!("{many} failed gates are waived.")),
    }
    warnings
}
