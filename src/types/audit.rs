//! The audit record: finished numbers, finished charts as data, findings and evidence. The only serialised result
//! schema; reports and the exit code are pure functions of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Fingerprint, ProbeId, Tap, Unit};

/// Version of the schema. A reader refuses versions it does not know.
pub const AUDIT_SCHEMA: u32 = 1;

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

/// A point of a curve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Position on the x axis.
    pub x: f64,
    /// The number there.
    pub value: Value,
    /// Probes behind it.
    pub n: usize,
    /// Clusters behind it.
    pub clusters: usize,
}

/// A named line of a curve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Legend.
    pub name: String,
    /// In order of x.
    pub points: Vec<CurvePoint>,
}

/// A bar with its interval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bar {
    /// The group.
    pub label: String,
    /// The number.
    pub value: Value,
    /// Probes behind it.
    pub n: usize,
    /// Clusters behind it.
    pub clusters: usize,
}

/// The shapes a chart can have. A reader draws them; it computes nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExhibitKind {
    /// Counts or values by row and column (a confusion matrix).
    Matrix {
        /// What the rows are.
        row_title: String,
        /// What the columns are.
        column_title: String,
        /// Row names.
        rows: Vec<String>,
        /// Column names.
        columns: Vec<String>,
        /// `values[row][column]`; `None` where nothing was counted.
        values: Vec<Vec<Option<f64>>>,
    },
    /// Numbers against a continuous axis.
    Curve {
        /// Axis title with unit.
        x_title: String,
        /// Axis title with unit.
        y_title: String,
        /// The lines.
        series: Vec<Series>,
    },
    /// Numbers by group.
    Bars {
        /// Axis title with unit.
        value_title: String,
        /// The bars.
        bars: Vec<Bar>,
    },
    /// Counts by interval: `counts[i]` lies in `edges[i]..edges[i + 1]`.
    Histogram {
        /// Axis title with unit.
        x_title: String,
        /// One more than counts.
        edges: Vec<f64>,
        /// Counts.
        counts: Vec<u64>,
    },
    /// Anything else, as text.
    Table {
        /// Column titles.
        columns: Vec<String>,
        /// Rows of cells.
        rows: Vec<Vec<String>>,
    },
}

/// A finished chart as data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exhibit {
    /// `measure/readout/name`: stable across runs.
    pub id: String,
    /// The suite's id of the measure.
    pub measure: String,
    /// The readout; empty for measures of units.
    pub readout: String,
    /// Heading.
    pub title: String,
    /// What it shows and how to read it, one or two sentences.
    pub about: String,
    /// The data.
    pub kind: ExhibitKind,
}

/// Where a finding comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A limit of the suite.
    Gate,
    /// Something a measure flags without a limit.
    Flag,
    /// The audit's check on itself.
    Control,
    /// Inputs that could not be used, or were used with a reservation.
    DataQuality,
}

/// What a gate says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The whole interval is on the right side of the limit.
    Pass,
    /// The whole interval is on the wrong side.
    Fail,
    /// Undecided, the point on the wrong side.
    Warn,
    /// Undecided, the point on the right side.
    Inconclusive,
    /// There is no number.
    NotMeasured,
    /// A fail that somebody accepted until a date.
    Waived,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nice to know.
    Info,
    /// Minor.
    Low,
    /// Should be mended.
    Medium,
    /// Must be mended before release.
    High,
    /// Harms people.
    Critical,
}

/// On which side of its limit a gate wants the whole interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// `max`: the interval must not rise above the limit.
    AtMost,
    /// `min`: the interval must not fall below the limit.
    AtLeast,
}

/// A claim about the model or the data, with what supports it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Stable: `F-` and eight hexadecimal digits over origin, gate and measurement.
    pub id: String,
    /// Where it comes from.
    pub origin: Origin,
    /// What was decided.
    pub verdict: Verdict,
    /// How much it matters.
    pub severity: Severity,
    /// One line: the gate's id or what was found.
    pub title: String,
    /// In plain words, with the numbers.
    pub message: String,
    /// The gate's id; empty when the origin is no gate.
    pub gate: String,
    /// The rule in words (`at most 0.1 (95 % interval)`).
    pub rule: String,
    /// The limit of the gate, for the drawing.
    pub limit: Option<f64>,
    /// Which side of the limit is acceptable, for the drawing.
    pub bound: Option<Bound>,
    /// The measurement judged, by id.
    pub measurement: Option<String>,
    /// The number the verdict looked at: the measurement's value, or for one row of many its value at the level that
    /// holds for all rows together.
    pub judged: Option<Value>,
    /// Probes that show it.
    pub evidence: Vec<ProbeId>,
    /// Owner, reason and end of the waiver that applies.
    pub waiver: Option<String>,
}

/// A readout's answer for one probe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// The label.
    pub label: String,
    /// Softmax at the model's own scale, 0 to 1.
    pub probability: f64,
    /// Cosine between image and label.
    pub cosine: f64,
}

/// One probe a finding cites: what was shown and what the model said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The probe.
    pub probe: ProbeId,
    /// Its set.
    pub set: String,
    /// Its facts.
    pub labels: BTreeMap<String, String>,
    /// Its cluster.
    pub cluster: String,
    /// Its clean twin.
    pub source: Option<ProbeId>,
    /// Its control twin.
    pub control: Option<ProbeId>,
    /// Share of pixels that differ from the clean twin.
    pub cover: Option<f64>,
    /// The first predictions per readout.
    pub predictions: BTreeMap<String, Vec<Prediction>>,
    /// PNG without metadata, base64; `None` where the policy hides it.
    pub thumbnail: Option<String>,
    /// Notes of the renderer.
    pub notes: Vec<String>,
}

/// An input that could not be used. Listed, never dropped silently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// The probe.
    pub probe: ProbeId,
    /// Its set.
    pub set: String,
    /// Its facts.
    pub labels: BTreeMap<String, String>,
    /// The files it was made from.
    pub files: Vec<String>,
    /// Why, as a lower-case fragment.
    pub reason: String,
}

/// A file by its contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Name as the suite or the model folder gives it.
    pub name: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Lower-case hexadecimal SHA-256.
    pub sha256: String,
}

/// The audited model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelRecord {
    /// As the suite or the command line named it.
    pub name: String,
    /// Checkpoint format (`open_clip folder`).
    pub format: String,
    /// Architecture and sizes in one line (`ModifiedResNet [1, 2, 1, 1], width 32, 80 px`).
    pub architecture: String,
    /// Over the canonical weights.
    pub fingerprint: Fingerprint,
    /// The files it was read from.
    pub files: Vec<FileRecord>,
    /// Facts in order: parameters, embedding dimension, context length, activation, logit scale, ...
    pub facts: Vec<(String, String)>,
    /// Preprocessing facts in order: size, resize mode, crop, mean, standard deviation, alpha and EXIF policy.
    pub preprocessing: Vec<(String, String)>,
    /// The taps recorded.
    pub taps: Vec<Tap>,
}

/// What floating-point results depend on beside weights and inputs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numerics {
    /// `cpu` or `cuda` with the device's name.
    pub device: String,
    /// `f32`, `bf16` or `f16`.
    pub dtype: String,
    /// Images per forward pass; the last one is padded.
    pub batch: usize,
    /// Threads inside one operator.
    pub threads: usize,
    /// Release of libtorch.
    pub libtorch: String,
    /// Instruction set libtorch chose.
    pub cpu_capability: String,
}

/// A probe set as it was used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetRecord {
    /// Id in the suite.
    pub id: String,
    /// Kind and version of the generator.
    pub generator: String,
    /// Probes planned.
    pub planned: usize,
    /// Probes the model saw.
    pub observed: usize,
    /// Probes that could not be used.
    pub quarantined: usize,
    /// Independent clusters planned.
    pub clusters: usize,
    /// SHA-256 over the set's recipes and the contents of every file they depend on.
    pub sha256: String,
}

/// The suite as it was used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SuiteRecord {
    /// Its name.
    pub name: String,
    /// Its own description, when it has one.
    pub description: String,
    /// What it states of the system and its data, in order: provider, intended purpose, known misuse, content warning,
    /// licences, consent. Empty where it states nothing; a report says so.
    pub facts: Vec<(String, String)>,
    /// SHA-256 of the file.
    pub sha256: String,
    /// The file's text.
    pub text: String,
    /// The seed used.
    pub seed: u64,
    /// Its probe sets.
    pub sets: Vec<SetRecord>,
    /// Its source files (pictures, lists, fonts) by their contents.
    pub files: Vec<FileRecord>,
}

/// A measure as it was used: what its numbers mean, so that a reader needs no other document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeasureRecord {
    /// Id in the suite.
    pub id: String,
    /// Kind of the measure (`attack-success`).
    pub kind: String,
    /// What the kind measures, one line.
    pub about: String,
    /// Name and meaning (with the formula) of each statistic.
    pub statistics: Vec<(String, String)>,
}

/// A file written beside the record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// File name in the output folder.
    pub name: String,
    /// What it is.
    pub about: String,
}

/// Who, when, where: the only part that differs between two runs of the same audit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// Version of the program.
    pub version: String,
    /// Commit the program was built from, with `-dirty` where files had changed; empty when unknown.
    pub commit: String,
    /// UTC, RFC 3339.
    pub started: String,
    /// UTC, RFC 3339.
    pub finished: String,
    /// Operating system and architecture.
    pub system: String,
    /// Processor.
    pub processor: String,
    /// The command, to run it again.
    pub command: String,
    /// Probes computed in this run.
    pub probes_computed: usize,
    /// Probes taken from finished chunks.
    pub probes_reused: usize,
    /// Files beside the record.
    pub artifacts: Vec<Artifact>,
}

/// What the exit code says of an audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Judgement {
    /// Every gate passed, waived fails aside: exit code 0.
    Pass,
    /// A gate failed: exit code 1.
    Fail,
    /// Something undecided or unmeasured, or nothing was measured: exit code 4.
    Inconclusive,
}

/// The record of one audit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Audit {
    /// Version of this schema.
    pub schema: u32,
    /// Pass, fail or inconclusive, as the findings say.
    pub judgement: Judgement,
    /// One sentence that says why.
    pub reason: String,
    /// Who, when, where.
    pub provenance: Provenance,
    /// The audited model.
    pub model: ModelRecord,
    /// What floating-point results depend on.
    pub numerics: Numerics,
    /// The suite as it was used.
    pub suite: SuiteRecord,
    /// The measures of the suite, in its order.
    pub measures: Vec<MeasureRecord>,
    /// Every number.
    pub measurements: Vec<Measurement>,
    /// Every chart.
    pub exhibits: Vec<Exhibit>,
    /// Every finding, worst first.
    pub findings: Vec<Finding>,
    /// The probes findings cite, with their twins.
    pub evidence: Vec<Evidence>,
    /// Inputs that could not be used.
    pub quarantined: Vec<Quarantined>,
    /// What a reader should know: limits, approximations, notes of the renderer with counts.
    pub notes: Vec<String>,
}
