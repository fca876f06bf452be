//! Painting: inks (a mask with a colour) are stacked to a stamp at four times the canvas' resolution, turned, brought
//! down by box averages and blended over the picture. Working large gives outlines thinner than a pixel and smooth
//! turned edges; where nothing is turned, a stamp lies on whole pixels, so equal stamps are equal everywhere.

use image::{GrayImage, Luma, RgbImage};
use imageproc::geometric_transformations::{Border, Interpolation, rotate};

/// Stamps are drawn this many times larger than the canvas.
pub(super) const OVERSAMPLING: u32 = 4;

/// A shape in one colour, at the oversampled resolution.
pub(super) struct Ink {
    /// Coverage, 0 to 255. All inks of a stamp have the same size, a multiple of `OVERSAMPLING`.
    pub(super) mask: GrayImage,
    /// 8-bit RGB.
    pub(super) colour: [u8; 3],
    /// Opacity of this ink within the stamp, 0 to 1.
    pub(super) strength: f32,
}

impl Ink {
    /// Turns the mask clockwise about a point, degrees. What leaves the mask is lost, so it must have room.
    pub(super) fn turned(mut self, centre: (f32, f32), degrees: f32) -> Self {
        if degrees != 0.0 {
            let outside = Border::Constant(Luma([0]));
            self.mask = rotate(&self.mask, centre, degrees.to_radians(), Interpolation::Bilinear, outside);
        }
        self
    }
}

/// A rectangle of pixels of a larger raster, of which nothing else is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Area {
    pub(super) left: u32,
    pub(super) top: u32,
    pub(super) width: u32,
    pub(super) height: u32,
}

impl Area {
    /// A whole raster.
    pub(super) fn of((width, height): (u32, u32)) -> Self {
        Self { left: 0, top: 0, width, height }
    }

    /// The part of a raster that holds a box (left, top, right, bottom), in whole cells of the canvas.
    pub(super) fn around([left, top, right, bottom]: [i64; 4], (width, height): (u32, u32)) -> Self {
        let inside = |edge: i64, side: u32| u32::try_from(edge.max(0)).map_or(side, |edge| edge.min(side));
        let span = |first: i64, last: i64, side: u32| {
            let first = inside(first, side) / OVERSAMPLING * OVERSAMPLING;
            (first, inside(last, side).next_multiple_of(OVERSAMPLING).saturating_sub(first))
        };
        let ((left, width), (top, height)) = (span(left, right, width), span(top, bottom, height));
        Self { left, top, width, height }
    }
}

/// What `f32::round` gives from 0 to 255, without the call that it is on processors of unknown kind.
pub(super) fn nearest(value: f32) -> u8 {
    let whole = value as u8;
    whole + u8::from(value - f32::from(whole) >= 0.5)
}

/// The mask grown by `radius` (a distance in its own pixels): what stands out around a text is its outline. One grows by
/// the exact Euclidean distance, because a square or diamond brush makes the corners of letters look cut.
///
/// The squared distance to the nearest solid pixel is the least over the rows around of that within the row, squared, plus
/// that of the rows (Saito and Toriwaki 1994). Only rows within the radius count, since beyond it nothing is painted.
pub(super) fn grown(mask: &GrayImage, radius: f32) -> GrayImage {
    let width = mask.width().max(1) as usize;
    let edge = radius + 0.5;
    let reach = edge as usize;
    // Coverage by squared distance; all of it whole numbers, which f32 holds exactly.
    let coverage = |squared: usize| nearest((edge - (squared as f64).sqrt() as f32).clamp(0.0, 1.0) * 255.0);
    let table: Vec<u8> = (0..=(edge * edge) as usize + 1).map(coverage).collect();
    let mut within = vec![f32::INFINITY; mask.as_raw().len()];
    let mut solid = Vec::with_capacity(mask.height() as usize);
    for (squares, row) in within.chunks_exact_mut(width).zip(mask.chunks_exact(width)) {
        solid.push(row.iter().any(|value| *value >= 128));
        if solid.last() == Some(&true) {
            squares_within(row, squares, reach);
        }
    }
    let mut grown = mask.clone();
    let mut least = vec![f32::INFINITY; width];
    for (y, out) in grown.chunks_exact_mut(width).enumerate() {
        least.fill(f32::INFINITY);
        let around = y.saturating_sub(reach)..(y + reach + 1).min(solid.len());
        for row in around.filter(|&row| solid[row]) {
            let apart = (row.abs_diff(y).pow(2)) as f32;
            for (least, square) in least.iter_mut().zip(&within[row * width..]) {
                let sum = square + apart;
                *least = if sum < *least { sum } else { *least };
            }
        }
        for (value, squared) in out.iter_mut().zip(&least) {
            *value = table.get(*squared as usize).map_or(*value, |edge| (*value).max(*edge));
        }
    }
    grown
}

/// Squared distances to the nearest solid pixel of the same row, as far as the reach.
fn squares_within(row: &[u8], squares: &mut [f32], reach: usize) {
    let sweep = |pixels: &mut dyn Iterator<Item = (&u8, &mut f32)>| {
        let mut apart = usize::MAX;
        for (value, square) in pixels {
            apart = if *value >= 128 { 0 } else { apart.saturating_add(1) };
            if apart <= reach {
                *square = square.min((apart * apart) as f32);
            }
        }
    };
    sweep(&mut row.iter().zip(squares.iter_mut()));
    sweep(&mut row.iter().zip(squares.iter_mut()).rev());
}

/// An axis-aligned rectangle (left, top, right, bottom) as a mask, its edges at whole oversampled pixels.
pub(super) fn rectangle(area: Area, edges: [f32; 4]) -> GrayImage {
    let mut mask = GrayImage::new(area.width, area.height);
    let [left, top, right, bottom] = edges.map(|edge| edge.round().max(0.0) as usize);
    let within = |edge: usize, first: u32, side: u32| edge.saturating_sub(first as usize).min(side as usize);
    let (top, bottom) = (within(top, area.top, area.height), within(bottom, area.top, area.height));
    let (left, right) = (within(left, area.left, area.width), within(right, area.left, area.width));
    for row in mask.chunks_exact_mut(area.width.max(1) as usize).take(bottom).skip(top) {
        row.iter_mut().take(right).skip(left).for_each(|value| *value = 255);
    }
    mask
}

/// A stack of inks at the resolution of the canvas: colour times alpha, and alpha.
pub(super) struct Stamp {
    width: u32,
    pixels: Vec<[f32; 4]>,
}

impl Stamp {
    /// Stacks inks, the first lowest.
    pub(super) fn of(inks: &[Ink]) -> Self {
        let (width, height) = inks.first().map_or((0, 0), |ink| ink.mask.dimensions());
        let (width, height) = (width / OVERSAMPLING, height / OVERSAMPLING);
        let mut pixels = vec![[0.0; 4]; width as usize * height as usize];
        let mut sums = vec![0; width as usize];
        for ink in inks {
            let rows = ink.mask.chunks_exact((width * OVERSAMPLING).max(1) as usize);
            let mut rows = rows.map(|row| row.as_chunks::<{ OVERSAMPLING as usize }>().0);
            for line in pixels.chunks_exact_mut(width.max(1) as usize) {
                sums.fill(0_u32);
                for row in rows.by_ref().take(OVERSAMPLING as usize) {
                    for (sum, cell) in sums.iter_mut().zip(row) {
                        *sum += cell.iter().map(|value| u32::from(*value)).sum::<u32>();
                    }
                }
                for (pixel, sum) in line.iter_mut().zip(&sums).filter(|(_, sum)| **sum > 0) {
                    *pixel = over(*pixel, ink, *sum);
                }
            }
        }
        Self { width, pixels }
    }

    /// Blends the stamp over a picture with its top left pixel at (left, top), in pixels; what lies outside is cut.
    pub(super) fn paint(&self, image: &mut RgbImage, (left, top): (i64, i64), opacity: f32) {
        let outside = |edge: i64| usize::try_from(-edge).unwrap_or(0);
        let inside = |edge: i64| usize::try_from(edge).unwrap_or(0);
        let stride = image.width().max(1) as usize * 3;
        let lines = self.pixels.chunks(self.width.max(1) as usize).skip(outside(top));
        for (line, row) in lines.zip(image.chunks_exact_mut(stride).skip(inside(top))) {
            let (pixels, _) = row.as_chunks_mut::<3>();
            for (stamp, pixel) in line.iter().skip(outside(left)).zip(pixels.iter_mut().skip(inside(left))) {
                let &[red, green, blue, alpha] = stamp;
                if alpha > 0.0 {
                    for (value, ink) in pixel.iter_mut().zip([red, green, blue]) {
                        let blended = f32::from(*value) * (1.0 - alpha * opacity) + ink * opacity;
                        *value = nearest(blended.clamp(0.0, 255.0));
                    }
                }
            }
        }
    }
}

/// One ink over what lies below it, in one cell of `OVERSAMPLING` x `OVERSAMPLING` mask pixels of this sum.
fn over(below: [f32; 4], ink: &Ink, sum: u32) -> [f32; 4] {
    let alpha = ink.strength * sum as f32 / (255 * OVERSAMPLING * OVERSAMPLING) as f32;
    let [red, green, blue] = ink.colour.map(f32::from);
    let [r, g, b, a] = below.map(|value| value * (1.0 - alpha));
    [r + red * alpha, g + green * alpha, b + blue * alpha, a + alpha]
}

#[cfg(test)]
mod tests {
    use imageproc::distance_transform::euclidean_squared_distance_transform;
    use proptest::prelude::*;

    use super::*;

    /// What `grown` computes, from the distance transform of another library.
    fn grown_otherwise(mask: &GrayImage, radius: f32) -> GrayImage {
        let solid = GrayImage::from_fn(mask.width(), mask.height(), |x, y| {
            Luma([if mask.get_pixel(x, y).0[0] >= 128 { 255 } else { 0 }])
        });
        if solid.pixels().all(|pixel| pixel.0[0] == 0) {
            return mask.clone();
        }
        let squared = euclidean_squared_distance_transform(&solid);
        GrayImage::from_fn(mask.width(), mask.height(), |x, y| {
            let distance = squared.get_pixel(x, y).0[0].sqrt() as f32;
            let edge = ((radius + 0.5 - distance).clamp(0.0, 1.0) * 255.0).round() as u8;
            Luma([edge.max(mask.get_pixel(x, y).0[0])])
        })
    }

    proptest! {
        #[test]
        fn an_outline_is_what_the_distance_transform_says(
            (width, height, values) in (1..40_u32, 1..40_u32).prop_flat_map(|(width, height)| {
                let value = prop_oneof![9 => Just(0_u8), 1 => any::<u8>()];
                (Just(width), Just(height), proptest::collection::vec(value, (width * height) as usize))
            }),
            radius in 1.0..20.0_f32,
        ) {
            let mask = GrayImage::from_raw(width, height, values).unwrap_or_default();
            prop_assert_eq!(grown(&mask, radius), grown_otherwise(&mask, radius));
        }

        #[test]
        fn bytes_are_rounded_as_floats_are(value in 0.0..=255.0_f32) {
            prop_assert_eq!(nearest(value), value.round() as u8);
        }
    }

    #[test]
    fn halves_are_rounded_up() {
        for half in 0..=254_u8 {
            let (below, at) = (f32::from(half) + 0.5 - f32::EPSILON, f32::from(half) + 0.5);
            assert_eq!((nearest(below.next_down()), nearest(at)), (half, half + 1));
        }
    }

    #[test]
    fn a_rectangle_of_a_part_is_the_part_of_the_rectangle() {
        let edges = [-3.4, 2.6, 20.5, 9.2];
        let whole = rectangle(Area::of((32, 16)), edges);
        assert_eq!(whole.pixels().filter(|pixel| pixel.0[0] == 255).count(), 21 * 6);
        for area in [[0, 0, 32, 16], [4, 4, 12, 8], [16, 0, 8, 4], [24, 12, 8, 4]] {
            let [left, top, width, height] = area;
            let part = image::imageops::crop_imm(&whole, left, top, width, height).to_image();
            assert_eq!(rectangle(Area { left, top, width, height }, edges), part);
        }
    }

    #[test]
    fn what_lies_outside_the_picture_is_cut() {
        let mask = GrayImage::from_fn(24, 16, |x, y| Luma([(x * 10 + y) as u8]));
        let stamp = Stamp::of(&[Ink { mask, colour: [200, 20, 90], strength: 0.8 }]);
        let mut large = RgbImage::from_pixel(30, 30, image::Rgb([120; 3]));
        stamp.paint(&mut large, (10, 10), 0.7);
        // The same stamp, seen through a window of 5 x 5 pixels that is moved over it.
        for (left, top) in (0..24).flat_map(|left| (0..24).map(move |top| (left, top))) {
            let mut small = RgbImage::from_pixel(5, 5, image::Rgb([120; 3]));
            stamp.paint(&mut small, (10 - i64::from(left), 10 - i64::from(top)), 0.7);
            assert_eq!(small, image::imageops::crop_imm(&large, left, top, 5, 5).to_image());
        }
    }
}
