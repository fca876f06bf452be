//! Statistics: intervals, tests, corrections and resampling. Each states its source and is checked against an
//! independent implementation (tests/golden/statistics.py). Everything counts by cluster: probes over one image are not
//! independent, so an interval that ignored clusters would promise too much.

mod correct;
mod maximum;
mod mean;
mod paired;
mod power;
mod quantile;
mod rate;
mod resample;
mod slope;

pub use correct::{benjamini_hochberg, holm};
pub use maximum::MaximumFlip;
pub use mean::{clustered_mean, mean_test};
pub use paired::{PairTally, clustered_difference, mcnemar, tango};
pub use power::{POWER, detectable_number, detectable_rate, effective_trials};
pub use quantile::{normal_quantile, student_quantile};
pub use rate::{Tally, clopper_pearson, clustered_rate, wilson};
pub use resample::{ClusterBootstrap, DRAWS, bootstrap_difference, sample, sign_flip, stream};
pub use slope::{Slope, bootstrap_slope};

/// Fewer clusters than this give no interval.
pub const MINIMUM_CLUSTERS: usize = 10;

/// The level of an interval that no family widens.
pub const LEVEL: f64 = 0.95;

/// A two-sided interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
}

/// Why a number over clusters cannot be estimated; `None` when it can.
fn too_few(n: usize, clusters: usize) -> Option<String> {
    if n == 0 {
        return Some("there is nothing to count".to_owned());
    }
    (clusters < MINIMUM_CLUSTERS).then(|| {
        format!(
            "{clusters} independent cluster{}: too few for an interval, at least {MINIMUM_CLUSTERS} are needed",
            if clusters == 1 { "" } else { "s" }
        )
    })
}
