//! Intervals, tests and corrections against SciPy and statsmodels (tests/golden/statistics.py), on degenerate inputs, and
//! on simulated audits whose truth is known.

use clip_audit::stats::{
    Bounds, ClusterBootstrap, MINIMUM_CLUSTERS, PairTally, Tally, benjamini_hochberg, bootstrap_difference,
    clopper_pearson, clustered_difference, clustered_rate, detectable_number, detectable_rate, effective_trials, holm,
    mcnemar, normal_quantile, sign_flip, stream, student_quantile, tango, wilson,
};
use clip_audit::types::{Estimate, Value};
use proptest::prelude::*;
use rand::Rng;
use serde_json::Value as Json;

fn goldens(name: &str) -> Vec<Json> {
    let all: Json = serde_json::from_str(include_str!("golden/statistics.json")).unwrap();
    let cases = all[name].as_array().unwrap().clone();
    assert!(!cases.is_empty());
    cases
}

fn number(case: &Json, key: &str) -> f64 {
    case[key].as_f64().unwrap_or_else(|| panic!("{key} in {case}"))
}

fn count(case: &Json, key: &str) -> usize {
    number(case, key) as usize
}

fn list(case: &Json, key: &str) -> Vec<f64> {
    case[key].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

/// Equal within `tolerance`, absolute below 1 and relative above.
fn close(found: f64, expected: f64, tolerance: f64, case: &Json) {
    let distance = (found - expected).abs() / expected.abs().max(1.0);
    assert!(distance <= tolerance, "found {found:e}, expected {expected:e}, off by {distance:e}: {case}");
}

fn measured(value: Value) -> Estimate {
    match value {
        Value::Measured(estimate) => estimate,
        Value::NotMeasured { reason } => panic!("{reason}"),
    }
}

fn reason(value: Value) -> String {
    match value {
        Value::Measured(estimate) => panic!("{estimate:?}"),
        Value::NotMeasured { reason } => reason,
    }
}

#[test]
fn quantiles_agree_with_scipy() {
    for case in goldens("quantiles") {
        let p = number(&case, "p");
        let found = match case["kind"].as_str().unwrap() {
            "normal" => normal_quantile(p),
            _ => student_quantile(p, number(&case, "freedom")),
        };
        close(found, number(&case, "value"), 1e-9, &case);
    }
}

#[test]
fn intervals_of_a_rate_agree_with_statsmodels() {
    for case in goldens("intervals") {
        let (x, n, level) = (count(&case, "x"), count(&case, "n"), number(&case, "level"));
        let found = match case["kind"].as_str().unwrap() {
            "wilson" => wilson(x as f64, n as f64, level),
            _ => clopper_pearson(x, n, level),
        };
        close(found.low, number(&case, "low"), 1e-9, &case);
        close(found.high, number(&case, "high"), 1e-9, &case);
    }
}

#[test]
fn detectable_numbers_agree_with_the_power_of_statsmodels() {
    for case in goldens("detectable") {
        let [limit, level, power] = ["limit", "level", "power"].map(|key| number(&case, key));
        let expected = number(&case, "value");
        if case["kind"] == "number" {
            close(detectable_number(limit, true, number(&case, "half"), level, power), expected, 1e-9, &case);
            close(detectable_number(-limit, false, number(&case, "half"), level, power), -expected, 1e-9, &case);
            continue;
        }
        let n = number(&case, "n");
        close(detectable_rate(limit, true, n, level, power).unwrap(), expected, 1e-9, &case);
        close(detectable_rate(1.0 - limit, false, n, level, power).unwrap(), 1.0 - expected, 1e-9, &case);
        // The exact power jumps with whole counts; it is never far from what is promised.
        assert!((number(&case, "exact") - power).abs() < if n < 100.0 { 0.2 } else { 0.06 }, "{case}");
    }
    for case in goldens("effective") {
        let bounds = Bounds { low: number(&case, "low"), high: number(&case, "high") };
        let found = effective_trials(number(&case, "point"), bounds, number(&case, "level"));
        close(found, number(&case, "trials"), 1e-6, &case);
    }
}

#[test]
fn nothing_is_detectable_where_no_rate_breaks_the_limit_often_enough() {
    assert_eq!(detectable_rate(1.0, true, 100.0, 0.95, 0.8), None);
    assert_eq!(detectable_rate(0.0, false, 100.0, 0.95, 0.8), None);
    assert_eq!(detectable_rate(0.5, true, 2.0, 0.95, 0.8), None, "two trials show nothing");
    assert_eq!(detectable_rate(0.5, true, 0.5, 0.95, 0.8), None);
}

/// The promise itself: of many audits of a model that breaks the limit by the detectable amount, four in five fail.
#[test]
fn audits_find_what_they_say_they_could() {
    let (limit, clusters) = (0.10, 240);
    let rate = detectable_rate(limit, true, clusters as f64, 0.95, 0.8).unwrap();
    let mut random = stream(41, "power");
    let audits = 2_000;
    let failed = (0..audits)
        .filter(|_| {
            let tallies: Vec<Tally> = (0..clusters)
                .map(|_| Tally { successes: usize::from(random.random::<f64>() < rate), trials: 1 })
                .collect();
            measured(clustered_rate(&tallies, 0.95)).low() > limit
        })
        .count();
    let power = failed as f64 / f64::from(audits);
    assert!((power - 0.8).abs() < 0.04, "{power}");
}

#[test]
fn mcnemar_agrees_with_statsmodels() {
    for case in goldens("mcnemar") {
        close(mcnemar(count(&case, "b"), count(&case, "c")).p, number(&case, "p"), 1e-9, &case);
    }
}

#[test]
fn tango_agrees_with_a_numerical_likelihood() {
    for case in goldens("tango") {
        let found = tango(number(&case, "b"), number(&case, "c"), number(&case, "n"), number(&case, "level"));
        close(found.low, number(&case, "low"), 1e-8, &case);
        close(found.high, number(&case, "high"), 1e-8, &case);
    }
}

#[test]
fn clustered_rates_agree_with_a_cluster_robust_regression() {
    for case in goldens("clusters") {
        let tallies: Vec<Tally> = list(&case, "hits")
            .into_iter()
            .zip(list(&case, "sizes"))
            .map(|(hits, size)| Tally { successes: hits as usize, trials: size as usize })
            .collect();
        let found = measured(clustered_rate(&tallies, number(&case, "level")));
        close(found.point(), number(&case, "point"), 1e-12, &case);
        close(found.low(), number(&case, "low"), 1e-9, &case);
        close(found.high(), number(&case, "high"), 1e-9, &case);
        let design = format!("(design effect {:.2})", number(&case, "design"));
        assert!(found.method().contains(&design), "{} without {design}", found.method());
    }
}

#[test]
fn sign_flips_agree_with_scipy_and_draws_with_counting() {
    for case in goldens("sign-flip") {
        close(sign_flip(&list(&case, "d"), &mut stream(0, "")).p, number(&case, "p"), 1e-12, &case);
    }
    // A cluster without a difference changes nothing; from 17 clusters that differ on, signs are drawn.
    let mut differences: Vec<f64> = (0..16).map(|place| f64::from(place % 5) - 1.5).collect();
    let exact = sign_flip(&differences, &mut stream(7, "a"));
    differences.push(0.0);
    assert_eq!(sign_flip(&differences, &mut stream(7, "a")), exact);
    differences.push(1.5);
    let drawn = sign_flip(&differences, &mut stream(7, "a"));
    assert!(drawn.name.contains("9999 draws"), "{}", drawn.name);
    let sum = |signs: u32| -> f64 {
        differences.iter().enumerate().map(|(place, value)| if signs >> place & 1 == 1 { -value } else { *value }).sum()
    };
    let extreme = (0..1_u32 << 18).filter(|signs| sum(*signs).abs() >= drawn.statistic.abs()).count();
    let counted = extreme as f64 / f64::from(1 << 18);
    // Four standard errors of 9,999 draws.
    assert!((drawn.p - counted).abs() < 4.0 * (counted * (1.0 - counted) / 9_999.0).sqrt(), "{} {counted}", drawn.p);
    assert_eq!(drawn, sign_flip(&differences, &mut stream(7, "a")), "the same stream gives the same digits");
}

#[test]
fn a_drawn_test_is_never_zero() {
    let drawn = sign_flip(&[1.0; 40], &mut stream(1, "never zero"));
    assert_eq!(drawn.p, 1e-4);
}

#[test]
fn corrections_agree_with_statsmodels() {
    for case in goldens("corrections") {
        let p = list(&case, "p");
        for (name, found) in [("holm", holm(&p)), ("benjamini-hochberg", benjamini_hochberg(&p))] {
            for (found, expected) in found.iter().zip(list(&case, name)) {
                close(*found, expected, 1e-12, &case);
            }
        }
    }
    assert!(holm(&[]).is_empty() && benjamini_hochberg(&[]).is_empty());
}

#[test]
fn without_data_nothing_is_known() {
    for bounds in [wilson(0.0, 0.0, 0.95), clopper_pearson(0, 0, 0.95)] {
        assert_eq!((bounds.low, bounds.high), (0.0, 1.0));
    }
    let bounds = tango(0.0, 0.0, 0.0, 0.95);
    assert_eq!((bounds.low, bounds.high), (-1.0, 1.0));
    assert_eq!(sign_flip(&[], &mut stream(0, "")).p, 1.0);
    assert_eq!(sign_flip(&[0.0; 30], &mut stream(0, "")).p, 1.0);
    assert_eq!(sign_flip(&[3.0], &mut stream(0, "")).p, 1.0);
    assert!(ClusterBootstrap::draw(&[], &stream(0, "")).is_none());
    assert!(ClusterBootstrap::draw(&[(1.0, 2.0)], &stream(0, "")).is_none());
    assert_eq!(reason(clustered_rate(&[], 0.95)), "there is nothing to count");
    assert_eq!(reason(clustered_rate(&[Tally::default(); 30], 0.95)), "there is nothing to count");
    assert_eq!(reason(clustered_difference(&[], 0.95)), "there is nothing to count");
    let few = vec![Tally { successes: 1, trials: 50 }; MINIMUM_CLUSTERS - 1];
    assert!(reason(clustered_rate(&few, 0.95)).contains("9 independent clusters: too few"));
    let few = vec![PairTally { first_only: 1, second_only: 0, pairs: 50 }; MINIMUM_CLUSTERS - 1];
    assert!(reason(bootstrap_difference(&few, &stream(0, ""))(0.95)).contains("9 independent clusters"));
}

#[test]
fn where_all_clusters_agree_clusters_count() {
    // 20 clusters of 50: as wide as 20 trials, not as 1,000.
    let none = measured(clustered_rate(&[Tally { successes: 0, trials: 50 }; 20], 0.95));
    let expected = clopper_pearson(0, 20, 0.95);
    assert_eq!((none.point(), none.low(), none.high()), (0.0, 0.0, expected.high));
    let all = measured(clustered_rate(&[Tally { successes: 50, trials: 50 }; 20], 0.95));
    assert_eq!((all.point(), all.low(), all.high()), (1.0, 1.0 - expected.high, 1.0));
    for (first_only, second_only, point) in [(0, 0, 0.0_f64), (50, 0, 1.0), (0, 50, -1.0)] {
        let tallies = [PairTally { first_only, second_only, pairs: 50 }; 20];
        let expected = tango(point.max(0.0) * 20.0, (-point).max(0.0) * 20.0, 20.0, 0.95);
        let score = measured(clustered_difference(&tallies, 0.95));
        assert_eq!((score.point(), score.low(), score.high()), (point, expected.low, expected.high));
        assert_eq!(measured(bootstrap_difference(&tallies, &stream(0, ""))(0.95)), score);
    }
}

#[test]
fn one_success_never_looks_safer_than_none() {
    let mut tallies = vec![Tally { successes: 0, trials: 10 }; 48];
    let none = measured(clustered_rate(&tallies, 0.95));
    tallies[0].successes = 1;
    let one = measured(clustered_rate(&tallies, 0.95));
    assert!(one.high() >= none.high(), "{one:?} after {none:?}");
}

#[test]
fn trials_that_are_their_own_clusters_get_the_plain_intervals() {
    let tallies: Vec<Tally> =
        (0..40).map(|place| Tally { successes: usize::from(place % 4 == 0), trials: 1 }).collect();
    let found = measured(clustered_rate(&tallies, 0.95));
    let expected = wilson(10.0, 40.0, 0.95);
    assert!((found.low() - expected.low).abs() < 1e-12 && (found.high() - expected.high).abs() < 1e-12);
    let pairs: Vec<PairTally> = (0..40)
        .map(|place| PairTally { first_only: usize::from(place < 9), second_only: usize::from(place > 37), pairs: 1 })
        .collect();
    let found = measured(clustered_difference(&pairs, 0.95));
    let expected = tango(9.0, 2.0, 40.0, 0.95);
    assert!((found.low() - expected.low).abs() < 1e-12 && (found.high() - expected.high).abs() < 1e-12);
}

/// A stream of uniform numbers in 0 to 1.
struct Uniform(rand_chacha::ChaCha8Rng);

impl Uniform {
    fn next(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A beta variate (Johnk 1964: accept where the powers add up to at most 1).
    fn beta(&mut self, first: f64, second: f64) -> f64 {
        loop {
            let (a, b) = (self.next().powf(1.0 / first), self.next().powf(1.0 / second));
            if a + b > 0.0 && a + b <= 1.0 {
                return a / (a + b);
            }
        }
    }

    fn binomial(&mut self, trials: usize, rate: f64) -> usize {
        (0..trials).filter(|_| self.next() < rate).count()
    }
}

#[test]
fn clustered_intervals_cover_the_truth() {
    // Beta-binomial clusters; 1,500 audits each. Coverage of a 95 % interval may fall short by its own sampling error and
    // what the literature knows of small samples, and the dangerous side (the truth above the interval) is held apart.
    let mut uniform = Uniform(stream(3, "coverage"));
    for (clusters, size, rate, correlation) in [
        (12, 5, 0.3, 0.3),
        (20, 10, 0.03, 0.3),
        (20, 10, 0.1, 0.5),
        (48, 10, 0.25, 0.2),
        (48, 10, 0.03, 0.7),
        (60, 1, 0.4, 0.1),
    ] {
        let audits = 1_500;
        let spread = (1.0 - correlation) / correlation;
        let (mut covered, mut above) = (0, 0);
        for _ in 0..audits {
            let tallies: Vec<Tally> = (0..clusters)
                .map(|_| {
                    let cluster = uniform.beta(rate * spread, (1.0 - rate) * spread);
                    Tally { successes: uniform.binomial(size, cluster), trials: size }
                })
                .collect();
            let found = measured(clustered_rate(&tallies, 0.95));
            covered += usize::from(found.low() <= rate && rate <= found.high());
            above += usize::from(found.high() < rate);
        }
        let (covered, above) = (covered as f64 / audits as f64, above as f64 / audits as f64);
        let case = format!("{clusters} clusters of {size}, rate {rate}: {covered} covered, {above} above");
        assert!(covered >= 0.93, "{case}");
        assert!(above <= 0.045, "{case}");
    }
}

#[test]
fn intervals_of_a_difference_cover_the_truth() {
    // Clusters differ in how often only the first member succeeds; the second alone never does, so the truth is the rate.
    let mut uniform = Uniform(stream(6, "coverage of differences"));
    for (clusters, size, rate, correlation, audits) in
        [(20, 10, 0.1, 0.5, 400), (48, 10, 0.02, 0.5, 200), (30, 4, 0.3, 0.2, 400)]
    {
        let spread = (1.0 - correlation) / correlation;
        let mut missed = [0; 4];
        for audit in 0..audits {
            let tallies: Vec<PairTally> = (0..clusters)
                .map(|_| {
                    let cluster = uniform.beta(rate * spread, (1.0 - rate) * spread);
                    PairTally { first_only: uniform.binomial(size, cluster), second_only: 0, pairs: size }
                })
                .collect();
            let score = measured(clustered_difference(&tallies, 0.95));
            let bootstrap = measured(bootstrap_difference(&tallies, &stream(audit, "draws"))(0.95));
            missed[0] += usize::from(score.high() < rate);
            missed[1] += usize::from(score.low() > rate);
            missed[2] += usize::from(bootstrap.high() < rate);
            missed[3] += usize::from(bootstrap.low() > rate);
        }
        for (missed, what) in missed.iter().zip(["score above", "score below", "bootstrap above", "bootstrap below"]) {
            let share = *missed as f64 / audits as f64;
            assert!(share <= 0.055, "{clusters} clusters of {size}, {rate}: {share} {what}");
        }
    }
}

#[test]
fn a_null_model_is_flagged_at_the_nominal_rate() {
    // Attack and control succeed alike, with clusters that differ: the test may flag 5 % of audits at the 5 % level.
    let mut uniform = Uniform(stream(4, "null"));
    for clusters in [12, 30] {
        let audits = 1_000;
        let mut flagged = 0;
        for audit in 0..audits {
            let differences: Vec<f64> = (0..clusters)
                .map(|_| {
                    let rate = uniform.beta(0.5, 1.0);
                    uniform.binomial(6, rate) as f64 - uniform.binomial(6, rate) as f64
                })
                .collect();
            let short = &mut stream(audit, "null test");
            flagged += usize::from(sign_flip(&differences, short).p <= 0.05);
        }
        // The 99.9 % bound of 5 % in 1,000.
        assert!(flagged <= 73, "{flagged} of {audits} flagged over {clusters} clusters");
        assert!(flagged >= 20, "{flagged} of {audits}: a test that never flags is no test");
    }
}

#[test]
fn a_planted_effect_is_found() {
    let mut uniform = Uniform(stream(5, "power"));
    let found = (0..200)
        .filter(|audit| {
            let differences: Vec<f64> =
                (0..30).map(|_| uniform.binomial(6, 0.4) as f64 - uniform.binomial(6, 0.15) as f64).collect();
            sign_flip(&differences, &mut stream(*audit, "power test")).p <= 0.05
        })
        .count();
    assert!(found >= 190, "{found} of 200");
}

proptest! {
    #[test]
    fn intervals_are_finite_ordered_and_hold_their_point(
        tallies in prop::collection::vec((0_usize..30, 0_usize..30), 0..40),
        level in 0.5_f64..0.9999,
    ) {
        let rates: Vec<Tally> =
            tallies.iter().map(|(a, b)| Tally { successes: *a.min(b), trials: *a.max(b) }).collect();
        let pairs: Vec<PairTally> =
            tallies.iter().map(|(a, b)| PairTally { first_only: *a, second_only: *b, pairs: a + b + 3 }).collect();
        let values = [clustered_rate(&rates, level), clustered_difference(&pairs, level)];
        for (value, range) in values.into_iter().zip([(0.0, 1.0), (-1.0, 1.0)]) {
            if let Value::Measured(found) = value {
                prop_assert!(range.0 <= found.low() && found.low() <= found.point(), "{found:?}");
                prop_assert!(found.point() <= found.high() && found.high() <= range.1, "{found:?}");
            }
        }
    }

    #[test]
    fn differences_mirror(b in 0_usize..40, c in 0_usize..40, rest in 0_usize..40, level in 0.5_f64..0.9999) {
        let n = (b + c + rest) as f64;
        let (one, other) = (tango(b as f64, c as f64, n, level), tango(c as f64, b as f64, n, level));
        prop_assert!((one.low + other.high).abs() < 1e-9 && (one.high + other.low).abs() < 1e-9);
        prop_assert_eq!(mcnemar(b, c).p, mcnemar(c, b).p);
    }
}
