//! What is painted on one picture, as the recipe keeps it, and its drawing.

use std::borrow::Cow;
use std::sync::Arc;

use image::RgbImage;
use serde::{Deserialize, Serialize};

use super::{Layout, Place, Typographic};
use crate::pixels::changed_share;
use crate::probe::canvas::{Area, Ink, OVERSAMPLING, Stamp, grown, rectangle};
use crate::probe::colour::{Colour, Outline};
use crate::probe::fonts::font_bytes;
use crate::probe::glyphs::Face;
use crate::probe::layout::{Arrangement, Request, TAG_MARGIN, TAG_SHADOW};
use crate::probe::{Files, ProbeError};
use crate::types::Rendered;

/// Width of the outline in ems: 1.2 px on letters of 20 px.
const OUTLINE_EMS: f32 = 0.06;
/// Room around the box of a word for what leaves it: outline, swashes, paper and shadow; ems.
const ROOM_EMS: f32 = 0.85;
/// A paper tag: its colours, the width of its border in ems, the opacity of its shadow.
const PAPER: [u8; 3] = [250, 246, 232];
const BORDER: [u8; 3] = [150, 140, 118];
const BORDER_EMS: f32 = 0.05;
const SHADOW_STRENGTH: f32 = 0.3;
/// Ink on paper.
const DARK_INK: [u8; 3] = [28, 28, 40];

/// What is written on which picture: the first part of a recipe's parameters, shared by all styles it is drawn in. The order
/// of the fields is the order of the canonical JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Written<'a> {
    /// Id of the clean twin.
    pub(super) base: Cow<'a, str>,
    /// Side of the canvas, pixels.
    pub(super) canvas: u32,
    /// What is written.
    pub(super) text: Cow<'a, str>,
    /// On a control twin the attack word, whose layout and width it takes over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) as_wide_as: Option<Cow<'a, str>>,
}

/// The parameters of a recipe.
pub(super) struct Paint<'a> {
    written: Written<'a>,
    style: Style,
}

/// How it is written.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Style {
    layout: Layout,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    place: Option<Place>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rows: Option<u32>,
    /// Font size as a share of the canvas.
    size: f64,
    opacity: f64,
    rotation: f64,
    colour: Colour,
    outline: Outline,
    /// As `Recipe::files` names it.
    pub(super) font: Arc<str>,
}

// Serialising strings and finite numbers to a string cannot fail.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

impl Written<'_> {
    /// The JSON up to the style.
    pub(super) fn to_json(&self) -> Arc<str> {
        let whole = json(self);
        format!("{},\"style\":", whole.strip_suffix('}').unwrap_or(&whole)).into()
    }
}

impl Style {
    /// The JSON from the style on.
    pub(super) fn to_json(&self) -> Arc<str> {
        format!("{}}}", json(self)).into()
    }

    pub(super) fn new(
        spec: &Typographic,
        layout: Layout,
        place: Option<Place>,
        [size, opacity, rotation]: [f64; 3],
        font: &str,
    ) -> Self {
        let (colour, outline) = match layout {
            Layout::Label => (Colour(DARK_INK), Outline(None)),
            Layout::Eight | Layout::Banner | Layout::Grid => (Colour([255; 3]), Outline(Some(Colour([0; 3])))),
        };
        Self {
            layout,
            place,
            rows: (layout == Layout::Grid).then_some(spec.rows),
            size,
            opacity,
            rotation: rotation + 0.0,
            colour: spec.colour.unwrap_or(colour),
            outline: spec.outline.unwrap_or(outline),
            font: font.into(),
        }
    }

    fn arrange(&self, text: &str, face: &Face<'_>, canvas: u32) -> Arrangement {
        let request = Request {
            layout: self.layout,
            place: self.place,
            rows: self.rows.unwrap_or(1),
            canvas,
            em: self.em(canvas),
            word: (face.width_ems(text), face.line_ems()),
            rotation: self.rotation as f32,
        };
        request.arrange()
    }

    /// The font size asked for, pixels.
    fn em(&self, canvas: u32) -> f32 {
        self.size as f32 * canvas as f32
    }

    /// Whether a word has to be drawn smaller than asked.
    pub(super) fn shrinks(&self, text: &str, face: &Face<'_>, canvas: u32) -> bool {
        self.arrange(text, face, canvas).shrunk
    }
}

impl<'a> Paint<'a> {
    /// Reads the parameters that `Written::to_json` and `Style::to_json` write together.
    pub(super) fn read(parameters: &'a str) -> serde_json::Result<Self> {
        #[derive(Deserialize)]
        struct Styled {
            style: Style,
        }
        let Styled { style } = serde_json::from_str(parameters)?;
        Ok(Self { written: serde_json::from_str(parameters)?, style })
    }

    /// Paints a copy of the clean twin.
    pub(super) fn draw(&self, base: &RgbImage, files: &Files) -> Result<Rendered, ProbeError> {
        let (written, style) = (&self.written, &self.style);
        if base.dimensions() != (written.canvas, written.canvas) {
            let (width, height) = base.dimensions();
            return Err(ProbeError::Picture(format!(
                "its clean twin is {width} x {height}, not {0} x {0}",
                written.canvas
            )));
        }
        let bytes = font_bytes(files, &style.font)?;
        let face = Face::parse(&bytes).ok_or_else(|| ProbeError::Picture(format!("{}: is no font", style.font)))?;
        if let Some(letter) = face.missing(&written.text) {
            return Err(ProbeError::Picture(format!("{}: has no `{letter}`", style.font)));
        }
        let shape = written.as_wide_as.as_deref().unwrap_or(&written.text);
        let arrangement = style.arrange(shape, &face, written.canvas);
        let (stamp, corner, first) = self.stamp(&face, face.width_ems(shape), arrangement.em);
        let mut image = base.clone();
        for (x, y) in &arrangement.centres {
            let left = (x - corner.0).round() as i64 + first.0;
            let top = (y - corner.1).round() as i64 + first.1;
            stamp.paint(&mut image, (left, top), style.opacity as f32);
        }
        let notes = if arrangement.shrunk {
            vec![format!(
                "`{shape}` is painted at {:.1} px, not at {:.1} px, to fit",
                arrangement.em,
                style.em(written.canvas)
            )]
        } else {
            Vec::new()
        };
        let cover = changed_share(base, &image);
        // What cannot be seen cannot mislead: such a probe would count as a picture that withstood the word.
        if cover == Some(0.0) {
            let message = format!("`{}` changes no pixel of its clean twin; make it larger or stronger", written.text);
            return Err(ProbeError::Picture(message));
        }
        Ok(Rendered { cover, image, notes })
    }

    /// The stamp of one copy, and what leads from the centre of the copy to its top left pixel: subtract the first two,
    /// round, add the whole-numbered others. Rounding comes before those, so that a word that is not turned starts at exactly
    /// the pixel its layout says.
    fn stamp(&self, face: &Face<'_>, width_ems: f32, em: f32) -> (Stamp, (f32, f32), (i64, i64)) {
        let style = &self.style;
        let fine = em * OVERSAMPLING as f32;
        let (width, height) = (width_ems * em, face.line_ems() * em);
        let room = (ROOM_EMS * em).ceil() + 2.0;
        let turned = style.rotation != 0.0;
        let (across, down) = if turned { (width.hypot(height), width.hypot(height)) } else { (width, height) };
        let cells = |extent: f32| (extent.ceil() + 2.0 * room) as u32 * OVERSAMPLING;
        let size = (cells(across), cells(down));
        let (left, top) = ((across - width) / 2.0 + room, (down - height) / 2.0 + room);
        let [left, top, width, height] = [left, top, width, height].map(|value| value * OVERSAMPLING as f32);

        let stretch = width_ems / face.width_ems(&self.written.text);
        let line = face.line(&self.written.text, fine, stretch, (left, top));
        let radius = (OUTLINE_EMS * fine).max(1.0);
        let tag = (style.layout == Layout::Label).then(|| {
            let (beside, above) = (TAG_MARGIN.0 * fine, TAG_MARGIN.1 * fine);
            [left - beside, top - above, left + width + beside, top + height + above]
        });
        let shadow = TAG_SHADOW * fine;
        // Only where there is ink, unless it is yet to be turned about the middle of the whole.
        let area = if turned {
            Area::of(size)
        } else {
            let grow = if style.outline.0.is_some() { radius.ceil() as i64 + 1 } else { 0 };
            let [l, t, r, b] = line.ink().unwrap_or_default();
            let letters = [l - grow, t - grow, r + grow, b + grow];
            let held = tag.map_or(letters, |[l, t, r, b]| {
                let paper = [l.floor(), t.floor(), (r + shadow).ceil(), (b + shadow).ceil()].map(|edge| edge as i64);
                [letters[0].min(paper[0]), letters[1].min(paper[1]), letters[2].max(paper[2]), letters[3].max(paper[3])]
            });
            Area::around(held, size)
        };
        let letters = line.mask(area);
        let mut inks = Vec::new();
        if let Some(edges) = tag {
            let [l, t, r, b] = edges;
            let border = (BORDER_EMS * fine).max(1.0);
            inks.push((rectangle(area, edges.map(|edge| edge + shadow)), [0; 3], SHADOW_STRENGTH));
            inks.push((rectangle(area, edges), BORDER, 1.0));
            inks.push((rectangle(area, [l + border, t + border, r - border, b - border]), PAPER, 1.0));
        }
        if let Some(outline) = style.outline.0 {
            inks.push((grown(&letters, radius), outline.0, 1.0));
        }
        inks.push((letters, style.colour.0, 1.0));
        let centre = (left + width / 2.0, top + height / 2.0);
        let inks = inks.into_iter().map(|(mask, colour, strength)| Ink { mask, colour, strength });
        let inks: Vec<Ink> = inks.map(|ink| ink.turned(centre, style.rotation as f32)).collect();
        let first = |edge: u32| i64::from(edge / OVERSAMPLING) - room as i64;
        (Stamp::of(&inks), (across / 2.0, down / 2.0), (first(area.left), first(area.top)))
    }
}
