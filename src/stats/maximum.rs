//! The max-statistic permutation test over clusters: many numbers of the same clusters tested together, whatever their
//! dependence.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::DRAWS;
use super::resample::EXACT_UP_TO;

/// Columns of one tile: with the draws of one block their sums stay in the first cache.
const TILE: usize = 64;
/// Draws that share one pass over the data.
const BLOCK: usize = 32;

/// Null distribution of the largest statistic of many columns under flips of the clusters' signs (Westfall and Young
/// 1993, with the sign-flip null): the chance that any column of a true null reaches a bound is at most its p-value.
///
/// The statistic of a column is `|sum_k d_k| / sqrt(sum_k d_k^2)`, which grows with Student's |t| and whose denominator no
/// flip changes, so that columns of different spread are comparable. Exact for up to 16 clusters, else 9,999 draws with
/// the observed one counted in (Phipson and Smyth 2010).
#[derive(Clone, Debug)]
pub struct MaximumFlip {
    /// The observed statistic per column; 0 where every cluster is 0.
    statistics: Vec<f64>,
    /// Largest statistic of every draw, ascending.
    maxima: Vec<f64>,
    exact: bool,
}

impl MaximumFlip {
    /// Draws. `rows` holds one number per column for each cluster, cluster after cluster.
    pub fn draw(rows: &[f64], columns: usize, stream: &ChaCha8Rng) -> Self {
        let clusters = rows.len().checked_div(columns).unwrap_or(0);
        let mut scaled = rows.to_vec();
        let mut squares = vec![0.0; columns];
        for row in rows.chunks_exact(columns.max(1)) {
            for (sum, value) in squares.iter_mut().zip(row) {
                *sum += value * value;
            }
        }
        let scales: Vec<f64> = squares.iter().map(|sum| if *sum > 0.0 { 1.0 / sum.sqrt() } else { 0.0 }).collect();
        for row in scaled.chunks_exact_mut(columns.max(1)) {
            for (value, scale) in row.iter_mut().zip(&scales) {
                *value *= scale;
            }
        }
        let exact = clusters <= EXACT_UP_TO;
        // Where all are counted, the first sign stands still: an assignment and its opposite are equally extreme.
        let draws = if exact { 1_usize << clusters.saturating_sub(1) } else { DRAWS };
        let mut maxima: Vec<f64> = (0..draws.div_ceil(BLOCK))
            .into_par_iter()
            .flat_map_iter(|block| {
                let first = block * BLOCK;
                let signs: Vec<Vec<f64>> = (first..draws.min(first + BLOCK))
                    .map(|draw| if exact { counted(draw, clusters) } else { drawn(draw, clusters, stream) })
                    .collect();
                largest(&scaled, columns, &signs)
            })
            .collect();
        maxima.sort_by(f64::total_cmp);
        let mut statistics = vec![0.0; columns];
        for row in scaled.chunks_exact(columns.max(1)) {
            for (sum, value) in statistics.iter_mut().zip(row) {
                *sum += value;
            }
        }
        statistics.iter_mut().for_each(|sum: &mut f64| *sum = sum.abs());
        Self { statistics, maxima, exact }
    }

    /// The p-value of a column, corrected for all columns.
    pub fn p(&self, column: usize) -> f64 {
        let observed = self.statistics.get(column).copied().unwrap_or(0.0);
        // Sums equal up to rounding count as equal.
        let below = self.maxima.partition_point(|maximum| *maximum < observed * (1.0 - 1e-9));
        let reached = self.maxima.len() - below;
        if self.exact {
            reached as f64 / self.maxima.len().max(1) as f64
        } else {
            (reached + 1) as f64 / (self.maxima.len() + 1) as f64
        }
    }

    /// How the draws were made, in words.
    pub fn draws(&self) -> String {
        if self.exact { "exact".to_owned() } else { format!("{} draws", self.maxima.len()) }
    }
}

/// The signs of an assignment by its number; the last cluster keeps its sign.
fn counted(number: usize, clusters: usize) -> Vec<f64> {
    (0..clusters).map(|cluster| if number >> cluster & 1 == 1 { -1.0 } else { 1.0 }).collect()
}

/// The signs of a draw, from a stream of its own, so that threads cannot change the digits.
fn drawn(draw: usize, clusters: usize, stream: &ChaCha8Rng) -> Vec<f64> {
    let mut own = ChaCha8Rng::from_seed(stream.get_seed());
    own.set_stream(draw as u64);
    let mut signs = Vec::with_capacity(clusters);
    while signs.len() < clusters {
        let bits = own.next_u64();
        let taken = (clusters - signs.len()).min(64);
        signs.extend((0..taken).map(|place| if bits >> place & 1 == 1 { -1.0 } else { 1.0 }));
    }
    signs
}

/// The largest |sum| over the columns for every list of signs.
fn largest(scaled: &[f64], columns: usize, signs: &[Vec<f64>]) -> Vec<f64> {
    let mut largest = vec![0.0_f64; signs.len()];
    for first in (0..columns).step_by(TILE) {
        let width = TILE.min(columns - first);
        let mut sums = vec![[0.0_f64; TILE]; signs.len()];
        for (cluster, row) in scaled.chunks_exact(columns).enumerate() {
            let tile = row.get(first..first + width).unwrap_or_default();
            for (sums, signs) in sums.iter_mut().zip(signs) {
                let sign = signs.get(cluster).copied().unwrap_or(0.0);
                for (sum, value) in sums.iter_mut().zip(tile) {
                    *sum += sign * value;
                }
            }
        }
        for (largest, sums) in largest.iter_mut().zip(&sums) {
            *largest = sums.iter().fold(*largest, |largest, sum| largest.max(sum.abs()));
        }
    }
    largest
}
