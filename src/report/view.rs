//! What the page shows, joined from the record: findings with the measurement they judge and the probes they cite,
//! measurements by measure, anchors that are unique and safe. The templates only lay it out.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::axis::IntervalAxis;
use super::cards::{Cards, filters, gates, severities};
use super::changes::{ChangeRow, Changes};
use super::chart::{BarChart, Chart, Shown};
use super::evidence::{Exemplar, Pictures, ProbeTable, pairs};
use super::text;
use super::words::{self, Word, having};
use crate::types::{Audit, Exhibit, Finding, MeasureRecord, Measurement, Quarantined, Verdict, WaiverRecord, digest};

/// Rows printed per measure; what findings judge is always among them.
const ROWS_PER_MEASURE: usize = 400;
/// Measurements without a number that are listed.
const UNMEASURED_ROWS: usize = 1_000;

/// The page's data beside the record itself.
#[derive(Serialize)]
pub(super) struct Page {
    judgement: Word,
    reason: String,
    warnings: Vec<String>,
    commit: String,
    fingerprint: String,
    planned: usize,
    observed: usize,
    waived: usize,
    tally: Vec<Tally>,
    /// Open findings by severity, worst first.
    severities: Vec<Tally>,
    gates: Vec<GateRow>,
    /// Indices into `cards` of the worst three.
    look: Vec<usize>,
    cards: Vec<Card>,
    filters: Vec<Filter>,
    charts: Vec<ChartCard>,
    measures: Vec<MeasureTable>,
    /// How many measurements have no number, and the rows listed.
    unmeasured_count: usize,
    unmeasured: Vec<Row>,
    quarantined: Vec<QuarantinedRow>,
    changes: Option<Changes>,
    waivers: Vec<WaiverRecord>,
    /// SHA-256 of the record as the json format writes it.
    digest: String,
}

#[derive(Serialize)]
pub(super) struct Tally {
    #[serde(flatten)]
    pub(super) word: Word,
    pub(super) count: usize,
}

/// A gate with what it asks for and how the numbers it looked at came out.
#[derive(Serialize)]
pub(super) struct GateRow {
    pub(super) gate: String,
    pub(super) rule: String,
    pub(super) severity: Word,
    pub(super) verdicts: Vec<Tally>,
    /// The worst finding's anchor.
    pub(super) anchor: String,
}

#[derive(Serialize)]
pub(super) struct Filter {
    pub(super) key: &'static str,
    pub(super) title: &'static str,
    pub(super) options: Vec<Choice>,
}

#[derive(Serialize)]
pub(super) struct Choice {
    pub(super) key: String,
    pub(super) word: String,
    pub(super) count: usize,
}

/// A finding with everything it refers to.
#[derive(Serialize)]
pub(super) struct Card {
    pub(super) anchor: String,
    pub(super) id: String,
    pub(super) verdict: Word,
    pub(super) severity: Word,
    pub(super) origin: Word,
    pub(super) title: String,
    pub(super) message: String,
    pub(super) rule: String,
    pub(super) waiver: Option<String>,
    /// What became of it since the baseline.
    pub(super) change: Option<ChangeRow>,
    /// The smallest break of the limit that would have been found.
    pub(super) detectable: Option<String>,
    /// The id of the measurement judged.
    pub(super) measurement: Option<String>,
    pub(super) row: Option<Row>,
    /// The number the verdict looked at.
    pub(super) value: Option<Shown>,
    pub(super) axis: Option<IntervalAxis>,
    /// Where other limits would have led.
    pub(super) turns: Option<String>,
    /// The measure, for the filter; empty where the finding judges no measurement.
    pub(super) measure: String,
    /// Where the measure's statistics are explained.
    pub(super) method: Option<String>,
    /// What the group goes by, for the filter (`overall`, `size`).
    pub(super) by: String,
    /// The same number by group, per label.
    pub(super) groups: Vec<BarChart>,
    /// Units that a measure over the same probes holds responsible.
    pub(super) units: Vec<Implicated>,
    pub(super) exemplars: Vec<Exemplar>,
    pub(super) probes: ProbeTable,
}

/// A unit that answers to the written word.
#[derive(Serialize)]
pub(super) struct Implicated {
    pub(super) anchor: String,
    pub(super) unit: String,
    pub(super) value: Shown,
}

/// A measurement as a row.
#[derive(Clone, Serialize)]
pub(super) struct Row {
    pub(super) anchor: String,
    pub(super) id: String,
    pub(super) measure: String,
    pub(super) statistic: String,
    pub(super) group: String,
    pub(super) readout: String,
    pub(super) unit: Option<String>,
    pub(super) value: Shown,
    pub(super) n: String,
    /// What `n` counts.
    pub(super) counted: String,
    pub(super) clusters: String,
    pub(super) test: Option<TestRow>,
    /// Anchors and ids of the findings that judge it.
    pub(super) cited: Vec<(String, String)>,
}

#[derive(Clone, Serialize)]
pub(super) struct TestRow {
    name: String,
    p: String,
    adjusted: Option<String>,
    family: usize,
}

#[derive(Serialize)]
struct ChartCard {
    anchor: String,
    id: String,
    title: String,
    about: String,
    readout: String,
    chart: Chart,
}

#[derive(Serialize)]
struct MeasureTable {
    anchor: String,
    id: String,
    record: Option<MeasureRecord>,
    /// The ways intervals were made, each once.
    methods: Vec<String>,
    has_units: bool,
    has_readouts: bool,
    has_tests: bool,
    rows: Vec<Row>,
    omitted: usize,
    /// Rows without a number, which stand in a section of their own.
    unmeasured: usize,
}

#[derive(Serialize)]
struct QuarantinedRow {
    probe: String,
    set: String,
    facts: Vec<(String, String)>,
    files: Vec<String>,
    reason: String,
}

impl From<&Quarantined> for QuarantinedRow {
    fn from(input: &Quarantined) -> Self {
        Self {
            probe: input.probe.to_string(),
            set: input.set.clone(),
            facts: pairs(&input.labels),
            files: input.files.clone(),
            reason: input.reason.clone(),
        }
    }
}

impl Page {
    pub(super) fn new(audit: &Audit, digest: String) -> Self {
        let mut anchors = Anchors::default();
        let cards: Vec<String> = audit.findings.iter().map(|finding| anchors.finding(&finding.id)).collect();
        let anchored: BTreeMap<&str, String> =
            audit.findings.iter().zip(&cards).map(|(one, anchor)| (one.id.as_str(), anchor.clone())).collect();
        let methods = methods(audit, &mut anchors);
        let rows = rows(audit, &cards, &mut anchors);
        let mut cards = Cards { audit, rows: &rows, methods: &methods, pictures: Pictures::new(audit) }.all(cards);
        let change = |finding: &Finding| audit.baseline.as_ref()?.changes.iter().find(|one| one.id == finding.id);
        for (card, finding) in cards.iter_mut().zip(&audit.findings) {
            card.change = change(finding).map(ChangeRow::new);
        }
        let sum = |part: fn(&crate::types::SetRecord) -> usize| {
            audit.suite.sets.iter().map(part).fold(0_usize, usize::saturating_add)
        };
        Self {
            judgement: words::judgement(audit.judgement),
            reason: audit.reason.clone(),
            warnings: words::warnings(audit),
            commit: words::commit(audit),
            fingerprint: audit.model.fingerprint.0.chars().take(12).collect(),
            planned: sum(|set| set.planned),
            observed: sum(|set| set.observed),
            waived: having(audit, Verdict::Waived),
            tally: VERDICTS
                .iter()
                .map(|kind| Tally { word: words::verdict(*kind), count: having(audit, *kind) })
                .filter(|tally| tally.count > 0)
                .collect(),
            severities: severities(audit),
            gates: gates(audit, &cards),
            look: words::notable(audit).take(3).map(|(at, _)| at).collect(),
            filters: filters(&cards),
            cards,
            charts: audit.exhibits.iter().map(|exhibit| chart(exhibit, &mut anchors)).collect(),
            unmeasured_count: rows.iter().filter(|row| !row.value.is_measured()).count(),
            unmeasured: rows.iter().filter(|row| !row.value.is_measured()).take(UNMEASURED_ROWS).cloned().collect(),
            measures: measures(audit, rows, &methods),
            quarantined: audit.quarantined.iter().map(QuarantinedRow::from).collect(),
            changes: audit.baseline.as_ref().map(|baseline| Changes::new(baseline, &anchored)),
            waivers: audit.suite.waivers.clone(),
            digest,
        }
    }
}

pub(super) const VERDICTS: [Verdict; 6] =
    [Verdict::Fail, Verdict::Warn, Verdict::NotMeasured, Verdict::Inconclusive, Verdict::Waived, Verdict::Pass];

/// Anchors are unique on the page and hold no character that needs escaping, whatever the record says.
#[derive(Default)]
struct Anchors {
    used: BTreeSet<String>,
    /// Copies so far of an anchor that was asked for more than once.
    copies: BTreeMap<String, usize>,
}

impl Anchors {
    fn finding(&mut self, id: &str) -> String {
        let plain = |rest: &str| rest.len() <= 64 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric());
        match id.strip_prefix("F-") {
            Some(rest) if plain(rest) => self.unique(id.to_owned()),
            _ => self.of("F", id),
        }
    }

    fn of(&mut self, prefix: &str, id: &str) -> String {
        self.unique(format!("{prefix}-{}", &digest(&[id])[..8]))
    }

    fn unique(&mut self, wanted: String) -> String {
        let mut anchor = wanted.clone();
        while !self.used.insert(anchor.clone()) {
            let copy = self.copies.entry(wanted.clone()).and_modify(|copy| *copy += 1).or_insert(2);
            anchor = format!("{wanted}-{copy}");
        }
        anchor
    }
}

fn rows(audit: &Audit, cards: &[String], anchors: &mut Anchors) -> Vec<Row> {
    let mut cited: BTreeMap<&str, Vec<(String, String)>> = BTreeMap::new();
    let mut limits: BTreeMap<&str, f64> = BTreeMap::new();
    for (finding, anchor) in audit.findings.iter().zip(cards) {
        if let Some(id) = &finding.measurement {
            cited.entry(id).or_default().push((anchor.clone(), finding.id.clone()));
            limits.extend(finding.limit.map(|limit| (id.as_str(), limit)));
        }
    }
    audit
        .measurements
        .iter()
        .map(|measurement| Row {
            anchor: anchors.of("M", &measurement.id),
            cited: cited.get(measurement.id.as_str()).cloned().unwrap_or_default(),
            ..row(measurement, limits.get(measurement.id.as_str()).copied())
        })
        .collect()
}

fn row(measurement: &Measurement, limit: Option<f64>) -> Row {
    Row {
        anchor: String::new(),
        id: measurement.id.clone(),
        measure: measurement.measure.clone(),
        statistic: measurement.statistic.clone(),
        group: text::group(&measurement.group),
        readout: measurement.readout.clone(),
        unit: measurement.unit.as_ref().map(|unit| format!("{}.{} {}", unit.layer, unit.site, unit.index)),
        value: Shown::new(&measurement.value, measurement.quantity.scale, limit),
        n: text::count(measurement.n as u64),
        counted: measurement.quantity.counted.clone(),
        clusters: text::count(measurement.clusters as u64),
        test: measurement.test.as_ref().map(|test| TestRow {
            name: test.name.clone(),
            p: text::p_value(test.p),
            adjusted: test.adjusted_p.map(text::p_value),
            family: test.family,
        }),
        cited: Vec::new(),
    }
}

/// Every measure of the record in its order, with the anchor of its table.
fn methods(audit: &Audit, anchors: &mut Anchors) -> Vec<(String, String)> {
    let mut order: Vec<&str> = audit.measures.iter().map(|record| record.id.as_str()).collect();
    order.extend(audit.measurements.iter().map(|measurement| measurement.measure.as_str()));
    let mut seen = BTreeSet::new();
    order.retain(|id| seen.insert(*id));
    order.into_iter().map(|id| (id.to_owned(), anchors.of("measure", id))).collect()
}

fn measures(audit: &Audit, rows: Vec<Row>, methods: &[(String, String)]) -> Vec<MeasureTable> {
    let mut by_measure: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for row in rows {
        by_measure.entry(row.measure.clone()).or_default().push(row);
    }
    let mut tables = Vec::new();
    for (id, anchor) in methods {
        let all = by_measure.remove(id).unwrap_or_default();
        // Rows without a number that no finding judges stand in the section of what was not measured.
        let (all, unmeasured): (Vec<Row>, Vec<Row>) =
            all.into_iter().partition(|row| row.value.is_measured() || !row.cited.is_empty());
        let total = all.len();
        let rows: Vec<Row> = all
            .into_iter()
            .enumerate()
            .filter(|(at, row)| *at < ROWS_PER_MEASURE || !row.cited.is_empty())
            .map(|(_, row)| row)
            .collect();
        let methods: BTreeSet<String> =
            rows.iter().filter(|row| row.value.is_measured()).map(|row| row.value.interval()).collect();
        tables.push(MeasureTable {
            anchor: anchor.clone(),
            id: id.clone(),
            record: audit.measures.iter().find(|record| record.id == *id).cloned(),
            methods: methods.into_iter().collect(),
            has_readouts: rows.iter().any(|row| !row.readout.is_empty()),
            has_units: rows.iter().any(|row| row.unit.is_some()),
            has_tests: rows.iter().any(|row| row.test.is_some()),
            omitted: total - rows.len(),
            unmeasured: unmeasured.len(),
            rows,
        });
    }
    tables
}

fn chart(exhibit: &Exhibit, anchors: &mut Anchors) -> ChartCard {
    ChartCard {
        anchor: anchors.of("E", &exhibit.id),
        id: exhibit.id.clone(),
        title: exhibit.title.clone(),
        about: exhibit.about.clone(),
        readout: exhibit.readout.clone(),
        chart: Chart::new(&exhibit.kind),
    }
}
