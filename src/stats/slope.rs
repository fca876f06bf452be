//! The slope of outcomes along an axis within clusters.

use rand_chacha::ChaCha8Rng;

use super::rate::value;
use super::{Bounds, ClusterBootstrap, DRAWS, too_few};
use crate::types::Value;

/// What one cluster says of a slope: its outcomes y at places x, each less its mean within the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Slope {
    /// `sum (x - mean x) y`.
    pub products: f64,
    /// `sum (x - mean x)^2`; above 0.
    pub squares: f64,
    /// Outcomes.
    pub n: usize,
}

impl Slope {
    /// Of the outcomes of one cluster as (x, y). `None` where all x are equal: such a cluster says nothing.
    pub fn of(outcomes: &[(f64, f64)]) -> Option<Self> {
        let n = outcomes.len();
        let mean = outcomes.iter().map(|(x, _)| x).sum::<f64>() / n as f64;
        let products = outcomes.iter().map(|(x, y)| (x - mean) * y).sum();
        let squares = outcomes.iter().map(|(x, _)| (x - mean).powi(2)).sum();
        let first = outcomes.first()?.0;
        outcomes.iter().any(|(x, _)| *x != first).then_some(Self { products, squares, n })
    }
}

/// The common slope within clusters, `sum products / sum squares` (least squares with a level of its own for every
/// cluster), with its bootstrap interval over clusters. `floor` may give the least distance to the bounds, below and
/// above, at a level: a bootstrap knows only the spread of the clusters at hand. Not measured below 10 clusters, or
/// without any spread and floor. The draws are made once; the answer gives the value at any level.
pub fn bootstrap_slope<F: Fn(f64) -> Option<(f64, f64)>>(
    clusters: &[Slope],
    floor: F,
    stream: &ChaCha8Rng,
) -> impl Fn(f64) -> Value + use<F> {
    let sums: Vec<(f64, f64)> = clusters.iter().map(|cluster| (cluster.products, cluster.squares)).collect();
    let n = clusters.iter().map(|cluster| cluster.n).sum();
    let reason = too_few(n, clusters.len());
    let bootstrap = if reason.is_none() { ClusterBootstrap::draw(&sums, stream) } else { None };
    move |level| {
        if let Some(reason) = &reason {
            return Value::NotMeasured { reason: reason.clone() };
        }
        let point = sums.iter().map(|(products, _)| products).sum::<f64>()
            / sums.iter().map(|(_, squares)| squares).sum::<f64>();
        let drawn = bootstrap.as_ref().map(|draws| draws.interval(level)).filter(|one| one.low < one.high);
        let least = floor(level);
        if drawn.is_none() && least.is_none() {
            let reason =
                format!("all {} clusters have one slope: there is no spread to make an interval of", sums.len());
            return Value::NotMeasured { reason };
        }
        let drawn = drawn.unwrap_or(Bounds { low: point, high: point });
        let (below, above) = least.unwrap_or_default();
        let bounds = Bounds { low: drawn.low.min(point - below), high: drawn.high.max(point + above) };
        let clusters = sums.len();
        let floored = if least.is_some() { ", no narrower than that of the rise" } else { "" };
        value(
            point,
            bounds,
            level,
            format!("bootstrap over {clusters} clusters ({DRAWS} draws, expanded percentiles){floored}"),
        )
    }
}
