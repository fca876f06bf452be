//! What changed against an earlier audit of the same suite. Findings are matched by their ids, which do not depend on
//! their order or their numbers.

use std::collections::BTreeMap;

use crate::types::{Audit, Baseline, Change, Delta, Finding, Verdict};

/// Why an audit cannot be a baseline.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BaselineError {
    /// Of another suite.
    #[error(
        "the baseline is an audit of the suite `{before}`, this one is of `{after}`: give an audit.json of `{after}`"
    )]
    Suite {
        /// Suite of the baseline.
        before: String,
        /// Suite of this audit.
        after: String,
    },
}

/// Whether an audit may be the baseline of an audit of the named suite. Asked before a run, so that hours of work do not
/// end at a wrong file.
///
/// # Errors
/// When it is of another suite.
pub fn comparable(before: &Audit, suite: &str) -> Result<(), BaselineError> {
    match before.suite.name == suite {
        true => Ok(()),
        false => Err(BaselineError::Suite { before: before.suite.name.clone(), after: suite.to_owned() }),
    }
}

/// Every change since the earlier audit; `sha256` is the digest of its file.
pub fn compare(before: &Audit, sha256: String, after: &Audit) -> Baseline {
    let earlier: BTreeMap<&str, &Finding> = before.findings.iter().map(|one| (one.id.as_str(), one)).collect();
    let now: BTreeMap<&str, &Finding> = after.findings.iter().map(|one| (one.id.as_str(), one)).collect();
    let here = after.findings.iter().map(|one| change(earlier.get(one.id.as_str()).copied(), Some(one)));
    let gone = before.findings.iter().filter(|one| !now.contains_key(one.id.as_str()));
    let gone = gone.map(|one| change(Some(one), None));
    Baseline {
        sha256,
        finished: before.provenance.finished.clone(),
        version: before.provenance.version.clone(),
        model: before.model.name.clone(),
        weights: before.model.fingerprint.0.clone(),
        differences: differences(before, after),
        changes: here.chain(gone).flatten().collect(),
    }
}

/// Findings of one id, at least one of them given.
fn change(before: Option<&Finding>, after: Option<&Finding>) -> Option<Change> {
    let verdict = |finding: Option<&Finding>| finding.map(|one| one.verdict);
    let one = after.or(before)?;
    Some(Change {
        id: one.id.clone(),
        title: one.title.clone(),
        delta: delta(verdict(before), verdict(after)),
        before: verdict(before),
        after: verdict(after),
        scale: one.scale,
        value_before: before.and_then(|one| one.judged.clone()),
        value_after: after.and_then(|one| one.judged.clone()),
    })
}

fn delta(before: Option<Verdict>, after: Option<Verdict>) -> Delta {
    match (before, after) {
        (_, None) => Delta::Gone,
        (None, Some(_)) => Delta::New,
        (Some(before), Some(after)) if before == after => Delta::Same,
        (Some(Verdict::Pass), Some(_)) => Delta::Broken,
        (Some(_), Some(Verdict::Pass)) => Delta::Fixed,
        _ => Delta::Changed,
    }
}

/// What makes two audits of a suite hard to compare.
fn differences(before: &Audit, after: &Audit) -> Vec<String> {
    let mut all = Vec::new();
    if before.model.fingerprint != after.model.fingerprint {
        all.push(format!(
            "The model is another one: {} then, {} now.",
            named(&before.model.name, &before.model.fingerprint.0),
            named(&after.model.name, &after.model.fingerprint.0)
        ));
    }
    if before.suite.sha256 != after.suite.sha256 {
        all.push("The suite's text has changed: limits, probes or measures may be others.".to_owned());
    }
    for set in &after.suite.sets {
        let earlier = before.suite.sets.iter().find(|one| one.id == set.id);
        if earlier.is_some_and(|earlier| earlier.sha256 != set.sha256) {
            all.push(format!("The probes of {} have changed.", set.id));
        }
    }
    if before.suite.seed != after.suite.seed {
        all.push(format!("The seed was {}, now it is {}.", before.suite.seed, after.suite.seed));
    }
    if before.numerics != after.numerics {
        all.push(
            "The numerics profile (device, precision, batch, threads, libtorch, processor) is another one.".to_owned(),
        );
    }
    if before.provenance.version != after.provenance.version {
        let (then, now) = (&before.provenance.version, &after.provenance.version);
        all.push(format!("The program was version {then}, now it is {now}."));
    }
    all
}

fn named(name: &str, weights: &str) -> String {
    format!("{name} ({})", weights.chars().take(12).collect::<String>())
}
