//! Findings one by one: each with the number it judges, its limit, its groups, the units behind it and its evidence.

use std::collections::{BTreeMap, BTreeSet};

use super::axis::IntervalAxis;
use super::chart::{BarChart, Shown};
use super::evidence::Pictures;
use super::text;
use super::view::{Card, Choice, Filter, GateRow, Implicated, Row, Tally, VERDICTS};
use super::words::{self, Word};
use crate::types::{
    Audit, Bar, Bound, Detectable, Estimate, Finding, Measurement, Origin, Scale, Severity, Value, Verdict,
    WaiverRecord,
};

/// Groups drawn beneath a finding, per label.
const GROUPS: usize = 30;
/// Units named beneath a finding.
const UNITS: usize = 5;
/// A unit is named when its corrected p-value is at most this.
const NAMED: f64 = 0.05;

/// Makes the cards of a record.
pub(super) struct Cards<'a> {
    pub(super) audit: &'a Audit,
    pub(super) rows: &'a [Row],
    /// Measures with the anchors of their tables.
    pub(super) methods: &'a [(String, String)],
    pub(super) pictures: Pictures<'a>,
}

impl Cards<'_> {
    /// One card per finding, in the order of the record.
    pub(super) fn all(mut self, anchors: Vec<String>) -> Vec<Card> {
        let places: BTreeMap<&str, usize> =
            self.audit.measurements.iter().enumerate().map(|(at, one)| (one.id.as_str(), at)).collect();
        let findings = self.audit.findings.iter().zip(anchors);
        findings
            .map(|(finding, anchor)| {
                let at = finding.measurement.as_ref().and_then(|id| places.get(id.as_str()).copied());
                let judged = at.and_then(|at| Some((self.audit.measurements.get(at)?, self.rows.get(at)?)));
                self.card(finding, anchor, judged)
            })
            .collect()
    }

    fn card(&mut self, finding: &Finding, anchor: String, judged: Option<(&Measurement, &Row)>) -> Card {
        let measurement = judged.map(|(measurement, _)| measurement);
        let readout = measurement.map_or("", |measurement| measurement.readout.as_str());
        let exemplars = self.pictures.exemplars(finding, readout);
        let probes = self.pictures.table(finding, readout);
        // The page shows the interval the verdict looked at, which for one row of many is wider than the row's own.
        let value = finding.judged.as_ref().or(measurement.map(|measurement| &measurement.value));
        let estimate = value.and_then(|value| match value {
            Value::Measured(estimate) => Some(estimate),
            Value::NotMeasured { .. } => None,
        });
        let measure = measurement.map_or("", |measurement| measurement.measure.as_str());
        Card {
            anchor,
            id: finding.id.clone(),
            verdict: words::verdict(finding.verdict),
            severity: words::severity(finding.severity),
            origin: words::origin(finding.origin),
            title: finding.title.clone(),
            message: finding.message.clone(),
            rule: finding.rule.clone(),
            waiver: finding.waiver.as_ref().map(WaiverRecord::in_words),
            change: None,
            detectable: finding.detectable.map(|one| detectable(one, finding)),
            measurement: finding.measurement.clone(),
            row: judged.map(|(_, row)| row.clone()),
            value: value.map(|value| Shown::new(value, finding.scale, finding.limit)),
            axis: estimate.map(|one| IntervalAxis::new(one, finding.scale, finding.limit, finding.bound)),
            turns: estimate.zip(finding.bound).map(|(one, bound)| turns(one, bound, finding.scale)),
            method: self.methods.iter().find(|(id, _)| id == measure).map(|(_, anchor)| anchor.clone()),
            measure: measure.to_owned(),
            by: measurement.map_or(String::new(), by),
            groups: measurement.map_or(Vec::new(), |one| self.groups(one)),
            units: measurement.map_or(Vec::new(), |one| self.units(one)),
            exemplars,
            probes,
        }
    }

    /// The number of a finding over everything, by each label it is broken down by.
    fn groups(&self, whole: &Measurement) -> Vec<BarChart> {
        if !whole.group.is_empty() || whole.unit.is_some() {
            return Vec::new();
        }
        let mut labels: BTreeMap<&str, Vec<Bar>> = BTreeMap::new();
        let same = |one: &&Measurement| {
            (&one.measure, &one.readout, &one.statistic) == (&whole.measure, &whole.readout, &whole.statistic)
        };
        for one in self.audit.measurements.iter().filter(same).filter(|one| one.unit.is_none()) {
            let [(label, value)] = &one.group.iter().collect::<Vec<_>>()[..] else { continue };
            let bar = Bar { label: (*value).clone(), value: one.value.clone(), n: one.n, clusters: one.clusters };
            labels.entry(label.as_str()).or_default().push(bar);
        }
        let chart = |(label, bars): (&str, Vec<Bar>)| {
            let shown = bars.get(..GROUPS).unwrap_or(&bars);
            let more =
                if bars.len() > GROUPS { format!(", the first {GROUPS} of {}", bars.len()) } else { String::new() };
            let title = format!("{} by {}{more}", whole.statistic, text::line(label, 60));
            BarChart::new(&title, whole.quantity.scale, shown)
        };
        labels.into_iter().map(chart).collect()
    }

    /// The units that a measure of units over the same probes holds responsible, strongest first.
    fn units(&self, judged: &Measurement) -> Vec<Implicated> {
        let sets = |id: &str| {
            let record = self.audit.measures.iter().find(|record| record.id == id);
            record.map_or(BTreeSet::new(), |record| record.sets.iter().collect())
        };
        let own = sets(&judged.measure);
        let point = |one: &Measurement| match &one.value {
            Value::Measured(estimate) => estimate.point(),
            Value::NotMeasured { .. } => 0.0,
        };
        // Measures that only share clean pictures look at other attacks.
        let mut units: Vec<(&Measurement, &Row)> = (self.audit.measurements.iter().zip(self.rows))
            .filter(|(one, _)| one.unit.is_some() && one.measure != judged.measure)
            .filter(|(one, _)| one.test.as_ref().and_then(|test| test.adjusted_p).is_some_and(|p| p <= NAMED))
            .filter(|(one, _)| {
                let theirs = sets(&one.measure);
                own.len() > 1 && own.is_subset(&theirs)
            })
            .collect();
        units.sort_by(|(one, _), (other, _)| point(other).abs().total_cmp(&point(one).abs()));
        let implicated = |(_, row): &(&Measurement, &Row)| Implicated {
            anchor: row.anchor.clone(),
            unit: row.unit.clone().unwrap_or_default(),
            value: row.value.clone(),
        };
        units.iter().take(UNITS).map(implicated).collect()
    }
}

/// What the audit could have missed, in words.
fn detectable(found: Detectable, finding: &Finding) -> String {
    let beyond = match finding.bound {
        Some(Bound::AtLeast) => "or less",
        _ => "or more",
    };
    format!(
        "{} {beyond}: a true number there would have failed this gate with a chance of {}",
        finding.scale.format(found.value, 1),
        Scale::Share.format(found.power, 0)
    )
}

/// For which limits the same numbers would have passed or failed.
fn turns(estimate: &Estimate, bound: Bound, scale: Scale) -> String {
    let [_, low, high] = text::estimate(estimate, scale, None);
    let unit = if scale == Scale::Difference { "\u{a0}points" } else { "" };
    match bound {
        Bound::AtMost => {
            format!("passes with a limit of {high}{unit} or more, fails below {low}{unit}, undecided between")
        }
        Bound::AtLeast => {
            format!("passes with a limit of {low}{unit} or less, fails above {high}{unit}, undecided between")
        }
    }
}

/// What a group goes by.
fn by(measurement: &Measurement) -> String {
    let labels: Vec<&str> = measurement.group.keys().map(String::as_str).collect();
    if labels.is_empty() { "overall".to_owned() } else { labels.join(", ") }
}

const SEVERITIES: [Severity; 5] = [Severity::Critical, Severity::High, Severity::Medium, Severity::Low, Severity::Info];

/// Findings that did not pass, by severity.
pub(super) fn severities(audit: &Audit) -> Vec<Tally> {
    let count = |severity: Severity| words::notable(audit).filter(|(_, one)| one.severity == severity).count();
    let all = SEVERITIES.map(|severity| Tally { word: words::severity(severity), count: count(severity) });
    all.into_iter().filter(|tally| tally.count > 0).collect()
}

/// Every gate with its rule and verdicts, in the order of the findings: worst first.
pub(super) fn gates(audit: &Audit, cards: &[Card]) -> Vec<GateRow> {
    let mut found: Vec<(GateRow, Vec<Verdict>)> = Vec::new();
    for (finding, card) in audit.findings.iter().zip(cards).filter(|(one, _)| one.origin == Origin::Gate) {
        match found.iter_mut().find(|(row, _)| row.gate == finding.gate) {
            Some((_, verdicts)) => verdicts.push(finding.verdict),
            None => {
                let row = GateRow {
                    gate: finding.gate.clone(),
                    rule: finding.rule.clone(),
                    severity: card.severity,
                    verdicts: Vec::new(),
                    anchor: card.anchor.clone(),
                };
                found.push((row, vec![finding.verdict]));
            }
        }
    }
    let tallied = |(row, all): (GateRow, Vec<Verdict>)| {
        let count = |verdict: &Verdict| all.iter().filter(|one| *one == verdict).count();
        let verdicts = VERDICTS.iter().map(|one| Tally { word: words::verdict(*one), count: count(one) });
        GateRow { verdicts: verdicts.filter(|tally| tally.count > 0).collect(), ..row }
    };
    found.into_iter().map(tallied).collect()
}

/// What findings can be narrowed down by.
pub(super) fn filters(cards: &[Card]) -> Vec<Filter> {
    let fixed = |key, title, words: Vec<Word>, of: fn(&Card) -> Word| Filter {
        key,
        title,
        options: words
            .into_iter()
            .map(|word| Choice {
                key: word.key.to_owned(),
                word: word.word.to_owned(),
                count: cards.iter().filter(|card| of(card).key == word.key).count(),
            })
            .filter(|choice| choice.count > 0)
            .collect(),
    };
    let open = |key, title, of: fn(&Card) -> &str| {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for value in cards.iter().map(of).filter(|value| !value.is_empty()) {
            *counts.entry(value).or_default() += 1;
        }
        let choice = |(key, count): (&str, usize)| Choice { key: key.to_owned(), word: key.to_owned(), count };
        Filter { key, title, options: counts.into_iter().map(choice).collect() }
    };
    let origins = [Origin::Gate, Origin::Flag, Origin::Control, Origin::DataQuality];
    let all = vec![
        fixed("verdict", "Verdict", VERDICTS.map(words::verdict).to_vec(), |card| card.verdict),
        fixed("severity", "Severity", SEVERITIES.map(words::severity).to_vec(), |card| card.severity),
        fixed("origin", "Origin", origins.map(words::origin).to_vec(), |card| card.origin),
        open("measure", "Measure", |card| &card.measure),
        open("by", "Group", |card| &card.by),
    ];
    all.into_iter().filter(|filter| filter.options.len() > 1 || filter.key == "verdict").collect()
}
