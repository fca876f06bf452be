//! Pictures before the model: decoding with explicit limits, and the resize and crop that CLIP was published with,
//! bit for bit. Both the canvas a probe is drawn on and the model's preprocessing need the same pixels, so this stands
//! below both.

mod container;
mod decode;
mod resize;

pub use decode::{Decoded, MAX_BYTES, MAX_PIXELS, MAX_SIDE, changed_share, decode, encode_png};
pub use resize::{MODE, fit, resize};

/// Why a picture cannot be used. Exit code 3; a run quarantines the picture and lists it with this reason.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum PixelError {
    /// The first bytes belong to no format that is read.
    #[error("not a PNG, JPEG, WebP, GIF or BMP file by its first bytes; convert it to PNG")]
    Format,
    /// The format is read, but not this variant of it.
    #[error("{0}")]
    Unsupported(String),
    /// The file ends too early or contradicts itself.
    #[error("damaged file: {0}")]
    Damaged(String),
    /// Larger than the limits allow, or without pixels.
    #[error("{0}")]
    Size(String),
}
