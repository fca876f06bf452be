//! Resampling over clusters: the sign-flip permutation test and the bootstrap. Streams are seeded by what they are for,
//! sums run in a fixed order, so the same audit gives the same digits.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::paired::{PairTally, clustered_difference};
use super::quantile::normal_cumulative;
use super::rate::value;
use super::{Bounds, MINIMUM_CLUSTERS, student_quantile};
use crate::types::{Test, Value, digest};

/// Draws of a Monte Carlo test or a bootstrap.
pub const DRAWS: usize = 9_999;

/// Up to this many clusters with a difference, every assignment of signs is counted.
pub(super) const EXACT_UP_TO: usize = 16;

/// The random stream of one purpose (a measurement's id): a suite's seed gives every purpose its own.
pub fn stream(seed: u64, purpose: &str) -> ChaCha8Rng {
    let text = digest(&[&seed.to_le_bytes()[..], purpose.as_bytes()]);
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digit = |place: usize| pair.get(place).and_then(|digit| char::from(*digit).to_digit(16)).unwrap_or(0);
        *byte = (digit(0) * 16 + digit(1)) as u8;
    }
    ChaCha8Rng::from_seed(bytes)
}

/// A whole number below `bound`, by the high half of a product; its bias is below `bound` / 2^64.
fn below(stream: &mut ChaCha8Rng, bound: usize) -> usize {
    ((u128::from(stream.next_u64()) * bound as u128) >> 64) as usize
}

/// `count` different places below `of` (all of them when there are no more), in ascending order.
pub fn sample(count: usize, of: usize, stream: &mut ChaCha8Rng) -> Vec<usize> {
    let mut places: Vec<usize> = (0..of).collect();
    for place in 0..count.min(of) {
        places.swap(place, place + below(stream, of - place));
    }
    places.truncate(count);
    places.sort_unstable();
    places
}

/// The sign-flip permutation test, two-sided: under the null the difference of each cluster is as likely to have the
/// opposite sign. Takes the summed difference of each cluster. Exact for up to 16 clusters that differ, else 9,999 draws
/// with the observed one counted in (Phipson and Smyth 2010). Where no cluster differs p is 1.
pub fn sign_flip(differences: &[f64], stream: &mut ChaCha8Rng) -> Test {
    let differing: Vec<f64> = differences.iter().copied().filter(|difference| *difference != 0.0).collect();
    let observed: f64 = differing.iter().sum();
    // Sums equal up to rounding count as equal.
    let reached = observed.abs() - 1e-9 * differing.iter().map(|difference| difference.abs()).sum::<f64>();
    let (p, how) = if differing.len() <= EXACT_UP_TO {
        // The first sign stands still: an assignment and its opposite are equally extreme.
        let assignments = 1_u32 << differing.len().saturating_sub(1);
        let extreme = (0..assignments).filter(|signs| flipped(&differing, *signs).abs() >= reached).count();
        (extreme as f64 / f64::from(assignments), "exact")
    } else {
        let mut extreme = 1_usize;
        for _ in 0..DRAWS {
            let mut sum = 0.0;
            for block in differing.chunks(64) {
                let signs = stream.next_u64();
                for (place, difference) in block.iter().enumerate() {
                    sum += if signs >> place & 1 == 1 { -difference } else { *difference };
                }
            }
            extreme += usize::from(sum.abs() >= reached);
        }
        (extreme as f64 / (DRAWS + 1) as f64, "9999 draws")
    };
    Test {
        name: format!("sign-flip permutation over clusters, two-sided, {how}; null: no difference within pairs"),
        statistic: observed,
        p,
        adjusted_p: None,
        family: 1,
    }
}

fn flipped(differences: &[f64], signs: u32) -> f64 {
    differences.iter().enumerate().map(|(place, value)| if signs >> place & 1 == 1 { -value } else { *value }).sum()
}

/// Bootstrap means of a ratio of sums over clusters (a mean over trials): 9,999 draws of clusters with replacement.
pub struct ClusterBootstrap {
    clusters: usize,
    /// Ascending.
    means: Vec<f64>,
}

impl ClusterBootstrap {
    /// Draws. `sums` holds the total and the number of trials of each cluster. `None` below 2 clusters, or where one has
    /// no trials.
    pub fn draw(sums: &[(f64, f64)], stream: &ChaCha8Rng) -> Option<Self> {
        let clusters = sums.len();
        if clusters < 2 || sums.iter().any(|(_, trials)| *trials <= 0.0) {
            return None;
        }
        let mut means: Vec<f64> = (0..DRAWS)
            .into_par_iter()
            .map(|draw| {
                // Every draw has a stream of its own, so that threads cannot change the digits.
                let mut own = stream.clone();
                own.set_stream(draw as u64);
                let (mut total, mut trials) = (0.0, 0.0);
                for _ in 0..clusters {
                    let (one, size) = sums.get(below(&mut own, clusters)).copied().unwrap_or_default();
                    total += one;
                    trials += size;
                }
                total / trials
            })
            .collect();
        means.sort_by(f64::total_cmp);
        Some(Self { clusters, means })
    }

    /// Percentiles of the draws, at levels expanded so that few clusters do not make the interval too narrow,
    /// `Phi(-sqrt(K / (K - 1)) t(K - 1))` (Hesterberg 2015, The American Statistician 69:371, section 5.3).
    pub fn interval(&self, level: f64) -> Bounds {
        let freedom = self.clusters as f64 - 1.0;
        let far = (self.clusters as f64 / freedom).sqrt() * student_quantile(0.5 + level / 2.0, freedom);
        let tail = normal_cumulative(-far);
        Bounds { low: percentile(&self.means, tail), high: percentile(&self.means, 1.0 - tail) }
    }
}

/// The percentile at `share` of sorted values, between neighbours at place `share * (n + 1)`; the ends beyond them.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let place = (share * (sorted.len() + 1) as f64 - 1.0).clamp(0.0, (sorted.len() - 1) as f64);
    let (below, part) = (place.floor() as usize, place.fract());
    let at = |place: usize| sorted.get(place).or(sorted.last()).copied().unwrap_or_default();
    at(below) * (1.0 - part) + at(below + 1) * part
}

/// The difference of two paired rates over clusters with its bootstrap interval, no narrower on either side than
/// `clustered_difference`: the bootstrap knows only what the clusters at hand show, and alone its upper bound would miss a
/// small difference in up to 15 % of audits instead of 2.5 % (tests/golden/coverage.py). Where every cluster has the same
/// difference it sees no spread at all. Below 10 clusters the difference is not measured.
///
/// The draws are made once; the answer gives the value at any level.
pub fn bootstrap_difference<'a>(tallies: &'a [PairTally], stream: &ChaCha8Rng) -> impl Fn(f64) -> Value + use<'a> {
    let sums: Vec<(f64, f64)> =
        tallies.iter().filter(|tally| tally.pairs > 0).map(|tally| (tally.difference(), tally.pairs as f64)).collect();
    let enough = sums.len() >= MINIMUM_CLUSTERS;
    let bootstrap = if enough { ClusterBootstrap::draw(&sums, stream) } else { None };
    move |level| {
        let score = match clustered_difference(tallies, level) {
            Value::Measured(score) => score,
            reason => return reason,
        };
        let Some(bounds) = bootstrap.as_ref().map(|draws| draws.interval(level)).filter(|one| one.low < one.high)
        else {
            return Value::Measured(score);
        };
        let wider = Bounds { low: bounds.low.min(score.low()), high: bounds.high.max(score.high()) };
        let (clusters, narrowest) = (sums.len(), score.method());
        let method = format!(
            "bootstrap over {clusters} clusters ({DRAWS} draws, expanded percentiles), no narrower than {narrowest}"
        );
        value(score.point(), wider, level, method)
    }
}
