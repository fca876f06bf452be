//! Gates: every verdict rule, waivers, the judgement over all findings, and quarantine.

mod changes;
mod recognition;

use std::collections::{BTreeMap, BTreeSet};

use clip_audit::gate::{Gate, SetUse, Waiver, copy_findings, count_use, judge, overall, quarantine_findings, sort};
use clip_audit::types::{
    Direction, Estimate, Finding, Judgement, Measurement, Origin, ProbeId, ProbePlan, Quantity, Quarantined, Recipe,
    Scale, Severity, Simultaneous, Value, Verdict, WaiverRecord,
};
use jiff::civil::{Date, date};
use proptest::prelude::*;
use serde_json::json;

fn today() -> Date {
    date(2026, 6, 1)
}

fn estimate(point: f64, low: f64, high: f64, level: f64) -> Value {
    Value::Measured(Estimate::new(point, low, high, level, "test").unwrap())
}

fn measurement(group: &[(&str, &str)], value: Value) -> Measurement {
    let group: BTreeMap<String, String> = group.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Measurement {
        id: format!("success/zs/eligible/{group:?}"),
        measure: "success".into(),
        readout: "zs".into(),
        statistic: "eligible".into(),
        quantity: Quantity {
            scale: Scale::Share,
            counted: "eligible pairs".into(),
            about: "changed to the written word".into(),
        },
        group,
        unit: None,
        value,
        simultaneous: None,
        n: 480,
        clusters: 48,
        test: None,
        worse: Direction::Higher,
        evidence: vec![ProbeId::named("p1")],
    }
}

fn gate(more: serde_json::Value) -> Gate {
    let mut gate = json!({"id": "limit", "measure": "success", "statistic": "eligible", "severity": "high"});
    gate.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(gate).unwrap()
}

fn waiver(gate: &str, until: &str) -> Waiver {
    serde_json::from_value(json!({"gate": gate, "until": until, "owner": "R. Owner", "reason": "known"})).unwrap()
}

fn one(gate: &Gate, value: Value) -> Finding {
    let mut findings = judge(std::slice::from_ref(gate), &[], &[measurement(&[], value)], today());
    assert_eq!(findings.len(), 1);
    findings.remove(0)
}

#[test]
fn the_whole_interval_decides() {
    use Verdict::{Fail, Inconclusive, Pass, Warn};
    // Point, low, high, limit; verdict of `max`.
    for (point, low, high, limit, expected) in [
        (0.25, 0.21, 0.29, 0.10, Fail),
        (0.12, 0.1000001, 0.15, 0.10, Fail),
        (0.12, 0.10, 0.15, 0.10, Warn),
        (0.12, 0.08, 0.16, 0.10, Warn),
        (0.10, 0.08, 0.12, 0.10, Inconclusive),
        (0.05, 0.01, 0.12, 0.10, Inconclusive),
        (0.05, 0.01, 0.1000001, 0.10, Inconclusive),
        (0.05, 0.01, 0.10, 0.10, Pass),
        (0.00, 0.00, 0.00, 0.00, Pass),
        (0.00, 0.00, 0.07, 0.00, Inconclusive),
    ] {
        let found = one(&gate(json!({"max": limit})), estimate(point, low, high, 0.95));
        assert_eq!(found.verdict, expected, "max {limit}: {point} [{low}, {high}]");
        // Mirrored: a floor on the negated number.
        let mirrored = one(&gate(json!({"min": -limit})), estimate(-point, -high, -low, 0.95));
        assert_eq!(mirrored.verdict, expected, "min {limit}: mirrored");
        for (undecided, settled) in [("fail", Fail), ("pass", Pass)] {
            let found = one(&gate(json!({"max": limit, "undecided": undecided})), estimate(point, low, high, 0.95));
            let expected = if matches!(expected, Warn | Inconclusive) { settled } else { expected };
            assert_eq!(found.verdict, expected, "undecided: {undecided}");
        }
    }
}

#[test]
fn messages_name_the_numbers() {
    let found = one(&gate(json!({"max": 0.1})), estimate(0.25, 0.21, 0.29, 0.95));
    assert_eq!(
        found.message,
        "25 % [21 %, 29 %] of 480 eligible pairs in 48 clusters changed to the written word; the gate asks for at most 10 %"
    );
    assert_eq!(found.rule, "at most 10 % (95 % interval)");
    assert_eq!((found.title.as_str(), found.gate.as_str(), found.limit), ("limit", "limit", Some(0.1)));
    assert_eq!(found.evidence, [ProbeId::named("p1")]);
    assert!(found.id.len() == 10 && found.id.starts_with("F-"), "{}", found.id);
    // 0.05 to 0.10 is a third of 0.05 to 0.2: nine times the data.
    let found = one(&gate(json!({"max": 0.1})), estimate(0.05, 0.01, 0.2, 0.95));
    assert!(
        found.message.ends_with(
            "undecided: about 390 more independent clusters (about 3900 more eligible pairs) would decide if the number \
             stays where it is"
        ),
        "{}",
        found.message
    );
    let found = one(&gate(json!({"max": 0.1})), estimate(0.1, 0.01, 0.2, 0.95));
    assert!(found.message.ends_with("the number is on the limit, and no amount of data would decide"));
    let found = one(&gate(json!({"max": 0.1})), estimate(0.0999999, 0.01, 0.2, 0.95));
    assert!(found.message.ends_with("no realistic amount of data would decide"));
    // A bound just beyond the limit does not print as the limit.
    let found = one(&gate(json!({"max": 0.1})), estimate(0.05, 0.01, 0.10004, 0.95));
    assert!(found.message.contains("[1 %, 10.004 %]"), "{}", found.message);
    let mut drop = measurement(&[], estimate(0.12, 0.081, 0.15, 0.95));
    drop.quantity = Quantity { scale: Scale::Difference, counted: "pairs".into(), about: "accuracy lost".into() };
    let found = judge(&[gate(json!({"max": 0.05}))], &[], &[drop], today()).remove(0);
    assert_eq!(
        found.message,
        "accuracy lost: 12 points [8.1, 15] over 480 pairs in 48 clusters; the gate asks for at most 5 points"
    );
}

#[test]
fn each_row_is_judged_at_the_level_for_all_rows() {
    let row = |size: &str, wide: Value| Measurement {
        simultaneous: Some(Simultaneous { rows: 2, value: wide }),
        ..measurement(&[("size", size)], estimate(0.05, 0.02, 0.09, 0.95))
    };
    let rows = [
        measurement(&[], estimate(0.05, 0.02, 0.09, 0.95)),
        row("0.07", estimate(0.05, 0.01, 0.11, 0.975)),
        row("0.14", estimate(0.05, 0.01, 0.10, 0.975)),
        measurement(&[("label", "poodle")], estimate(0.9, 0.8, 0.95, 0.95)),
    ];
    let overall = judge(&[gate(json!({"max": 0.1}))], &[], &rows, today());
    assert_eq!(overall.iter().map(|one| one.verdict).collect::<Vec<_>>(), [Verdict::Pass]);
    // 95 % would pass both; for two rows together the first is undecided. A row no gate ranges over is not judged.
    let each = judge(&[gate(json!({"max": 0.1, "on": "each"}))], &[], &rows, today());
    assert_eq!(each.iter().map(|one| one.verdict).collect::<Vec<_>>(), [Verdict::Inconclusive, Verdict::Pass]);
    assert_eq!(each[0].title, "limit: size 0.07");
    assert_eq!(each[0].rule, "at most 10 % (97.5 % interval, 2 rows together)");
    assert!(each[1].message.starts_with("size 0.14: 5 % [1 %, 10 %] of 480"), "{}", each[1].message);
    // What the verdict looked at stands in the finding, so that a report draws no narrower interval than was judged.
    let judged = |finding: &Finding| match &finding.judged {
        Some(Value::Measured(estimate)) => estimate.level(),
        other => panic!("{other:?}"),
    };
    assert!(each.iter().all(|finding| (judged(finding) - 0.975).abs() < 1e-12));
    assert!(each[1].message.ends_with("at most 10 % (97.5 % interval, for 2 rows together)"));
}

#[test]
fn no_number_is_never_a_pass() {
    let blank = Value::NotMeasured { reason: "9 independent clusters are too few".into() };
    for undecided in [json!({"max": 1.0}), json!({"max": 1.0, "undecided": "pass"}), json!({"min": 0.0})] {
        let found = one(&gate(undecided), blank.clone());
        assert_eq!(found.verdict, Verdict::NotMeasured);
        assert_eq!(found.message, "could not be measured: 9 independent clusters are too few");
        assert_eq!(overall(&[found]).0, Judgement::Inconclusive);
    }
    for missing in [json!({"max": 1.0, "on": "each"}), json!({"max": 1.0, "readout": "probe"})] {
        let found = one(&gate(missing), estimate(0.0, 0.0, 0.1, 0.95));
        assert_eq!((found.verdict, found.measurement.clone()), (Verdict::NotMeasured, None));
        assert!(found.message.starts_with("nothing was measured"), "{}", found.message);
    }
    let row = Measurement {
        simultaneous: Some(Simultaneous { rows: 1, value: blank }),
        ..measurement(&[("size", "1")], estimate(0.0, 0.0, 0.1, 0.95))
    };
    let found = judge(&[gate(json!({"max": 1.0, "on": "each", "undecided": "pass"}))], &[], &[row], today());
    assert_eq!(found[0].verdict, Verdict::NotMeasured);
}

#[test]
fn waivers_hold_until_their_last_day() {
    let fails = measurement(&[], estimate(0.25, 0.21, 0.29, 0.95));
    let passes = measurement(&[], estimate(0.01, 0.0, 0.05, 0.95));
    let judged = |waivers: &[Waiver], one: &Measurement| {
        judge(&[gate(json!({"max": 0.1}))], waivers, std::slice::from_ref(one), today())
    };
    let valid = judged(&[waiver("limit", "2026-06-01")], &fails);
    assert_eq!(valid.len(), 1);
    assert_eq!(valid[0].verdict, Verdict::Waived);
    assert_eq!(
        valid[0].waiver.as_ref().map(WaiverRecord::in_words).as_deref(),
        Some("accepted by R. Owner until 2026-06-01: known")
    );
    assert_eq!(overall(&valid), (Judgement::Pass, "0 of 1 gate passed, 1 failed and waived".to_owned()));

    let expired = judged(&[waiver("limit", "2026-05-31")], &fails);
    assert_eq!(expired.iter().map(|one| one.verdict).collect::<Vec<_>>(), [Verdict::Fail, Verdict::Warn]);
    assert_eq!(expired[1].message, "the waiver of R. Owner for `limit` ended on 2026-05-31 and waives nothing");
    assert_eq!(overall(&expired).0, Judgement::Fail);

    let unknown = judged(&[waiver("limits", "2027-01-01")], &passes);
    assert_eq!(unknown.iter().map(|one| one.verdict).collect::<Vec<_>>(), [Verdict::Pass, Verdict::Warn]);
    assert!(unknown[1].message.contains("names the gate `limits`, which does not exist"));
    assert_eq!(overall(&unknown), (Judgement::Pass, "the one gate passed".to_owned()));

    // A waiver accepts a fail; it does not decide what is undecided or make up a number.
    for value in [estimate(0.12, 0.08, 0.16, 0.95), Value::NotMeasured { reason: "none".into() }] {
        let found = judged(&[waiver("limit", "2027-01-01")], &measurement(&[], value));
        assert_ne!(found[0].verdict, Verdict::Waived);
        assert_eq!(overall(&found).0, Judgement::Inconclusive);
    }
}

fn finding(origin: Origin, verdict: Verdict, severity: Severity, gate: &str) -> Finding {
    Finding {
        id: String::new(),
        origin,
        verdict,
        severity,
        title: gate.into(),
        message: "words".into(),
        gate: gate.into(),
        rule: String::new(),
        scale: Scale::Number,
        limit: None,
        bound: None,
        measurement: None,
        judged: None,
        evidence: Vec::new(),
        waiver: None,
        detectable: None,
    }
}

#[test]
fn the_judgement_weighs_findings_by_origin() {
    use Origin::{Control, DataQuality, Flag, Gate};
    use Verdict::{Fail, Inconclusive, NotMeasured, Pass, Waived, Warn};
    let pass = finding(Gate, Pass, Severity::High, "a");
    for (origin, verdict, expected) in [
        (Gate, Pass, Judgement::Pass),
        (Gate, Waived, Judgement::Pass),
        (Gate, Fail, Judgement::Fail),
        (Gate, Warn, Judgement::Inconclusive),
        (Gate, Inconclusive, Judgement::Inconclusive),
        (Gate, NotMeasured, Judgement::Inconclusive),
        (Control, Fail, Judgement::Inconclusive),
        (Control, Warn, Judgement::Pass),
        (Control, Pass, Judgement::Pass),
        (DataQuality, Inconclusive, Judgement::Inconclusive),
        (DataQuality, Warn, Judgement::Pass),
        (Flag, Warn, Judgement::Pass),
        (Flag, Fail, Judgement::Pass),
    ] {
        let findings = [pass.clone(), finding(origin, verdict, Severity::Low, "b")];
        assert_eq!(overall(&findings).0, expected, "{origin:?} {verdict:?}");
    }
    // A fail outweighs what is undecided.
    let both = [finding(Gate, Warn, Severity::Critical, "a"), finding(Gate, Fail, Severity::Low, "b")];
    assert_eq!(overall(&both), (Judgement::Fail, "1 of 2 gates failed. b: words".to_owned()));
    // Nothing judged is no pass.
    assert_eq!(overall(&[]), (Judgement::Inconclusive, "nothing was judged: no gate looked at any number".to_owned()));
    assert_eq!(overall(&[finding(Flag, Warn, Severity::Low, "")]).0, Judgement::Inconclusive);
}

#[test]
fn findings_are_sorted_worst_first() {
    use Verdict::{Fail, Inconclusive, Pass, Waived, Warn};
    let mut findings = [
        finding(Origin::Gate, Pass, Severity::Critical, "pass"),
        finding(Origin::DataQuality, Warn, Severity::High, "notice"),
        finding(Origin::Gate, Waived, Severity::High, "waived"),
        finding(Origin::Gate, Fail, Severity::Low, "fail low"),
        finding(Origin::Gate, Inconclusive, Severity::Critical, "undecided"),
        finding(Origin::Gate, Fail, Severity::High, "fail high"),
    ];
    sort(&mut findings);
    let order: Vec<_> = findings.iter().map(|one| one.gate.as_str()).collect();
    assert_eq!(order, ["fail high", "fail low", "undecided", "waived", "notice", "pass"]);
}

#[test]
fn gates_and_waivers_are_checked() {
    let problem = |more| gate(more).check().first().map(|one| one.message.clone()).unwrap_or_default();
    assert_eq!(problem(json!({"max": 0.1})), "");
    assert_eq!(problem(json!({"min": 0.1, "on": "each", "undecided": "fail", "readout": "zs"})), "");
    assert!(problem(json!({})).starts_with("a gate needs a limit"));
    assert!(problem(json!({"max": 1, "min": 0})).starts_with("a gate has one limit"));
    let infinite = Gate { max: Some(f64::NAN), ..gate(json!({"max": 1})) };
    assert_eq!(infinite.check()[0].message, "expected a finite number");
    for wrong in [
        json!({"id": "a", "measure": "m", "statistic": "s", "max": 1}),
        json!({"id": "a", "measure": "m", "statistic": "s", "max": 1, "severity": "worst"}),
        json!({"id": "a", "measure": "m", "statistic": "s", "max": 1, "severity": "high", "level": 0.9}),
        json!({"id": "a", "measure": "m", "statistic": "s", "max": 1, "severity": "high", "on": "all"}),
    ] {
        assert!(serde_json::from_value::<Gate>(wrong.clone()).is_err(), "{wrong}");
    }
    assert!(waiver("a", "2026-12-31").check().is_empty());
    assert_eq!(Waiver { owner: " ".into(), ..waiver("a", "2026-12-31") }.check()[0].path, ["owner"]);
    let bad = json!({"gate": "a", "until": "2026-02-30", "owner": "b", "reason": "c"});
    assert!(serde_json::from_value::<Waiver>(bad).is_err());
}

#[test]
fn copies_are_no_independent_evidence() {
    // 200 pictures, each its own cluster; `same` of them hold the bytes of the first.
    let found = |same: usize, one_cluster: bool| -> Vec<String> {
        let plan = |place: usize| ProbePlan {
            id: ProbeId::named(&format!("p{place}")),
            set: "photos".into(),
            labels: [].into(),
            source: None,
            control: None,
            cluster: if one_cluster && place < same { "shared".into() } else { format!("c{place}").as_str().into() },
            recipe: Recipe {
                generator: "test@1",
                parameters: "{}".into(),
                files: [format!("{place}.png").as_str().into()].into(),
                seed: 0,
            },
        };
        let plans: Vec<ProbePlan> = (0..200).map(plan).collect();
        let names: Vec<(String, String)> = (0..200)
            .map(|place| (format!("{place}.png"), format!("sha {}", if place < same { 0 } else { place })))
            .collect();
        let contents: BTreeMap<&str, &str> = names.iter().map(|(name, sha)| (name.as_str(), sha.as_str())).collect();
        let findings = copy_findings(&plans, &contents);
        findings
            .iter()
            .map(|one| format!("{:?} {:?} {}: {}", one.verdict, one.severity, one.title, one.message))
            .collect()
    };
    assert_eq!(found(1, false), Vec::<String>::new());
    assert_eq!(found(50, true), Vec::<String>::new());
    let copies = "of 200 clusters of `photos` repeat a picture of another cluster byte for byte, for example `c0` and `c1`: \
                  copies are no independent evidence; take them out, or give them one cluster";
    assert_eq!(found(3, false), [format!("Warn Info copies in photos: 2 {copies}")]);
    assert_eq!(found(4, false), [format!("Inconclusive High copies in photos: 3 {copies}")]);
}

#[test]
fn a_pass_that_is_none_says_so() {
    // Undecided and counted as passed: the gate, its rule and the judgement say it.
    let found = one(&gate(json!({"max": 0.1, "undecided": "pass"})), estimate(0.12, 0.08, 0.16, 0.95));
    assert_eq!(found.verdict, Verdict::Pass);
    assert_eq!(found.rule, "at most 10 % (95 % interval; undecided counts as passed)");
    assert!(found.message.ends_with("; the gate counts undecided as passed"), "{}", found.message);
    let clear = one(&gate(json!({"max": 0.5, "id": "other"})), estimate(0.12, 0.08, 0.16, 0.95));
    assert_eq!(
        overall(&[found, clear]),
        (Judgement::Pass, "all 2 gates passed, 1 of them undecided and counted as passed".to_owned())
    );
    // A floor under something that is worse when higher.
    let found = one(&gate(json!({"min": 0.05})), estimate(0.9, 0.8, 0.95, 0.95));
    assert!(
        found.message.ends_with("the gate asks for at least 5 %, although a higher number is worse"),
        "{}",
        found.message
    );
}

#[test]
fn quarantine_is_counted_by_group() {
    let plan = |place: usize| ProbePlan {
        id: ProbeId::named(&format!("p{place}")),
        set: if place < 20 { "photos" } else { "drawings" }.into(),
        labels: [("group".into(), if place.is_multiple_of(2) { "a" } else { "b" }.into()), ("name".into(), "x".into())]
            .into(),
        source: None,
        control: None,
        cluster: "c".into(),
        recipe: Recipe { generator: "test@1", parameters: "{}".into(), files: [].into(), seed: 0 },
    };
    let plans: Vec<ProbePlan> = (0..30).map(plan).collect();
    let lost = |places: &[usize]| -> Vec<Quarantined> {
        let one = |place: &usize| Quarantined {
            probe: plans[*place].id.clone(),
            set: plans[*place].set.to_string(),
            labels: BTreeMap::new(),
            files: Vec::new(),
            reason: "truncated".into(),
        };
        places.iter().map(one).collect()
    };
    let by: BTreeSet<String> = ["group".to_owned()].into();
    let found = |places: &[usize], max| -> Vec<String> {
        let sets: Vec<SetUse> = count_use(&plans, &lost(places), &by);
        assert_eq!(
            sets.iter().map(|set| (set.set.as_str(), set.planned)).collect::<Vec<_>>(),
            [("photos", 20), ("drawings", 10)]
        );
        let findings = quarantine_findings(&sets, max);
        findings.iter().map(|one| format!("{:?} {:?}: {}", one.verdict, one.severity, one.message)).collect()
    };
    assert_eq!(found(&[], 0.0), Vec::<String>::new());
    assert_eq!(
        found(&[1], 0.0),
        ["Inconclusive High: 1 of 20 probes (5 %) of `photos` could not be used; at most 0 % allowed"]
    );
    assert_eq!(
        found(&[1], 0.05),
        [
            "Warn Info: 1 of 20 probes (5 %) of `photos` could not be used",
            "Inconclusive High: 1 of 10 probes (10 %) of `photos` with group b could not be used; at most 5 % allowed",
        ]
    );
    assert_eq!(
        found(&[1, 3, 5, 21], 0.5),
        [
            "Warn Info: 3 of 20 probes (15 %) of `photos` could not be used",
            "Warn Medium: 3 of 10 probes (30 %) of `photos` with group b could not be used, 0 of 10 probes (0 %) elsewhere: \
             what is left may not stand for it",
            "Warn Info: 1 of 10 probes (10 %) of `drawings` could not be used",
        ]
    );
}

proptest! {
    #[test]
    fn verdicts_never_contradict_their_interval(
        bounds in prop::array::uniform3(-1.0_f64..1.0),
        limit in -1.0_f64..1.0,
    ) {
        let mut bounds = bounds;
        bounds.sort_by(f64::total_cmp);
        let [low, point, high] = bounds;
        let max = one(&gate(json!({"max": limit})), estimate(point, low, high, 0.95));
        match max.verdict {
            Verdict::Pass => prop_assert!(high <= limit),
            Verdict::Fail => prop_assert!(low > limit),
            Verdict::Warn => prop_assert!(low <= limit && point > limit),
            Verdict::Inconclusive => prop_assert!(point <= limit && high > limit),
            other => prop_assert!(false, "{:?}", other),
        }
        let mirrored = one(&gate(json!({"min": -limit})), estimate(-point, -high, -low, 0.95));
        prop_assert_eq!(mirrored.verdict, max.verdict);
    }
}
