//! The fonts that ship with the program, and how a recipe names what its pixels depend on.

use std::borrow::Cow;

use super::{FileError, Files};

/// Every bundled font: its name in a suite and its file. The licences stand beside the files.
pub const FONTS: &[(&str, &[u8])] = &[
    ("dejavu-sans", include_bytes!("fonts/dejavu-sans.ttf")),
    ("dejavu-sans-bold", include_bytes!("fonts/dejavu-sans-bold.ttf")),
    ("patrick-hand", include_bytes!("fonts/patrick-hand.ttf")),
];

/// In `Recipe::files` a bundled font is written `font:NAME`; a colon cannot start a path of a suite's folder by chance.
const PREFIX: &str = "font:";
/// The largest font file read; the largest fonts with all of Unicode's ideographs stay below.
const FONT_LIMIT_BYTES: u64 = 32 << 20;
/// The largest picture file read.
pub(super) const PICTURE_LIMIT_BYTES: u64 = 64 << 20;

/// The name a recipe gives the font `font` of a suite: `font:NAME` for a bundled one, else its path.
pub(super) fn source_name(font: &str) -> String {
    if FONTS.iter().any(|(name, _)| *name == font) { format!("{PREFIX}{font}") } else { font.to_owned() }
}

/// The bytes behind an entry of `Recipe::files`: a bundled font or a file of the suite. What a probe depends on is
/// hashed through this, so fonts and pictures are treated alike.
///
/// # Errors
/// When there is no such font, or the file cannot be read.
pub fn source_bytes(files: &Files, name: &str) -> Result<Cow<'static, [u8]>, FileError> {
    match name.strip_prefix(PREFIX) {
        Some(font) => bundled(font).map(Cow::Borrowed).ok_or_else(|| FileError::Missing { path: name.to_owned() }),
        None => files.read(name, PICTURE_LIMIT_BYTES),
    }
}

/// The bytes of a font as a recipe names it.
pub(super) fn font_bytes(files: &Files, name: &str) -> Result<Cow<'static, [u8]>, FileError> {
    match name.strip_prefix(PREFIX) {
        Some(_) => source_bytes(files, name),
        None => files.read(name, FONT_LIMIT_BYTES),
    }
}

fn bundled(font: &str) -> Option<&'static [u8]> {
    FONTS.iter().find(|(name, _)| *name == font).map(|(_, bytes)| *bytes)
}
