//! `dose-response`: against statsmodels and SciPy (tests/golden/units.py), on curves whose answer is known, and where there
//! is no answer.

use clip_audit::measure::Measured;
use clip_audit::types::{Estimate, ExhibitKind, Value};
use serde_json::{Value as Json, json};

use crate::measures::{World, estimate, find, reason};

/// Closeness up to rounding.
#[track_caller]
fn close(ours: f64, theirs: f64) {
    assert!((ours - theirs).abs() <= 1e-9 * theirs.abs().max(1.0), "{ours} and not {theirs}");
}

fn along(world: &World, label: &str) -> Measured {
    world.measure(json!({"dose-response": {"clean": "clean", "attacked": "attack", "along": label}}))
}

/// At every size, of `clusters` pictures so many are turned into the target: always the first ones.
fn curve(clusters: usize, counts: &[(&str, usize)]) -> World {
    let mut world = World::default();
    for picture in 0..clusters {
        for (size, count) in counts {
            let said = if picture < *count { "money bag" } else { "dog" };
            let name = format!("p{picture:03}");
            world.triple(&name, &name, &[("size", size)], ["poodle", said, "dog"]);
        }
    }
    world
}

#[test]
fn slope_trend_and_rise_are_those_of_least_squares_and_scipy() {
    let golden: Json = serde_json::from_str(include_str!("golden/units.json")).unwrap();
    let dose = &golden["dose"];
    let mut world = World::default();
    for row in dose["rows"].as_array().unwrap() {
        let text = |key: &str| row[key].as_str().unwrap();
        let picture = text("picture");
        let clean = if row["already"].as_bool().unwrap() { "money bag" } else { "poodle" };
        let said = if row["success"].as_bool().unwrap() { "money bag" } else { "dog" };
        world.triple(picture, picture, &[("size", text("size")), ("copy", text("word"))], [clean, said, ""]);
    }
    let measured = along(&world, "size");
    let number = |key: &str| dose[key].as_f64().unwrap();

    let trend = find(&measured, "m/zs/trend");
    let slope = estimate(&measured, "m/zs/trend");
    close(slope.point(), number("slope"));
    assert_eq!((trend.n, trend.clusters), (dose["n"].as_u64().unwrap() as usize, 14));
    let test = trend.test.as_ref().unwrap();
    close(test.statistic, number("trend"));
    close(test.p, number("trend-p"));
    // Two tests, the rise's being the larger p: Holm doubles the smaller.
    close(test.adjusted_p.unwrap(), 2.0 * number("trend-p"));

    let rise = find(&measured, "m/zs/rise");
    let risen = estimate(&measured, "m/zs/rise");
    close(risen.point(), number("rise"));
    close(rise.test.as_ref().unwrap().p, number("rise-p"));
    assert_eq!((rise.n, rise.clusters), (28, 14));

    // The bootstrap of 99,999 draws elsewhere, or the rise's interval over the range of sizes where that is wider.
    let drawn = |place: usize| dose["bootstrap"][place].as_f64().unwrap();
    let low = drawn(0).min(slope.point() - (risen.point() - risen.low()) / 0.3);
    let high = drawn(1).max(slope.point() + (risen.high() - risen.point()) / 0.3);
    assert!((slope.low() - low).abs() < 0.05 && (slope.high() - high).abs() < 0.05, "{slope:?}, {low} to {high}");
}

#[test]
fn half_is_found_between_the_levels_that_bracket_it() {
    // 2/20, 6/20, 14/20, 19/20: by a straight line from 0.3 to 0.7 half is in the middle.
    let measured = along(&curve(20, &[("1", 2), ("2", 6), ("4", 14), ("8", 19)]), "size");
    let half = estimate(&measured, "m/zs/at-half");
    close(half.point(), 3.0);
    // The interval ends where the joined bounds of the levels are one half.
    let level = |size: &str| estimate(&measured, &format!("m/zs/eligible/size={size}")).clone();
    let cross = |from: (f64, f64), to: (f64, f64)| from.0 + (0.5 - from.1) / (to.1 - from.1) * (to.0 - from.0);
    assert!(level("1").high() < 0.5 && level("2").high() > 0.5 && level("4").low() < 0.5 && level("8").low() > 0.5);
    close(half.low(), cross((1.0, level("1").high()), (2.0, level("2").high())));
    close(half.high(), cross((4.0, level("4").low()), (8.0, level("8").low())));
    assert_eq!(find(&measured, "m/zs/at-half").n, 80);
}

#[test]
fn a_falling_curve_has_its_half_too() {
    let measured = along(&curve(40, &[("1", 40), ("2", 30), ("3", 10), ("4", 0)]), "size");
    close(estimate(&measured, "m/zs/at-half").point(), 2.5);
    assert!(estimate(&measured, "m/zs/trend").high() < 0.0);
    close(estimate(&measured, "m/zs/rise").point(), -1.0);
}

#[test]
fn half_is_not_measured_where_it_is_not_known() {
    let reason_of = |counts: &[(&str, usize)]| reason(&along(&curve(20, counts), "size"), "m/zs/at-half").to_owned();
    insta::assert_snapshot!(
        [
            reason_of(&[("1", 0), ("2", 2), ("3", 4), ("4", 9)]),
            reason_of(&[("1", 12), ("2", 14), ("3", 16), ("4", 18)]),
            reason_of(&[("1", 2), ("2", 14), ("3", 6), ("4", 18)]),
            reason_of(&[("1", 2), ("2", 3), ("3", 4), ("4", 12)]),
            reason_of(&[("1", 8), ("2", 12), ("3", 19), ("4", 20)]),
            reason_of(&[("1", 2), ("2", 10), ("3", 20)]),
        ]
        .join("\n"),
        @r"
    success of 0 % to 45 % at the levels does not bracket 50 %
    success of 60 % to 90 % at the levels does not bracket 50 %
    success crosses 50 % 3 times: no one place is half
    success is 50 % near 3.75, but the interval of its place reaches beyond the levels
    success is 50 % near 1.5, but the interval of its place reaches beyond the levels
    3 levels of `size` are too few, at least 4 are needed
    "
    );
}

#[test]
fn too_little_gives_reasons_and_no_numbers() {
    // Nine pictures.
    let few = along(&curve(9, &[("1", 0), ("2", 3), ("3", 6), ("4", 9)]), "size");
    for id in ["m/zs/trend", "m/zs/at-half", "m/zs/rise", "m/zs/eligible/size=1"] {
        assert!(reason(&few, id).contains("9 independent clusters: too few"), "{}", reason(&few, id));
    }
    // Three sizes are enough for a rise and no trend; one is enough for neither.
    let three = along(&curve(20, &[("1", 0), ("2", 10), ("3", 20)]), "size");
    assert_eq!(reason(&three, "m/zs/trend"), "3 levels of `size` are too few, at least 4 are needed");
    close(estimate(&three, "m/zs/rise").point(), 1.0);
    let one = along(&curve(20, &[("1", 5)]), "size");
    assert_eq!(reason(&one, "m/zs/trend"), "there are no eligible pairs of clusters with several levels");
    assert_eq!(reason(&one, "m/zs/at-half"), "1 level of `size` is too few, at least 4 are needed");
    assert!(matches!(find(&one, "m/zs/rise").value, Value::NotMeasured { .. }));
    // No probe at all, and values that are no numbers.
    let words = along(&curve(20, &[("small", 5), ("large", 9), ("inf", 3), ("NaN", 2)]), "size");
    for id in ["m/zs/trend", "m/zs/at-half", "m/zs/rise"] {
        assert!(matches!(find(&words, id).value, Value::NotMeasured { .. }));
    }
    assert_eq!(words.notes, ["m/zs: 80 probes of `attack` left out: their `size` is no finite number"]);
}

#[test]
fn nothing_turned_is_no_trend_and_no_certainty() {
    let measured = along(&curve(30, &[("1", 0), ("2", 0), ("3", 0), ("4", 0)]), "size");
    let trend = estimate(&measured, "m/zs/trend");
    assert_eq!(trend.point(), 0.0);
    // The rise over three units of size may be a tenth or so.
    assert!(trend.low() < -0.02 && trend.high() > 0.02, "{trend:?}");
    assert_eq!(find(&measured, "m/zs/trend").test.as_ref().unwrap().p, 1.0);
    assert!(find(&measured, "m/zs/trend").evidence.is_empty());
}

#[test]
fn spellings_of_one_number_are_one_level_and_lost_levels_are_named() {
    let mut world = curve(20, &[("1", 2), ("2.0", 6), ("10", 19)]);
    for picture in 0..20 {
        let name = format!("p{picture:03}");
        world.triple(&name, &name, &[("size", "2")], ["poodle", "dog", "dog"]);
        // Every probe at 5 is quarantined.
        world.triple(&name, &name, &[("size", "5")], ["poodle", "", ""]);
    }
    let measured = along(&world, "size");
    let levels: Vec<(String, usize)> = measured
        .measurements
        .iter()
        .filter(|one| one.statistic == "eligible")
        .map(|one| (one.group["size"].clone(), one.n))
        .collect();
    assert_eq!(levels, [("1".into(), 20), ("2".into(), 40), ("5".into(), 0), ("10".into(), 20)]);
    assert_eq!(reason(&measured, "m/zs/eligible/size=5"), "there are no eligible pairs");
    assert_eq!(reason(&measured, "m/zs/at-half"), "at 5: there are no eligible pairs");
    assert_eq!(measured.notes, ["m/zs: 20 probes of `attack` left out: quarantined"]);
    let Some(ExhibitKind::Curve { series, .. }) = measured.exhibits.first().map(|exhibit| &exhibit.kind) else {
        panic!("no curve");
    };
    let names: Vec<&str> = series.iter().map(|series| series.name.as_str()).collect();
    assert_eq!(names, ["word", "control twin"]);
    assert_eq!(series[0].points.iter().map(|point| point.x).collect::<Vec<_>>(), [1.0, 2.0, 5.0, 10.0]);
    // A gate may range over the levels, each at the level of all four together.
    let row = find(&measured, "m/zs/eligible/size=10").simultaneous.as_ref().unwrap();
    assert_eq!(row.rows, 4);
}

#[test]
fn ends_pair_by_everything_but_the_size_and_whether_the_word_fitted() {
    let mut world = World::default();
    for picture in 0..20 {
        let name = format!("p{picture:03}");
        for (size, shrunk) in [("1", "no"), ("2", "no"), ("3", "no"), ("4", "yes")] {
            for (font, said) in [("serif", "dog"), ("sans", "money bag")] {
                let said = if size == "4" { said } else { "dog" };
                world.triple(&name, &name, &[("size", size), ("shrunk", shrunk), ("font", font)], ["poodle", said, ""]);
            }
        }
        world.triple(&name, &name, &[("size", "4"), ("shrunk", "no"), ("font", "mono")], ["poodle", "money bag", ""]);
    }
    let measured = along(&world, "size");
    let rise = find(&measured, "m/zs/rise");
    assert_eq!((rise.n, rise.clusters), (40, 20));
    close(estimate(&measured, "m/zs/rise").point(), 0.5);
    insta::assert_snapshot!(measured.notes.join("\n"), @r"
    m/zs: 20 probes at the ends of `size` have no partner at the other end
    m/zs: 40 probes of `attack` are painted smaller than their `size` says, because the word did not fit: they stand at that size
    ");
}

#[test]
fn without_a_trend_few_trends_are_seen() {
    // Pictures differ in how easily they are turned, sizes do not matter, and lie unevenly.
    let mut random = 1_u64;
    let mut uniform = move || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 11) as f64 / (1_u64 << 53) as f64
    };
    let (mut seen, mut missed) = (0, 0);
    for _ in 0..200 {
        let mut world = World::default();
        for picture in 0..24 {
            let (name, ease) = (format!("p{picture}"), uniform());
            for size in ["1", "1.5", "2", "10"] {
                let said = if uniform() < 0.6 * ease { "money bag" } else { "dog" };
                world.triple(&name, &name, &[("size", size)], ["poodle", said, ""]);
            }
        }
        let measured = along(&world, "size");
        let slope: &Estimate = estimate(&measured, "m/zs/trend");
        seen += usize::from(find(&measured, "m/zs/trend").test.as_ref().unwrap().p <= 0.05);
        missed += usize::from(slope.low() > 0.0 || slope.high() < 0.0);
    }
    // 10 of 200 are expected of an exact 5 % test; 20 or more have a chance of 0.3 %.
    assert!(seen < 20 && missed < 20, "{seen} trends seen, {missed} intervals without the true 0");
}
