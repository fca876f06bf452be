//! Resizing: four bytes of sizes, the others are pixels. A picture of one colour keeps it, every size is met, and the
//! crop is as large as asked for.
#![no_main]

use clip_audit::pixels::{fit, resize};
use image::{Rgb, RgbImage};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, u8, u8, u8, Vec<u8>)| {
    let (width, height, to_width, to_height, pixels) = input;
    let [width, height, to_width, to_height] = [width, height, to_width, to_height].map(|side| u32::from(side) + 1);
    let byte = |at: u32| pixels.get(at as usize % pixels.len().max(1)).copied().unwrap_or(255);
    let image = RgbImage::from_fn(width, height, |x, y| Rgb([0, 1, 2].map(|channel| byte(3 * (y * width + x) + channel))));
    assert_eq!(resize(&image, to_width, to_height).dimensions(), (to_width, to_height));
    assert_eq!(resize(&image, width, height), image);
    if let Ok(cut) = fit(&image, to_width) {
        assert_eq!(cut.dimensions(), (to_width, to_width));
    }
    let colour = Rgb([byte(0), byte(1), byte(2)]);
    let flat = resize(&RgbImage::from_pixel(width, height, colour), to_width, to_height);
    assert!(flat.pixels().all(|pixel| *pixel == colour));
});
