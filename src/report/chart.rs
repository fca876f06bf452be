//! The geometry of charts: exhibits as positions on a fixed drawing area, which the templates put into SVG and tables.
//! Only positions are computed here; every number printed is one of the record's.

use serde::Serialize;

use super::axis::{Ruler, Tick, nice_step, position, range, trimmed, x_range};
use super::text;
use crate::types::{Bar, CurvePoint, Estimate, ExhibitKind, Scale, Series, Value};

/// Rows and columns of a matrix that are drawn; the rest stands in the record.
const MATRIX_CAP: usize = 40;
/// Characters of a label beside a chart.
const LABEL: usize = 40;

/// A number of the record as text, or the reason why there is none.
#[derive(Clone, Serialize)]
pub(super) struct Shown {
    measured: bool,
    point: String,
    low: String,
    high: String,
    level: String,
    method: String,
    /// The point with every digit, for programs that read the page.
    exact: String,
    reason: String,
}

impl Shown {
    pub(super) fn new(value: &Value, scale: Scale, limit: Option<f64>) -> Self {
        match value {
            Value::Measured(estimate) => {
                let [point, low, high] = text::estimate(estimate, scale, limit);
                let (level, method) = (text::percent(estimate.level()), estimate.method().to_owned());
                let exact = estimate.point().to_string();
                Self { measured: true, point, low, high, level, method, exact, reason: String::new() }
            }
            Value::NotMeasured { reason } => {
                let none = String::new;
                let reason = reason.clone();
                Self {
                    measured: false,
                    point: none(),
                    low: none(),
                    high: none(),
                    level: none(),
                    method: none(),
                    exact: none(),
                    reason,
                }
            }
        }
    }
}

impl Shown {
    pub(super) fn is_measured(&self) -> bool {
        self.measured
    }

    /// The kind of interval without the numbers of this row: `95 % Wilson`.
    pub(super) fn interval(&self) -> String {
        let kind =
            [" at ", " over "].iter().filter_map(|word| Some(self.method.split_once(word)?.0)).map(str::len).min();
        let kind = kind.and_then(|length| self.method.get(..length)).unwrap_or(&self.method);
        format!("{} {kind}", self.level)
    }
}

/// An exhibit ready to be drawn.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Chart {
    Matrix(MatrixChart),
    Curve(CurveChart),
    Bars(BarChart),
    Histogram(HistogramChart),
    Table { columns: Vec<String>, rows: Vec<Vec<String>> },
}

impl Chart {
    pub(super) fn new(kind: &ExhibitKind) -> Self {
        match kind {
            ExhibitKind::Matrix { row_title, column_title, rows, columns, values } => {
                Self::Matrix(MatrixChart::new([row_title, column_title], rows, columns, values))
            }
            ExhibitKind::Curve { x_title, y_title, scale, series } => {
                Self::Curve(CurveChart::new([x_title, y_title], *scale, series))
            }
            ExhibitKind::Bars { value_title, scale, bars } => Self::Bars(BarChart::new(value_title, *scale, bars)),
            ExhibitKind::Histogram { x_title, edges, counts } => {
                Self::Histogram(HistogramChart::new(x_title, edges, counts))
            }
            ExhibitKind::Table { columns, rows } => Self::Table { columns: columns.clone(), rows: rows.clone() },
        }
    }
}

/// A heat table.
#[derive(Serialize)]
pub(super) struct MatrixChart {
    row_title: String,
    column_title: String,
    columns: Vec<String>,
    rows: Vec<MatrixRow>,
    /// Rows and columns left out.
    omitted: [usize; 2],
    /// Whether colour runs both ways from zero.
    diverging: bool,
    /// Whether a cell is framed.
    framed: bool,
    least: String,
    most: String,
}

#[derive(Serialize)]
struct MatrixRow {
    label: String,
    cells: Vec<MatrixCell>,
}

#[derive(Serialize)]
struct MatrixCell {
    text: String,
    class: String,
    /// Row and column have the same name.
    same: bool,
}

impl MatrixChart {
    fn new(titles: [&str; 2], rows: &[String], columns: &[String], values: &[Vec<Option<f64>>]) -> Self {
        let present = || values.iter().flatten().flatten().copied();
        let least = present().fold(f64::INFINITY, f64::min);
        let most = present().fold(f64::NEG_INFINITY, f64::max);
        let reach = least.abs().max(most.abs());
        let diverging = least < 0.0;
        let class = |value: f64| {
            let share = if reach > 0.0 && reach.is_finite() { value.abs() / reach } else { 0.0 };
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 6")]
            let step = (share.min(1.0) * 6.0).ceil() as u32;
            if value < 0.0 { format!("cold{step}") } else { format!("warm{step}") }
        };
        let row = |(label, cells): (&String, &Vec<Option<f64>>)| MatrixRow {
            label: text::line(label, LABEL),
            cells: columns
                .iter()
                .zip(cells)
                .take(MATRIX_CAP)
                .map(|(column, value)| MatrixCell {
                    text: value.map_or_else(|| "–".to_owned(), text::number),
                    class: value.map_or_else(|| "none".to_owned(), class),
                    same: column == label,
                })
                .collect(),
        };
        let [row_title, column_title] = titles.map(str::to_owned);
        Self {
            row_title,
            column_title,
            columns: columns.iter().take(MATRIX_CAP).map(|label| text::line(label, LABEL)).collect(),
            rows: rows.iter().zip(values).take(MATRIX_CAP).map(row).collect(),
            omitted: [rows.len().saturating_sub(MATRIX_CAP), columns.len().saturating_sub(MATRIX_CAP)],
            diverging,
            framed: rows.iter().any(|row| columns.contains(row)),
            least: if least.is_finite() { text::number(least) } else { String::new() },
            most: if most.is_finite() { text::number(most) } else { String::new() },
        }
    }
}

/// Lines with whiskers, on a drawing area of 640 x 320.
#[derive(Serialize)]
pub(super) struct CurveChart {
    x_title: String,
    y_title: String,
    x_ticks: Vec<Tick>,
    y_ticks: Vec<Tick>,
    /// Probes behind each position, where all lines agree and the labels fit.
    counts: Vec<Tick>,
    lines: Vec<Line>,
    /// Whether a point was not measured.
    gaps: bool,
}

#[derive(Serialize)]
struct Line {
    name: String,
    /// 0 to 5: colour, dash pattern and mark together, so that colour is never alone.
    style: usize,
    swatch: String,
    /// Polylines between neighbouring points that were both measured.
    strokes: Vec<String>,
    points: Vec<Point>,
}

#[derive(Serialize)]
struct Point {
    x: f64,
    /// `None` when not measured.
    y: Option<f64>,
    low: f64,
    high: f64,
    mark: String,
    x_label: String,
    value: Shown,
    n: String,
    clusters: String,
}

const STYLES: usize = 6;
/// The plot area of a curve: left, right, top, bottom.
const AREA: [f64; 4] = [56.0, 628.0, 14.0, 246.0];

impl CurveChart {
    fn new([x_title, y_title]: [&str; 2], scale: Scale, series: &[Series]) -> Self {
        let points = || series.iter().flat_map(|line| &line.points);
        let [left, right, top, bottom] = AREA;
        let xs: Vec<f64> = points().map(|point| point.x).collect();
        let ys: Vec<f64> = points().filter_map(|point| measured(&point.value)).flat_map(bounds).collect();
        let (low, high) = x_range(&xs);
        let x_ruler = Ruler { low, high, from: left, to: right };
        let (low, high) = range(&ys, 5);
        let y_ruler = Ruler { low, high, from: bottom, to: top };
        #[expect(clippy::cast_precision_loss, reason = "a handful of lines")]
        let dodge = |index: usize| (index as f64 - (series.len() as f64 - 1.0) / 2.0) * 6.0;
        let lines = series
            .iter()
            .enumerate()
            .map(|(index, line)| {
                let style = index % STYLES;
                let points: Vec<Point> = line
                    .points
                    .iter()
                    .map(|point| curve_point(point, scale, &x_ruler, &y_ruler, dodge(index), style))
                    .collect();
                let strokes = points
                    .split(|point| point.y.is_none())
                    .filter(|run| run.len() > 1)
                    .map(|run| {
                        run.iter()
                            .filter_map(|point| Some(format!("{},{}", point.x, point.y?)))
                            .collect::<Vec<_>>()
                            .join(" ")
                    })
                    .collect();
                Line { name: text::line(&line.name, LABEL), style, swatch: mark(style, 14.0, 8.0), strokes, points }
            })
            .collect();
        Self {
            x_title: x_title.to_owned(),
            y_title: titled(y_title, scale),
            x_ticks: x_ruler.ticks(8, Scale::Number),
            y_ticks: y_ruler.ticks(5, scale),
            counts: counts(series, &x_ruler),
            lines,
            gaps: points().any(|point| measured(&point.value).is_none()),
        }
    }
}

fn curve_point(point: &CurvePoint, scale: Scale, x_ruler: &Ruler, y_ruler: &Ruler, dodge: f64, style: usize) -> Point {
    let estimate = measured(&point.value);
    let x = position(x_ruler.at(point.x) + dodge);
    let y = estimate.map(|estimate| y_ruler.at(estimate.point()));
    let bottom = AREA[3];
    Point {
        x,
        y,
        low: estimate.map_or(bottom, |estimate| y_ruler.at(estimate.low())),
        high: estimate.map_or(bottom, |estimate| y_ruler.at(estimate.high())),
        mark: mark(style, x, y.unwrap_or(bottom)),
        x_label: trimmed(point.x),
        value: Shown::new(&point.value, scale, None),
        n: text::count(point.n as u64),
        clusters: text::count(point.clusters as u64),
    }
}

/// `n` under each position, unless lines disagree or labels would touch; the table beneath has them all.
fn counts(series: &[Series], ruler: &Ruler) -> Vec<Tick> {
    let Some(first) = series.first() else { return Vec::new() };
    let agree = series.iter().all(|line| {
        line.points.len() == first.points.len()
            && line.points.iter().zip(&first.points).all(|(a, b)| (a.x, a.n).eq(&(b.x, b.n)))
    });
    let ticks: Vec<Tick> =
        first.points.iter().map(|point| Tick { at: ruler.at(point.x), label: text::count(point.n as u64) }).collect();
    let apart = ticks.windows(2).all(|pair| matches!(pair, [a, b] if (b.at - a.at).abs() >= 34.0));
    if agree && apart { ticks } else { Vec::new() }
}

/// The outline of a point's mark around a position.
fn mark(style: usize, x: f64, y: f64) -> String {
    match style {
        0 => format!("M{} {y}a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z", position(x - 4.0)),
        1 => format!("M{} {}h7v7h-7z", position(x - 3.5), position(y - 3.5)),
        2 => format!("M{x} {}l5 5l-5 5l-5 -5z", position(y - 5.0)),
        3 => format!("M{x} {}l5 8.5h-10z", position(y - 5.5)),
        4 => format!("M{x} {}l-5 -8.5h10z", position(y + 5.5)),
        _ => format!("M{} {}h10v3h-10z", position(x - 5.0), position(y - 1.5)),
    }
}

/// A title with the unit that the numbers along the axis leave out.
fn titled(title: &str, scale: Scale) -> String {
    match scale {
        Scale::Difference => format!("{title}, points"),
        Scale::Share | Scale::Number => title.to_owned(),
    }
}

fn measured(value: &Value) -> Option<&Estimate> {
    match value {
        Value::Measured(estimate) => Some(estimate),
        Value::NotMeasured { .. } => None,
    }
}

fn bounds(estimate: &Estimate) -> [f64; 3] {
    [estimate.low(), estimate.point(), estimate.high()]
}

/// One small drawing of 260 x 20 per row of a table.
#[derive(Serialize)]
pub(super) struct BarChart {
    value_title: String,
    ticks: Vec<Tick>,
    zero: f64,
    bars: Vec<BarRow>,
}

#[derive(Serialize)]
struct BarRow {
    label: String,
    from: f64,
    width: f64,
    low: f64,
    high: f64,
    value: Shown,
    n: String,
    clusters: String,
}

impl BarChart {
    pub(super) fn new(value_title: &str, scale: Scale, bars: &[Bar]) -> Self {
        let mut values: Vec<f64> = bars.iter().filter_map(|bar| measured(&bar.value)).flat_map(bounds).collect();
        values.push(0.0);
        let (low, high) = range(&values, 4);
        let ruler = Ruler { low, high, from: 8.0, to: 252.0 };
        let zero = ruler.at(0.0);
        let row = |bar: &Bar| {
            let at = measured(&bar.value).map(|estimate| bounds(estimate).map(|value| ruler.at(value)));
            let [low, point, high] = at.unwrap_or([zero; 3]);
            BarRow {
                label: bar.label.clone(),
                from: zero.min(point),
                width: position((point - zero).abs()),
                low,
                high,
                value: Shown::new(&bar.value, scale, None),
                n: text::count(bar.n as u64),
                clusters: text::count(bar.clusters as u64),
            }
        };
        Self {
            value_title: titled(value_title, scale),
            ticks: ruler.ticks(4, scale),
            zero,
            bars: bars.iter().map(row).collect(),
        }
    }
}

/// Counts by interval, on a drawing area of 640 x 240.
#[derive(Serialize)]
pub(super) struct HistogramChart {
    x_title: String,
    x_ticks: Vec<Tick>,
    y_ticks: Vec<Tick>,
    bins: Vec<Bin>,
}

#[derive(Serialize)]
struct Bin {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
    from: String,
    to: String,
    count: String,
}

impl HistogramChart {
    fn new(x_title: &str, edges: &[f64], counts: &[u64]) -> Self {
        let (bottom, top) = (186.0, 14.0);
        #[expect(clippy::cast_precision_loss, reason = "positions of bars")]
        let heights: Vec<f64> = counts.iter().map(|count| *count as f64).collect();
        let most = heights.iter().copied().fold(1.0, f64::max);
        let low = edges.iter().copied().fold(f64::INFINITY, f64::min).max(-1e300);
        let high = edges.iter().copied().fold(f64::NEG_INFINITY, f64::max).min(1e300);
        let (low, high) = if low < high { (low, high) } else { (0.0, 1.0) };
        let x_ruler = Ruler { low, high, from: 56.0, to: 628.0 };
        let y_step = nice_step(most / 4.0).max(1.0);
        let y_ruler = Ruler { low: 0.0, high: (most / y_step).ceil() * y_step, from: bottom, to: top };
        let bins = edges
            .windows(2)
            .zip(counts.iter().zip(&heights))
            .filter_map(|(edge, (count, height))| {
                let [from, to] = edge else { return None };
                let (x, y) = (x_ruler.at(*from), y_ruler.at(*height));
                Some(Bin {
                    x,
                    y,
                    width: position((x_ruler.at(*to) - x - 1.0).max(0.5)),
                    height: position(bottom - y),
                    from: text::number(*from),
                    to: text::number(*to),
                    count: text::count(*count),
                })
            })
            .collect();
        Self {
            x_title: x_title.to_owned(),
            x_ticks: x_ruler.ticks(8, Scale::Number),
            y_ticks: y_ruler.ticks(4, Scale::Number),
            bins,
        }
    }
}
