//! From the bytes of a file to RGB pixels, or to a reason why not.
//!
//! The bytes decide the format, never a file's name. What open_clip would have seen is the yardstick: alpha is dropped
//! and not blended, EXIF orientation and colour profiles are not applied; each of these is noted, because the model sees
//! something else than a person does. What would be a guess (16 bits, CMYK, one of several frames) is refused by name.

use std::io::Cursor;
use std::panic::AssertUnwindSafe;

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{DynamicImage, ExtendedColorType, ImageDecoder, ImageEncoder, ImageFormat, ImageReader, RgbImage};

use super::PixelError;
use super::container::{self, Header};
use super::resize::{Filter, Raster, fit_raster, fitted};

/// Largest file that is decoded, bytes.
pub const MAX_BYTES: usize = 256 << 20;
/// Longest side, pixels.
pub const MAX_SIDE: u32 = 16_384;
/// Most pixels (64 Mi: 8192 x 8192).
pub const MAX_PIXELS: u64 = 64 << 20;
/// Most memory a decoder may take beside the pixels, bytes.
const MAX_ALLOCATION: u64 = 512 << 20;

/// A decoded picture.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// The colours, without alpha.
    pub image: RgbImage,
    /// What was in the file and did not enter `image`, as lower-case fragments; for the record.
    pub notes: Vec<String>,
    /// The picture with its alpha channel (grey and alpha, or RGBA), where it has one.
    with_alpha: Option<Raster<'static>>,
    filter: Filter,
}

impl Decoded {
    /// The picture as the model takes it: short side resized to `size` px, the middle kept. Equals what torchvision's
    /// `Resize(size, BICUBIC)`, `CenterCrop(size)` and then Pillow's `convert("RGB")` give, in this order, as open_clip
    /// does: a palette or 1-bit picture is resized by its nearest pixels, and a picture with an alpha channel with
    /// premultiplied colours. [`fit`](super::fit) on `image` differs from it in these cases.
    ///
    /// # Errors
    /// As [`fit`](super::fit).
    pub fn fit(&self, size: u32) -> Result<RgbImage, PixelError> {
        let Some(raster) = &self.with_alpha else {
            return Ok(fit_raster(&Raster::of(&self.image), size, self.filter)?.rgb());
        };
        if fitted(raster, size)? == (raster.width, raster.height) {
            return Ok(fit_raster(raster, size, self.filter)?.rgb());
        }
        let mut premultiplied = raster.clone();
        each_pixel(&mut premultiplied, |value, alpha| {
            let product = u32::from(value) * u32::from(alpha) + 128;
            (((product >> 8) + product) >> 8) as u8
        });
        let mut fitted = fit_raster(&premultiplied, size, self.filter)?;
        each_pixel(&mut fitted, |value, alpha| match alpha {
            0 | 255 => value,
            _ => (255 * u32::from(value) / u32::from(alpha)).min(255) as u8,
        });
        Ok(fitted.rgb())
    }
}

/// Replaces every colour value by `change(value, alpha)`; alpha is the last channel.
fn each_pixel(raster: &mut Raster<'_>, change: impl Fn(u8, u8) -> u8) {
    for pixel in raster.data.to_mut().chunks_exact_mut(raster.channels) {
        if let Some((alpha, colours)) = pixel.split_last_mut() {
            for value in colours {
                *value = change(*value, *alpha);
            }
        }
    }
}

/// Decodes a PNG, JPEG, WebP, GIF (one frame) or BMP (24 bits) file, told apart by its first bytes.
///
/// # Errors
/// When the file is too large, damaged or truncated, of another format, animated, of more than 8 bits per channel, or
/// CMYK.
pub fn decode(bytes: &[u8]) -> Result<Decoded, PixelError> {
    if bytes.len() > MAX_BYTES {
        return Err(PixelError::Size(format!("file of {} bytes; the limit is {MAX_BYTES}", bytes.len())));
    }
    if bytes.is_empty() {
        return Err(PixelError::Damaged("it is empty (0 bytes); fetch the file again".into()));
    }
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
    let reader = reader.map_err(|error| PixelError::Damaged(error.to_string()))?;
    let header = match reader.format() {
        Some(ImageFormat::Png) => container::png(bytes)?,
        Some(ImageFormat::Jpeg) => container::jpeg(bytes)?,
        Some(ImageFormat::WebP) => container::webp(bytes)?,
        Some(ImageFormat::Gif) => container::gif(bytes)?,
        Some(ImageFormat::Bmp) => container::bmp(bytes)?,
        _ => return Err(PixelError::Format),
    };
    check(header.size)?;
    // The decoders are meant to return errors; a hostile file has been seen to make one panic (png 0.18.1, palettes).
    // One picture must not end a run of thousands.
    std::panic::catch_unwind(AssertUnwindSafe(|| read(reader, header)))
        .unwrap_or_else(|_| Err(PixelError::Damaged("the decoder gave up on it; save it again as PNG".into())))
}

/// Decodes what the container's header promises.
fn read(mut reader: ImageReader<Cursor<&[u8]>>, header: Header) -> Result<Decoded, PixelError> {
    let mut limits = image::Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_ALLOCATION);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(reason)?;
    if decoder.dimensions() != header.size {
        return Err(PixelError::Damaged("its headers give two sizes".into()));
    }
    let mut notes = Vec::new();
    let orientation = decoder.orientation().map_err(reason)?.to_exif();
    if orientation != 1 {
        notes.push(format!("EXIF orientation {orientation} not applied"));
    }
    if decoder.icc_profile().map_err(reason)?.is_some() {
        notes.push("ICC colour profile not applied".into());
    }
    let picture = DynamicImage::from_decoder(decoder).map_err(reason)?;
    let (with_alpha, transparent) = alpha(&picture, header)?;
    if transparent {
        notes.push("transparency dropped, the colour beneath is kept".into());
    }
    Ok(Decoded { image: picture.into_rgb8(), notes, with_alpha, filter: header.filter })
}

fn check((width, height): (u32, u32)) -> Result<(), PixelError> {
    if width == 0 || height == 0 {
        return Err(PixelError::Size(format!("{width}x{height} px: no pixels")));
    }
    let pixels = u64::from(width) * u64::from(height);
    if width > MAX_SIDE || height > MAX_SIDE || pixels > MAX_PIXELS {
        return Err(PixelError::Size(format!(
            "{width}x{height} px; the limits are {MAX_SIDE} px a side and {MAX_PIXELS} px in all; make it smaller"
        )));
    }
    Ok(())
}

/// The picture with its alpha channel, if the file's mode has one, and whether any pixel is not opaque.
fn alpha(picture: &DynamicImage, header: Header) -> Result<(Option<Raster<'static>>, bool), PixelError> {
    let (channels, data) = match picture {
        DynamicImage::ImageLuma8(_) | DynamicImage::ImageRgb8(_) => return Ok((None, false)),
        DynamicImage::ImageLumaA8(grey) => (2, grey.as_raw()),
        DynamicImage::ImageRgba8(colour) => (4, colour.as_raw()),
        _ => return Err(PixelError::Unsupported("more than 8 bits per channel; convert it to 8-bit PNG".into())),
    };
    let transparent = data.chunks_exact(channels).any(|pixel| pixel.last().is_some_and(|alpha| *alpha != 255));
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let raster = header.alpha.then(|| Raster { width, height, channels, data: data.clone().into() });
    Ok((raster, transparent))
}

fn reason(error: image::ImageError) -> PixelError {
    match error {
        image::ImageError::Unsupported(error) => PixelError::Unsupported(error.to_string()),
        image::ImageError::Limits(error) => PixelError::Size(error.to_string()),
        error => PixelError::Damaged(error.to_string()),
    }
}

/// `image` as a PNG file without any metadata.
///
/// # Errors
/// When the picture has no pixels.
pub fn encode_png(image: &RgbImage) -> Result<Vec<u8>, PixelError> {
    check(image.dimensions())?;
    let mut bytes = Vec::new();
    let encoder = PngEncoder::new_with_quality(&mut bytes, CompressionType::Default, FilterType::Adaptive);
    encoder.write_image(image, image.width(), image.height(), ExtendedColorType::Rgb8).map_err(reason)?;
    Ok(bytes)
}

/// Share of the pixels, 0 to 1, in which at least one channel differs; none when the sizes differ or are zero.
#[must_use]
pub fn changed_share(a: &RgbImage, b: &RgbImage) -> Option<f32> {
    let pixels = a.pixels().len();
    if a.dimensions() != b.dimensions() || pixels == 0 {
        return None;
    }
    let changed = a.pixels().zip(b.pixels()).filter(|(a, b)| a != b).count();
    Some((changed as f64 / pixels as f64) as f32)
}
