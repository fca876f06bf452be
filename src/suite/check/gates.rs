//! What gates ask of the measures they name, and waivers of gates: above all that a gate can fail.

use std::collections::BTreeMap;

use super::{Check, way};
use crate::gate::{Gate, On};
use crate::measure::AnyMeasure;
use crate::suite::problem::{choices, nearest, quote};
use crate::types::{Direction, Scale};

impl Check<'_> {
    /// What gates name: a measure, a readout where there are several, a number with limits that can be broken.
    pub(super) fn gates(&mut self) {
        let draft = self.draft;
        for (index, gate) in draft.gates.iter().enumerate() {
            let Some(gate) = gate else { continue };
            self.refer(("gates", index), &["measure".to_owned()], "measures", &gate.measure);
            let measure = self.measures.find(&gate.measure).and_then(|place| draft.measures.get(place)?.as_ref());
            let of_readouts = measure.is_none_or(|measure| measure.compute.of_readouts());
            match &gate.readout {
                Some(_) if !of_readouts => {
                    let message =
                        format!("the numbers of {} are of units, not of a readout; leave it out", quote(&gate.measure));
                    self.add("gates", index, &["readout".to_owned()], message);
                }
                Some(readout) => self.refer(("gates", index), &["readout".to_owned()], "readouts", readout),
                None if draft.readouts.len() > 1 && of_readouts => {
                    let message = format!(
                        "the suite has several readouts, {}: say with `readout:` whose number is judged",
                        choices(self.readouts.names(), "and")
                    );
                    self.add("gates", index, &[], message);
                }
                None => {}
            }
            if let Some(measure) = measure {
                self.statistic(index, gate, &measure.compute);
            }
        }
    }

    /// What a gate asks of the measure it names.
    fn statistic(&mut self, index: usize, gate: &Gate, measure: &AnyMeasure) {
        let known = measure.statistics();
        if gate.on == On::Each && measure.by().is_empty() {
            let remedy = if measure.of_readouts() { "; give it `by:`" } else { "" };
            let message = format!(
                "ranges over the rows of a breakdown, and the measure {} has none{remedy}",
                quote(&gate.measure)
            );
            self.add("gates", index, &["on".to_owned()], message);
        }
        let names = || known.iter().filter(|one| !one.of_units).map(|one| one.name);
        let Some(statistic) = known.iter().find(|one| one.name == gate.statistic) else {
            let message = format!(
                "{} gives no {}; expected {}",
                quote(measure.name()),
                quote(&gate.statistic),
                choices(names(), "or")
            );
            let hint = nearest(&gate.statistic, names());
            return self.add_with_hint("gates", index, &["statistic".to_owned()], message, hint);
        };
        if statistic.of_units {
            let message = format!(
                "{} has a number for each unit, and a gate judges none of them; expected {}",
                quote(&gate.statistic),
                choices(names(), "or")
            );
            self.add("gates", index, &["statistic".to_owned()], message);
        }
        let (least, most) = match statistic.scale {
            Scale::Share => (0.0, 1.0),
            Scale::Difference => (-1.0, 1.0),
            Scale::Number => (f64::NEG_INFINITY, f64::INFINITY),
        };
        for (field, limit) in [("max", gate.max), ("min", gate.min)] {
            let Some(limit) = limit.filter(|limit| limit.is_finite()) else { continue };
            if limit < least || limit > most {
                let what = if statistic.scale == Scale::Share { "a share" } else { "a difference of two shares" };
                let remedy = if limit > 1.0 && limit <= 100.0 {
                    format!("; {limit} % is written {}", limit / 100.0)
                } else {
                    String::new()
                };
                let message = format!("{} is {what}, {least} to {most}, found {limit}{remedy}", quote(statistic.name));
                self.add("gates", index, &[field.to_owned()], message);
            } else if (field == "max" && limit >= most) || (field == "min" && limit <= least) {
                // It would count as a gate that passed.
                let message = format!(
                    "this gate cannot fail: {} is never beyond {limit}; give another limit, or take the gate out: what is \
                     measured is reported without one",
                    quote(statistic.name)
                );
                self.add("gates", index, &[field.to_owned()], message);
            }
        }
        let wrong = match statistic.worse {
            Direction::Higher => gate.min.map(|_| ("min", "higher", "max")),
            Direction::Lower => gate.max.map(|_| ("max", "lower", "min")),
        };
        if let Some((field, worse, other)) = wrong {
            let message = format!(
                "{} is worse when {worse}, and `{field}` lets that pass; is `{other}` meant?",
                quote(statistic.name)
            );
            self.note("gates", index, &[field], message);
        }
    }

    /// What waivers name: a gate, each once.
    pub(super) fn waivers(&mut self) {
        let draft = self.draft;
        let mut first: BTreeMap<&str, usize> = BTreeMap::new();
        let below = ["gate".to_owned()];
        for (index, waiver) in draft.waivers.iter().enumerate() {
            let Some(waiver) = waiver else { continue };
            self.refer(("waivers", index), &below, "gates", &waiver.gate);
            match first.get(waiver.gate.as_str()) {
                Some(other) => {
                    let (_, place) = self.tree.follow(way("waivers", *other, &below));
                    let message = format!("{} is waived on line {} already", quote(&waiver.gate), place.line);
                    self.add("waivers", index, &below, message);
                }
                None => {
                    first.insert(&waiver.gate, index);
                }
            }
        }
    }
}
