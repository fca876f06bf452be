//! Quantiles of the normal, Student and beta distributions.

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};
use statrs::function::beta::beta_reg;

/// From this many degrees of freedom on, Student's quantile comes from its expansion: `statrs` inverts the incomplete
/// beta function only to about 4e-6 where one parameter is small and the other large.
const EXPAND_FROM: f64 = 1000.0;

/// The standard normal quantile. `probability` lies strictly between 0 and 1.
pub fn normal_quantile(probability: f64) -> f64 {
    Normal::standard().inverse_cdf(probability)
}

/// The standard normal distribution function.
pub(super) fn normal_cumulative(z: f64) -> f64 {
    Normal::standard().cdf(z)
}

/// Student's t quantile for `probability` strictly between 0 and 1 and `freedom` >= 1 degrees of freedom; the
/// Cornish-Fisher expansion of Abramowitz and Stegun 26.7.5 from 1,000 on (off by less than 1e-11).
pub fn student_quantile(probability: f64, freedom: f64) -> f64 {
    if freedom < EXPAND_FROM
        && let Ok(distribution) = StudentsT::new(0.0, 1.0, freedom)
    {
        return distribution.inverse_cdf(probability);
    }
    let z = normal_quantile(probability);
    let square = z * z;
    let first = z * (square + 1.0) / 4.0;
    let second = z * ((5.0 * square + 16.0) * square + 3.0) / 96.0;
    let third = z * (((3.0 * square + 19.0) * square + 17.0) * square - 15.0) / 384.0;
    let fourth = z * ((((79.0 * square + 776.0) * square + 1482.0) * square - 1920.0) * square - 945.0) / 92160.0;
    z + (first + (second + (third + fourth / freedom) / freedom) / freedom) / freedom
}

/// The chance that Student's t lies at least as far from zero as `t`, either side: the regularised incomplete beta
/// function at `freedom / (freedom + t^2)` (Abramowitz and Stegun 26.7.1), which keeps its digits far out.
pub(super) fn student_two_sided(t: f64, freedom: f64) -> f64 {
    beta_reg(freedom / 2.0, 0.5, freedom / (freedom + t * t))
}

/// The beta quantile by bisection of the regularised incomplete beta function, which is accurate where its inverse in
/// `statrs` is not. Both parameters are positive.
pub(super) fn beta_quantile(probability: f64, first: f64, second: f64) -> f64 {
    bisect(0.0, 1.0, |x| beta_reg(first, second, x) - probability)
}

/// The place between `low` and `high` where a function that is negative below it and not negative above it changes
/// sign, to the last bit.
pub(super) fn bisect(mut low: f64, mut high: f64, function: impl Fn(f64) -> f64) -> f64 {
    loop {
        let middle = low + (high - low) / 2.0;
        if middle <= low || middle >= high {
            return middle;
        }
        if function(middle) < 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
}
