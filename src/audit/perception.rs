//! Whether the model recognises the pictures that judged measures presume to be recognised.

use std::collections::{BTreeMap, BTreeSet};

use super::AuditError;
use crate::gate::Perception;
use crate::measure::{Accuracy, Measure, Predictions, Seen};
use crate::suite::Suite;
use crate::types::Observations;

/// One answer for each set and readout that some gate depends on, in their order.
pub(super) fn perceptions(
    suite: &Suite,
    observations: &Observations,
    readouts: &BTreeMap<String, Predictions>,
) -> Result<Vec<Perception>, AuditError> {
    let mut wanted: BTreeSet<(&str, &str)> = BTreeSet::new();
    for gate in &suite.gates {
        let measure = suite.measures.iter().find(|measure| measure.id == gate.measure);
        let Some(set) = measure.and_then(|measure| measure.compute.presumes()) else { continue };
        let judged = readouts.keys().filter(|id| gate.readout.as_ref().is_none_or(|readout| readout == *id));
        wanted.extend(judged.map(|readout| (set, readout.as_str())));
    }
    let mut found = Vec::new();
    for (set, readout) in wanted {
        let Some(predictions) = readouts.get(readout) else { continue };
        let seen = Seen { id: "recognition", observations, readouts, seed: suite.seed };
        let accuracy = Accuracy { set: set.to_owned(), by: Vec::new() };
        let measured =
            accuracy.measure(&seen).map_err(|source| AuditError::Measure { id: "recognition".to_owned(), source })?;
        let whole = measured.measurements.into_iter().find(|one| one.group.is_empty() && one.readout == readout);
        let Some(whole) = whole else { continue };
        found.push(Perception {
            set: set.to_owned(),
            readout: readout.to_owned(),
            accuracy: whole.value,
            n: whole.n,
            clusters: whole.clusters,
            chance: chance(set, observations, predictions),
        });
    }
    Ok(found)
}

/// The larger of one label in the label set and the share of the most frequent truth: what always the same answer gives.
fn chance(set: &str, observations: &Observations, predictions: &Predictions) -> f64 {
    let mut truths: BTreeMap<&str, usize> = BTreeMap::new();
    for row in observations.rows_of(set) {
        let truth = observations.probes.get(row).and_then(|probe| probe.plan.labels.get("label"));
        if let Some(truth) = truth.filter(|truth| predictions.labels.iter().any(|label| **label == ***truth)) {
            *truths.entry(truth).or_default() += 1;
        }
    }
    let all: usize = truths.values().sum();
    let most = truths.values().max().copied().unwrap_or_default();
    let one = 1.0 / predictions.labels.len().max(1) as f64;
    if all == 0 { one } else { one.max(most as f64 / all as f64) }
}
