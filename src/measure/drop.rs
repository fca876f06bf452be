//! `accuracy-drop`: accuracy on clean pictures minus accuracy on their attacked twins, paired.
//!
//! Every number is over pairs: a clean picture with eight attacked twins counts eight times in `clean` too, so that
//! `drop` is exactly `clean` - `attacked`. Where every cluster has one pair, `drop` gets Tango's interval and McNemar's exact
//! test; otherwise a bootstrap over clusters and a sign-flip permutation over clusters.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::charts::{by_label, rows_of};
use super::pairs::{Pair, Pairs, label_places, pairs};
use super::rows::{
    Item, Maker, Row, check_by, correct, counts, evidence, facts, pair_counts, pair_tally, rows, tally, whole,
};
use super::{Measure, MeasureError, Measured, Needs, OF_RATES, Predictions, Seen, Statistic, by_labels};
use crate::stats::{PairTally, bootstrap_difference, clustered_difference, clustered_rate, mcnemar, sign_flip, stream};
use crate::types::{Direction, Labels, Measurement, ProbeId, Problem, Scale, Test, Value};

/// Accuracy lost to an attack.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AccuracyDrop {
    /// The set of clean twins; its probes carry the truth in `label`.
    pub clean: String,
    /// The set of attacked probes.
    pub attacked: String,
    /// Labels of the attacked probes to break the numbers down by, each on its own.
    #[schemars(extend("allOf" = [{ "uniqueItems": true }]))]
    #[serde(default)]
    pub by: Vec<String>,
}

const DROP: Statistic = Statistic {
    name: "drop",
    about: "accuracy lost from clean to attacked pictures",
    formula: "clean - attacked, over the same pairs",
    method: "one pair in every cluster: Tango's score interval, McNemar's exact test; else bootstrap over clusters (9,999 \
             draws), sign-flip permutation over clusters; Holm's correction over the rows of the measure",
    counted: "pairs",
    scale: Scale::Difference,
    worse: Direction::Higher,
    of_units: false,
};
const CLEAN: Statistic = Statistic {
    name: "clean",
    about: "were given their own label when clean",
    formula: "pairs whose clean picture was given its own label / pairs",
    method: OF_RATES,
    counted: "pairs",
    scale: Scale::Share,
    worse: Direction::Lower,
    of_units: false,
};
const ATTACKED: Statistic = Statistic {
    name: "attacked",
    about: "were given their own label when attacked",
    formula: "pairs whose attacked picture was given its own label / pairs",
    ..CLEAN
};
const CONTROL_DROP: Statistic = Statistic {
    name: "control-drop",
    about: "accuracy lost from clean pictures to control twins (same paint, a pseudo-word)",
    formula: "clean - control, over the pairs with a control twin",
    counted: "pairs with a control twin",
    ..DROP
};

impl Measure for AccuracyDrop {
    fn statistics(&self) -> &'static [Statistic] {
        &[DROP, CLEAN, ATTACKED, CONTROL_DROP]
    }

    fn needs(&self) -> Needs {
        Needs {
            sets: vec![("clean", self.clean.clone()), ("attacked", self.attacked.clone())],
            labels: by_labels(&self.by, &self.attacked),
            truth: vec![self.clean.clone()],
            ..Needs::default()
        }
    }

    fn by(&self) -> &[String] {
        &self.by
    }

    fn presumes(&self) -> Option<&str> {
        Some(&self.clean)
    }

    fn check(&self) -> Vec<Problem> {
        check_by(&self.by)
    }

    fn measure(&self, seen: &Seen<'_>) -> Result<Measured, MeasureError> {
        let mut measured = Measured::default();
        for (readout, predictions) in seen.readouts {
            self.measure_readout(seen, readout, predictions, &mut measured);
        }
        Ok(measured)
    }
}

/// A pair with the true label of its picture.
struct Known<'a> {
    pair: Pair<'a>,
    truth: u32,
}

impl Item for Known<'_> {
    fn labels(&self) -> &Labels {
        self.pair.labels()
    }
    fn cluster(&self) -> &str {
        self.pair.cluster()
    }
    fn id(&self) -> &ProbeId {
        self.pair.id()
    }
}

impl Known<'_> {
    fn clean(&self) -> bool {
        self.pair.before == self.truth
    }
    fn attacked(&self) -> bool {
        self.pair.after == self.truth
    }
    fn control(&self) -> Option<bool> {
        Some(self.pair.control? == self.truth)
    }
    /// How sure the model is of its label for the attacked picture, if the condition holds.
    fn telling(&self, condition: bool) -> Option<f64> {
        condition.then(|| self.pair.probability(self.pair.after))
    }
}

impl AccuracyDrop {
    fn measure_readout(&self, seen: &Seen<'_>, readout: &str, predictions: &Predictions, measured: &mut Measured) {
        let Pairs { pairs, mut out } = pairs(seen, predictions, &self.clean, &self.attacked);
        let places = label_places(predictions);
        let mut known = Vec::new();
        for pair in pairs {
            match pair.clean.plan.labels.get("label").map(|truth| places.get(&**truth)) {
                Some(Some(&truth)) => known.push(Known { pair, truth }),
                Some(None) => out.add(format!("left out: the truth is no label of `{readout}`"), facts(pair.labels())),
                None => out.add("left out: the clean twin carries no `label`", facts(pair.labels())),
            }
        }

        let broken = rows(&known, &self.by, true, &out.facts);
        let maker = Maker { seen, readout, each: broken.len() };
        maker.note(measured, out.notes());
        let mut measurements: Vec<Measurement> =
            std::iter::once(whole(&known)).chain(broken).flat_map(|row| measure_row(&maker, &row)).collect();
        correct(&mut measurements);
        for label in &self.by {
            let series = [
                ("clean", rows_of(&measurements, CLEAN.name, label)),
                ("attacked", rows_of(&measurements, ATTACKED.name, label)),
            ];
            measured.exhibits.push(maker.exhibit(
                &format!("by-{label}"),
                format!("Accuracy by {label}"),
                "Share of pairs given their own label, clean and attacked; 95 % intervals over clusters.",
                by_label(label, "share given their own label", &series),
            ));
        }
        measured.measurements.extend(measurements);
    }
}

fn measure_row(maker: &Maker<'_>, row: &Row<'_, Known<'_>>) -> Vec<Measurement> {
    let nothing = |_: &Known<'_>| None;
    let cite = |telling: &dyn Fn(&Known<'_>) -> Option<f64>| evidence(&row.items, nothing, telling);
    let rate = |statistic: &Statistic, right: &dyn Fn(&Known<'_>) -> bool| {
        let tallies = tally(&row.items, |known: &Known<'_>| Some(right(known)));
        let cited = cite(&|known| known.telling(!right(known)));
        maker.measurement(statistic, row, counts(&tallies), |level| clustered_rate(&tallies, level), cited)
    };
    let drop = pair_tally(&row.items, |known: &Known<'_>| Some((known.clean(), known.attacked())));
    let lost = cite(&|known| known.telling(known.clean() && !known.attacked()));
    let control = pair_tally(&row.items, |known: &Known<'_>| Some((known.clean(), known.control()?)));
    let lost_to_paint = cite(&|known| known.telling(known.clean() && known.control() == Some(false)));
    let mut measured = difference(maker, &DROP, row, &drop, lost);
    if matches!(measured.value, Value::Measured(_)) {
        measured.test = Some(test(&drop, maker.seen.seed, &measured.id));
    }
    vec![
        measured,
        rate(&CLEAN, &|known| known.clean()),
        rate(&ATTACKED, &|known| known.attacked()),
        difference(maker, &CONTROL_DROP, row, &control, lost_to_paint),
    ]
}

/// Whether the pairs are independent: one in every cluster.
fn independent(tallies: &[PairTally]) -> bool {
    tallies.iter().all(|tally| tally.pairs == 1)
}

/// A paired difference with its interval.
fn difference(
    maker: &Maker<'_>,
    statistic: &Statistic,
    row: &Row<'_, Known<'_>>,
    tallies: &[PairTally],
    cited: Vec<ProbeId>,
) -> Measurement {
    let counts = pair_counts(tallies);
    if independent(tallies) {
        return maker.measurement(statistic, row, counts, |level| clustered_difference(tallies, level), cited);
    }
    let value = bootstrap_difference(tallies, &stream(maker.seen.seed, &maker.id(statistic, row)));
    maker.measurement(statistic, row, counts, value, cited)
}

/// The test of a paired difference.
fn test(tallies: &[PairTally], seed: u64, id: &str) -> Test {
    if independent(tallies) {
        let sum = |part: fn(&PairTally) -> usize| tallies.iter().map(part).sum();
        return mcnemar(sum(|tally| tally.first_only), sum(|tally| tally.second_only));
    }
    let differences: Vec<f64> = tallies.iter().map(PairTally::difference).collect();
    sign_flip(&differences, &mut stream(seed, &format!("{id} test")))
}
