//! Attacks: pairs with the target of their word, and what became of them. Shared by the measures of success.

use super::pairs::{LeftOut, Pair, Pairs, label_places, pairs};
use super::rows::{Item, facts};
use super::{Predictions, Seen};
use crate::types::{Labels, ProbeId};

/// The four cells. See the head of success.rs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    ChangedTo,
    Already,
    ChangedAway,
    Neither,
}

/// A pair with the target of its attack.
pub(super) struct Attack<'a> {
    /// The pair.
    pub(super) pair: Pair<'a>,
    /// Place of the target in the label set.
    pub(super) target: u32,
}

impl Item for Attack<'_> {
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

impl Attack<'_> {
    /// Its cell.
    pub(super) fn outcome(&self) -> Outcome {
        match (self.pair.before == self.target, self.pair.after == self.target) {
            (false, true) => Outcome::ChangedTo,
            (true, true) => Outcome::Already,
            (true, false) => Outcome::ChangedAway,
            (false, false) => Outcome::Neither,
        }
    }

    /// Whether it changed to the target; `None` where it was the target already.
    pub(super) fn success(&self) -> Option<bool> {
        (self.pair.before != self.target).then_some(self.pair.after == self.target)
    }

    /// The same for the control twin; `None` without one.
    pub(super) fn control(&self) -> Option<bool> {
        let control = self.pair.control?;
        (self.pair.before != self.target).then_some(control == self.target)
    }

    /// The probability of the target for the attacked probe.
    pub(super) fn probability(&self) -> f64 {
        self.pair.probability(self.target)
    }

    /// Its probability, if the condition holds: a score for the choice of evidence.
    pub(super) fn telling(&self, condition: bool) -> Option<f64> {
        condition.then(|| self.probability())
    }
}

/// Attacks of one set, and what had to be left out.
pub(super) struct Attacks<'a> {
    /// In plan order.
    pub(super) attacks: Vec<Attack<'a>>,
    /// What was left out.
    pub(super) out: LeftOut,
}

/// The pairs of two sets whose target is a label of the readout.
pub(super) fn attacks<'a>(
    seen: &Seen<'a>,
    readout: &str,
    predictions: &'a Predictions,
    clean: &str,
    attacked: &str,
) -> Attacks<'a> {
    let Pairs { pairs, mut out } = pairs(seen, predictions, clean, attacked);
    let places = label_places(predictions);
    let mut attacks = Vec::with_capacity(pairs.len());
    for pair in pairs {
        match pair.labels().get("target").map(|target| places.get(&**target)) {
            Some(Some(&target)) => attacks.push(Attack { pair, target }),
            Some(None) => out.add(format!("left out: the target is no label of `{readout}`"), facts(pair.labels())),
            None => out.add("left out: no target is named", facts(pair.labels())),
        }
    }
    Attacks { attacks, out }
}
