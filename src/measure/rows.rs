//! What the measures share: rows of a breakdown, tallies by cluster, measurements with their two intervals, the choice
//! of evidence.

use std::collections::{BTreeMap, BTreeSet};

use super::{Measured, Seen, Statistic};
use crate::stats::{LEVEL, PairTally, Tally, clustered_rate, holm};
use crate::types::{
    Exhibit, ExhibitKind, Labels, Measurement, Observed, ProbeId, Problem, Quantity, Simultaneous, Value,
};

/// The value of a label for probes that do not carry it.
const MISSING: &str = "(missing)";

/// How many probes a measurement cites that a gate can judge; a report lists them, and shows the first few.
const EVIDENCE: usize = 50;
/// How many any other measurement cites, and how many are chosen to be shown as pictures.
const FIRST: usize = 8;

/// Labels and values of a probe that could not be used.
pub(super) type Facts = BTreeMap<String, String>;

/// The facts of an observed probe, for those left out.
pub(super) fn facts(labels: &Labels) -> Facts {
    labels.iter().map(|(label, value)| (label.to_string(), value.to_string())).collect()
}

/// Items (probes or pairs) of one subgroup.
pub(super) struct Row<'a, T> {
    /// Empty for everything.
    pub(super) group: BTreeMap<String, String>,
    /// The items, in plan order.
    pub(super) items: Vec<&'a T>,
    /// Whether a gate with `on: each` ranges over it.
    pub(super) each: bool,
}

impl<T> Row<'_, T> {
    /// `all`, or `size 0.07`.
    pub(super) fn name(&self) -> String {
        match self.group.iter().next() {
            None => "all".to_owned(),
            Some((label, value)) => format!("{label} {value}"),
        }
    }
}

/// Where items come from and how they are called.
pub(super) trait Item {
    /// The facts a breakdown looks at.
    fn labels(&self) -> &Labels;
    /// What is independent of what.
    fn cluster(&self) -> &str;
    /// The probe to cite.
    fn id(&self) -> &ProbeId;
}

/// A probe on its own, with what a readout answered.
pub(super) struct Answer<'a> {
    pub(super) probe: &'a Observed,
    /// Whether the answer is of the kind that is counted.
    pub(super) counts: bool,
    /// Of the answer.
    pub(super) probability: f64,
}

impl Item for Answer<'_> {
    fn labels(&self) -> &Labels {
        &self.probe.plan.labels
    }
    fn cluster(&self) -> &str {
        &self.probe.plan.cluster
    }
    fn id(&self) -> &ProbeId {
        &self.probe.plan.id
    }
}

/// The share of a row's answers that count, citing the most telling ones.
pub(super) fn share<'a>(
    maker: &Maker<'_>,
    statistic: &Statistic,
    row: &Row<'_, Answer<'a>>,
    telling: impl Fn(&Answer<'a>) -> Option<f64>,
) -> Measurement {
    let tallies = tally(&row.items, |answer| Some(answer.counts));
    let cited = evidence(&row.items, |_| None, telling);
    maker.measurement(statistic, row, counts(&tallies), |level| clustered_rate(&tallies, level), cited)
}

/// One row for each value of each label in `by`: labels in the order of `by`, values in ascending order (as numbers
/// where all are). Each label is taken on its own; crossings are not formed, since their
/// cells soon hold too few clusters. A value that only `lost` probes have (quarantined, or left out) has a row without
/// items: it is reported as not measured instead of disappearing.
pub(super) fn rows<'a, T: Item>(items: &'a [T], by: &[String], each: bool, lost: &[Facts]) -> Vec<Row<'a, T>> {
    let mut rows = Vec::new();
    for label in by {
        let mut groups: BTreeMap<String, Vec<&T>> = BTreeMap::new();
        for item in items {
            let value = item.labels().get(label.as_str()).map_or(MISSING, |value| value);
            groups.entry(value.to_owned()).or_default().push(item);
        }
        for labels in lost {
            groups.entry(labels.get(label).map_or(MISSING, String::as_str).to_owned()).or_default();
        }
        let mut values: Vec<(String, Vec<&T>)> = groups.into_iter().collect();
        if let Some(numbers) = numbers(values.iter().map(|(value, _)| value.as_str())) {
            let mut keyed: Vec<_> = numbers.into_iter().zip(values).collect();
            keyed.sort_by(|first, second| first.0.total_cmp(&second.0));
            values = keyed.into_iter().map(|(_, value)| value).collect();
        }
        rows.extend(values.into_iter().map(|(value, items)| Row {
            group: [(label.clone(), value)].into(),
            items,
            each,
        }));
    }
    rows
}

/// The row over everything.
pub(super) fn whole<T>(items: &[T]) -> Row<'_, T> {
    Row { group: BTreeMap::new(), items: items.iter().collect(), each: false }
}

/// The values as numbers, where all are finite ones.
pub(super) fn numbers<'a>(values: impl Iterator<Item = &'a str>) -> Option<Vec<f64>> {
    values.map(|value| value.parse().ok().filter(|number: &f64| number.is_finite())).collect()
}

/// A problem for every label that stands in `by` twice.
pub(super) fn check_by(by: &[String]) -> Vec<Problem> {
    let mut seen = BTreeSet::new();
    by.iter()
        .enumerate()
        .filter(|(_, label)| !seen.insert(*label))
        .map(|(place, label)| {
            Problem::new(["by".to_owned(), place.to_string()], format!("`{label}` stands in the list twice"))
        })
        .collect()
}

/// Successes by cluster, clusters in the order of their names; items without an outcome do not count.
pub(super) fn tally<T: Item>(items: &[&T], outcome: impl Fn(&T) -> Option<bool>) -> Vec<Tally> {
    let mut clusters: BTreeMap<&str, Tally> = BTreeMap::new();
    for item in items {
        if let Some(success) = outcome(item) {
            let tally = clusters.entry(item.cluster()).or_default();
            tally.trials += 1;
            tally.successes += usize::from(success);
        }
    }
    clusters.into_values().collect()
}

/// Paired outcomes by cluster.
pub(super) fn pair_tally<T: Item>(items: &[&T], outcome: impl Fn(&T) -> Option<(bool, bool)>) -> Vec<PairTally> {
    let mut clusters: BTreeMap<&str, PairTally> = BTreeMap::new();
    for item in items {
        if let Some((first, second)) = outcome(item) {
            let tally = clusters.entry(item.cluster()).or_default();
            tally.pairs += 1;
            tally.first_only += usize::from(first && !second);
            tally.second_only += usize::from(second && !first);
        }
    }
    clusters.into_values().collect()
}

/// Makes the measurements of one measure and readout.
pub(super) struct Maker<'a> {
    /// What the measure sees.
    pub(super) seen: &'a Seen<'a>,
    /// The readout; empty for measures of units.
    pub(super) readout: &'a str,
    /// Rows a gate with `on: each` ranges over.
    pub(super) each: usize,
}

impl Maker<'_> {
    /// `measure/readout/statistic`, and `/label=value` for a row. A `/`, `=`, `,` or `%` inside a name or value is
    /// percent-encoded, so that two groups never share an id.
    pub(super) fn id<T>(&self, statistic: &Statistic, row: &Row<'_, T>) -> String {
        let mut id = format!("{}/{}/{}", escaped(self.seen.id), escaped(self.readout), statistic.name);
        for (place, (label, value)) in row.group.iter().enumerate() {
            id.push(if place == 0 { '/' } else { ',' });
            id.push_str(&format!("{}={}", escaped(label), escaped(value)));
        }
        id
    }

    /// A chart of this measure and readout.
    pub(super) fn exhibit(&self, name: &str, title: String, about: &str, kind: ExhibitKind) -> Exhibit {
        Exhibit {
            id: format!("{}/{}/{}", escaped(self.seen.id), escaped(self.readout), escaped(name)),
            measure: self.seen.id.to_owned(),
            readout: self.readout.to_owned(),
            title,
            about: about.to_owned(),
            kind,
        }
    }

    /// Adds notes, each with the measure and readout it is about.
    pub(super) fn note(&self, measured: &mut Measured, notes: impl IntoIterator<Item = String>) {
        let slash = if self.readout.is_empty() { "" } else { "/" };
        measured.notes.extend(notes.into_iter().map(|note| format!("{}{slash}{}: {note}", self.seen.id, self.readout)));
    }

    /// One measurement: `value` gives it at a level.
    pub(super) fn measurement<T: Item>(
        &self,
        statistic: &Statistic,
        row: &Row<'_, T>,
        (n, clusters): (usize, usize),
        value: impl Fn(f64) -> Value,
        evidence: Vec<ProbeId>,
    ) -> Measurement {
        let value = |level| match n {
            0 => Value::NotMeasured { reason: format!("there are no {}", statistic.counted) },
            _ => value(level),
        };
        // No gate ranges over rows that are neither the whole nor its breakdown, nor over single units.
        let judged = (row.group.is_empty() || row.each) && !statistic.of_units;
        let family = 1.0 - (1.0 - LEVEL) / self.each.max(1) as f64;
        Measurement {
            id: self.id(statistic, row),
            measure: self.seen.id.to_owned(),
            readout: self.readout.to_owned(),
            statistic: statistic.name.to_owned(),
            quantity: Quantity {
                scale: statistic.scale,
                counted: statistic.counted.to_owned(),
                about: statistic.about.to_owned(),
            },
            group: row.group.clone(),
            unit: None,
            value: value(LEVEL),
            simultaneous: row.each.then(|| Simultaneous { rows: self.each, value: value(family) }),
            n,
            clusters,
            test: None,
            worse: statistic.worse,
            evidence: if judged { evidence } else { first(evidence) },
        }
    }
}

fn first(mut evidence: Vec<ProbeId>) -> Vec<ProbeId> {
    evidence.truncate(FIRST);
    evidence
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '/' | '=' | ',' | '%' => out.push_str(&format!("%{:02X}", u32::from(character))),
            other => out.push(other),
        }
    }
    out
}

/// n and clusters of tallies.
pub(super) fn counts(tallies: &[Tally]) -> (usize, usize) {
    (tallies.iter().map(|tally| tally.trials).sum(), tallies.len())
}

/// n and clusters of paired tallies.
pub(super) fn pair_counts(tallies: &[PairTally]) -> (usize, usize) {
    (tallies.iter().map(|tally| tally.pairs).sum(), tallies.len())
}

/// Corrects all tests of one measure and readout together by Holm's method.
pub(super) fn correct(measurements: &mut [Measurement]) {
    let p: Vec<f64> = measurements.iter().filter_map(|one| one.test.as_ref().map(|test| test.p)).collect();
    if p.len() < 2 {
        return;
    }
    let tests = measurements.iter_mut().filter_map(|one| one.test.as_mut());
    for (test, adjusted) in tests.zip(holm(&p)) {
        test.adjusted_p = Some(adjusted);
        test.family = p.len();
    }
}

/// Up to 50 probes. Among the first 8 stand those to be shown in any case (at most half, unless nothing else is left),
/// then those with a telling score, largest first, one of each cluster before a second of any.
pub(super) fn evidence<T: Item>(
    items: &[&T],
    shown: impl Fn(&T) -> Option<f64>,
    telling: impl Fn(&T) -> Option<f64>,
) -> Vec<ProbeId> {
    let shown = spread(items, shown);
    let mut rest = spread(items, telling);
    rest.retain(|id| !shown.contains(id));
    let first = shown.len().min((FIRST / 2).max(FIRST.saturating_sub(rest.len())));
    let (early, late) = shown.split_at(first);
    early.iter().copied().chain(rest).chain(late.iter().copied()).take(EVIDENCE).cloned().collect()
}

/// The items with a score, largest first, one of each cluster before a second of any.
fn spread<'a, T: Item>(items: &[&'a T], score: impl Fn(&T) -> Option<f64>) -> Vec<&'a ProbeId> {
    let mut scored: Vec<(f64, &T)> = items.iter().filter_map(|item| Some((score(item)?, *item))).collect();
    scored.sort_by(|first, second| second.0.total_cmp(&first.0));
    let mut turns: BTreeMap<&str, usize> = BTreeMap::new();
    let mut placed: Vec<(usize, &ProbeId)> = Vec::with_capacity(scored.len());
    for (_, item) in scored {
        let turn = turns.entry(item.cluster()).or_default();
        placed.push((*turn, item.id()));
        *turn += 1;
    }
    placed.sort_by_key(|(turn, _)| *turn);
    placed.into_iter().map(|(_, id)| id).collect()
}

/// A count with its share, for tables: `12 (25 %)`.
pub(super) fn count_cell(count: usize, of: usize) -> String {
    if of == 0 {
        return "0".to_owned();
    }
    format!("{count} ({})", crate::types::Scale::Share.format(count as f64 / of as f64, 1))
}
