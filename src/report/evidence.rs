//! Evidence on the page: a cited probe beside its clean and its control twin, with what the model said of each.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use minijinja::Value as Trusted;
use serde::Serialize;

use super::text;
use crate::types::{Audit, Evidence, Finding, Prediction, ProbeId};

/// Cited probes in the table of a finding; the rest are named.
const TABLED: usize = 50;
/// Evidence drawn per finding and on the page, worst findings first; the table has the rest.
const PICTURED: usize = 4;
const PICTURED_ON_PAGE: usize = 300;
/// Thumbnails embedded in one page. What exceeds it is said to be in the record.
const PICTURE_BUDGET_BYTES: usize = 8 << 20;

/// A cited probe with its twins.
#[derive(Serialize)]
pub(super) struct Exemplar {
    probe: String,
    set: String,
    cluster: String,
    facts: Vec<(String, String)>,
    cover: Option<String>,
    pictures: Vec<Picture>,
    notes: Vec<String>,
}

#[derive(Serialize)]
struct Picture {
    role: &'static str,
    probe: String,
    alt: String,
    /// A data URI checked to be a PNG.
    source: Option<Trusted>,
    width: u32,
    height: u32,
    /// Why there is no picture.
    hidden: &'static str,
    readouts: Vec<Readout>,
}

#[derive(Serialize)]
struct Readout {
    name: String,
    predictions: Vec<Guess>,
}

#[derive(Serialize)]
struct Guess {
    label: String,
    probability: String,
    cosine: String,
    /// Width of a bar of 100.
    bar: f64,
    /// `true label`, `attack target` or nothing.
    mark: &'static str,
}

/// Every probe a finding cites, with what the model said of it and of its twins.
#[derive(Serialize)]
pub(super) struct ProbeTable {
    /// Whether a column for the clean and for the control twin is needed.
    has_clean: bool,
    has_control: bool,
    /// Facts that hold for every row.
    shared: Vec<(String, String)>,
    /// Names of the others: a column each.
    columns: Vec<String>,
    rows: Vec<ProbeRow>,
    /// Ids of cited probes the record says no more of.
    others: Vec<String>,
}

#[derive(Serialize)]
struct ProbeRow {
    probe: String,
    cluster: String,
    /// In the order of the columns; empty where the probe has none.
    facts: Vec<String>,
    clean: Option<Guess>,
    said: Option<Guess>,
    control: Option<Guess>,
}

/// Draws probes from the record's evidence, and keeps the page's pictures within their budget.
pub(super) struct Pictures<'a> {
    by_id: BTreeMap<&'a ProbeId, &'a Evidence>,
    spent_bytes: usize,
    /// Exemplars so far.
    drawn: usize,
}

impl<'a> Pictures<'a> {
    pub(super) fn new(audit: &'a Audit) -> Self {
        Self {
            by_id: audit.evidence.iter().map(|evidence| (&evidence.probe, evidence)).collect(),
            spent_bytes: 0,
            drawn: 0,
        }
    }

    /// The first cited probes, to be drawn with their twins.
    pub(super) fn exemplars(&mut self, finding: &Finding, readout: &str) -> Vec<Exemplar> {
        let room = PICTURED.min(PICTURED_ON_PAGE.saturating_sub(self.drawn));
        finding.evidence.iter().filter_map(|probe| self.exemplar(probe, readout)).take(room).collect()
    }

    /// All of them as a table.
    pub(super) fn table(&self, finding: &Finding, readout: &str) -> ProbeTable {
        let first = |evidence: &Evidence, attack: &BTreeMap<String, String>| {
            let named = evidence.predictions.get(readout).or(evidence.predictions.values().next())?;
            named.first().map(|prediction| guess(prediction, attack))
        };
        let known: Vec<&Evidence> = finding.evidence.iter().filter_map(|id| self.by_id.get(id).copied()).collect();
        let tabled = &known[..known.len().min(TABLED)];
        let (shared, columns) = sorted_out(tabled);
        let row = |evidence: &&'a Evidence| {
            let twin = |id: &Option<ProbeId>| {
                id.as_ref().and_then(|id| self.by_id.get(id)).and_then(|twin| first(twin, &evidence.labels))
            };
            ProbeRow {
                probe: evidence.probe.to_string(),
                cluster: evidence.cluster.clone(),
                facts: columns.iter().map(|name| evidence.labels.get(name).cloned().unwrap_or_default()).collect(),
                clean: twin(&evidence.source),
                said: first(evidence, &evidence.labels),
                control: twin(&evidence.control),
            }
        };
        let rows: Vec<ProbeRow> = tabled.iter().map(row).collect();
        let tabled: Vec<String> = rows.iter().map(|row| row.probe.clone()).collect();
        let others = finding.evidence.iter().map(ToString::to_string).filter(|id| !tabled.contains(id)).collect();
        ProbeTable {
            has_clean: rows.iter().any(|row| row.clean.is_some()),
            has_control: rows.iter().any(|row| row.control.is_some()),
            shared,
            columns,
            rows,
            others,
        }
    }

    fn exemplar(&mut self, probe: &ProbeId, readout: &str) -> Option<Exemplar> {
        let evidence = *self.by_id.get(probe)?;
        self.drawn += 1;
        let twin = |id: &Option<ProbeId>| id.as_ref().and_then(|id| self.by_id.get(id).copied());
        let (clean, control) = (twin(&evidence.source), twin(&evidence.control));
        let attacked = if evidence.labels.contains_key("word") { "Attacked" } else { "Shown" };
        let own = if evidence.source.is_some() { attacked } else { "Probe" };
        let twins = [("Clean", clean), (own, Some(evidence)), ("Control", control)];
        let pictures = twins
            .into_iter()
            .filter_map(|(role, twin)| Some(self.picture(role, twin?, &evidence.labels, readout)))
            .collect();
        Some(Exemplar {
            probe: evidence.probe.to_string(),
            set: evidence.set.clone(),
            cluster: evidence.cluster.clone(),
            facts: pairs(&evidence.labels),
            cover: evidence.cover.map(text::percent),
            pictures,
            notes: evidence.notes.clone(),
        })
    }

    fn picture(
        &mut self,
        role: &'static str,
        evidence: &Evidence,
        attack: &BTreeMap<String, String>,
        readout: &str,
    ) -> Picture {
        let (source, width, height, hidden) = self.source(evidence);
        let facts: Vec<String> = evidence.labels.iter().map(|(name, value)| format!("{name} {value}")).collect();
        let named: Vec<_> = evidence.predictions.iter().filter(|(name, _)| *name == readout).collect();
        let readouts = if named.is_empty() { evidence.predictions.iter().collect() } else { named };
        Picture {
            role,
            probe: evidence.probe.to_string(),
            alt: format!("{role} picture: {}", facts.join(", ")),
            source,
            width,
            height,
            hidden,
            readouts: readouts
                .into_iter()
                .map(|(name, predictions)| Readout {
                    name: name.clone(),
                    predictions: predictions.iter().take(3).map(|guess| self::guess(guess, attack)).collect(),
                })
                .collect(),
        }
    }

    fn source(&mut self, evidence: &Evidence) -> (Option<Trusted>, u32, u32, &'static str) {
        let Some(encoded) = &evidence.thumbnail else {
            return (None, 0, 0, "not shown: the suite's picture policy hides it");
        };
        let Some((width, height)) = png_size(encoded) else {
            return (None, 0, 0, "not shown: the thumbnail in the record is no PNG");
        };
        if self.spent_bytes + encoded.len() > PICTURE_BUDGET_BYTES {
            return (None, 0, 0, "not shown: the page has its fill of pictures; this one stands in audit.json");
        }
        self.spent_bytes += encoded.len();
        // Whole multiples keep pixels square; the style sheet shrinks what does not fit.
        let scale = (160 / width.max(1)).clamp(1, 8);
        let source = Trusted::from_safe_string(format!("data:image/png;base64,{encoded}"));
        (Some(source), width * scale, height * scale, "")
    }
}

/// Facts that hold for all of several probes, and the names of those that differ or are missing in some.
fn sorted_out(probes: &[&Evidence]) -> (Vec<(String, String)>, Vec<String>) {
    let names: BTreeSet<&String> = probes.iter().flat_map(|probe| probe.labels.keys()).collect();
    let value = |probe: &&Evidence, name: &String| probe.labels.get(name).cloned();
    let (mut shared, mut differing) = (Vec::new(), Vec::new());
    for name in names {
        let first = probes.first().and_then(|probe| value(probe, name));
        match first {
            Some(first)
                if probes.len() > 1 && probes.iter().all(|probe| value(probe, name).as_ref() == Some(&first)) =>
            {
                shared.push((name.clone(), first));
            }
            _ => differing.push(name.clone()),
        }
    }
    (shared, differing)
}

/// Width and height of a base64 PNG. Anything else, and any character outside the alphabet, is `None`.
fn png_size(encoded: &str) -> Option<(u32, u32)> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(encoded).ok()?;
    let header = bytes.strip_prefix(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")?;
    let number = |at: usize| Some(u32::from_be_bytes(header.get(at..at + 4)?.try_into().ok()?));
    let (width, height) = (number(0)?, number(4)?);
    ((1..=4096).contains(&width) && (1..=4096).contains(&height)).then_some((width, height))
}

fn guess(prediction: &Prediction, attack: &BTreeMap<String, String>) -> Guess {
    let is = |name: &str| attack.get(name).is_some_and(|value| *value == prediction.label);
    let mark = match () {
        () if is("target") => "attack target",
        () if is("label") => "true label",
        () => "",
    };
    Guess {
        label: prediction.label.clone(),
        probability: format!("{:.1}\u{a0}%", prediction.probability * 100.0),
        cosine: text::number(prediction.cosine),
        bar: (prediction.probability.clamp(0.0, 1.0) * 1000.0).round() / 10.0,
        mark,
    }
}

pub(super) fn pairs(labels: &BTreeMap<String, String>) -> Vec<(String, String)> {
    labels.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}
