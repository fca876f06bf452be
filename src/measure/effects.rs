//! Effects of units over clusters: the two halves, what each unit does in them, and its tests. See units.rs.

use std::collections::BTreeMap;

use super::Seen;
use super::activations::Sums;
use super::rows::Item;
use crate::stats::{LEVEL, MaximumFlip, benjamini_hochberg, mean_test, stream};
use crate::types::{Labels, Observed, ProbeId, Test, digest};

/// Most blocks of clusters in a half. Where there are more clusters, equally many are summed to a block: blocks are as
/// independent as clusters, hundreds of them leave nothing to gain, and memory and time stay bounded.
const BLOCKS: usize = 512;
/// Chance of any false flag among all units.
pub(super) const ALPHA: f64 = 1.0 - LEVEL;
/// An attacked probe beside its control twin.
pub(super) struct Contrast<'a> {
    pub(super) attacked: &'a Observed,
    pub(super) attacked_row: usize,
    pub(super) control_row: usize,
}

impl Item for Contrast<'_> {
    fn labels(&self) -> &Labels {
        &self.attacked.plan.labels
    }
    fn cluster(&self) -> &str {
        &self.attacked.plan.cluster
    }
    fn id(&self) -> &ProbeId {
        &self.attacked.plan.id
    }
}

/// Contrasts by cluster, in two halves.
pub(super) struct Halves<'a> {
    pub(super) selection: Vec<Vec<&'a Contrast<'a>>>,
    pub(super) reporting: Vec<Vec<&'a Contrast<'a>>>,
}

impl<'a> Halves<'a> {
    /// Clusters in the order of a seeded hash of their names; the first half chooses.
    pub(super) fn of(seen: &Seen<'_>, contrasts: &'a [Contrast<'a>]) -> Self {
        let mut clusters: BTreeMap<&str, Vec<&Contrast<'_>>> = BTreeMap::new();
        for contrast in contrasts {
            clusters.entry(contrast.cluster()).or_default().push(contrast);
        }
        let seed = seen.seed.to_string();
        let key = |name: &str| digest(&[seed.as_str(), seen.id, "halves", name]);
        let mut ordered: Vec<_> = clusters.into_iter().map(|(name, cluster)| (key(name), cluster)).collect();
        ordered.sort_by(|first, second| first.0.cmp(&second.0));
        let mut selection: Vec<_> = ordered.into_iter().map(|(_, cluster)| cluster).collect();
        let reporting = selection.split_off(selection.len() / 2);
        Self { selection, reporting }
    }

    /// Pairs and clusters of the reporting half.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.reporting.iter().map(Vec::len).sum(), self.reporting.len())
    }
}

/// Number of clusters in a block, and of blocks.
pub(super) fn blocks(clusters: usize) -> (usize, usize) {
    let size = clusters.div_ceil(BLOCKS).max(1);
    (size, clusters.div_ceil(size))
}

/// Effects of the units that have variance.
pub(super) struct Effects {
    /// The units, ascending.
    pub(super) units: Vec<usize>,
    /// Mean effect on the selection half, per unit of `units`, sigma.
    pub(super) selection: Vec<f64>,
    /// Effects of the blocks of the reporting half, [blocks, units], sigma.
    pub(super) reporting: Vec<f64>,
    /// Student's test with the q of Benjamini and Hochberg, per unit; `None` where there is no spread.
    pub(super) tests: Vec<Option<Test>>,
    /// p of the max-statistic permutation, per unit.
    pub(super) family_wise: Vec<f64>,
    /// How that was drawn.
    pub(super) draws: String,
}

impl Effects {
    pub(super) fn of(sums: &Sums, halves: &Halves<'_>) -> Self {
        let moves = |unit: &usize| sums.deviations.get(*unit).is_some_and(|deviation| *deviation > 0.0);
        let units: Vec<usize> = (0..sums.units).filter(moves).collect();
        let (_, chosen) = blocks(halves.selection.len());
        let mut selection = vec![0.0; units.len()];
        let mut reporting = Vec::new();
        for (block, row) in sums.sums.chunks_exact(sums.units.max(1)).enumerate() {
            let scaled = units.iter().filter_map(|&unit| Some(row.get(unit)? / sums.deviations.get(unit)?));
            if block < chosen {
                selection.iter_mut().zip(scaled).for_each(|(mean, value)| *mean += value / chosen as f64);
            } else {
                reporting.extend(scaled);
            }
        }
        Self { units, selection, reporting, tests: Vec::new(), family_wise: Vec::new(), draws: String::new() }
    }

    /// One unit's effect in every block of the reporting half, by its place in `units`.
    pub(super) fn column(&self, place: usize) -> Vec<f64> {
        self.reporting.iter().skip(place).step_by(self.units.len()).copied().collect()
    }

    pub(super) fn mean(&self, place: usize) -> f64 {
        let column = self.column(place);
        column.iter().sum::<f64>() / column.len() as f64
    }

    /// Tests every unit on the reporting half.
    pub(super) fn test(&mut self, seed: u64, purpose: &str) {
        let mut tests: Vec<Option<Test>> = (0..self.units.len()).map(|place| mean_test(&self.column(place))).collect();
        let p: Vec<f64> = tests.iter().map(|test| test.as_ref().map_or(1.0, |test| test.p)).collect();
        for (test, q) in tests.iter_mut().zip(benjamini_hochberg(&p)) {
            if let Some(test) = test {
                test.name.push_str("; q after Benjamini and Hochberg over all units of the tap");
                test.adjusted_p = Some(q);
                test.family = p.len();
            }
        }
        let maximum = MaximumFlip::draw(&self.reporting, self.units.len(), &stream(seed, purpose));
        self.tests = tests;
        self.family_wise = (0..self.units.len()).map(|place| maximum.p(place)).collect();
        self.draws = maximum.draws();
    }

    /// Whether a unit passes on the reporting half.
    pub(super) fn driven(&self, place: usize, minimum: f64) -> bool {
        self.family_wise.get(place).is_some_and(|p| *p <= ALPHA) && self.mean(place).abs() >= minimum
    }

    /// Its direction on the selection half.
    pub(super) fn direction(&self, place: usize) -> f64 {
        if self.selection.get(place).is_some_and(|effect| *effect < 0.0) { -1.0 } else { 1.0 }
    }

    /// Per block, the mean effect of some units, each in its direction on the selection half.
    pub(super) fn aligned(&self, places: &[usize]) -> Vec<f64> {
        let mean = |block: &[f64]| {
            let effect = |place: &usize| Some(self.direction(*place) * block.get(*place)?);
            places.iter().filter_map(effect).sum::<f64>() / places.len() as f64
        };
        self.reporting.chunks_exact(self.units.len()).map(mean).collect()
    }

    /// Places of the units with the largest values, largest first, ties to the lowest.
    pub(super) fn largest(&self, count: usize, value: impl Fn(usize) -> f64) -> Vec<usize> {
        let mut places: Vec<usize> = (0..self.units.len()).collect();
        places.sort_by(|first, second| value(*second).total_cmp(&value(*first)));
        places.truncate(count);
        places
    }
}
