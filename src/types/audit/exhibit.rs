//! Finished charts as data: a report draws them and computes nothing.

use serde::{Deserialize, Serialize};

use super::{Scale, Value};

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
        /// How the numbers are printed.
        scale: Scale,
        /// The lines.
        series: Vec<Series>,
    },
    /// Numbers by group.
    Bars {
        /// Axis title with unit.
        value_title: String,
        /// How the numbers are printed.
        scale: Scale,
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
