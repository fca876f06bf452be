//! Bicubic resampling that equals Pillow's bit for bit, and the resize and crop of CLIP's preprocessing.
//!
//! Recipe: Pillow `src/libImaging/Resample.c` (8 bits per channel) with the pass order of every release before 13:
//! horizontal first, an 8-bit picture in between. Weights are computed in f64, normalised, then rounded to fixed point
//! with 22 fractional bits, so that the result does not depend on the machine.

use std::borrow::Cow;
use std::ops::Range;

use image::RgbImage;

use super::PixelError;

/// Name of the resampling for the provenance: the Pillow releases whose bits it reproduces.
pub const MODE: &str = "pillow<13 bicubic";

/// Longest picture that is fitted, as a multiple of its short side. Beyond it a centre crop shows nothing of the picture.
const MAX_ASPECT: u64 = 200;

/// Fractional bits of a weight: 32 minus 8 for the pixel and 2 for the overshoot of the kernel.
const PRECISION_BITS: u32 = 32 - 8 - 2;

/// An 8-bit picture of interleaved channels, [height, width, channels]: grey and alpha, RGB, or RGBA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Raster<'a> {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) channels: usize,
    pub(super) data: Cow<'a, [u8]>,
}

impl<'a> Raster<'a> {
    pub(super) fn of(image: &'a RgbImage) -> Self {
        let (width, height) = image.dimensions();
        Self { width: width as usize, height: height as usize, channels: 3, data: image.as_raw().into() }
    }

    /// The colours without alpha. A picture without pixels stays without pixels.
    pub(super) fn rgb(self) -> RgbImage {
        let data = match self.channels {
            3 => self.data.into_owned(),
            2 => self.data.chunks_exact(2).flat_map(|pixel| [pixel[0]; 3]).collect(),
            _ => self.data.chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect(),
        };
        RgbImage::from_raw(self.width as u32, self.height as u32, data).unwrap_or_default()
    }

    /// The part that starts at (left, top); it must lie inside.
    fn crop(&self, left: usize, top: usize, width: usize, height: usize) -> Raster<'static> {
        let mut data = Vec::with_capacity(width * height * self.channels);
        for row in self.data.chunks_exact(self.width * self.channels).skip(top).take(height) {
            data.extend_from_slice(&row[left * self.channels..(left + width) * self.channels]);
        }
        Raster { width, height, channels: self.channels, data: data.into() }
    }
}

/// How the pixels between two pixels are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filter {
    /// Keys' cubic convolution with a = -0.5, widened when shrinking.
    Bicubic,
    /// What Pillow does to palettes and 1-bit pictures whatever it is asked for.
    Nearest,
}

/// `image` at another size, as Pillow's `Image.resize((width, height), BICUBIC)` gives it. A size of zero gives a
/// picture without pixels.
#[must_use]
pub fn resize(image: &RgbImage, width: u32, height: u32) -> RgbImage {
    let whole = (0..width as usize, 0..height as usize);
    window(&Raster::of(image), width as usize, height as usize, whole, Filter::Bicubic).rgb()
}

/// CLIP's preprocessing up to the first floating-point number: the short side is resized to `size` pixels, the middle
/// `size` x `size` pixels are kept. Equals torchvision's `Resize(size, BICUBIC)` and `CenterCrop(size)` on an RGB picture
/// of Pillow < 13. Pictures with an alpha channel or a palette are resized in their own mode: use
/// [`Decoded::fit`](super::Decoded::fit).
///
/// # Errors
/// When the picture or `size` has no pixels, or one side is more than 200 times the other.
pub fn fit(image: &RgbImage, size: u32) -> Result<RgbImage, PixelError> {
    Ok(fit_raster(&Raster::of(image), size, Filter::Bicubic)?.rgb())
}

/// [`fit`] for any number of channels, without premultiplication.
pub(super) fn fit_raster(image: &Raster<'_>, size: u32, filter: Filter) -> Result<Raster<'static>, PixelError> {
    let (width, height) = fitted(image, size)?;
    let size = size as usize;
    let (left, top) = (centre(width, size), centre(height, size));
    Ok(window(image, width, height, (left..left + size, top..top + size), filter))
}

/// Width and height after the resize and before the crop.
pub(super) fn fitted(image: &Raster<'_>, size: u32) -> Result<(usize, usize), PixelError> {
    let (short, long) = (image.width.min(image.height) as u64, image.width.max(image.height) as u64);
    if short == 0 || size == 0 {
        return Err(PixelError::Size(format!("{}x{} px cannot be fitted to {size} px", image.width, image.height)));
    }
    if long > short * MAX_ASPECT {
        return Err(PixelError::Size(format!(
            "{}x{} px is longer than {MAX_ASPECT}:1; crop it to the part that matters",
            image.width, image.height
        )));
    }
    // torchvision: int(size * long / short), a product of integers divided in f64 and truncated.
    let long = ((u64::from(size) * long) as f64 / short as f64) as usize;
    let short = size as usize;
    Ok(if image.width <= image.height { (short, long) } else { (long, short) })
}

/// torchvision's `int(round((length - size) / 2.0))`: Python rounds halves to the even number.
fn centre(length: usize, size: usize) -> usize {
    let spare = length - size.min(length);
    let half = spare / 2;
    if spare % 2 == 1 && half % 2 == 1 { half + 1 } else { half }
}

/// The part `columns` x `rows` of `image` resized to `width` x `height`. Only what this part needs is computed; every
/// output pixel depends on its own column and row alone, so the bits are those of the whole.
pub(super) fn window(
    image: &Raster<'_>,
    width: usize,
    height: usize,
    (columns, rows): (Range<usize>, Range<usize>),
    filter: Filter,
) -> Raster<'static> {
    if image.data.is_empty() || columns.is_empty() || rows.is_empty() {
        return Raster { width: 0, height: 0, channels: image.channels, data: Cow::Borrowed(&[]) };
    }
    if (width, height) == (image.width, image.height) {
        return image.crop(columns.start, rows.start, columns.len(), rows.len());
    }
    match filter {
        Filter::Bicubic => bicubic(image, width, height, columns, rows),
        Filter::Nearest => nearest(image, width, height, columns, rows),
    }
}

fn bicubic(
    image: &Raster<'_>,
    width: usize,
    height: usize,
    columns: Range<usize>,
    rows: Range<usize>,
) -> Raster<'static> {
    let vertical = (height != image.height).then(|| kernels(image.height, height, rows.clone()));
    // The rows of the input that the vertical pass reads.
    let needed = match &vertical {
        None => rows.clone(),
        Some(kernels) => {
            let first = kernels.iter().map(|kernel| kernel.first).min().unwrap_or(0);
            let last = kernels.iter().map(|kernel| kernel.first + kernel.weights.len()).max().unwrap_or(0);
            first..last
        }
    };
    let strip = if width == image.width {
        image.crop(columns.start, needed.start, columns.len(), needed.len())
    } else {
        across(image, needed.clone(), &kernels(image.width, width, columns))
    };
    match vertical {
        None => strip,
        Some(kernels) => down(&strip, needed.start, &kernels),
    }
}

/// What one output pixel takes of a row or column of input pixels.
struct Kernel {
    /// First input pixel.
    first: usize,
    /// Fixed-point weight of it and of those that follow.
    weights: Vec<i32>,
}

/// The kernels of the output pixels in `range` when `input` pixels become `output` pixels (`precompute_coeffs` and
/// `normalize_coeffs_8bpc` of Pillow).
fn kernels(input: usize, output: usize, range: Range<usize>) -> Vec<Kernel> {
    let scale = input as f64 / output as f64;
    let stretch = scale.max(1.0);
    let support = 2.0 * stretch;
    let inverse = 1.0 / stretch;
    range
        .map(|at| {
            let centre = (at as f64 + 0.5) * scale;
            // `as` truncates towards zero as C does and stops at zero.
            let first = (centre - support + 0.5) as usize;
            let last = ((centre + support + 0.5) as usize).min(input);
            let weights: Vec<f64> = (first..last).map(|x| keys((x as f64 - centre + 0.5) * inverse)).collect();
            let sum: f64 = weights.iter().sum();
            let weights = weights.into_iter().map(|weight| fixed(if sum == 0.0 { weight } else { weight / sum }));
            Kernel { first, weights: weights.collect() }
        })
        .collect()
}

/// Keys' cubic convolution kernel with a = -0.5 (IEEE TASSP 29(6), 1981), written as Pillow evaluates it.
fn keys(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

/// Rounds half away from zero.
fn fixed(weight: f64) -> i32 {
    let scaled = weight * f64::from(1 << PRECISION_BITS);
    (if weight < 0.0 { scaled - 0.5 } else { scaled + 0.5 }) as i32
}

fn clip(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

/// The horizontal pass over some rows of `image`.
fn across(image: &Raster<'_>, rows: Range<usize>, kernels: &[Kernel]) -> Raster<'static> {
    let channels = image.channels;
    let mut data = Vec::with_capacity(rows.len() * kernels.len() * channels);
    for row in image.data.chunks_exact(image.width * channels).skip(rows.start).take(rows.len()) {
        match channels {
            2 => across_row::<2>(row, kernels, &mut data),
            3 => across_row::<3>(row, kernels, &mut data),
            _ => across_row::<4>(row, kernels, &mut data),
        }
    }
    Raster { width: kernels.len(), height: rows.len(), channels, data: data.into() }
}

/// One row of pixels of `C` channels; a constant, because nearly all the time of a resize is spent here.
fn across_row<const C: usize>(row: &[u8], kernels: &[Kernel], out: &mut Vec<u8>) {
    let (pixels, _) = row.as_chunks::<C>();
    for kernel in kernels {
        let mut sums = [1_i32 << (PRECISION_BITS - 1); C];
        for (pixel, weight) in pixels[kernel.first..].iter().zip(&kernel.weights) {
            for channel in 0..C {
                sums[channel] += i32::from(pixel[channel]) * weight;
            }
        }
        out.extend(sums.map(clip));
    }
}

/// The vertical pass over a strip whose first row is row `top` of the picture.
fn down(strip: &Raster<'_>, top: usize, kernels: &[Kernel]) -> Raster<'static> {
    let stride = strip.width * strip.channels;
    let mut data = Vec::with_capacity(kernels.len() * stride);
    let mut sums = vec![0_i32; stride];
    for kernel in kernels {
        sums.fill(1 << (PRECISION_BITS - 1));
        for (row, weight) in strip.data.chunks_exact(stride).skip(kernel.first - top).zip(&kernel.weights) {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += i32::from(*value) * weight;
            }
        }
        data.extend(sums.iter().map(|sum| clip(*sum)));
    }
    Raster { width: strip.width, height: kernels.len(), channels: strip.channels, data: data.into() }
}

/// Pillow's `ImagingScaleAffine` with the nearest pixel: positions are added up in f64, not multiplied.
fn nearest(
    image: &Raster<'_>,
    width: usize,
    height: usize,
    columns: Range<usize>,
    rows: Range<usize>,
) -> Raster<'static> {
    let positions = |input: usize, output: usize, range: Range<usize>| -> Vec<usize> {
        let step = input as f64 / output as f64;
        let starts = std::iter::successors(Some(step * 0.5), move |at| Some(at + step));
        starts.skip(range.start).take(range.len()).map(|at| (at as usize).min(input - 1)).collect()
    };
    let (columns, rows) = (positions(image.width, width, columns), positions(image.height, height, rows));
    let channels = image.channels;
    let mut data = Vec::with_capacity(columns.len() * rows.len() * channels);
    for y in &rows {
        for x in &columns {
            let at = (y * image.width + x) * channels;
            data.extend_from_slice(&image.data[at..at + channels]);
        }
    }
    Raster { width: columns.len(), height: rows.len(), channels, data: data.into() }
}
