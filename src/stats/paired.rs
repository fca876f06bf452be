//! Paired differences of two rates: of independent pairs, and of pairs in clusters.

use statrs::distribution::{Binomial, DiscreteCDF};

use super::quantile::bisect;
use super::rate::{effective, value};
use super::{Bounds, normal_quantile, too_few};
use crate::types::{Test, Value};

/// The pairs of one cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PairTally {
    /// Pairs whose first member succeeded and whose second did not.
    pub first_only: usize,
    /// Pairs whose second member succeeded and whose first did not.
    pub second_only: usize,
    /// All pairs.
    pub pairs: usize,
}

impl PairTally {
    /// Successes of the first members minus successes of the second.
    pub fn difference(&self) -> f64 {
        self.first_only as f64 - self.second_only as f64
    }
}

/// McNemar's exact test, two-sided: the discordant pairs are coin flips (binomial, doubled smaller tail, at most 1).
/// Without discordant pairs p is 1.
pub fn mcnemar(first_only: usize, second_only: usize) -> Test {
    let discordant = (first_only + second_only) as u64;
    let tail = Binomial::new(0.5, discordant).map_or(1.0, |flips| flips.cdf(first_only.min(second_only) as u64));
    let p = if first_only == second_only { 1.0 } else { (2.0 * tail).min(1.0) };
    Test {
        name: "exact McNemar, two-sided; null: as many pairs change one way as the other".to_owned(),
        statistic: first_only as f64 - second_only as f64,
        p,
        adjusted_p: None,
        family: 1,
    }
}

/// Tango's score interval for the difference of two paired rates, first minus second (Tango 1998, Statistics in Medicine
/// 17:891). Counts may be effective numbers, not whole; without pairs nothing is known: -1 to 1.
pub fn tango(first_only: f64, second_only: f64, pairs: f64, level: f64) -> Bounds {
    if pairs <= 0.0 {
        return Bounds { low: -1.0, high: 1.0 };
    }
    let z = normal_quantile(0.5 + level / 2.0);
    let observed = (first_only - second_only) / pairs;
    // The score at a difference falls from positive to negative as the difference grows past the observed one.
    let score = |difference: f64| {
        let linear = (2.0 * pairs - first_only + second_only) * difference - first_only - second_only;
        let constant = -second_only * difference * (1.0 - difference);
        // The probability of a second-only pair that is most likely under this difference: the larger root, written so
        // that nothing cancels.
        let root = (linear * linear - 8.0 * pairs * constant).max(0.0).sqrt();
        let second = if linear > 0.0 { -2.0 * constant / (root + linear) } else { (root - linear) / (4.0 * pairs) };
        let variance = pairs * (2.0 * second + difference * (1.0 - difference));
        let distance = pairs * (observed - difference);
        if distance == 0.0 { 0.0 } else { distance / variance.max(0.0).sqrt() }
    };
    let low = if observed <= -1.0 { -1.0 } else { bisect(-1.0, observed, |difference| z - score(difference)) };
    let high = if observed >= 1.0 { 1.0 } else { bisect(observed, 1.0, |difference| -z - score(difference)) };
    Bounds { low, high }
}

/// The difference of two paired rates over clusters, first minus second: Tango's interval at the effective number of
/// pairs, made as for a rate, or at the number of clusters where every pair has the same outcome. Below 10 clusters it is
/// not measured. As for a rate, the bound on the far side of the point promises no more than it would had no pair
/// differed.
pub fn clustered_difference(tallies: &[PairTally], level: f64) -> Value {
    let used: Vec<PairTally> = tallies.iter().copied().filter(|tally| tally.pairs > 0).collect();
    let (clusters, pairs) = (used.len(), used.iter().map(|tally| tally.pairs).sum::<usize>());
    if let Some(reason) = too_few(pairs, clusters) {
        return Value::NotMeasured { reason };
    }
    let n = pairs as f64;
    let first = used.iter().map(|tally| tally.first_only).sum::<usize>() as f64 / n;
    let second = used.iter().map(|tally| tally.second_only).sum::<usize>() as f64 / n;
    let point = first - second;
    let independent = (first + second - point * point) / (n - 1.0);
    let (trials, method) = if independent > 0.0 {
        let sums: Vec<(f64, f64)> = used.iter().map(|tally| (tally.difference(), tally.pairs as f64)).collect();
        let effective = effective(&sums, independent, level);
        let method =
            format!("Tango at {:.1} effective pairs (design effect {:.2})", effective.trials, effective.design);
        (effective.trials, method)
    } else {
        (clusters as f64, format!("Tango over {clusters} clusters"))
    };
    let mut bounds = tango(first * trials, second * trials, trials, level);
    let none = tango(0.0, 0.0, clusters as f64, level);
    if point >= 0.0 {
        bounds.high = bounds.high.max(none.high);
    }
    if point <= 0.0 {
        bounds.low = bounds.low.min(none.low);
    }
    value(point, bounds, level, method)
}
