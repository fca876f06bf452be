//! Streams a tap: sums over whatever probes are asked for, chunk by chunk, so that memory is units x sums and never
//! probes x units.

use std::collections::BTreeMap;

use super::MeasureError;
use crate::types::{Matrix, Observations, Tap};

/// What one probe adds to one sum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Load {
    /// Row of the probe.
    pub(super) row: usize,
    /// Place of the sum.
    pub(super) sum: usize,
    /// What its activations are multiplied by.
    pub(super) weight: f64,
}

/// Sums of a tap's activations, and how its units behave over a reference set.
#[derive(Debug)]
pub(super) struct Sums {
    /// Units of the tap.
    pub(super) units: usize,
    /// [sums, units], sum after sum.
    pub(super) sums: Vec<f64>,
    /// Standard deviation over the reference set, per unit; 0 for a unit that never changes, and for all where the set
    /// has fewer than two probes.
    pub(super) deviations: Vec<f64>,
    /// Root mean square over the reference set, per unit.
    pub(super) norms: Vec<f64>,
}

/// Sums loads over a tap. `reference` says which rows belong to the reference set.
///
/// # Errors
/// When a chunk cannot be read, or lacks the tap.
pub(super) fn sum(
    observations: &Observations,
    tap: &Tap,
    mut loads: Vec<Load>,
    count: usize,
    reference: impl Fn(usize) -> bool,
) -> Result<Sums, MeasureError> {
    // By row, and in the order given within a row: the order of every sum is fixed.
    loads.sort_by_key(|load| load.row);
    let mut all = Sums { units: 0, sums: Vec::new(), deviations: Vec::new(), norms: Vec::new() };
    // Welford's running mean and sum of squares: a constant unit has a deviation of exactly 0.
    let (mut seen, mut means): (f64, Vec<f64>) = (0.0, Vec::new());
    let mut next = 0;
    visit(observations, tap, |row, values| {
        if all.units == 0 {
            all.units = values.len();
            all.sums = vec![0.0; count * values.len()];
            means = vec![0.0; values.len()];
            all.deviations = means.clone();
            all.norms = means.clone();
        }
        while let Some(load) = loads.get(next).filter(|load| load.row <= row) {
            next += 1;
            let first = load.sum * values.len();
            let sums = all.sums.get_mut(first..first + values.len()).unwrap_or_default();
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum += load.weight * f64::from(*value);
            }
        }
        if reference(row) {
            seen += 1.0;
            let running = means.iter_mut().zip(&mut all.deviations).zip(&mut all.norms);
            for (((mean, squares), norm), value) in running.zip(values) {
                let value = f64::from(*value);
                let before = value - *mean;
                *mean += before / seen;
                *squares += before * (value - *mean);
                *norm += value * value;
            }
        }
    })?;
    let freedom = seen - 1.0;
    for squares in &mut all.deviations {
        *squares = if freedom > 0.0 { (*squares / freedom).sqrt() } else { 0.0 };
    }
    all.norms.iter_mut().for_each(|norm| *norm = if seen > 0.0 { (*norm / seen).sqrt() } else { 0.0 });
    Ok(all)
}

/// The activations of a few units for some rows.
///
/// # Errors
/// When a chunk cannot be read, or lacks the tap.
pub(super) fn select(
    observations: &Observations,
    tap: &Tap,
    units: &[usize],
    wanted: impl Fn(usize) -> bool,
) -> Result<BTreeMap<usize, Vec<f32>>, MeasureError> {
    let mut selected = BTreeMap::new();
    visit(observations, tap, |row, values| {
        if wanted(row) {
            let of = |unit: &usize| values.get(*unit).copied().unwrap_or_default();
            selected.insert(row, units.iter().map(of).collect());
        }
    })?;
    Ok(selected)
}

/// Visits every row's activations in order.
fn visit(observations: &Observations, tap: &Tap, mut each: impl FnMut(usize, &[f32])) -> Result<(), MeasureError> {
    let mut units: Option<usize> = None;
    let mut problem = None;
    observations.for_each_chunk(|first, chunk| {
        if chunk.ids.is_empty() || problem.is_some() {
            return;
        }
        let values: Option<&Matrix> = chunk.taps.get(tap).filter(|values| values.rows() == chunk.ids.len());
        match values {
            Some(values) if *units.get_or_insert(values.columns()) == values.columns() => {
                values.iter_rows().enumerate().for_each(|(place, row)| each(first + place, row));
            }
            Some(_) => problem = Some(format!("the chunks disagree about the number of units of `{tap}`")),
            None => problem = Some(format!("the chunks hold no activations of `{tap}`")),
        }
    })?;
    problem.map_or(Ok(()), |problem| Err(MeasureError::Observations(problem)))
}
