//! What a picture file says of itself, read strictly before a pixel is decoded.
//!
//! The decoders below are lenient where an audit must not be: half a JPEG decodes to a picture with a grey half, only
//! the first frame of an animation is seen, a palette is gone after decoding although Pillow resizes palettes in another
//! way. So every file is walked once, chunk by chunk, to its end marker.

use super::PixelError;
use super::resize::Filter;

/// What decides how the pixels must be treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Pixels, (width, height).
    pub(super) size: (u32, u32),
    /// How Pillow resizes this mode.
    pub(super) filter: Filter,
    /// Whether Pillow gives the picture an alpha channel. Transparency by palette or by one colour is none.
    pub(super) alpha: bool,
}

type Walk = Result<Header, PixelError>;

fn damaged(what: &str) -> PixelError {
    PixelError::Damaged(what.into())
}

fn unsupported(what: impl Into<String>) -> PixelError {
    PixelError::Unsupported(what.into())
}

fn truncated() -> PixelError {
    damaged("truncated before its end marker; fetch the file again")
}

fn deep() -> PixelError {
    unsupported("more than 8 bits per channel; convert it to 8-bit PNG, so that you choose how it is scaled")
}

fn animated(frames: impl std::fmt::Display) -> PixelError {
    unsupported(format!("animated ({frames} frames); save the frame that is meant as PNG"))
}

/// Reads on through bytes that end.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], PixelError> {
        let (head, tail) = self.0.split_at_checked(length).ok_or_else(truncated)?;
        self.0 = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PixelError> {
        let (head, tail) = self.0.split_first_chunk().ok_or_else(truncated)?;
        self.0 = tail;
        Ok(*head)
    }

    fn byte(&mut self) -> Result<u8, PixelError> {
        Ok(u8::from_be_bytes(self.array()?))
    }
}

/// PNG: every chunk with its checksum, up to IEND.
pub(super) fn png(bytes: &[u8]) -> Walk {
    let mut rest = Cursor(bytes);
    rest.take(8)?;
    let mut header = None;
    loop {
        let length = u32::from_be_bytes(rest.array()?) as usize;
        let (kind, data) = rest.take(length.checked_add(4).ok_or_else(truncated)?)?.split_at(4);
        let mut sum = flate2::Crc::new();
        sum.update(kind);
        sum.update(data);
        if u32::from_be_bytes(rest.array()?) != sum.sum() {
            return Err(PixelError::Damaged(format!("checksum of chunk {} is wrong", kind.escape_ascii())));
        }
        match (kind, header) {
            (b"IHDR", None) => header = Some(png_header(data)?),
            (_, None) => return Err(damaged("the first chunk is not IHDR")),
            (b"acTL", _) => {
                let frames = u32::from_be_bytes(Cursor(data).array()?);
                if frames > 1 {
                    return Err(animated(frames));
                }
            }
            (b"PLTE", _) if data.is_empty() || data.len() % 3 != 0 || data.len() > 3 * 256 => {
                return Err(damaged("a palette of an impossible length"));
            }
            (b"IEND", Some(header)) => return Ok(header),
            _ => {}
        }
    }
}

fn png_header(data: &[u8]) -> Walk {
    let mut data = Cursor(data);
    let size = (u32::from_be_bytes(data.array()?), u32::from_be_bytes(data.array()?));
    let [depth, colour] = data.array()?;
    if depth > 8 {
        return Err(deep());
    }
    let filter = if colour == 3 || depth == 1 { Filter::Nearest } else { Filter::Bicubic };
    Ok(Header { size, filter, alpha: colour & 4 != 0 })
}

/// JPEG: every marker segment up to the end-of-image marker, entropy-coded data included. Entropy-coded data has no
/// checksum: a file that was cut short and closed again with an end marker passes here, as it does in Pillow.
pub(super) fn jpeg(bytes: &[u8]) -> Walk {
    let mut rest = Cursor(bytes);
    rest.take(2)?;
    let mut header = None;
    let mut scanned = false;
    loop {
        let [mark, mut code] = rest.array()?;
        if mark != 0xff {
            return Err(damaged("a marker was expected between two segments"));
        }
        while code == 0xff {
            code = rest.byte()?;
        }
        match code {
            0xd9 => return header.filter(|_| scanned).ok_or_else(|| damaged("no picture before the end marker")),
            0x01 | 0xd0..=0xd7 => continue,
            _ => {}
        }
        let length = usize::from(u16::from_be_bytes(rest.array()?));
        let segment = rest.take(length.checked_sub(2).ok_or_else(|| damaged("a segment without length"))?)?;
        match code {
            0xc0..=0xc2 => header = Some(jpeg_header(segment)?),
            0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                return Err(unsupported("lossless or arithmetic-coded JPEG; convert it to PNG"));
            }
            0xda => {
                scanned = true;
                // Entropy-coded data ends at the next marker: 0xff followed by neither a stuffed zero, a fill byte nor
                // a restart marker.
                let end = rest
                    .0
                    .windows(2)
                    .position(|pair| pair[0] == 0xff && !matches!(pair[1], 0x00 | 0xd0..=0xd7 | 0xff))
                    .ok_or_else(truncated)?;
                rest.take(end)?;
            }
            _ => {}
        }
    }
}

fn jpeg_header(segment: &[u8]) -> Walk {
    let mut data = Cursor(segment);
    let depth = data.byte()?;
    let (height, width) = (u16::from_be_bytes(data.array()?), u16::from_be_bytes(data.array()?));
    match (depth, data.byte()?) {
        (8, 1 | 3) => Ok(Header { size: (width.into(), height.into()), filter: Filter::Bicubic, alpha: false }),
        (8, 4) => Err(unsupported("CMYK JPEG; convert it to RGB, so that you choose the colours")),
        (8, channels) => Err(unsupported(format!("JPEG of {channels} channels; convert it to RGB"))),
        _ => Err(deep()),
    }
}

/// WebP: the RIFF chunks up to the declared length.
pub(super) fn webp(bytes: &[u8]) -> Walk {
    let mut rest = Cursor(bytes);
    rest.take(4)?;
    let length = u32::from_le_bytes(rest.array()?) as usize;
    let mut rest = Cursor(rest.take(length)?);
    rest.take(4)?;
    let mut header = None;
    while !rest.0.is_empty() {
        let kind = rest.take(4)?;
        let length = u32::from_le_bytes(rest.array()?) as usize;
        let data = rest.take(length)?;
        if length % 2 == 1 && !rest.0.is_empty() {
            rest.byte()?;
        }
        let size = match kind {
            b"VP8X" => {
                let mut data = Cursor(data);
                let [flags, _, _, _] = data.array()?;
                if flags & 0x02 != 0 {
                    return Err(animated("several"));
                }
                let mut side = || -> Result<u32, PixelError> {
                    let [low, middle, high] = data.array()?;
                    Ok(u32::from_le_bytes([low, middle, high, 0]) + 1)
                };
                Some(((side()?, side()?), flags & 0x10 != 0))
            }
            b"VP8L" => {
                let mut data = Cursor(data);
                data.byte()?;
                let bits = u32::from_le_bytes(data.array()?);
                Some((((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1), bits >> 28 & 1 == 1))
            }
            b"VP8 " => {
                let mut data = Cursor(data);
                data.take(6)?;
                let (width, height) = (u16::from_le_bytes(data.array()?), u16::from_le_bytes(data.array()?));
                Some(((u32::from(width & 0x3fff), u32::from(height & 0x3fff)), false))
            }
            _ => None,
        };
        if let (None, Some((size, alpha))) = (header, size) {
            header = Some(Header { size, filter: Filter::Bicubic, alpha });
        }
    }
    header.ok_or_else(|| damaged("no picture in the file"))
}

/// GIF of one frame that covers its screen: every block up to the trailer.
pub(super) fn gif(bytes: &[u8]) -> Walk {
    let mut rest = Cursor(bytes);
    rest.take(6)?;
    let size = (u16::from_le_bytes(rest.array()?), u16::from_le_bytes(rest.array()?));
    let [flags, _, _] = rest.array()?;
    let mut palette = gif_palette(&mut rest, flags)?;
    let mut frames = 0;
    loop {
        match rest.byte()? {
            0x3b => break,
            0x21 => {
                rest.byte()?;
            }
            0x2c => {
                frames += 1;
                let mut place = || -> Result<u16, PixelError> { Ok(u16::from_le_bytes(rest.array()?)) };
                let (left, top, width, height) = (place()?, place()?, place()?, place()?);
                if (left, top) != (0, 0) || (width, height) != size {
                    return Err(unsupported("GIF whose frame does not cover its screen; convert it to PNG"));
                }
                let flags = rest.byte()?;
                palette = gif_palette(&mut rest, flags)?.or(palette);
                rest.byte()?;
            }
            _ => return Err(damaged("a block of unknown kind")),
        }
        // Sub-blocks of an extension or of the picture's data, up to an empty one.
        loop {
            let length = rest.byte()?;
            if length == 0 {
                break;
            }
            rest.take(length.into())?;
        }
    }
    match frames {
        0 => Err(damaged("no picture in the file")),
        1 => {
            // Pillow opens a palette that is the ramp 0, 1, 2 ... of greys, or none, as a grey picture.
            let coloured = palette.is_some_and(|palette| {
                palette
                    .chunks_exact(3)
                    .enumerate()
                    .any(|(grey, rgb)| rgb.iter().any(|value| usize::from(*value) != grey))
            });
            let filter = if coloured { Filter::Nearest } else { Filter::Bicubic };
            Ok(Header { size: (size.0.into(), size.1.into()), filter, alpha: false })
        }
        frames => Err(animated(frames)),
    }
}

fn gif_palette<'a>(rest: &mut Cursor<'a>, flags: u8) -> Result<Option<&'a [u8]>, PixelError> {
    if flags & 0x80 == 0 { Ok(None) } else { rest.take(3 << ((flags & 7) + 1)).map(Some) }
}

/// BMP of 24 bits without compression: the header and the length of the rows.
pub(super) fn bmp(bytes: &[u8]) -> Walk {
    let mut rest = Cursor(bytes);
    rest.take(10)?;
    let start = u32::from_le_bytes(rest.array()?) as usize;
    let length = u32::from_le_bytes(rest.array()?);
    if length < 40 {
        return Err(unsupported("BMP of the oldest kind; convert it to PNG"));
    }
    let (width, height) = (i32::from_le_bytes(rest.array()?), i32::from_le_bytes(rest.array()?));
    rest.take(2)?;
    let (depth, compression) = (u16::from_le_bytes(rest.array()?), u32::from_le_bytes(rest.array()?));
    if depth != 24 || compression != 0 {
        return Err(unsupported("BMP that is not of plain 24 bits; convert it to PNG"));
    }
    let (width, height) = (width.unsigned_abs(), height.unsigned_abs());
    let row = (u64::from(width) * 3).div_ceil(4) * 4;
    if (bytes.len() as u64) < start as u64 + row * u64::from(height) {
        return Err(truncated());
    }
    Ok(Header { size: (width, height), filter: Filter::Bicubic, alpha: false })
}
