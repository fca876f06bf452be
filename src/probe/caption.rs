//! Captions: text for people to read beside the probes. A probe refuses a text it cannot draw; a caption must show any, so
//! what the fonts lack, and what would hide, join or reorder the letters around it, stands as `⟨U+202E⟩`.

use image::RgbImage;
use unicode_normalization::UnicodeNormalization;

use super::FONTS;
use super::canvas::Area;
use super::glyphs::{Face, unsettable};

/// Characters of a text that are looked at; no line has room for more.
const LIMIT: usize = 400;
/// What stands for a part that was left out.
const ELLIPSIS: &str = "…";

/// How a line is set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Type {
    /// Height of the em, pixels.
    pub em: f32,
    /// Bold letters.
    pub bold: bool,
    /// 8-bit RGB.
    pub colour: [u8; 3],
}

/// The letters of captions: the bundled sans-serif fonts.
pub struct Lettering {
    regular: Face<'static>,
    bold: Face<'static>,
}

impl Lettering {
    /// The bundled fonts; `None` when the program was built with fonts that cannot be drawn.
    pub fn new() -> Option<Self> {
        let face = |name: &str| {
            let bytes = FONTS.iter().find(|(font, _)| *font == name).map(|(_, bytes)| *bytes)?;
            Face::parse(bytes)
        };
        Some(Self { regular: face("dejavu-sans")?, bold: face("dejavu-sans-bold")? })
    }

    fn face(&self, style: Type) -> &Face<'static> {
        if style.bold { &self.bold } else { &self.regular }
    }

    /// Height of a line, pixels.
    pub fn height(&self, style: Type) -> f32 {
        self.face(style).line_ems() * style.em
    }

    /// Width of a text that `wrap` made, pixels.
    pub fn width(&self, text: &str, style: Type) -> f32 {
        if text.is_empty() { 0.0 } else { self.face(style).width_ems(text) * style.em }
    }

    /// Any text as at most `most` lines of at most `width` pixels, broken at spaces where there are some, the last one ending
    /// in `…` when not everything fits. Every line can be drawn.
    pub fn wrap(&self, text: &str, style: Type, width: f32, most: usize) -> Vec<String> {
        let pieces = self.pieces(text, style);
        let fits = |line: &str| self.width(line, style) <= width;
        let mut lines = Vec::new();
        let mut rest = pieces.as_slice();
        while !rest.is_empty() && lines.len() < most {
            let mut line = String::new();
            let mut taken = 0;
            while let Some(piece) = rest.get(taken) {
                if taken > 0 && !fits(&format!("{line}{piece}")) {
                    break;
                }
                line.push_str(piece);
                taken += 1;
            }
            if taken < rest.len() {
                if lines.len() + 1 == most {
                    while taken > 0 && !fits(&format!("{}{ELLIPSIS}", line.trim_end())) {
                        taken -= 1;
                        line = rest.iter().take(taken).map(String::as_str).collect();
                    }
                    lines.push(line.trim_end().to_owned() + ELLIPSIS);
                    break;
                }
                // A space that the next line would begin with is a good place, too.
                let space = rest.iter().take(taken + 1).rposition(|piece| piece == " ").filter(|place| *place > 0);
                if let Some(space) = space {
                    taken = space + 1;
                    line = rest.iter().take(space).map(String::as_str).collect();
                }
            }
            lines.push(line.trim_end().to_owned());
            rest = rest.get(taken..).unwrap_or_default();
        }
        lines
    }

    /// Any text as one line of at most `width` pixels.
    pub fn fit(&self, text: &str, style: Type, width: f32) -> String {
        self.wrap(text, style, width, 1).concat()
    }

    /// Writes a line that `wrap` made with its top left corner at `x`, `y`; what lies outside the picture is cut.
    pub fn write(&self, image: &mut RgbImage, text: &str, style: Type, (x, y): (f32, f32)) {
        let face = self.face(style);
        // Whole pixels outside the mask, the fraction inside; one pixel around for what leans over its box.
        let (left, top) = (x.floor() - 1.0, y.floor() - 1.0);
        let size = ((self.width(text, style) + 4.0).ceil() as u32, (self.height(style) + 4.0).ceil() as u32);
        let mask = face.line(text, style.em, 1.0, (x - left, y - top)).mask(Area::of(size));
        for (column, row, coverage) in mask.enumerate_pixels() {
            let place = |first: f32, step: u32| u32::try_from(first as i64 + i64::from(step)).ok();
            let (Some(x), Some(y)) = (place(left, column), place(top, row)) else { continue };
            let Some(pixel) = image.get_pixel_mut_checked(x, y) else { continue };
            let alpha = u32::from(coverage.0[0]);
            for (value, ink) in pixel.0.iter_mut().zip(style.colour) {
                let blended = u32::from(*value) * (255 - alpha) + u32::from(ink) * alpha;
                *value = ((blended + 127) / 255) as u8;
            }
        }
    }

    /// The text piece by piece, one a character: the character, or what is written for it.
    fn pieces(&self, text: &str, style: Type) -> Vec<String> {
        let face = self.face(style);
        let show = |letter: char| match letter {
            // Whatever separates words becomes a plain space.
            '\t' | '\n' | '\r' => " ".to_owned(),
            _ if letter == ' ' || (unsettable(letter).is_none() && face.draws(letter)) => letter.to_string(),
            _ => format!("⟨U+{:04X}⟩", u32::from(letter)),
        };
        let mut letters = text.nfc();
        let mut pieces: Vec<String> = letters.by_ref().take(LIMIT).map(show).collect();
        if letters.next().is_some() {
            pieces.push(ELLIPSIS.to_owned());
        }
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STYLE: Type = Type { em: 12.0, bold: false, colour: [0; 3] };

    fn lettering() -> Lettering {
        Lettering::new().unwrap_or_else(|| panic!("the bundled fonts cannot be drawn"))
    }

    #[test]
    fn what_cannot_be_set_is_spelled_out() {
        let shown = |text: &str| lettering().fit(text, STYLE, 10_000.0);
        assert_eq!(shown("dog $$$ Ελ ё"), "dog $$$ Ελ ё");
        assert_eq!(shown("a\u{202e}b\u{1b}[31m\0c\u{200d}"), "a⟨U+202E⟩b⟨U+001B⟩[31m⟨U+0000⟩c⟨U+200D⟩");
        assert_eq!(shown("漢 שלום"), "⟨U+6F22⟩ ⟨U+05E9⟩⟨U+05DC⟩⟨U+05D5⟩⟨U+05DD⟩");
        assert_eq!(shown("cafe\u{301} q\u{301}"), "café q⟨U+0301⟩");
        assert_eq!(shown("one\ntwo\tthree"), "one two three");
    }

    #[test]
    fn lines_keep_their_width_and_say_when_something_is_left_out() {
        let lettering = lettering();
        for text in ["x".repeat(10_000), "long words ".repeat(1_000), "\u{202e}".repeat(10_000), "漢".repeat(300)] {
            for (width, most) in [(160.0, 1), (160.0, 3), (500.0, 2)] {
                let lines = lettering.wrap(&text, STYLE, width, most);
                assert_eq!(lines.len(), most);
                assert!(lines.iter().all(|line| lettering.width(line, STYLE) <= width), "{lines:?}");
                assert!(lines.last().is_some_and(|line| line.ends_with('…')), "{lines:?}");
            }
        }
        assert_eq!(lettering.wrap("a picture of a dog", STYLE, 80.0, 9), ["a picture of a", "dog"]);
        assert!(lettering.wrap("", STYLE, 80.0, 9).is_empty());
    }

    #[test]
    fn letters_darken_only_where_they_stand() {
        let mut image = RgbImage::from_pixel(60, 30, image::Rgb([255; 3]));
        lettering().write(&mut image, "dog", STYLE, (20.0, 5.0));
        let dark: Vec<(u32, u32)> =
            image.enumerate_pixels().filter(|(_, _, pixel)| pixel.0[0] < 128).map(|(x, y, _)| (x, y)).collect();
        assert!(dark.len() > 20 && dark.iter().all(|(x, y)| (20..45).contains(x) && (5..20).contains(y)), "{dark:?}");
        // Outside the picture there is nothing to write on.
        lettering().write(&mut image, "dog", STYLE, (-500.0, 900.0));
    }
}
