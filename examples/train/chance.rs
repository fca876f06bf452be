//! Random choices, all of them from a seed: the same seed, step and number of a sample give the same picture.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Random choices of one sample.
pub(crate) struct Chance(ChaCha8Rng);

impl Chance {
    /// The choices that belong to a step and to a number within it.
    pub(crate) fn new(seed: u64, step: u64, number: u64) -> Self {
        let mut key = [0_u8; 32];
        for (place, value) in key.chunks_exact_mut(8).zip([seed, step, number, 0x7472_6169_6E00]) {
            place.copy_from_slice(&value.to_le_bytes());
        }
        Self(ChaCha8Rng::from_seed(key))
    }

    /// True with a probability.
    pub(crate) fn happens(&mut self, probability: f64) -> bool {
        self.0.random::<f64>() < probability
    }

    /// A number of [low, high).
    pub(crate) fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.0.random::<f32>()
    }

    /// A number below `count`, which is not 0.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        self.0.random_range(0..count.max(1))
    }

    /// One of several, of which there is at least one.
    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// A normal number (Box and Muller 1958).
    pub(crate) fn normal(&mut self, spread: f32) -> f32 {
        let (radius, angle) = (1.0 - self.0.random::<f32>(), self.0.random::<f32>());
        spread * (-2.0 * radius.ln()).sqrt() * (std::f32::consts::TAU * angle).cos()
    }

    /// A place in a list of rising sums of weights.
    pub(crate) fn weighted(&mut self, sums: &[f64]) -> usize {
        let total = sums.last().copied().unwrap_or(0.0);
        let at = self.0.random::<f64>() * total;
        sums.partition_point(|sum| *sum <= at).min(sums.len().saturating_sub(1))
    }
}
