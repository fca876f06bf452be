//! Gates: limits of a suite against measurements. The verdict looks at the whole interval, never at the point alone.

mod compare;
mod copies;
mod judge;
mod overall;
mod perception;
mod quarantine;

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::types::{Origin, Problem, Severity, WaiverRecord, digest};

pub use compare::{BaselineError, comparable, compare};
pub use copies::copy_findings;
pub use judge::{judge, waivers};
pub use overall::{overall, sort};
pub use perception::{Perception, perception_finding};
pub use quarantine::{SetUse, count_use, quarantine_findings};

/// What a gate ranges over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum On {
    /// The number over everything.
    #[default]
    Overall,
    /// Every row of the measure's `by` breakdown, at a level that holds for all of them together.
    Each,
}

/// What an undecided gate becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Undecided {
    /// Undecided counts as failed.
    Fail,
    /// Undecided counts as passed.
    Pass,
}

/// A limit on a statistic.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(extend("allOf" = [{ "oneOf": [{ "required": ["max"] }, { "required": ["min"] }] }]))]
pub struct Gate {
    /// Its name in findings.
    #[schemars(regex(pattern = r"^[a-z0-9][a-z0-9_-]{0,63}$"))]
    pub id: String,
    /// Id of the measure.
    pub measure: String,
    /// Which of the measure's statistics.
    pub statistic: String,
    /// The number over everything, or each row of `by`.
    #[serde(default)]
    pub on: On,
    /// Id of the readout; may be left out where the suite has one.
    #[serde(default)]
    pub readout: Option<String>,
    /// The largest value allowed.
    #[serde(default)]
    pub max: Option<f64>,
    /// The smallest value allowed.
    #[serde(default)]
    pub min: Option<f64>,
    /// How much a finding of this gate matters.
    pub severity: Severity,
    /// What an undecided gate becomes; left out, it stays undecided.
    #[serde(default)]
    pub undecided: Option<Undecided>,
}

/// A fail that somebody accepts until a date.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Waiver {
    /// Id of the gate.
    pub gate: String,
    /// The last day it holds, YYYY-MM-DD.
    #[schemars(with = "String", extend("format" = "date"))]
    pub until: Date,
    /// Who accepts it.
    #[schemars(extend("allOf" = [{ "pattern": r"\S" }]))]
    pub owner: String,
    /// Why.
    #[schemars(extend("allOf" = [{ "pattern": r"\S" }]))]
    pub reason: String,
    /// Where it is followed up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// Who approved it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approver: Option<String>,
    /// The first day it holds, YYYY-MM-DD; left out, it holds from the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("format" = "date"))]
    pub since: Option<Date>,
}

impl Gate {
    /// What is wrong with the gate on its own.
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        match (self.max, self.min) {
            (None, None) => problems.push(Problem::new(["max"], "a gate needs a limit: give `max` or `min`")),
            (Some(_), Some(_)) => {
                problems.push(Problem::new(["min"], "a gate has one limit: give `max` or `min`, and a second gate"));
            }
            _ => {}
        }
        for (field, limit) in [("max", self.max), ("min", self.min)] {
            if limit.is_some_and(|limit| !limit.is_finite()) {
                problems.push(Problem::new([field], "expected a finite number"));
            }
        }
        problems
    }
}

impl Waiver {
    /// What is wrong with the waiver on its own.
    pub fn check(&self) -> Vec<Problem> {
        let empty = [("owner", &self.owner), ("reason", &self.reason)]
            .into_iter()
            .filter(|(_, text)| text.trim().is_empty())
            .map(|(field, _)| {
                Problem::new([field], "expected some text: a waiver names who accepts the fail, and why")
            });
        let backwards = self
            .since
            .filter(|since| *since > self.until)
            .map(|since| Problem::new(["until"], format!("is {}, before it begins on {since}", self.until)));
        empty.chain(backwards).collect()
    }

    /// Whether it holds on a day.
    pub fn holds(&self, today: Date) -> bool {
        today <= self.until && self.since.is_none_or(|since| since <= today)
    }

    /// As a record has it, with what it did.
    fn record(&self, effect: String) -> WaiverRecord {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        WaiverRecord {
            gate: self.gate.clone(),
            owner: self.owner.clone(),
            reason: self.reason.clone(),
            ticket: text(&self.ticket),
            approver: text(&self.approver),
            since: self.since.map(|day| day.to_string()).unwrap_or_default(),
            until: self.until.to_string(),
            effect,
        }
    }
}

/// How the message of a finding ends that would be undecided, did the gate not count that as passed.
const COUNTED_AS_PASSED: &str = "; the gate counts undecided as passed";

/// The stable id of a finding: `F-` and eight hexadecimal digits over its origin, gate and subject.
fn finding_id(origin: Origin, gate: &str, subject: &str) -> String {
    let digest = digest(&[format!("{origin:?}").as_str(), gate, subject]);
    format!("F-{}", digest.get(..8).unwrap_or_default())
}
