//! `dose-response`: attack success against a numeric label of the attacked probes (size, opacity, ...).
//!
//! The trend is judged within clusters, so that pictures which are easy to turn do not pass for large words: its test is a
//! rank trend per cluster, `sum (rank - mean rank) y` over the cluster's eligible pairs, with a sign-flip permutation over
//! clusters (ranks, because reversing the levels then reverses the sign exactly, whatever their distances); its estimate
//! is the common slope within clusters, `sum (x - mean x) y / sum (x - mean x)^2`, with a bootstrap over clusters.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::attacks::{Attack, Attacks, attacks};
use super::charts::{by_label, rows_of};
use super::rows::{
    Facts, Item, Maker, Row, correct, counts, evidence, facts, numbers, pair_counts, pair_tally, rows, tally, whole,
};
use super::success::{CONTROL, ELIGIBLE};
use super::{Measure, MeasureError, Measured, Needs, OF_PAIRS, Predictions, Seen, Statistic};
use crate::stats::{Slope, bootstrap_slope, clustered_difference, clustered_rate, sign_flip, stream};
use crate::types::{Direction, Estimate, Labels, Measurement, ProbeId, Scale, Test, Value};

/// Fewer levels than this make no trend.
const LEVELS: usize = 4;

/// The label that says whether a word was painted smaller than asked for.
const SHRUNK: &str = "shrunk";

/// Attack success along a numeric label.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DoseResponse {
    /// The set of clean twins.
    pub clean: String,
    /// The set of attacked probes; they carry the attack's target in `target`.
    pub attacked: String,
    /// The label of the attacked probes whose values are numbers, at least 4 different ones.
    pub along: String,
}

const TREND: Statistic = Statistic {
    name: "trend",
    about: "success gained per unit of the axis, within clusters",
    formula: "sum (x - mean x) y / sum (x - mean x)^2, means within clusters, y = 1 where the target was reached",
    method: "bootstrap over clusters (9,999 draws), no narrower than the rise from the smallest to the largest level; \
             rank trend with sign-flip permutation over clusters",
    counted: "eligible pairs of clusters with several levels",
    scale: Scale::Number,
    worse: Direction::Higher,
    of_units: false,
};
const AT_HALF: Statistic = Statistic {
    name: "at-half",
    about: "place on the axis where half of the eligible pairs become the target",
    formula: "where the line between neighbouring levels crosses one half; only where levels bracket it",
    method: "where the bounds of the levels cross one half",
    counted: "eligible pairs",
    scale: Scale::Number,
    worse: Direction::Lower,
    of_units: false,
};
const RISE: Statistic = Statistic {
    name: "rise",
    about: "success at the largest level beyond that at the smallest",
    formula: "success at the largest level - success at the smallest, over the same pictures and words",
    method: OF_PAIRS,
    counted: "eligible pairs at the largest level with a partner at the smallest",
    scale: Scale::Difference,
    worse: Direction::Higher,
    of_units: false,
};

impl Measure for DoseResponse {
    fn statistics(&self) -> &'static [Statistic] {
        &[ELIGIBLE, CONTROL, TREND, AT_HALF, RISE]
    }

    fn needs(&self) -> Needs {
        Needs {
            sets: vec![("clean", self.clean.clone()), ("attacked", self.attacked.clone())],
            labels: vec![(vec!["along".to_owned()], self.attacked.clone(), self.along.clone())],
            targets: vec![self.attacked.clone()],
            ..Needs::default()
        }
    }

    fn by(&self) -> &[String] {
        std::slice::from_ref(&self.along)
    }

    fn presumes(&self) -> Option<&str> {
        Some(&self.clean)
    }

    fn measure(&self, seen: &Seen<'_>) -> Result<Measured, MeasureError> {
        let mut measured = Measured::default();
        for (readout, predictions) in seen.readouts {
            self.measure_readout(seen, readout, predictions, &mut measured);
        }
        Ok(measured)
    }
}

/// An attack at its place on the axis.
struct Dosed<'a> {
    attack: Attack<'a>,
    x: f64,
}

impl Item for Dosed<'_> {
    fn labels(&self) -> &Labels {
        self.attack.labels()
    }
    fn cluster(&self) -> &str {
        self.attack.cluster()
    }
    fn id(&self) -> &ProbeId {
        self.attack.id()
    }
}

/// One attack at the largest and at the smallest level.
struct Ends<'a> {
    largest: &'a Dosed<'a>,
    smallest: &'a Dosed<'a>,
}

impl Item for Ends<'_> {
    fn labels(&self) -> &Labels {
        self.largest.labels()
    }
    fn cluster(&self) -> &str {
        self.largest.cluster()
    }
    fn id(&self) -> &ProbeId {
        self.largest.id()
    }
}

impl Ends<'_> {
    fn success(&self) -> Option<(bool, bool)> {
        Some((self.largest.attack.success()?, self.smallest.attack.success()?))
    }
}

/// A finite number.
fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

impl DoseResponse {
    fn measure_readout(&self, seen: &Seen<'_>, readout: &str, predictions: &Predictions, measured: &mut Measured) {
        let Attacks { attacks, mut out } = attacks(seen, readout, predictions, &self.clean, &self.attacked);
        let mut dosed = Vec::with_capacity(attacks.len());
        for attack in attacks {
            if self.along == "size" && attack.labels().get(SHRUNK).is_some_and(|shrunk| **shrunk == *"yes") {
                out.note(
                    "are painted smaller than their `size` says, because the word did not fit: they stand at that size",
                );
            }
            match attack.labels().get(self.along.as_str()).and_then(|text| number(text)) {
                Some(x) => dosed.push(Dosed { attack, x }),
                None => {
                    out.add(format!("left out: their `{}` is no finite number", self.along), facts(attack.labels()));
                }
            }
        }
        let placed = |facts: &&Facts| facts.get(&self.along).is_some_and(|text| number(text).is_some());
        let lost: Vec<Facts> = out.facts.iter().filter(placed).cloned().collect();
        let levels = self.levels(&dosed, &lost);
        let ends = self.ends(&levels);
        let alone = levels.first().zip(levels.last()).map_or(0, |(smallest, largest)| {
            if levels.len() < 2 { 0 } else { smallest.1.items.len() + largest.1.items.len() - 2 * ends.len() }
        });
        if alone > 0 {
            let plural = if alone == 1 { "" } else { "s" };
            let note =
                format!("{alone} probe{plural} at the ends of `{}` have no partner at the other end", self.along);
            measured.notes.push(format!("{}/{readout}: {note}", seen.id));
        }

        let maker = Maker { seen, readout, each: levels.len() };
        maker.note(measured, out.notes());
        let everything = whole(&dosed);
        let mut measurements: Vec<Measurement> = Vec::new();
        for (_, row) in &levels {
            measurements.push(rate(&maker, &ELIGIBLE, row, |dosed| dosed.attack.success()));
            measurements.push(rate(&maker, &CONTROL, row, |dosed| dosed.attack.control()));
        }
        let at_half = self.at_half(&maker, &everything, &levels, &measurements);
        let rise = rise(&maker, &ends, levels.len());
        measurements.push(self.trend(&maker, &everything, &levels, &ends));
        measurements.push(at_half);
        measurements.push(rise);
        correct(&mut measurements);

        let mut series = vec![("word", rows_of(&measurements, ELIGIBLE.name, &self.along))];
        if dosed.iter().any(|dosed| dosed.attack.pair.control.is_some()) {
            series.push(("control twin", rows_of(&measurements, CONTROL.name, &self.along)));
        }
        measured.exhibits.push(maker.exhibit(
            "curve",
            format!("Attack success along {}", self.along),
            "Share of eligible pairs (the clean picture was not the target already) that became the target, under the \
             attack word and under a pseudo-word in the same paint; 95 % intervals over clusters.",
            by_label(&self.along, "share of eligible pairs that became the target", &series),
        ));
        measured.measurements.extend(measurements);
    }

    /// The levels in ascending order. Spellings of one number (`0.1`, `0.10`) are one level.
    fn levels<'a>(&self, dosed: &'a [Dosed<'a>], lost: &[Facts]) -> Vec<(f64, Row<'a, Dosed<'a>>)> {
        let rows = rows(dosed, std::slice::from_ref(&self.along), true, lost);
        let values = rows.iter().filter_map(|row| row.group.get(&self.along)).map(String::as_str);
        let mut levels: Vec<(f64, Row<'a, Dosed<'a>>)> = Vec::new();
        for (x, row) in numbers(values).unwrap_or_default().into_iter().zip(rows) {
            match levels.last_mut() {
                Some((last, level)) if *last == x => level.items.extend(row.items),
                _ => levels.push((x, row)),
            }
        }
        levels
    }

    /// The attacks at the largest level, each with the attack at the smallest that differs from it in nothing else.
    fn ends<'a>(&self, levels: &[(f64, Row<'a, Dosed<'a>>)]) -> Vec<Ends<'a>> {
        let (Some((_, smallest)), Some((_, largest)), true) = (levels.first(), levels.last(), levels.len() > 1) else {
            return Vec::new();
        };
        let key = |dosed: &'a Dosed<'a>| {
            // Whether a word fitted follows from its size.
            let other = |label: &str| label != self.along && label != SHRUNK;
            let labels = dosed.labels().iter().filter(|(label, _)| other(label));
            let labels: Vec<(&str, &str)> = labels.map(|(label, value)| (&**label, &**value)).collect();
            (&dosed.attack.pair.clean.plan.id, labels)
        };
        let mut partners: BTreeMap<_, Vec<&Dosed<'a>>> = BTreeMap::new();
        for dosed in smallest.items.iter().rev() {
            partners.entry(key(dosed)).or_default().push(dosed);
        }
        let pair = |largest: &&'a Dosed<'a>| {
            let smallest = partners.get_mut(&key(largest))?.pop()?;
            Some(Ends { largest, smallest })
        };
        largest.items.iter().filter_map(pair).collect()
    }

    /// Why there are too few levels for a trend.
    fn too_few(&self, levels: usize) -> Option<Value> {
        (levels < LEVELS).then(|| Value::NotMeasured {
            reason: format!(
                "{levels} level{} of `{}` {} too few, at least {LEVELS} are needed",
                if levels == 1 { "" } else { "s" },
                self.along,
                if levels == 1 { "is" } else { "are" }
            ),
        })
    }

    fn trend(
        &self,
        maker: &Maker<'_>,
        everything: &Row<'_, Dosed<'_>>,
        levels: &[(f64, Row<'_, Dosed<'_>>)],
        ends: &[Ends<'_>],
    ) -> Measurement {
        let rank = |x: f64| levels.iter().position(|(level, _)| *level == x).unwrap_or(0) as f64;
        let mut clusters: BTreeMap<&str, Vec<(f64, f64, f64)>> = BTreeMap::new();
        for dosed in &everything.items {
            if let Some(success) = dosed.attack.success() {
                let outcome = (dosed.x, rank(dosed.x), f64::from(u8::from(success)));
                clusters.entry(dosed.cluster()).or_default().push(outcome);
            }
        }
        let along = |place: fn(&(f64, f64, f64)) -> f64| -> Vec<Slope> {
            let outcomes = |cluster: &Vec<(f64, f64, f64)>| -> Vec<(f64, f64)> {
                cluster.iter().map(|one| (place(one), one.2)).collect()
            };
            clusters.values().filter_map(|cluster| Slope::of(&outcomes(cluster))).collect()
        };
        let slopes = along(|one| one.0);
        let n = slopes.iter().map(|slope| slope.n).sum();
        // The rise says how far a slope may lie from the one seen when hardly any pair changed.
        let range = levels.first().zip(levels.last()).map_or(0.0, |(smallest, largest)| largest.0 - smallest.0);
        let rises = pair_tally(&ends.iter().collect::<Vec<_>>(), Ends::success);
        let floor = |level| match clustered_difference(&rises, level) {
            Value::Measured(rise) if range > 0.0 => {
                Some(((rise.point() - rise.low()) / range, (rise.high() - rise.point()) / range))
            }
            _ => None,
        };
        let random = |purpose: &str| stream(maker.seen.seed, &format!("{}{purpose}", maker.id(&TREND, everything)));
        let slope = bootstrap_slope(&slopes, floor, &random(""));
        let value = |level| self.too_few(levels.len()).unwrap_or_else(|| slope(level));
        // What changes at the smallest level shows most of what little it takes.
        let cited = evidence(
            &everything.items,
            |_| None,
            |dosed| {
                let changed = dosed.attack.success() == Some(true);
                changed.then(|| dosed.attack.probability() - rank(dosed.x))
            },
        );
        let mut trend = maker.measurement(&TREND, everything, (n, slopes.len()), value, cited);
        if matches!(trend.value, Value::Measured(_)) {
            let ranks: Vec<f64> = along(|one| one.1).iter().map(|slope| slope.products).collect();
            let test = sign_flip(&ranks, &mut random(" test"));
            trend.test = Some(Test { name: test.name.replace("no difference within pairs", "no rank trend"), ..test });
        }
        trend
    }

    fn at_half(
        &self,
        maker: &Maker<'_>,
        everything: &Row<'_, Dosed<'_>>,
        levels: &[(f64, Row<'_, Dosed<'_>>)],
        measurements: &[Measurement],
    ) -> Measurement {
        let rates = rows_of(measurements, ELIGIBLE.name, &self.along);
        let curve: Vec<(f64, &Value)> =
            levels.iter().zip(rates).map(|((x, _), measurement)| (*x, &measurement.value)).collect();
        let tallies = tally(&everything.items, |dosed: &Dosed<'_>| dosed.attack.success());
        // The pairs whose target is nearest to being a coin flip.
        let cited = evidence(
            &everything.items,
            |_| None,
            |dosed| {
                let changed = dosed.attack.success() == Some(true);
                changed.then(|| -(dosed.attack.probability() - 0.5).abs())
            },
        );
        let at = |level| self.too_few(levels.len()).unwrap_or_else(|| half(&curve, level));
        maker.measurement(&AT_HALF, everything, counts(&tallies), at, cited)
    }
}

fn rate(
    maker: &Maker<'_>,
    statistic: &Statistic,
    row: &Row<'_, Dosed<'_>>,
    outcome: impl Fn(&Dosed<'_>) -> Option<bool>,
) -> Measurement {
    let tallies = tally(&row.items, &outcome);
    let cited = evidence(&row.items, |_| None, |dosed| dosed.attack.telling(outcome(dosed) == Some(true)));
    maker.measurement(statistic, row, counts(&tallies), |level| clustered_rate(&tallies, level), cited)
}

fn rise(maker: &Maker<'_>, ends: &[Ends<'_>], levels: usize) -> Measurement {
    let row = whole(ends);
    let tallies = pair_tally(&row.items, Ends::success);
    let value = |level| match levels {
        0 | 1 => Value::NotMeasured { reason: "there is one level only".to_owned() },
        _ => clustered_difference(&tallies, level),
    };
    let cited =
        evidence(&row.items, |_| None, |ends| ends.largest.attack.telling(ends.success() == Some((true, false))));
    let mut rise = maker.measurement(&RISE, &row, pair_counts(&tallies), value, cited);
    if matches!(rise.value, Value::Measured(_)) {
        let differences: Vec<f64> = tallies.iter().map(|tally| tally.difference()).collect();
        rise.test = Some(sign_flip(&differences, &mut stream(maker.seen.seed, &format!("{} test", rise.id))));
    }
    rise
}

/// Where a curve of rates reaches one half: its only crossing, between neighbouring levels by a straight line. The
/// interval holds every place where the levels' intervals, joined by straight lines, hold one half (a test at every
/// place, turned round). Not measured unless the points cross once and the interval ends inside the levels: outside
/// them nothing was seen.
fn half(curve: &[(f64, &Value)], level: f64) -> Value {
    let not_measured = |reason: String| Value::NotMeasured { reason };
    let mut levels: Vec<[f64; 4]> = Vec::with_capacity(curve.len());
    for (x, value) in curve {
        match value {
            Value::Measured(rate) => levels.push([*x, rate.low(), rate.point(), rate.high()]),
            Value::NotMeasured { reason } => return not_measured(format!("at {x}: {reason}")),
        }
    }
    let crossings = levels.windows(2).filter(|pair| matches!(pair, [a, b] if (a[2] < 0.5) != (b[2] < 0.5))).count();
    if crossings != 1 {
        let share = |value| Scale::Share.format(value, 1);
        let least = levels.iter().map(|one| one[2]).fold(1.0, f64::min);
        let most = levels.iter().map(|one| one[2]).fold(0.0, f64::max);
        return not_measured(match crossings {
            0 => format!("success of {} to {} at the levels does not bracket 50 %", share(least), share(most)),
            times => format!("success crosses 50 % {times} times: no one place is half"),
        });
    }
    // A falling curve is a rising one of failures.
    let rising = levels.first().is_some_and(|first| first[2] < 0.5);
    if !rising {
        levels.iter_mut().for_each(|one| *one = [one[0], 1.0 - one[3], 1.0 - one[2], 1.0 - one[1]]);
    }
    // Where the line of a column first rises to one half, and where it last does.
    let between = |a: &[f64; 4], b: &[f64; 4], column: usize| {
        let (from, to) = (a.get(column)?, b.get(column)?);
        (*from < 0.5 && *to >= 0.5).then(|| a[0] + (0.5 - from) / (to - from) * (b[0] - a[0]))
    };
    let places = |column: usize| -> Vec<f64> {
        levels.windows(2).filter_map(|pair| between(pair.first()?, pair.get(1)?, column)).collect()
    };
    let Some(point) = places(2).first().copied() else {
        return not_measured("success does not reach 50 % between two levels".to_owned());
    };
    let below = levels.first().is_some_and(|first| first[3] < 0.5);
    let above = levels.last().is_some_and(|last| last[1] >= 0.5);
    match (places(3).first(), places(1).last()) {
        (Some(low), Some(high)) if below && above => {
            let method = "levels' intervals joined by lines, where they hold 50 %";
            match Estimate::new(point, low.min(point), high.max(point), level, method) {
                Ok(estimate) => Value::Measured(estimate),
                Err(error) => not_measured(error.to_string()),
            }
        }
        _ => not_measured(format!(
            "success is 50 % near {}, but the interval of its place reaches beyond the levels",
            Scale::Number.format(point, 1)
        )),
    }
}
