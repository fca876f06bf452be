//! `word-driven-units`: against NumPy and SciPy (tests/golden/units.py), on planted units, on none, and where there is
//! no answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use clip_audit::measure::{AnyMeasure, MeasureError, Measured, Seen};
use clip_audit::types::{
    Chunk, ExhibitKind, Fingerprint, Matrix, Measurement, Observations, ProbeId, ProbePlan, Recipe, Tap,
};
use serde_json::{Value as Json, json};

use crate::measures::{estimate, find, reason};

const TAP: &str = "layer4.pre_relu:mean";

/// Closeness up to rounding.
#[track_caller]
fn close(ours: f64, theirs: f64) {
    assert!((ours - theirs).abs() <= 1e-9 * theirs.abs().max(1e-3), "{ours} and not {theirs}");
}

/// Probes with the activations of a tap chosen by the test.
#[derive(Default)]
struct Tapped {
    plans: Vec<ProbePlan>,
    values: Vec<Vec<f32>>,
}

/// A word, the activations under it, and those under its control twin.
type Written<'a> = (&'a str, Vec<f64>, Option<Vec<f64>>);

impl Tapped {
    fn probe(&mut self, set: &str, cluster: &str, word: &str, values: &[f64]) -> &mut ProbePlan {
        self.values.push(values.iter().map(|value| *value as f32).collect());
        self.plans.push(ProbePlan {
            id: ProbeId::named(&format!("{cluster}-{set}-{}", self.plans.len())),
            set: set.into(),
            labels: [(Arc::from("word"), Arc::from(word))].into(),
            source: None,
            control: None,
            cluster: cluster.into(),
            recipe: Recipe { generator: "test@1", parameters: "{}".into(), files: [].into(), seed: 0 },
        });
        self.plans.last_mut().unwrap()
    }

    /// A picture with the activations for it, and for each word: the word, under it, and under its control twin.
    fn picture(&mut self, cluster: &str, clean: &[f64], words: &[Written<'_>]) {
        let source = self.probe("clean", cluster, "", clean).id.clone();
        for (word, attacked, control) in words {
            let twin = control.as_ref().map(|control| {
                let plan = self.probe("attack.control", cluster, word, control);
                plan.source = Some(source.clone());
                plan.id.clone()
            });
            let plan = self.probe("attack", cluster, word, attacked);
            plan.source = Some(source.clone());
            plan.control = twin;
        }
    }

    fn observe(&self, chunk: usize) -> Observations {
        let mut seen = Observations::default();
        seen.weights = Fingerprint("f00d".to_owned());
        let all = Arc::new(self.plans.clone());
        for (number, (plans, values)) in self.plans.chunks(chunk).zip(self.values.chunks(chunk)).enumerate() {
            let span = number * chunk..number * chunk + plans.len();
            let taps = Matrix::from_rows(values[0].len(), values).unwrap();
            let chunk = Chunk {
                ids: plans.iter().map(|plan| plan.id.clone()).collect(),
                covers: vec![None; plans.len()],
                notes: vec![Vec::new(); plans.len()],
                embeddings: Matrix::from_rows(1, &vec![[1.0]; plans.len()]).unwrap(),
                taps: BTreeMap::from([(TAP.parse().unwrap(), taps)]),
            };
            seen.push(&all, span, chunk, None);
        }
        seen
    }

    fn measure(&self, more: Json) -> Measured {
        measure(&self.observe(7), more, 7).unwrap()
    }
}

fn measure(observations: &Observations, more: Json, seed: u64) -> Result<Measured, MeasureError> {
    let mut specification = json!({"clean": "clean", "attacked": "attack", "tap": TAP});
    specification.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let measure: AnyMeasure = serde_json::from_value(json!({ "word-driven-units": specification })).unwrap();
    assert!(measure.check().is_empty());
    assert_eq!(measure.needs().taps, [TAP.parse::<Tap>().unwrap()]);
    let measured = measure.measure(&Seen { id: "m", observations, readouts: &BTreeMap::new(), seed })?;
    let ids: BTreeSet<&str> = measured.measurements.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(ids.len(), measured.measurements.len());
    for one in &measured.measurements {
        assert!(one.id.starts_with(&format!("m//{}", one.statistic)) && one.readout.is_empty(), "{}", one.id);
        assert!(measure.statistics().iter().any(|statistic| statistic.name == one.statistic));
        assert_eq!(one.unit.is_some(), one.statistic == "effect");
    }
    Ok(measured)
}

/// Numbers of mean 0 and variance 1, with heavy tails.
struct Noise(u64);

impl Noise {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Laplace.
    fn next(&mut self) -> f64 {
        let place = self.uniform() - 0.5;
        -place.signum() * (1.0 - 2.0 * place.abs()).ln() / 2.0_f64.sqrt()
    }

    fn vector(&mut self, length: usize) -> Vec<f64> {
        (0..length).map(|_| self.next()).collect()
    }
}

/// Pictures, each with one word over it; a word adds `planted` to its units, in a world of `units` units. Paint moves all.
fn planted(pictures: usize, units: usize, planted: &[(usize, f64)], noise: &mut Noise) -> Tapped {
    let mut world = Tapped::default();
    for picture in 0..pictures {
        let clean = noise.vector(units);
        let control: Vec<f64> = clean.iter().map(|value| value + 1.0 + 0.5 * noise.next()).collect();
        // A part of the noise is common to all units, so that they depend on each other.
        let common = 0.3 * noise.next();
        let mut attacked: Vec<f64> = control.iter().map(|value| value + common + 0.3 * noise.next()).collect();
        for (unit, effect) in planted {
            attacked[*unit] += effect;
        }
        world.picture(&format!("picture {picture}"), &clean, &[("$$$", attacked, Some(control))]);
    }
    world
}

fn effects(measured: &Measured) -> Vec<&Measurement> {
    measured.measurements.iter().filter(|one| one.statistic == "effect").collect()
}

/// The rows of the table of units, as cells.
fn table(measured: &Measured) -> Vec<Vec<String>> {
    let table = measured.exhibits.iter().find_map(|exhibit| match &exhibit.kind {
        ExhibitKind::Table { rows, columns } if exhibit.id == "m//units" => {
            assert!(rows.iter().all(|row| row.len() == columns.len()));
            Some(rows.clone())
        }
        _ => None,
    });
    table.unwrap()
}

#[test]
fn every_number_is_that_of_numpy_and_scipy() {
    let golden: Json = serde_json::from_str(include_str!("golden/units.json")).unwrap();
    let golden = &golden["units"];
    let vector =
        |json: &Json| -> Vec<f64> { json.as_array().unwrap().iter().map(|one| one.as_f64().unwrap()).collect() };
    let mut world = Tapped::default();
    for cluster in golden["clusters"].as_array().unwrap() {
        let pairs = cluster["attacked"].as_array().unwrap().iter().zip(cluster["control"].as_array().unwrap());
        let words: Vec<_> =
            pairs.map(|(attacked, control)| ("word", vector(attacked), Some(vector(control)))).collect();
        world.picture(cluster["name"].as_str().unwrap(), &vector(&cluster["clean"]), &words);
    }
    let measured = world.measure(json!({"top": 4}));

    let units = effects(&measured);
    let chosen = golden["chosen"].as_array().unwrap();
    assert_eq!(units.len(), chosen.len());
    let rows = table(&measured);
    for ((ours, theirs), row) in units.iter().zip(chosen).zip(&rows) {
        let number = |key: &str| theirs[key].as_f64().unwrap();
        // Unit 7 never changes and is left out: units after it stand one place lower in NumPy's arrays.
        let place = theirs["unit"].as_u64().unwrap() as usize;
        let unit = ours.unit.as_ref().unwrap();
        assert_eq!(unit.index, place);
        assert_eq!((unit.weights.0.as_str(), unit.layer.as_str()), ("f00d", "layer4"));
        assert_eq!(ours.id, format!("m//effect/unit={place}"));
        let estimate = estimate(&measured, &ours.id);
        close(estimate.point(), number("point"));
        close(estimate.low(), number("low"));
        close(estimate.high(), number("high"));
        let test = ours.test.as_ref().unwrap();
        close(test.statistic, number("t"));
        assert!((test.p / number("p") - 1.0).abs() < 1e-8, "{} and not {}", test.p, number("p"));
        assert!((test.adjusted_p.unwrap() / number("q") - 1.0).abs() < 1e-8);
        assert_eq!((test.family, ours.clusters), (11, 12));
        assert_eq!(ours.n, golden["pairs"].as_u64().unwrap() as usize);
        assert_eq!(row[..3], ["chosen".to_owned(), place.to_string(), format!("{:+.2}", number("selection"))]);
        assert_eq!(row[5], format!("{:.4}", number("family-wise")));
    }
    for (id, key) in [("m//selected", "selected"), ("m//largest-norm", "largest-norm")] {
        let (ours, theirs) = (estimate(&measured, id), vector(&golden[key]));
        close(ours.point(), theirs[0]);
        close(ours.low(), theirs[1]);
        close(ours.high(), theirs[2]);
    }
    let driven = estimate(&measured, "m//driven");
    assert_eq!(vec![driven.point(), driven.low(), driven.high()], vector(&golden["driven"]));
    assert_eq!(
        measured.notes,
        [format!("m: 1 of 12 units of `{TAP}` have no variance over `clean`: they are left out")]
    );

    // Evidence is of the reporting half: what chose a unit does not show it.
    let reporting: BTreeSet<&str> =
        golden["reporting"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let cluster = |id: &ProbeId| &*world.plans.iter().find(|plan| plan.id == *id).unwrap().cluster;
    for one in &units {
        let shown: Vec<&str> = one.evidence.iter().map(cluster).collect();
        assert!(!shown.is_empty() && shown.iter().all(|name| reporting.contains(name)), "{shown:?}");
    }
}

#[test]
fn planted_units_are_found_and_paint_is_not() {
    let world = planted(40, 200, &[(17, 3.0), (130, -2.0)], &mut Noise(1));
    let measured = world.measure(json!({"top": 5, "minimum-effect": 1.0}));
    let found: Vec<usize> = effects(&measured).iter().map(|one| one.unit.as_ref().unwrap().index).collect();
    assert_eq!(found[..2], [17, 130]);
    assert!(estimate(&measured, "m//effect/unit=17").low() > 2.0);
    assert!(estimate(&measured, "m//effect/unit=130").high() < -1.0);
    // Paint moves all 200 units by a whole sigma and is taken away.
    let driven = estimate(&measured, "m//driven");
    assert_eq!(driven.point(), 2.0);
    assert!(driven.low() <= 2.0 && driven.high() >= 2.0 && driven.high() < 20.0, "{driven:?}");
    assert!(estimate(&measured, "m//random").high() < estimate(&measured, "m//selected").low());
    assert!(estimate(&measured, "m//largest-norm").high() < estimate(&measured, "m//selected").low());
    let Some(ExhibitKind::Histogram { edges, counts, .. }) =
        measured.exhibits.iter().find(|exhibit| exhibit.id == "m//effects").map(|exhibit| &exhibit.kind)
    else {
        panic!("no histogram");
    };
    assert_eq!((counts.iter().sum::<u64>(), edges.len()), (200, counts.len() + 1));
    let count = |how: &str| table(&measured).iter().filter(|row| row[0] == how).count();
    assert_eq!([count("chosen"), count("random"), count("largest norm")], [5, 5, 5]);
}

#[test]
fn without_an_effect_few_audits_flag_a_unit() {
    let mut noise = Noise(2);
    let (mut flagged, mut missed, audits) = (0, 0, 200);
    for seed in 0..audits {
        let world = planted(26, 30, &[], &mut noise);
        let measured = measure(&world.observe(64), json!({"minimum-effect": 0.0, "top": 3}), seed).unwrap();
        flagged += usize::from(estimate(&measured, "m//driven").point() > 0.0);
        let best = estimate(&measured, &effects(&measured)[0].id);
        missed += usize::from(best.low() > 0.0 || best.high() < 0.0);
    }
    // Of 200 audits an exact 5 % gives 10; 20 or more have a chance of 0.3 %.
    assert!(flagged < 20, "{flagged} of {audits} audits flag a unit");
    // The unit chosen for its effect on one half has none on the other.
    assert!(missed < 20, "{missed} of {audits} intervals of the first unit lack the true 0");
}

#[test]
fn too_few_clusters_and_missing_twins_give_reasons() {
    let few = planted(19, 5, &[(0, 2.0)], &mut Noise(3)).measure(json!({}));
    for id in ["m//driven", "m//selected", "m//random", "m//largest-norm"] {
        assert_eq!(
            reason(&few, id),
            "19 independent clusters are too few, at least 20 are needed: half to choose units, half to report on"
        );
    }
    assert_eq!((few.measurements.len(), few.exhibits.len()), (4, 0));
    assert!(planted(20, 5, &[(0, 2.0)], &mut Noise(3)).measure(json!({})).measurements.len() > 4);

    let mut bare = Tapped::default();
    for picture in 0..30 {
        bare.picture(&format!("p{picture}"), &[1.0], &[("$$$", vec![2.0], None)]);
    }
    let measured = bare.measure(json!({}));
    assert_eq!(measured.notes, ["m: 30 probes of `attack` left out: there is no control twin"]);
    assert_eq!(reason(&measured, "m//driven"), "there are no pairs of the reporting half");
}

#[test]
fn units_without_variance_have_no_numbers() {
    let mut world = Tapped::default();
    for picture in 0..30 {
        world.picture(&format!("p{picture}"), &[0.1, -2.5], &[("$$$", vec![3.0, 1.0], Some(vec![0.1, 0.2]))]);
    }
    let measured = world.measure(json!({}));
    assert_eq!(reason(&measured, "m//driven"), format!("no unit of `{TAP}` has any variance over `clean`"));
    assert!(effects(&measured).is_empty());
}

#[test]
fn a_change_without_spread_has_no_interval() {
    // The word adds exactly one to the unit of every picture.
    let mut world = Tapped::default();
    for picture in 0..30 {
        let clean = f64::from(picture % 5);
        world.picture(&format!("p{picture}"), &[clean], &[("$$$", vec![clean + 2.0], Some(vec![clean + 1.0]))]);
    }
    let measured = world.measure(json!({}));
    assert!(reason(&measured, "m//effect/unit=0").contains("there is no spread to make an interval of"));
    assert!(find(&measured, "m//effect/unit=0").test.is_none());
    assert_eq!(estimate(&measured, "m//driven").point(), 1.0);
}

#[test]
fn many_clusters_are_blocks_with_the_same_mean() {
    // 1,300 pictures with one or two words: halves of 650 clusters, in blocks of two.
    let (mut world, mut noise) = (Tapped::default(), Noise(4));
    for picture in 0..1300 {
        let clean = noise.vector(3);
        let word = |noise: &mut Noise| {
            let control = noise.vector(3);
            let attacked =
                control.iter().zip([0.0, 0.4, 0.0]).map(|(value, effect)| value + effect + 0.5 * noise.next());
            ("$$$", attacked.collect::<Vec<f64>>(), Some(control))
        };
        let words: Vec<_> = (0..=picture % 2).map(|_| word(&mut noise)).collect();
        world.picture(&format!("picture {picture}"), &clean, &words);
    }
    let measured = world.measure(json!({"top": 1}));
    let effect = find(&measured, "m//effect/unit=1");
    assert_eq!(effect.clusters, 650);
    assert_eq!(measured.notes, ["m: the 650 clusters of the reporting half stand in 325 blocks of 2"]);
    // The mean over clusters, by hand. The seeded order of the halves is not known here, but the evidence and n are of one
    // half, so the mean over both lies within the interval of this one, widened to both.
    let seen = estimate(&measured, "m//effect/unit=1");
    let clean: Vec<f64> = world
        .plans
        .iter()
        .zip(&world.values)
        .filter(|(plan, _)| &*plan.set == "clean")
        .map(|(_, values)| f64::from(values[1]))
        .collect();
    let mean = clean.iter().sum::<f64>() / clean.len() as f64;
    let deviation = (clean.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (clean.len() as f64 - 1.0)).sqrt();
    assert!((seen.point() - 0.4 / deviation).abs() < 0.06, "{seen:?}");
    assert!(seen.high() - seen.low() < 0.1 && seen.method() == "Student's t over 325 means");
}

#[test]
fn one_word_can_be_asked_for_and_words_are_ranked() {
    let (mut world, mut noise) = (Tapped::default(), Noise(5));
    for picture in 0..40 {
        let clean = noise.vector(6);
        let words = [("strong", 2.0), ("weak", 0.5), ("none", 0.0)].map(|(word, effect)| {
            let control = noise.vector(6);
            let mut attacked: Vec<f64> = control.iter().map(|value| value + 0.1 * noise.next()).collect();
            attacked[4] -= effect;
            (word, attacked, Some(control))
        });
        world.picture(&format!("picture {picture}"), &clean, &words);
    }
    let all = world.measure(json!({"top": 1}));
    let words = &table(&all)[0][7];
    assert!(words.starts_with("strong -") && words.contains("weak -"), "{words}");
    assert_eq!(find(&all, "m//effect/unit=4").n, 60);
    let word_of =
        |id: &ProbeId| world.plans.iter().find(|plan| plan.id == *id).unwrap().labels.get("word").unwrap().to_string();
    assert!(find(&all, "m//effect/unit=4").evidence.iter().all(|id| word_of(id) == "strong"));
    let weak = world.measure(json!({"top": 1, "word": "weak"}));
    assert_eq!(find(&weak, "m//effect/unit=4").n, 20);
    let ratio = estimate(&all, "m//effect/unit=4").point() / estimate(&weak, "m//effect/unit=4").point();
    assert!((ratio - 2.5 / 3.0 / 0.5).abs() < 0.2, "{ratio}");
}

#[test]
fn chunks_change_nothing_and_seeds_change_the_halves() {
    let world = planted(40, 20, &[(3, 1.0)], &mut Noise(6));
    let at = |chunk, seed| measure(&world.observe(chunk), json!({}), seed).unwrap().measurements;
    assert_eq!(at(1, 7), at(1000, 7));
    assert_ne!(at(64, 7), at(64, 8));
}

#[test]
fn a_tap_that_was_not_recorded_is_an_error() {
    let world = planted(30, 4, &[], &mut Noise(7));
    let error = measure(&world.observe(9), json!({"tap": TAP}), 7);
    assert!(error.is_ok());
    let mut observations = Observations::default();
    let all = Arc::new(world.plans.clone());
    for (number, (plans, values)) in world.plans.chunks(9).zip(world.values.chunks(9)).enumerate() {
        let chunk = Chunk {
            ids: plans.iter().map(|plan| plan.id.clone()).collect(),
            covers: vec![None; plans.len()],
            notes: vec![Vec::new(); plans.len()],
            embeddings: Matrix::from_rows(4, values).unwrap(),
            taps: BTreeMap::new(),
        };
        observations.push(&all, number * 9..number * 9 + plans.len(), chunk, None);
    }
    let error = measure(&observations, json!({}), 7).unwrap_err();
    assert_eq!(error.to_string(), format!("the chunks hold no activations of `{TAP}`"));
}

/// Left open, the tap is whatever the run sets; a tap that the suite names stays.
#[test]
fn an_open_tap_is_set_before_the_run() {
    let world = planted(30, 4, &[], &mut Noise(7));
    let observations = world.observe(9);
    let mut open: AnyMeasure =
        serde_json::from_value(json!({ "word-driven-units": { "clean": "clean", "attacked": "attack" } })).unwrap();
    let seen = Seen { id: "m", observations: &observations, readouts: &BTreeMap::new(), seed: 7 };
    assert!(open.needs().taps.is_empty());
    assert!(open.measure(&seen).unwrap_err().to_string().contains("leaves the tap open"));
    *open.open_tap().unwrap() = Some(TAP.parse().unwrap());
    assert_eq!(open.measure(&seen).unwrap().measurements, world.measure(json!({})).measurements);
}
