//! Pairs: attacked probes with their clean and control twins, as one readout sees them. What cannot be paired is
//! counted and said.

use std::collections::{BTreeMap, BTreeSet};

use super::rows::{Facts, Item, facts};
use super::{Predictions, Ranked, Seen};
use crate::types::{Labels, Observed, ProbeId};

/// An attacked probe with its twins.
pub(super) struct Pair<'a> {
    /// The attacked probe.
    pub(super) attacked: &'a Observed,
    /// The clean twin.
    pub(super) clean: &'a Observed,
    /// First labels for the attacked probe, the best first.
    pub(super) top: &'a [Ranked],
    /// Predicted label of the clean twin.
    pub(super) before: u32,
    /// Predicted label of the attacked probe.
    pub(super) after: u32,
    /// Predicted label of the control twin, where there is one.
    pub(super) control: Option<u32>,
}

impl Item for Pair<'_> {
    fn labels(&self) -> &Labels {
        &self.attacked.plan.labels
    }
    fn cluster(&self) -> &str {
        &self.attacked.plan.cluster
    }
    fn id(&self) -> &ProbeId {
        &self.attacked.plan.id
    }
}

impl Pair<'_> {
    /// The probability of a label for the attacked probe; 0 where it is not among the first.
    pub(super) fn probability(&self, label: u32) -> f64 {
        self.top.iter().find(|ranked| ranked.label == label).map_or(0.0, |ranked| f64::from(ranked.probability))
    }
}

/// Pairs of two sets, and what had to be left out.
pub(super) struct Pairs<'a> {
    /// In plan order.
    pub(super) pairs: Vec<Pair<'a>>,
    /// What was left out.
    pub(super) out: LeftOut,
}

/// Probes of one set that were left out: how many for what reason, and their facts.
pub(super) struct LeftOut {
    set: String,
    reasons: BTreeMap<String, usize>,
    /// One entry for each probe left out.
    pub(super) facts: Vec<Facts>,
}

impl LeftOut {
    /// Begins with the probes of `set` that were quarantined.
    pub(super) fn of(seen: &Seen<'_>, set: &str) -> Self {
        let mut out = Self { set: set.to_owned(), reasons: BTreeMap::new(), facts: Vec::new() };
        for one in seen.observations.quarantined.iter().filter(|one| one.set == set) {
            out.add("left out: quarantined", one.labels.clone());
        }
        out
    }

    /// Leaves a probe out.
    pub(super) fn add(&mut self, reason: impl Into<String>, facts: Facts) {
        self.note(reason);
        self.facts.push(facts);
    }

    /// Counts a reservation about a probe that is used.
    pub(super) fn note(&mut self, reason: impl Into<String>) {
        *self.reasons.entry(reason.into()).or_default() += 1;
    }

    /// `12 probes of `attack` left out: the clean twin was quarantined`.
    pub(super) fn notes(&self) -> Vec<String> {
        let plural = |count| if count == 1 { "" } else { "s" };
        let note =
            |(reason, count): (&String, &usize)| format!("{count} probe{} of `{}` {reason}", plural(*count), self.set);
        self.reasons.iter().map(note).collect()
    }
}

/// The rows of an attacked probe and its twins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Twins {
    /// The attacked probe.
    pub(super) attacked: usize,
    /// Its clean twin.
    pub(super) clean: usize,
    /// Its control twin.
    pub(super) control: Control,
}

/// What became of a control twin.
#[derive(Clone, Copy, Debug)]
pub(super) enum Control {
    /// Its row.
    Row(usize),
    /// It was planned and could not be used.
    Lost,
    /// None was planned.
    Unplanned,
}

/// Finds the twins of every observed probe of `attacked`, the clean one in `clean`; in plan order.
pub(super) fn twins(seen: &Seen<'_>, clean: &str, attacked: &str) -> (Vec<Twins>, LeftOut) {
    let observations = seen.observations;
    let quarantined: BTreeSet<&ProbeId> = observations.quarantined.iter().map(|one| &one.probe).collect();
    let mut out = LeftOut::of(seen, attacked);
    let mut found = Vec::new();
    for row in observations.rows_of(attacked) {
        let Some(probe) = observations.probes.get(row) else { continue };
        let Some(source) = &probe.plan.source else {
            out.add("left out: no clean twin is named", facts(&probe.plan.labels));
            continue;
        };
        let twin = observations.row(source).and_then(|row| Some((row, observations.probes.get(row)?)));
        let Some((twin_row, twin)) = twin else {
            let reason = match quarantined.contains(source) {
                true => "left out: the clean twin was quarantined",
                false => "left out: the clean twin was not observed",
            };
            out.add(reason, facts(&probe.plan.labels));
            continue;
        };
        if &*twin.plan.set != clean {
            out.add(format!("left out: the clean twin is not in `{clean}`"), facts(&probe.plan.labels));
            continue;
        }
        let control = match &probe.plan.control {
            None => Control::Unplanned,
            Some(control) => observations.row(control).map_or(Control::Lost, Control::Row),
        };
        found.push(Twins { attacked: row, clean: twin_row, control });
    }
    (found, out)
}

/// Pairs every observed probe of `attacked` with its twin in `clean`, as a readout sees them.
pub(super) fn pairs<'a>(seen: &Seen<'a>, predictions: &'a Predictions, clean: &str, attacked: &str) -> Pairs<'a> {
    let (found, mut out) = twins(seen, clean, attacked);
    let mut pairs = Vec::with_capacity(found.len());
    for twins in found {
        let probes = &seen.observations.probes;
        let (Some(probe), Some(twin)) = (probes.get(twins.attacked), probes.get(twins.clean)) else { continue };
        let control = match twins.control {
            Control::Row(row) => Some(predictions.top1(row)),
            Control::Unplanned => None,
            Control::Lost => {
                out.note("compared without control twin: it could not be used");
                None
            }
        };
        pairs.push(Pair {
            attacked: probe,
            clean: twin,
            top: predictions.top.get(twins.attacked).map_or(&[], Vec::as_slice),
            before: predictions.top1(twins.clean),
            after: predictions.top1(twins.attacked),
            control,
        });
    }
    Pairs { pairs, out }
}

/// The place of every label in the label set.
pub(super) fn label_places(predictions: &Predictions) -> BTreeMap<&str, u32> {
    predictions.labels.iter().enumerate().map(|(place, label)| (label.as_str(), place as u32)).collect()
}
