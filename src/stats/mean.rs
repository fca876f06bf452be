//! The mean of one number per cluster: Student's interval and test.

use super::quantile::student_two_sided;
use super::rate::value;
use super::{Bounds, MINIMUM_CLUSTERS, student_quantile};
use crate::types::{Test, Value};

/// Spread below this share of the mean is rounding.
const ROUNDING: f64 = 1e-12;

/// Mean and standard error, 0 where the values differ by rounding only; `None` below two values.
fn moments(values: &[f64]) -> Option<(f64, f64)> {
    let n = values.len() as f64;
    if values.len() < 2 {
        return None;
    }
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let deviation = (squares / (n - 1.0)).sqrt();
    let spread = if deviation > ROUNDING * mean.abs() { deviation } else { 0.0 };
    Some((mean, spread / n.sqrt()))
}

/// The mean of one value per cluster with Student's interval (Student 1908). Not measured below 10 values, and where all
/// are equal: there is no spread to judge them by.
pub fn clustered_mean(values: &[f64], level: f64) -> Value {
    let not_measured = |reason: String| Value::NotMeasured { reason };
    let count = values.len();
    match moments(values) {
        Some((mean, error)) if count >= MINIMUM_CLUSTERS && error > 0.0 => {
            let half = student_quantile(0.5 + level / 2.0, count as f64 - 1.0) * error;
            let bounds = Bounds { low: mean - half, high: mean + half };
            value(mean, bounds, level, format!("Student's t over {count} means"))
        }
        Some((mean, _)) if count >= MINIMUM_CLUSTERS => {
            not_measured(format!("each of {count} means is {mean}: there is no spread to make an interval of"))
        }
        _ => not_measured(format!(
            "{count} independent clusters are too few for an interval, at least {MINIMUM_CLUSTERS} are needed"
        )),
    }
}

/// Student's test that the mean is zero, two-sided; `None` below two values and where all are equal.
pub fn mean_test(values: &[f64]) -> Option<Test> {
    let (mean, error) = moments(values)?;
    let t = mean / error;
    t.is_finite().then(|| Test {
        name: "Student's t over clusters, two-sided; null: the mean is zero".to_owned(),
        statistic: t,
        p: student_two_sided(t, values.len() as f64 - 1.0),
        adjusted_p: None,
        family: 1,
    })
}
