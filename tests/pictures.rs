//! Decoding, the Pillow-exact resize and the crop, against values that Pillow gave.

use base64::Engine;
use clip_audit::pixels::{PixelError, changed_share, decode, encode_png, fit, resize};
use image::{Rgb, RgbImage};
use proptest::prelude::*;
use serde::Deserialize;
use sha2::{Digest, Sha256};

#[derive(Deserialize)]
struct Golden {
    made_by: std::collections::BTreeMap<String, String>,
    /// Kind, width, height, new width, new height, SHA-256 of the pixels.
    resized: Vec<(String, u32, u32, u32, u32, String)>,
    /// Kind, width, height, size, SHA-256 of the pixels.
    fitted: Vec<(String, u32, u32, u32, String)>,
    files: Vec<File>,
    jpegs: Vec<Jpeg>,
    refused: Vec<Refused>,
}

#[derive(Deserialize)]
struct File {
    name: String,
    file: String,
    rgb: String,
    fit: Vec<(u32, String)>,
    notes: Vec<String>,
}

#[derive(Deserialize)]
struct Jpeg {
    name: String,
    file: String,
    rgb: String,
    notes: Vec<String>,
}

#[derive(Deserialize)]
struct Refused {
    name: String,
    file: String,
    reason: String,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden/pictures.json")).unwrap()
}

fn bytes(base64: &str) -> Vec<u8> {
    base64::engine::general_purpose::STANDARD.decode(base64).unwrap()
}

fn digest(image: &RgbImage) -> String {
    Sha256::digest(image.as_raw()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The pictures of tests/golden/pictures.py.
fn picture(kind: &str, width: u32, height: u32) -> RgbImage {
    match kind {
        "noise" => {
            let mut state = width * 65_537 + height;
            let mut next = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            };
            RgbImage::from_raw(width, height, (0..width * height * 3).map(|_| next()).collect()).unwrap()
        }
        "gradient" => RgbImage::from_fn(width, height, |x, y| {
            let slope = |at, length: u32| (at * 255 / (length - 1).max(1)) as u8;
            Rgb([slope(x, width), slope(y, height), (x * 7 + y * 13) as u8])
        }),
        other => panic!("picture of kind {other}"),
    }
}

#[test]
fn resize_equals_pillow_bit_for_bit() {
    let golden = golden();
    assert!(golden.made_by["pillow"].as_str() < "13");
    for (kind, width, height, to_width, to_height, expected) in golden.resized {
        let ours = resize(&picture(&kind, width, height), to_width, to_height);
        assert_eq!(ours.dimensions(), (to_width, to_height));
        assert_eq!(digest(&ours), expected, "{kind} {width}x{height} to {to_width}x{to_height}");
    }
}

#[test]
fn fit_equals_resize_and_crop_of_torchvision_bit_for_bit() {
    for (kind, width, height, size, expected) in golden().fitted {
        let ours = fit(&picture(&kind, width, height), size).unwrap();
        assert_eq!(digest(&ours), expected, "{kind} {width}x{height} to {size}");
    }
}

#[test]
fn every_mode_decodes_and_fits_as_in_the_reference() {
    for File { name, file, rgb, fit, notes } in golden().files {
        let decoded = decode(&bytes(&file)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(digest(&decoded.image), rgb, "{name}");
        assert_eq!(decoded.notes, notes, "{name}");
        for (size, expected) in fit {
            assert_eq!(digest(&decoded.fit(size).unwrap()), expected, "{name} fitted to {size}");
        }
    }
}

#[test]
fn jpeg_decodes_within_what_decoders_differ() {
    for Jpeg { name, file, rgb, notes } in golden().jpegs {
        let decoded = decode(&bytes(&file)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let expected = decode(&bytes(&rgb)).unwrap().image;
        assert_eq!(decoded.image.dimensions(), expected.dimensions(), "{name}");
        let pairs = decoded.image.as_raw().iter().zip(expected.as_raw());
        let worst = pairs.map(|(ours, theirs)| ours.abs_diff(*theirs)).max().unwrap();
        assert!(worst <= 4, "{name}: {worst} levels");
        assert_eq!(decoded.notes, notes, "{name}");
    }
}

#[test]
fn files_that_would_mislead_are_refused_by_name() {
    for Refused { name, file, reason } in golden().refused {
        match decode(&bytes(&file)) {
            Ok(_) => panic!("{name} was taken"),
            Err(error) => assert!(error.to_string().contains(&reason), "{name}: {error}"),
        }
    }
}

#[test]
fn extreme_shapes_are_refused() {
    assert!(fit(&RgbImage::new(1, 200), 80).is_ok());
    for (width, height, size) in [(1, 201, 80), (2_001, 10, 80), (0, 5, 80), (5, 5, 0)] {
        let error = fit(&RgbImage::new(width, height), size).unwrap_err();
        assert!(matches!(error, PixelError::Size(_)), "{error}");
    }
    assert_eq!(resize(&RgbImage::new(3, 3), 0, 4).dimensions(), (0, 0));
}

#[test]
fn png_comes_back_as_it_went() {
    let image = picture("noise", 33, 21);
    let png = encode_png(&image).unwrap();
    let decoded = decode(&png).unwrap();
    assert_eq!((decoded.image, decoded.notes), (image, vec![]));
    let kinds: Vec<&[u8]> = png.windows(4).filter(|kind| kind.iter().all(u8::is_ascii_alphabetic)).collect();
    assert!([b"tEXt", b"iTXt", b"eXIf", b"iCCP", b"tIME", b"pHYs"].iter().all(|kind| !kinds.contains(&&kind[..])));
    assert!(encode_png(&RgbImage::new(0, 0)).is_err());
}

#[test]
fn changed_share_counts_pixels_of_equal_pictures_only() {
    let black = RgbImage::new(4, 2);
    let mut dotted = black.clone();
    dotted.put_pixel(1, 1, Rgb([0, 0, 1]));
    dotted.put_pixel(3, 0, Rgb([9, 9, 9]));
    assert_eq!(changed_share(&black, &dotted), Some(0.25));
    assert_eq!(changed_share(&black, &black), Some(0.0));
    assert_eq!(changed_share(&black, &RgbImage::new(2, 4)), None);
    assert_eq!(changed_share(&RgbImage::new(0, 0), &RgbImage::new(0, 0)), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_constant_picture_stays_constant(
        from in (1_u32..=300, 1_u32..=300), to in (1_u32..=300, 1_u32..=300), colour in any::<[u8; 3]>(),
    ) {
        let image = RgbImage::from_pixel(from.0, from.1, Rgb(colour));
        let resized = resize(&image, to.0, to.1);
        prop_assert_eq!(resized.dimensions(), to);
        prop_assert!(resized.pixels().all(|pixel| pixel.0 == colour));
    }

    #[test]
    fn fit_is_the_middle_of_the_whole_resize((width, height) in (1_u32..=120, 1_u32..=120), size in 1_u32..=60) {
        let image = picture("noise", width, height);
        let (short, long) = (width.min(height), width.max(height));
        let long = (u64::from(size) * u64::from(long) / u64::from(short)) as u32;
        let whole = if width <= height { resize(&image, size, long) } else { resize(&image, long, size) };
        // Python's round of halves to even.
        let offset = |length: u32| f64::from(length - size).mul_add(0.5, 0.0).round_ties_even() as u32;
        let (left, top) = (offset(whole.width()), offset(whole.height()));
        let middle = image::imageops::crop_imm(&whole, left, top, size, size).to_image();
        prop_assert_eq!(fit(&image, size).unwrap(), middle);
    }

    #[test]
    fn damaged_bytes_never_break_the_decoder(at in any::<prop::sample::Index>(), file in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let files = golden().files;
        let mut bytes = bytes(&file.get(&files).file);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = decode(&bytes);
        bytes.truncate(at);
        let _ = decode(&bytes);
    }
}
