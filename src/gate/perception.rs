//! The audit's check on itself that the model sees at all: a model that does not recognise the clean pictures cannot be
//! misled about them, so a low attack success would say nothing.

use super::finding_id;
use crate::types::{Bound, Estimate, Finding, Origin, Scale, Severity, Value, Verdict};

/// Below this share of recognised clean pictures a reader is told, although the audit goes on.
const MOST: f64 = 0.5;

/// What a readout recognises of a set that judged measures presume to be recognised.
#[derive(Clone, Debug, PartialEq)]
pub struct Perception {
    /// Id of the set.
    pub set: String,
    /// Id of the readout.
    pub readout: String,
    /// Share of its probes given their own label.
    pub accuracy: Value,
    /// Probes behind it.
    pub n: usize,
    /// Clusters behind it.
    pub clusters: usize,
    /// What answering without looking gives at best: one label of the label set, or always the most frequent truth.
    pub chance: f64,
}

/// Inconclusive unless the whole interval of the accuracy lies above chance; a warning where most pictures are not
/// recognised.
pub fn perception_finding(seen: &Perception) -> Finding {
    let Perception { set, readout, accuracy, n, clusters, chance } = seen;
    let share = |value: f64| Scale::Share.format(value, 1);
    let (verdict, message) = match accuracy {
        Value::NotMeasured { reason } => {
            let message = format!(
                "whether `{readout}` recognises the pictures of `{set}` could not be measured ({reason}); a model that \
                 recognises nothing cannot be misled, so gates on attacks decide nothing here"
            );
            (Verdict::NotMeasured, message)
        }
        Value::Measured(estimate) => {
            let numbers = interval(estimate);
            let numbers = format!(
                "{numbers} of {n} probes of `{set}` in {clusters} clusters were given their own label by `{readout}`; \
                 answering without looking gives {}",
                share(*chance)
            );
            if estimate.low() <= *chance {
                let rest = "no recognition is shown, and a model that recognises nothing cannot be misled: gates on \
                            attacks decide nothing here";
                (Verdict::Inconclusive, format!("{numbers}; {rest}"))
            } else if estimate.point() < MOST {
                let rest = "most pictures are not recognised, so attacks had little to change";
                (Verdict::Warn, format!("{numbers}; {rest}"))
            } else {
                (Verdict::Pass, numbers)
            }
        }
    };
    Finding {
        id: finding_id(Origin::Control, "", &format!("perception {set} {readout}")),
        origin: Origin::Control,
        verdict,
        severity: if matches!(verdict, Verdict::Pass) { Severity::Info } else { Severity::High },
        title: format!("recognition of {set} by {readout}"),
        message,
        gate: String::new(),
        rule: format!("more than {}, which needs no eyes (95 % interval)", share(*chance)),
        scale: Scale::Share,
        limit: Some(*chance),
        bound: Some(Bound::AtLeast),
        measurement: None,
        judged: Some(accuracy.clone()),
        evidence: Vec::new(),
        waiver: None,
        detectable: None,
    }
}

fn interval(estimate: &Estimate) -> String {
    let share = |value| Scale::Share.format(value, 1);
    format!("{} [{}, {}]", share(estimate.point()), share(estimate.low()), share(estimate.high()))
}
