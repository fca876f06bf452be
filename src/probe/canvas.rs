//! Painting: inks (a mask with a colour) are stacked to a stamp at four times the canvas' resolution, turned, brought
//! down by box averages and blended over the picture. Working large gives outlines thinner than a pixel and smooth
//! turned edges; where nothing is turned, a stamp lies on whole pixels, so equal stamps are equal everywhere.

use image::{GrayImage, Luma, RgbImage};
use imageproc::distance_transform::euclidean_squared_distance_transform;
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

/// The mask grown by `radius` (a distance in its own pixels): what stands out around a text is its outline. One grows by
/// the exact Euclidean distance, because a square or diamond brush makes the corners of letters look cut.
pub(super) fn grown(mask: &GrayImage, radius: f32) -> GrayImage {
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

/// An axis-aligned rectangle (left, top, right, bottom) as a mask, its edges at whole oversampled pixels.
pub(super) fn rectangle((width, height): (u32, u32), edges: [f32; 4]) -> GrayImage {
    let [left, top, right, bottom] = edges.map(|edge| edge.round());
    GrayImage::from_fn(width, height, |x, y| {
        let (x, y) = (x as f32 + 0.5, y as f32 + 0.5);
        Luma([if x > left && x < right && y > top && y < bottom { 255 } else { 0 }])
    })
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
        let cells = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let pixels = cells.map(|(x, y)| inks.iter().fold([0.0; 4], |below, ink| over(below, ink, (x, y)))).collect();
        Self { width, pixels }
    }

    /// Blends the stamp over a picture with its top left pixel at (left, top), in pixels; what lies outside is cut.
    pub(super) fn paint(&self, image: &mut RgbImage, (left, top): (i64, i64), opacity: f32) {
        for (row, line) in (0_i64..).zip(self.pixels.chunks(self.width.max(1) as usize)) {
            for (column, &[red, green, blue, alpha]) in (0_i64..).zip(line) {
                let (Ok(x), Ok(y)) = (u32::try_from(left + column), u32::try_from(top + row)) else { continue };
                let Some(pixel) = image.get_pixel_mut_checked(x, y).filter(|_| alpha > 0.0) else { continue };
                for (value, ink) in pixel.0.iter_mut().zip([red, green, blue]) {
                    let blended = f32::from(*value) * (1.0 - alpha * opacity) + ink * opacity;
                    *value = blended.round().clamp(0.0, 255.0) as u8;
                }
            }
        }
    }
}

/// One ink over what lies below it, in one cell of `OVERSAMPLING` x `OVERSAMPLING` mask pixels.
fn over(below: [f32; 4], ink: &Ink, (x, y): (u32, u32)) -> [f32; 4] {
    let mut sum = 0_u32;
    for dy in 0..OVERSAMPLING {
        for dx in 0..OVERSAMPLING {
            sum += u32::from(ink.mask.get_pixel(x * OVERSAMPLING + dx, y * OVERSAMPLING + dy).0[0]);
        }
    }
    let alpha = ink.strength * sum as f32 / (255 * OVERSAMPLING * OVERSAMPLING) as f32;
    let [red, green, blue] = ink.colour.map(f32::from);
    let [r, g, b, a] = below.map(|value| value * (1.0 - alpha));
    [r + red * alpha, g + green * alpha, b + blue * alpha, a + alpha]
}
