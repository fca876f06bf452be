//! `accuracy`: the share of probes whose predicted label is their own, overall, per label and per group.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::charts::{by_label, rows_of};
use super::pairs::{LeftOut, label_places};
use super::rows::{Answer, Maker, Row, check_by, facts, rows, share, whole};
use super::{Measure, MeasureError, Measured, Needs, OF_RATES, Predictions, Seen, Statistic, by_labels};
use crate::types::{Direction, Measurement, Problem, Scale};

/// Accuracy of a probe set.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Accuracy {
    /// The probe set; its probes carry the truth in `label`.
    pub set: String,
    /// Labels to break the number down by, each on its own.
    #[schemars(extend("allOf" = [{ "uniqueItems": true }]))]
    #[serde(default)]
    pub by: Vec<String>,
}

const ACCURACY: Statistic = Statistic {
    name: "accuracy",
    about: "were given their own label",
    formula: "probes whose first label is their own / probes",
    method: OF_RATES,
    counted: "probes",
    scale: Scale::Share,
    worse: Direction::Lower,
    of_units: false,
};

impl Measure for Accuracy {
    fn statistics(&self) -> &'static [Statistic] {
        &[ACCURACY]
    }

    fn needs(&self) -> Needs {
        Needs {
            sets: vec![("set", self.set.clone())],
            labels: by_labels(&self.by, &self.set),
            truth: vec![self.set.clone()],
            ..Needs::default()
        }
    }

    fn by(&self) -> &[String] {
        &self.by
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

/// The label that carries the truth.
const LABEL: &str = "label";

impl Accuracy {
    fn measure_readout(&self, seen: &Seen<'_>, readout: &str, predictions: &Predictions, measured: &mut Measured) {
        let places = label_places(predictions);
        let mut out = LeftOut::of(seen, &self.set);
        let mut answers = Vec::new();
        for row in seen.observations.rows_of(&self.set) {
            let Some((probe, top)) = seen.observations.probes.get(row).zip(predictions.top.get(row)) else { continue };
            let Some(first) = top.first() else { continue };
            match probe.plan.labels.get(LABEL).map(|truth| places.get(&**truth)) {
                Some(Some(&truth)) => answers.push(Answer {
                    probe,
                    counts: first.label == truth,
                    probability: f64::from(first.probability),
                }),
                Some(None) => {
                    out.add(format!("left out: the truth is no label of `{readout}`"), facts(&probe.plan.labels))
                }
                None => out.add(format!("left out: they carry no `{LABEL}`"), facts(&probe.plan.labels)),
            }
        }

        let broken = rows(&answers, &self.by, true, &out.facts);
        let maker = Maker { seen, readout, each: broken.len() };
        maker.note(measured, out.notes());
        // Every label is reported; a gate ranges over labels only where the suite asks for them.
        let by_label_too = !self.by.iter().any(|label| label == LABEL);
        let label = [LABEL.to_owned()];
        let labels = if by_label_too { rows(&answers, &label, false, &out.facts) } else { Vec::new() };
        let measurements: Vec<Measurement> =
            std::iter::once(whole(&answers)).chain(broken).chain(labels).map(|row| measure_row(&maker, &row)).collect();
        for label in self.by.iter().chain(by_label_too.then_some(&label[0])) {
            measured.exhibits.push(maker.exhibit(
                &format!("by-{label}"),
                format!("Accuracy by {label}"),
                "Share of probes given their own label; 95 % intervals over clusters.",
                by_label(
                    label,
                    "share given their own label",
                    &[("accuracy", rows_of(&measurements, ACCURACY.name, label))],
                ),
            ));
        }
        measured.measurements.extend(measurements);
    }
}

fn measure_row(maker: &Maker<'_>, row: &Row<'_, Answer<'_>>) -> Measurement {
    let wrong = |answer: &Answer<'_>| (!answer.counts).then_some(answer.probability);
    share(maker, &ACCURACY, row, wrong)
}
