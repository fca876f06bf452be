//! Where words go: every layout turns the box of a word into centres on the canvas and a font size that fits.

use super::typographic::{Layout, Place};

/// Side of the canvas on which the article gives its places, pixels.
const ARTICLE_CANVAS: f32 = 288.0;
/// Left edges of the article's eight text boxes; their tops are 25 px apart, the first at 25 px.
const ARTICLE_LEFT: [f32; 8] = [20.0, 70.0, 20.0, 70.0, 120.0, 170.0, 120.0, 170.0];
const ARTICLE_TOP: f32 = 25.0;
/// Paper beside and above the text of a tag, ems.
pub(super) const TAG_MARGIN: (f32, f32) = (0.55, 0.2);
/// Offset of a tag's shadow to the right and down, ems.
pub(super) const TAG_SHADOW: f32 = 0.07;
/// Free space between copies in a row of the grid, ems.
const GRID_GAP: f32 = 0.8;
/// Largest share of the canvas that a word may span; the rest is for outline and shadow.
const SPAN: f32 = 0.94;
/// Centre of a label and of a banner, as shares of the canvas, unless a place is given.
const LABEL_CENTRE: (f32, f32) = (0.5, 0.72);
const BANNER_CENTRE: (f32, f32) = (0.5, 0.8);

/// What is laid out.
pub(super) struct Request {
    pub(super) layout: Layout,
    pub(super) place: Option<Place>,
    pub(super) rows: u32,
    /// Side of the canvas, pixels.
    pub(super) canvas: u32,
    /// The font size asked for, pixels.
    pub(super) em: f32,
    /// Width and height of the word's box, ems.
    pub(super) word: (f32, f32),
    /// Clockwise, degrees.
    pub(super) rotation: f32,
}

/// Where it goes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Arrangement {
    /// Font size, pixels: what was asked for, or less where the word would not fit.
    pub(super) em: f32,
    /// Centres of the copies, pixels, in drawing order.
    pub(super) centres: Vec<(f32, f32)>,
    /// Whether the word had to be drawn smaller than asked.
    pub(super) shrunk: bool,
}

impl Request {
    /// Lays the word out.
    pub(super) fn arrange(&self) -> Arrangement {
        let side = self.canvas as f32;
        let unit = side / ARTICLE_CANVAS;
        let (width, height) = self.turned_ems();
        let rows = self.rows.max(1) as f32;
        let (room_x, room_y) = match self.layout {
            // The last column starts at 170 of 288: what is to the right of it is all there is.
            Layout::Eight => (side - ARTICLE_LEFT[7] * unit - side * (1.0 - SPAN) / 2.0, side * SPAN),
            Layout::Label | Layout::Banner => (side * SPAN, side * SPAN),
            Layout::Grid => (side * SPAN, side * SPAN / rows),
        };
        let em = self.em.min(room_x / width).min(room_y / height);
        let (width, height) = (width * em, height * em);
        let centres = match self.layout {
            Layout::Eight => {
                let corner = |k: usize| (ARTICLE_LEFT[k] * unit, ARTICLE_TOP * (k + 1) as f32 * unit);
                let (box_width, box_height) = (self.word.0 * em, self.word.1 * em);
                (0..8).map(|k| (corner(k).0 + box_width / 2.0, corner(k).1 + box_height / 2.0)).collect()
            }
            Layout::Label => vec![self.centre(LABEL_CENTRE)],
            Layout::Banner => vec![self.centre(BANNER_CENTRE)],
            Layout::Grid => {
                let columns = ((side * SPAN + GRID_GAP * em) / (width + GRID_GAP * em)).floor().max(1.0);
                let middle = |k: u32, count: f32| side * (k as f32 + 0.5) / count;
                let cells = (0..self.rows.max(1)).flat_map(|row| (0..columns as u32).map(move |column| (column, row)));
                cells.map(|(column, row)| (middle(column, columns), middle(row, rows))).collect()
            }
        };
        let inside = |centre: f32, extent: f32| centre.max(extent / 2.0).min(side - extent / 2.0);
        let centres: Vec<(f32, f32)> = centres;
        let centres = centres.into_iter().map(|(x, y)| (inside(x, width), inside(y, height))).collect();
        Arrangement { em, centres, shrunk: em < self.em }
    }

    /// Width and height in ems of the smallest upright box around the turned word, with its paper where it has some.
    fn turned_ems(&self) -> (f32, f32) {
        let (mut width, mut height) = self.word;
        if self.layout == Layout::Label {
            width += 2.0 * (TAG_MARGIN.0 + TAG_SHADOW);
            height += 2.0 * (TAG_MARGIN.1 + TAG_SHADOW);
        }
        let (sin, cos) = self.rotation.to_radians().sin_cos();
        let (sin, cos) = (sin.abs(), cos.abs());
        (width * cos + height * sin, width * sin + height * cos)
    }

    fn centre(&self, own: (f32, f32)) -> (f32, f32) {
        let side = self.canvas as f32;
        let (x, y) = self.place.map_or(own, Place::centre);
        (x * side, y * side)
    }
}

impl Place {
    /// The centre as shares of the canvas' width and height.
    fn centre(self) -> (f32, f32) {
        const THIRDS: [f32; 3] = [1.0 / 6.0, 0.5, 5.0 / 6.0];
        let (column, row) = match self {
            Self::TopLeft => (0, 0),
            Self::Top => (1, 0),
            Self::TopRight => (2, 0),
            Self::Left => (0, 1),
            Self::Centre => (1, 1),
            Self::Right => (2, 1),
            Self::BottomLeft => (0, 2),
            Self::Bottom => (1, 2),
            Self::BottomRight => (2, 2),
        };
        (THIRDS[column], THIRDS[row])
    }
}
