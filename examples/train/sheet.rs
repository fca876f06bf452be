//! A batch to be looked at: what the model is shown, and what it is told.

use std::path::Path;

use anyhow::{Context, Result};
use image::{Rgb, RgbImage};

use crate::chance::Chance;
use crate::corpus::Corpus;
use crate::course::Course;
use crate::draw::{self, DEVIATION, MEAN};
use crate::sample::Source;
use crate::towers::REFERENCE;

const COLUMNS: usize = 16;
const SEED: u64 = 1;

/// Writes the samples of a step as one PNG, and prints their captions, numbered.
pub(crate) fn write(corpus: &Corpus, course: &Course, path: &Path, share: f64) -> Result<()> {
    let side = REFERENCE.image_px as usize;
    let samples = Source::new(corpus).batch(SEED, 0, (course.mix)(share));
    let rows = samples.len().div_ceil(COLUMNS);
    let mut sheet = RgbImage::new((COLUMNS * side) as u32, (rows * side) as u32);
    for (number, sample) in samples.iter().enumerate() {
        let drawn = draw::sample(corpus, sample, side, &mut Chance::new(SEED, 0, number as u64));
        for (place, pixel) in drawn.chunks_exact(3).enumerate() {
            let colour = std::array::from_fn(|channel| {
                ((pixel[channel] * DEVIATION[channel] + MEAN[channel]) * 255.0).round().clamp(0.0, 255.0) as u8
            });
            let x = number % COLUMNS * side + place % side;
            let y = number / COLUMNS * side + place / side;
            sheet.put_pixel(x as u32, y as u32, Rgb(colour));
        }
        println!("{:>2} {:>2}  {}", number / COLUMNS, number % COLUMNS, sample.caption);
    }
    sheet.save(path).with_context(|| path.display().to_string())
}
