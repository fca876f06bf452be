//! Charts of measurements by row: a curve where the values of a label are numbers, bars elsewhere.

use std::collections::BTreeMap;

use super::rows::numbers;
use crate::types::{Bar, CurvePoint, ExhibitKind, Measurement, Scale, Series};

/// Labels more than this get one shared row and column in a confusion matrix.
const MATRIX: usize = 20;

/// A named statistic of every row of one label.
pub(super) type Named<'a> = (&'a str, Vec<&'a Measurement>);

/// The rows of `statistic` for one label, in their order.
pub(super) fn rows_of<'a>(measurements: &'a [Measurement], statistic: &str, label: &str) -> Vec<&'a Measurement> {
    measurements.iter().filter(|one| one.statistic == statistic && one.group.contains_key(label)).collect()
}

fn value_of<'a>(measurement: &'a Measurement, label: &str) -> &'a str {
    measurement.group.get(label).map_or("", String::as_str)
}

/// How the numbers of a chart are printed: all of its statistics are of one scale.
fn scale_of(series: &[Named<'_>]) -> Scale {
    series.iter().flat_map(|(_, rows)| rows).next().map_or(Scale::Number, |row| row.quantity.scale)
}

/// Statistics against the values of a label: a curve when there are at least two values and all are numbers, else one
/// bar per value and statistic.
pub(super) fn by_label(label: &str, value_title: &str, series: &[Named<'_>]) -> ExhibitKind {
    let first = series.first().map_or(&[][..], |(_, rows)| rows);
    let xs = numbers(first.iter().map(|row| value_of(row, label)));
    match xs {
        Some(xs) if xs.len() > 1 => ExhibitKind::Curve {
            x_title: label.to_owned(),
            y_title: value_title.to_owned(),
            scale: scale_of(series),
            series: series
                .iter()
                .map(|(name, rows)| Series {
                    name: (*name).to_owned(),
                    points: xs
                        .iter()
                        .zip(rows)
                        .map(|(x, row)| CurvePoint {
                            x: *x,
                            value: row.value.clone(),
                            n: row.n,
                            clusters: row.clusters,
                        })
                        .collect(),
                })
                .collect(),
        },
        _ => {
            let mut bars = Vec::new();
            for place in 0..first.len() {
                for (name, rows) in series {
                    let Some(row) = rows.get(place) else { continue };
                    let value = value_of(row, label);
                    let name = if series.len() > 1 { format!("{value}: {name}") } else { value.to_owned() };
                    bars.push(Bar { label: name, value: row.value.clone(), n: row.n, clusters: row.clusters });
                }
            }
            ExhibitKind::Bars { value_title: value_title.to_owned(), scale: scale_of(series), bars }
        }
    }
}

/// Counts of (row, column) over a label set: the 20 labels with most counts in rows and columns together, in the order
/// of the label set, and `other` for the rest, so that every pair is in a cell.
pub(super) fn confusion(
    labels: &[String],
    pairs: impl Iterator<Item = (u32, u32)>,
    row_title: &str,
    column_title: &str,
) -> ExhibitKind {
    let mut counts: BTreeMap<(u32, u32), u32> = BTreeMap::new();
    let mut mass: BTreeMap<u32, u32> = BTreeMap::new();
    for (row, column) in pairs {
        *counts.entry((row, column)).or_default() += 1;
        *mass.entry(row).or_default() += 1;
        *mass.entry(column).or_default() += 1;
    }
    let mut kept: Vec<(u32, u32)> = mass.into_iter().collect();
    kept.sort_by_key(|(label, mass)| (std::cmp::Reverse(*mass), *label));
    let others = kept.len().saturating_sub(MATRIX);
    kept.truncate(MATRIX);
    let mut kept: Vec<u32> = kept.into_iter().map(|(label, _)| label).collect();
    kept.sort_unstable();
    let mut names: Vec<String> =
        kept.iter().map(|label| labels.get(*label as usize).cloned().unwrap_or_default()).collect();
    if others > 0 {
        names.push(format!("other ({others} labels)"));
    }
    let place = |label: u32| kept.iter().position(|kept| *kept == label).unwrap_or(kept.len());
    let mut values = vec![vec![None; names.len()]; names.len()];
    for ((row, column), count) in counts {
        if let Some(cell) = values.get_mut(place(row)).and_then(|cells| cells.get_mut(place(column))) {
            *cell = Some(cell.unwrap_or(0.0) + f64::from(count));
        }
    }
    ExhibitKind::Matrix {
        row_title: row_title.to_owned(),
        column_title: column_title.to_owned(),
        rows: names.clone(),
        columns: names,
        values,
    }
}
