//! Numbers of the record: an estimate with its interval, or the reason why there is none; what it counts and how it is
//! printed; the test beside it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::types::{ProbeId, Unit};

/// A number with its interval. Never holds NaN or infinity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawEstimate")]
pub struct Estimate {
    point: f64,
    low: f64,
    high: f64,
    level: f64,
    method: String,
}

#[derive(Deserialize)]
struct RawEstimate {
    point: f64,
    low: f64,
    high: f64,
    level: f64,
    method: String,
}

impl TryFrom<RawEstimate> for Estimate {
    type Error = EstimateError;
    fn try_from(raw: RawEstimate) -> Result<Self, EstimateError> {
        Self::new(raw.point, raw.low, raw.high, raw.level, raw.method)
    }
}

/// Why three numbers are no estimate.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EstimateError {
    /// A NaN or an infinity.
    #[error("an estimate of {point} [{low}, {high}] is not finite")]
    NotFinite {
        /// Point.
        point: f64,
        /// Lower bound.
        low: f64,
        /// Upper bound.
        high: f64,
    },
    /// Bounds in the wrong order, or a level outside 0 to 1.
    #[error("an estimate needs low <= high and a level between 0 and 1, got [{low}, {high}] at {level}")]
    Bounds {
        /// Lower bound.
        low: f64,
        /// Upper bound.
        high: f64,
        /// Confidence level.
        level: f64,
    },
}

impl Estimate {
    /// A point with its two-sided interval at `level` (0.95) by the named method.
    ///
    /// # Errors
    /// When a number is not finite, the bounds are swapped, or the level is not between 0 and 1.
    pub fn new(point: f64, low: f64, high: f64, level: f64, method: impl Into<String>) -> Result<Self, EstimateError> {
        if !(point.is_finite() && low.is_finite() && high.is_finite()) {
            return Err(EstimateError::NotFinite { point, low, high });
        }
        if low > high || !(level > 0.0 && level < 1.0) {
            return Err(EstimateError::Bounds { low, high, level });
        }
        Ok(Self { point, low, high, level, method: method.into() })
    }
    /// The estimate itself.
    pub fn point(&self) -> f64 {
        self.point
    }
    /// Lower bound of the interval.
    pub fn low(&self) -> f64 {
        self.low
    }
    /// Upper bound of the interval.
    pub fn high(&self) -> f64 {
        self.high
    }
    /// Confidence level, 0 to 1.
    pub fn level(&self) -> f64 {
        self.level
    }
    /// How the interval was made, in words.
    pub fn method(&self) -> &str {
        &self.method
    }
}

/// A number, or the reason why there is none: no sample is never a zero and never a pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// A finished estimate.
    Measured(Estimate),
    /// There is no number.
    NotMeasured {
        /// Why, as a lower-case fragment.
        reason: String,
    },
}

/// Which direction of a statistic is worse for the people a model is used on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Larger is worse (attack success).
    Higher,
    /// Smaller is worse (accuracy).
    Lower,
}

/// A test of a null hypothesis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Test {
    /// Name, sides and null in words (`sign-flip permutation over clusters, two-sided`).
    pub name: String,
    /// The test statistic.
    pub statistic: f64,
    /// p-value.
    pub p: f64,
    /// p after the family's correction, where the family has more than one member.
    pub adjusted_p: Option<f64>,
    /// Number of tests corrected together.
    pub family: usize,
}

/// How a number is to be read and printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// 0 to 1, printed in per cent.
    Share,
    /// A difference of two shares, -1 to 1, printed in percentage points.
    Difference,
    /// Anything else, printed as it is.
    Number,
}

/// What a number says, so that a message or a chart can put it into words without knowing the measure. A share reads
/// "25 % [21 %, 29 %] of 480 COUNTED in 48 clusters ABOUT", a difference or a number "ABOUT: 12 points [8, 15] over 480
/// COUNTED in 48 clusters".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quantity {
    /// How it is printed.
    pub scale: Scale,
    /// What `n` counts (`eligible pairs`).
    pub counted: String,
    /// The claim (`changed to the written word`).
    pub about: String,
}

/// The same number at a level that holds for all rows of a breakdown together (Bonferroni: 1 - 0.05 / rows).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Simultaneous {
    /// Rows of the breakdown, those that could not be estimated included.
    pub rows: usize,
    /// The number with the wider interval.
    pub value: Value,
}

/// One number of one measure, for one readout and one group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// `measure/readout/statistic/group/unit`: stable across runs.
    pub id: String,
    /// The suite's id of the measure.
    pub measure: String,
    /// The readout that turned embeddings into predictions; empty for measures of units.
    pub readout: String,
    /// Which number (`eligible`, `all`, `control`, `accuracy`, ...).
    pub statistic: String,
    /// What it says, in words.
    pub quantity: Quantity,
    /// The subgroup by label; empty is overall.
    pub group: BTreeMap<String, String>,
    /// The unit, for measures of units.
    pub unit: Option<Unit>,
    /// The number, at level 0.95.
    pub value: Value,
    /// For the rows of a `by` breakdown: the number as a gate with `on: each` judges it. Absent for the number over
    /// everything and for rows no gate ranges over.
    pub simultaneous: Option<Simultaneous>,
    /// Probes (or pairs) behind it.
    pub n: usize,
    /// Independent clusters behind it.
    pub clusters: usize,
    /// A test, where the measure makes one.
    pub test: Option<Test>,
    /// Which direction is worse.
    pub worse: Direction,
    /// A few probes that show it, most telling first.
    pub evidence: Vec<ProbeId>,
}
