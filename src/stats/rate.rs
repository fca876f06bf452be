//! Intervals for a rate: of independent trials, and of trials in clusters.

use super::quantile::beta_quantile;
use super::{Bounds, normal_quantile, student_quantile, too_few};
use crate::types::{Estimate, Value};

/// Wilson's score interval (Wilson 1927). `trials` may be an effective number, not whole; without trials nothing is
/// known: 0 to 1.
pub fn wilson(successes: f64, trials: f64, level: f64) -> Bounds {
    if trials <= 0.0 {
        return Bounds { low: 0.0, high: 1.0 };
    }
    let z = normal_quantile(0.5 + level / 2.0);
    let rate = successes / trials;
    let square = z * z / trials;
    let middle = (rate + square / 2.0) / (1.0 + square);
    let half = z * (rate * (1.0 - rate) / trials + square / (4.0 * trials)).sqrt() / (1.0 + square);
    // At 0 and all successes the bound is exactly 0 or 1; rounding must not say otherwise.
    let low = if successes <= 0.0 { 0.0 } else { (middle - half).max(0.0) };
    let high = if successes >= trials { 1.0 } else { (middle + half).min(1.0) };
    Bounds { low, high }
}

/// The exact interval of Clopper and Pearson (1934); without trials 0 to 1.
pub fn clopper_pearson(successes: usize, trials: usize, level: f64) -> Bounds {
    let tail = (1.0 - level) / 2.0;
    let successes = successes.min(trials);
    let (hits, misses) = (successes as f64, (trials - successes) as f64);
    // The bounds at the ends have a closed form: x^n = tail.
    let all = tail.powf(1.0 / (trials.max(1)) as f64);
    let low = match successes {
        0 => 0.0,
        _ if successes == trials => all,
        _ => beta_quantile(tail, hits, misses + 1.0),
    };
    let high = match successes {
        _ if successes == trials => 1.0,
        0 => 1.0 - all,
        _ => beta_quantile(1.0 - tail, hits + 1.0, misses),
    };
    Bounds { low, high }
}

/// Trials of one cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Successes among them.
    pub successes: usize,
    /// Trials.
    pub trials: usize,
}

/// How many independent trials the trials of clusters are worth.
pub(super) struct Effective {
    /// Variance over clusters by variance of independent trials, at least 1.
    pub(super) design: f64,
    /// Effective number of independent trials.
    pub(super) trials: f64,
}

/// The effective number of trials after Korn and Graubard (1998, Survey Methodology 24:193):
/// `n / max(1, design effect) * (t(n - 1) / t(K - 1))^2`.
///
/// The design effect is the variance of the mean over K clusters, linearised with clusters as ultimate units,
/// `K / (K - 1) * sum_k (y_k - mean * n_k)^2 / n^2`, over the variance of the mean of n independent trials,
/// `independent` (Kish 1965). The ratio of Student's quantiles pays for a variance known from few clusters only; it is
/// 1 where every trial is a cluster of its own, so that the interval is then the plain one. `sums` holds each cluster's
/// total and number of trials, K >= 2.
pub(super) fn effective(sums: &[(f64, f64)], independent: f64, level: f64) -> Effective {
    let clusters = sums.len() as f64;
    let trials: f64 = sums.iter().map(|(_, trials)| trials).sum();
    let mean = sums.iter().map(|(total, _)| total).sum::<f64>() / trials;
    let squares: f64 = sums.iter().map(|(total, trials)| (total - mean * trials).powi(2)).sum();
    let variance = clusters / (clusters - 1.0) * squares / (trials * trials);
    let design = (variance / independent).max(1.0);
    let probability = 0.5 + level / 2.0;
    let known = student_quantile(probability, trials - 1.0) / student_quantile(probability, clusters - 1.0);
    Effective { design, trials: trials / design * known * known }
}

/// A rate over clusters: Wilson at the effective number of trials, or Clopper-Pearson at the number of clusters where
/// none or all succeeded. Below 10 clusters it is not measured.
///
/// A bound never promises more than it would had nothing (or everything) succeeded: with one success in a hundred
/// clusters of ten the design effect cannot be estimated, and without this floor an upper bound would miss the truth
/// in up to 9 % of audits instead of 2.5 % (tests/golden/coverage.py), and one success would look safer than none.
pub fn clustered_rate(tallies: &[Tally], level: f64) -> Value {
    let used: Vec<Tally> = tallies.iter().copied().filter(|tally| tally.trials > 0).collect();
    let (clusters, trials) = (used.len(), used.iter().map(|tally| tally.trials).sum::<usize>());
    if let Some(reason) = too_few(trials, clusters) {
        return Value::NotMeasured { reason };
    }
    let successes: usize = used.iter().map(|tally| tally.successes).sum();
    let rate = successes as f64 / trials as f64;
    if successes == 0 || successes == trials {
        let edge = clopper_pearson(if successes == 0 { 0 } else { clusters }, clusters, level);
        return value(rate, edge, level, format!("Clopper-Pearson over {clusters} clusters"));
    }
    let sums: Vec<(f64, f64)> = used.iter().map(|tally| (tally.successes as f64, tally.trials as f64)).collect();
    let effective = effective(&sums, rate * (1.0 - rate) / (trials as f64 - 1.0), level);
    let plain = wilson(rate * effective.trials, effective.trials, level);
    let none = clopper_pearson(0, clusters, level);
    let bounds = Bounds { low: plain.low.min(1.0 - none.high), high: plain.high.max(none.high) };
    let method = format!("Wilson at {:.1} effective trials (design effect {:.2})", effective.trials, effective.design);
    value(rate, bounds, level, method)
}

/// An estimate whose interval holds its point; what is not finite is not measured.
pub(super) fn value(point: f64, bounds: Bounds, level: f64, method: String) -> Value {
    match Estimate::new(point, bounds.low.min(point), bounds.high.max(point), level, method) {
        Ok(estimate) => Value::Measured(estimate),
        Err(error) => Value::NotMeasured { reason: error.to_string() },
    }
}
