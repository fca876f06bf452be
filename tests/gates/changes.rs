//! What changed against an earlier audit: which findings are new, broken, fixed or gone, and what makes two audits hard to
//! compare.

use clip_audit::gate::{comparable, compare};
use clip_audit::types::{Audit, Delta, Finding, Fingerprint, Origin, Severity, Verdict};

use super::{estimate, finding};
use crate::reports::sample;

fn with(findings: &[(&str, Verdict)]) -> Audit {
    let one = |(id, verdict): &(&str, Verdict)| Finding {
        id: (*id).to_owned(),
        judged: Some(estimate(0.1, 0.05, 0.15, 0.95)),
        ..finding(Origin::Gate, *verdict, Severity::High, id)
    };
    Audit { findings: findings.iter().map(one).collect(), baseline: None, ..sample::audit() }
}

#[test]
fn findings_are_matched_by_id_whatever_their_order() {
    use Verdict::{Fail, Inconclusive, Pass, Waived, Warn};
    let before =
        with(&[("F-broken", Pass), ("F-fixed", Inconclusive), ("F-same", Fail), ("F-waived", Fail), ("F-gone", Warn)]);
    let after = with(&[("F-same", Fail), ("F-new", Pass), ("F-fixed", Pass), ("F-broken", Warn), ("F-waived", Waived)]);
    let found = compare(&before, "abc".into(), &after);
    let deltas: Vec<_> = found.changes.iter().map(|one| (one.id.as_str(), one.delta, one.before, one.after)).collect();
    assert_eq!(
        deltas,
        [
            ("F-same", Delta::Same, Some(Fail), Some(Fail)),
            ("F-new", Delta::New, None, Some(Pass)),
            ("F-fixed", Delta::Fixed, Some(Inconclusive), Some(Pass)),
            ("F-broken", Delta::Broken, Some(Pass), Some(Warn)),
            ("F-waived", Delta::Changed, Some(Fail), Some(Waived)),
            ("F-gone", Delta::Gone, Some(Warn), None),
        ]
    );
    let [new, gone] = [&found.changes[1], &found.changes[5]];
    assert!(new.value_before.is_none() && new.value_after.is_some());
    assert!(gone.value_before.is_some() && gone.value_after.is_none());
    assert_eq!((found.sha256.as_str(), found.differences.len()), ("abc", 0));
}

#[test]
fn whatever_makes_two_audits_hard_to_compare_is_said() {
    let before = with(&[]);
    let mut after = with(&[]);
    after.model.fingerprint = Fingerprint("f".repeat(64));
    after.suite.sha256 = "other".into();
    after.suite.sets[1].sha256 = "other".into();
    after.suite.seed = 8;
    after.numerics.threads += 1;
    after.provenance.version = "9.9.9".into();
    let said = compare(&before, String::new(), &after).differences.join("\n");
    for part in [
        "The model is another one: reference (ccc7f15751ea) then, reference (ffffffffffff) now.",
        "The suite's text has changed",
        "The probes of attack have changed.",
        "The seed was 7, now it is 8.",
        "The numerics profile",
        "The program was version 0.1.0, now it is 9.9.9.",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(said.lines().count(), 6, "{said}");
}

#[test]
fn another_suite_is_no_baseline() {
    let before = with(&[]);
    assert_eq!(comparable(&before, "typographic-attack"), Ok(()));
    assert_eq!(
        comparable(&before, "other").unwrap_err().to_string(),
        "the baseline is an audit of the suite `typographic-attack`, this one is of `other`: give an audit.json of `other`"
    );
}
