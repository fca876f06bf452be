//! Letters as masks: the only file that names rusttype. rusttype sets one glyph after another with kerning and shapes
//! nothing, and it draws a box for a letter the font does not have. So scripts that need shaping and missing glyphs are
//! refused before anything is drawn.

use image::{GrayImage, Luma};
use rusttype::{Font, IntoGlyphId, PositionedGlyph, Scale, point};

use super::canvas::{Area, nearest};

/// Longest text painted, in characters.
pub(super) const TEXT_LIMIT: usize = 64;
/// A glyph whose box is larger than this many ems comes from a broken font.
const GLYPH_LIMIT_EMS: f32 = 6.0;

/// A font that can be measured and drawn.
pub(super) struct Face<'a> {
    font: Font<'a>,
    /// Ascent and descent in ems, both positive.
    ascent: f32,
    descent: f32,
}

impl<'a> Face<'a> {
    /// Reads a TrueType or OpenType font; `None` when it is none, or has no usable measures.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let font = Font::try_from_bytes(bytes)?;
        let units = f32::from(font.units_per_em());
        let metrics = font.v_metrics_unscaled();
        let (ascent, descent) = (metrics.ascent / units, -metrics.descent / units);
        let sane =
            ascent.is_finite() && descent.is_finite() && ascent > 0.0 && (0.5..4.0).contains(&(ascent + descent));
        sane.then_some(Self { font, ascent, descent })
    }

    /// Height of a line in ems: ascent and descent.
    pub(super) fn line_ems(&self) -> f32 {
        self.ascent + self.descent
    }

    /// rusttype's scale is the height of a line in pixels, ours is the em.
    fn scale(&self, em: f32, stretch: f32) -> Scale {
        let height = em * self.line_ems();
        Scale { x: height * stretch, y: height }
    }

    /// The first character that the font cannot draw.
    pub(super) fn missing(&self, text: &str) -> Option<char> {
        text.chars().find(|&letter| !self.draws(letter))
    }

    /// Whether the font has ink for a character. A space has none and needs none.
    pub(super) fn draws(&self, letter: char) -> bool {
        if letter == ' ' {
            return true;
        }
        let id = letter.into_glyph_id(&self.font);
        if id.0 == 0 || usize::from(id.0) >= self.font.glyph_count() {
            return false;
        }
        let em = 64.0;
        let limit = GLYPH_LIMIT_EMS * em;
        let ink = self.font.glyph(id).scaled(self.scale(em, 1.0)).exact_bounding_box();
        ink.is_some_and(|ink| [ink.min.x, ink.min.y, ink.max.x, ink.max.y].iter().all(|edge| edge.abs() < limit))
    }

    /// The glyphs of a text that `missing` has passed, pen starting at (x, baseline), and where the pen ends.
    fn set(&self, text: &str, scale: Scale, x: f32, baseline: f32) -> (Vec<PositionedGlyph<'_>>, f32) {
        let mut pen = x;
        let mut last = None;
        let mut glyphs = Vec::new();
        for letter in text.chars().filter(|&letter| self.draws(letter)) {
            let glyph = self.font.glyph(letter).scaled(scale);
            if let Some(last) = last {
                pen += self.font.pair_kerning(scale, last, glyph.id());
            }
            last = Some(glyph.id());
            let advance = glyph.h_metrics().advance_width;
            glyphs.push(glyph.positioned(point(pen, baseline)));
            pen += advance;
        }
        (glyphs, pen - x)
    }

    /// Width of a text in ems, from the first pen position to the last.
    pub(super) fn width_ems(&self, text: &str) -> f32 {
        let em = 1000.0;
        self.set(text, self.scale(em, 1.0), 0.0, 0.0).1.max(1.0) / em
    }

    /// A text set with the top left corner of its box at (x, y): the pen starts at x and the ascender line is y, the way PIL
    /// places text. `em` in pixels; `stretch` widens the letters.
    pub(super) fn line(&self, text: &str, em: f32, stretch: f32, (x, y): (f32, f32)) -> Line<'_> {
        Line { glyphs: self.set(text, self.scale(em, stretch), x, y + self.ascent * em).0 }
    }

    /// Share of the line's box that the text inks, times the box's width in ems: an amount of ink that can be compared.
    pub(super) fn ink_ems(&self, text: &str) -> f32 {
        let em = 24.0;
        let size = ((self.width_ems(text) * em).ceil() as u32 + 2, (self.line_ems() * em).ceil() as u32 + 2);
        let mask = self.line(text, em, 1.0, (1.0, 1.0)).mask(Area::of(size));
        let total: u64 = mask.pixels().map(|pixel| u64::from(pixel.0[0])).sum();
        total as f32 / (255.0 * em * em)
    }
}

/// The glyphs of a text at their places.
pub(super) struct Line<'a> {
    glyphs: Vec<PositionedGlyph<'a>>,
}

impl Line<'_> {
    /// The pixels that hold all of its ink: left, top, right, bottom; none where there is no ink.
    pub(super) fn ink(&self) -> Option<[i64; 4]> {
        let boxes = self.glyphs.iter().filter_map(PositionedGlyph::pixel_bounding_box);
        let edges = boxes.map(|ink| [ink.min.x, ink.min.y, ink.max.x, ink.max.y].map(i64::from));
        edges.reduce(|a, b| [a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])])
    }

    /// Coverage of the text within an area.
    pub(super) fn mask(&self, area: Area) -> GrayImage {
        let mut mask = GrayImage::new(area.width, area.height);
        for glyph in &self.glyphs {
            let Some(ink) = glyph.pixel_bounding_box() else { continue };
            let (left, top) = (i64::from(ink.min.x) - i64::from(area.left), i64::from(ink.min.y) - i64::from(area.top));
            glyph.draw(|dx, dy, coverage| {
                if coverage <= 0.0 {
                    return;
                }
                let (Ok(x), Ok(y)) = (u32::try_from(left + i64::from(dx)), u32::try_from(top + i64::from(dy))) else {
                    return;
                };
                if let Some(Luma([value])) = mask.get_pixel_mut_checked(x, y) {
                    *value = value.saturating_add(nearest(coverage.min(1.0) * 255.0));
                }
            });
        }
        mask
    }
}

/// Why a text cannot be painted whatever the font, as a fragment with the remedy.
pub(super) fn refuse(text: &str) -> Option<String> {
    let count = text.chars().count();
    if text.trim().is_empty() {
        return Some("is empty: give it at least one letter".to_owned());
    }
    if count > TEXT_LIMIT {
        return Some(format!("is {count} characters long; at most {TEXT_LIMIT} can be painted"));
    }
    if text.starts_with(' ') || text.ends_with(' ') || text.contains("  ") {
        return Some("has spaces that would not be seen: remove them".to_owned());
    }
    text.chars().find_map(|letter| {
        let reason = unsettable(letter)?;
        Some(format!("holds U+{:04X}, {reason}", u32::from(letter)))
    })
}

/// Characters that one glyph after another cannot set right.
pub(super) fn unsettable(letter: char) -> Option<&'static str> {
    let script = "of a script whose letters join or reorder, which is not supported: use another script";
    Some(match u32::from(letter) {
        0..=0x1F | 0x7F..=0x9F | 0x2028 | 0x2029 => "a control character: remove it",
        0xA0 | 0x1680 | 0x2000..=0x200A | 0x202F | 0x205F | 0x3000 => "a space that is not U+0020: use a plain one",
        0xAD | 0x061C | 0x180E | 0x200B..=0x200F | 0x202A..=0x202E | 0x2060..=0x206F | 0xFEFF | 0xE0000..=0xE0FFF => {
            "an invisible or direction-changing character: remove it"
        }
        0x0300..=0x036F | 0x0483..=0x0489 | 0x1AB0..=0x1AFF | 0x1DC0..=0x1DFF | 0x20D0..=0x20FF | 0xFE20..=0xFE2F => {
            "a mark that has no letter of its own with what precedes it: use a letter that exists as one character"
        }
        0xFE00..=0xFE0F | 0x1F3FB..=0x1F3FF => "which changes the character before it: remove it",
        // Hebrew to Myanmar, without Georgian, which follows.
        0x0590..=0x109F | 0x1100..=0x11FF | 0x1700..=0x1CFF | 0xA800..=0xABFF => script,
        0xFB1D..=0xFDFF | 0xFE70..=0xFEFE | 0x10800..=0x11FFF | 0x1E800..=0x1EFFF => script,
        _ => return None,
    })
}
