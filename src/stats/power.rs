//! What an audit could have found: the smallest break of a limit that the data at hand would show most of the time.

use super::quantile::{bisect, normal_cumulative};
use super::{Bounds, normal_quantile, wilson};

/// The chance with which a break of the limit is to be found.
pub const POWER: f64 = 0.8;

/// The number of independent trials whose Wilson interval at `point` is as wide as `bounds`: what clustered trials are
/// worth. Between 1 and a billion.
pub fn effective_trials(point: f64, bounds: Bounds, level: f64) -> f64 {
    let width = bounds.high - bounds.low;
    let exponent = bisect(0.0, 9.0, |exponent| {
        let trials = 10_f64.powf(exponent);
        let plain = wilson(point * trials, trials, level);
        width - (plain.high - plain.low)
    });
    10_f64.powf(exponent)
}

/// The rate nearest to `limit` on its far side (above it where `above`) at which the score interval over `trials` lies
/// wholly beyond the limit with a chance of `power`; `None` where no rate does.
///
/// The interval at `level` lies beyond L when the observed rate exceeds `L + z sqrt(L (1 - L) / n)`, so the rate p solves
/// `Phi((p - L - z sqrt(L (1 - L) / n)) / sqrt(p (1 - p) / n)) = power`, z the normal quantile of `(1 + level) / 2`. At a limit
/// of 0 one success is beyond it: `1 - (1 - p)^n = power`.
pub fn detectable_rate(limit: f64, above: bool, trials: f64, level: f64, power: f64) -> Option<f64> {
    if !above {
        return detectable_rate(1.0 - limit, true, trials, level, power).map(|rate| 1.0 - rate);
    }
    if !(0.0..1.0).contains(&limit) || trials < 1.0 {
        return None;
    }
    if limit == 0.0 {
        return Some(1.0 - (1.0 - power).powf(1.0 / trials));
    }
    let edge = limit + normal_quantile(0.5 + level / 2.0) * (limit * (1.0 - limit) / trials).sqrt();
    let chance = |rate: f64| normal_cumulative((rate - edge) / (rate * (1.0 - rate) / trials).sqrt());
    let top = 1.0 - 1e-12;
    (edge < top && chance(top) >= power).then(|| bisect(edge, top, |rate| chance(rate) - power))
}

/// The same for a number whose interval reaches `half` from the point towards the limit: `limit` plus or minus
/// `(z_level + z_power) half / z_level`, taking the interval's width as it is at the point.
pub fn detectable_number(limit: f64, above: bool, half: f64, level: f64, power: f64) -> f64 {
    let z = normal_quantile(0.5 + level / 2.0);
    let distance = half * (1.0 + normal_quantile(power) / z);
    if above { limit + distance } else { limit - distance }
}
