//! Drawing of contact sheets: bands as wide as the sheet (title, heading of a set, row of cards, footer), one below the other.

use image::{Rgb, RgbImage};
use imageproc::drawing::{draw_filled_rect_mut, draw_hollow_rect_mut, draw_line_segment_mut};
use imageproc::rect::Rect;

use super::{Card, Cell, Picture, Section, Sheet};
use crate::pixels;
use crate::probe::{Lettering, Type};

/// Side of a picture on the sheet, pixels.
pub const CELL: u32 = 160;
/// The narrowest sheet: a card of two cells.
pub const MIN_WIDTH: u32 = 2 * MARGIN + 2 * UNIT + GAP;
/// The widest sheet, pixels.
pub const MAX_WIDTH: u32 = 4096;
/// The highest sheet, pixels.
pub const MAX_HEIGHT: u32 = 32_768;

/// Around the sheet.
const MARGIN: u32 = 24;
/// Between border and contents of a card.
const PADDING: u32 = 10;
/// Between cards.
const GAP: u32 = 16;
/// Width of a card of one cell. A card of n cells is as wide as n of these with the gaps between them.
const UNIT: u32 = CELL + 2 * PADDING;
/// Facts shown of a cell, lines.
const FACT_LINES: usize = 5;

const PAGE: [u8; 3] = [243, 244, 247];
const PAPER: [u8; 3] = [255, 255, 255];
const EDGE: [u8; 3] = [214, 218, 225];
const RULE: [u8; 3] = [196, 202, 212];
const TEXT: [u8; 3] = [24, 28, 36];
const SOFT: [u8; 3] = [92, 101, 116];
const ACCENT: [u8; 3] = [27, 84, 160];
const AMBER: [u8; 3] = [138, 84, 0];
const RED: [u8; 3] = [168, 30, 30];
const RED_PAPER: [u8; 3] = [253, 238, 236];
const RED_HATCH: [u8; 3] = [246, 216, 212];
const GREY_PAPER: [u8; 3] = [232, 235, 240];

const TITLE: Type = Type { em: 26.0, bold: true, colour: TEXT };
const ABOUT: Type = Type { em: 14.0, bold: false, colour: TEXT };
const NOTE: Type = Type { em: 13.0, bold: false, colour: SOFT };
const SET: Type = Type { em: 18.0, bold: true, colour: TEXT };
const NAME: Type = Type { em: 12.0, bold: true, colour: ACCENT };
const FACT: Type = Type { em: 12.0, bold: false, colour: SOFT };
const VALUE: Type = Type { em: 12.0, bold: false, colour: TEXT };
const ID: Type = Type { em: 11.0, bold: false, colour: SOFT };
const REMARK: Type = Type { em: 11.0, bold: false, colour: AMBER };
const REFUSED: Type = Type { em: 12.0, bold: true, colour: RED };
const REASON: Type = Type { em: 11.0, bold: false, colour: RED };
const ABSENT: Type = Type { em: 11.0, bold: false, colour: SOFT };

/// Draws a sheet `width` pixels wide. `None` when it would be higher than `MAX_HEIGHT`, or when the program's fonts cannot be
/// read; a width outside the limits is brought within them.
pub fn draw(sheet: &Sheet, width: u32) -> Option<RgbImage> {
    let pen = Pen { lettering: Lettering::new()?, width: width.clamp(MIN_WIDTH, MAX_WIDTH) };
    let mut bands = vec![pen.header(sheet)];
    let mut height = bands.iter().map(RgbImage::height).sum::<u32>();
    for section in &sheet.sections {
        bands.push(pen.heading(section));
        for row in pen.rows(&section.cards) {
            let band = pen.row(row);
            height = height.saturating_add(band.height());
            if height > MAX_HEIGHT {
                return None;
            }
            bands.push(band);
        }
    }
    bands.push(pen.footer(sheet));
    let height: u32 = bands.iter().map(RgbImage::height).sum();
    let pixels = bands.into_iter().flat_map(RgbImage::into_raw).collect();
    (height <= MAX_HEIGHT).then(|| RgbImage::from_raw(pen.width, height, pixels))?
}

struct Pen {
    lettering: Lettering,
    width: u32,
}

/// A line of a caption: runs of text set side by side.
type Line = Vec<(String, Type)>;

impl Pen {
    fn band(&self, height: f32) -> RgbImage {
        RgbImage::from_pixel(self.width, height.ceil() as u32, Rgb(PAGE))
    }

    /// Cells side by side on the sheet.
    fn units(&self) -> u32 {
        (self.width - 2 * MARGIN + GAP) / (UNIT + GAP)
    }

    /// Where the first card begins: the cards stand in the middle of the sheet.
    fn left(&self) -> u32 {
        (self.width - (self.units() * (UNIT + GAP) - GAP)) / 2
    }

    fn room(&self) -> f32 {
        (self.width - 2 * self.left()) as f32
    }

    /// Lines below each other, each style with its own leading; returns where the next would stand.
    fn lines(&self, image: &mut RgbImage, lines: &[Line], (x, mut y): (f32, f32)) -> f32 {
        for line in lines {
            let mut pen = x;
            for (text, style) in line {
                self.lettering.write(image, text, *style, (pen, y));
                pen += self.lettering.width(text, *style);
            }
            y += self.leading(line);
        }
        y
    }

    fn leading(&self, line: &Line) -> f32 {
        line.iter().map(|(_, style)| (self.lettering.height(*style) * 1.12).round()).fold(0.0, f32::max)
    }

    fn height(&self, lines: &[Line]) -> f32 {
        lines.iter().map(|line| self.leading(line)).sum()
    }

    fn wrapped(&self, text: &str, style: Type, width: f32, most: usize) -> Vec<Line> {
        self.lettering.wrap(text, style, width, most).into_iter().map(|line| vec![(line, style)]).collect()
    }

    fn header(&self, sheet: &Sheet) -> RgbImage {
        let mut lines = self.wrapped(&sheet.title, TITLE, self.room(), 1);
        // Longer lines are hard to read.
        lines.extend(self.wrapped(&sheet.about, ABOUT, self.room().min(1100.0), 3));
        lines.extend(sheet.notes.iter().flat_map(|note| self.wrapped(note, NOTE, self.room(), 2)));
        let mut band = self.band(MARGIN as f32 + self.height(&lines) + 4.0);
        self.lines(&mut band, &lines, (self.left() as f32, MARGIN as f32));
        band
    }

    fn heading(&self, section: &Section) -> RgbImage {
        let title = self.lettering.fit(&section.title, SET, self.room() * 0.6);
        let used = self.lettering.width(&title, SET) + 14.0;
        let counts = self.lettering.fit(&section.counts, NOTE, self.room() - used);
        let common = self.wrapped(&section.common, NOTE, self.room(), 2);
        let (left, top) = (self.left() as f32, 22.0);
        let title_height = self.lettering.height(SET) * 1.12;
        let mut band = self.band(top + title_height + self.height(&common) + 10.0);
        let right = left + self.room();
        draw_line_segment_mut(&mut band, (left, 8.0), (right, 8.0), Rgb(RULE));
        self.lettering.write(&mut band, &title, SET, (left, top));
        // On one base line with the title.
        let below = self.lettering.height(SET) - self.lettering.height(NOTE) - 1.0;
        self.lettering.write(&mut band, &counts, NOTE, (left + used, top + below));
        self.lines(&mut band, &common, (left, top + title_height));
        band
    }

    /// Cards that fit side by side.
    fn rows<'a>(&self, cards: &'a [Card]) -> Vec<&'a [Card]> {
        let mut rows = Vec::new();
        let (mut first, mut used) = (0, 0);
        for (place, card) in cards.iter().enumerate() {
            let units = card.0.len() as u32;
            if place > first && used + units > self.units() {
                rows.extend(cards.get(first..place));
                (first, used) = (place, 0);
            }
            used += units;
        }
        rows.extend(cards.get(first..).filter(|rest| !rest.is_empty()));
        rows
    }

    fn row(&self, cards: &[Card]) -> RgbImage {
        let captions: Vec<Vec<Vec<Line>>> =
            cards.iter().map(|card| card.0.iter().map(|cell| self.caption(cell)).collect()).collect();
        let highest = captions.iter().flatten().map(|lines| self.height(lines)).fold(0.0, f32::max);
        let card_height = (PADDING + CELL + 6) as f32 + highest + PADDING as f32;
        let mut band = self.band(card_height + GAP as f32);
        let mut left = self.left();
        for (card, captions) in cards.iter().zip(&captions) {
            let units = card.0.len() as u32;
            let width = units * UNIT + units.saturating_sub(1) * GAP;
            rectangle(&mut band, (left, 0), (width, card_height as u32), PAPER, Some(EDGE));
            for (cell, lines) in card.0.iter().zip(captions) {
                let x = left + PADDING;
                self.picture(&mut band, &cell.picture, (x, PADDING));
                self.lines(&mut band, lines, (x as f32, (PADDING + CELL + 6) as f32));
                left += UNIT + GAP;
            }
        }
        band
    }

    fn picture(&self, band: &mut RgbImage, picture: &Picture, (x, y): (u32, u32)) {
        match picture {
            Picture::Shown(image) => {
                let shown = enlarged(image);
                image::imageops::replace(band, &shown, i64::from(x), i64::from(y));
                draw_hollow_rect_mut(band, area((x, y), (CELL, CELL)), Rgb(EDGE));
            }
            Picture::Hidden(reason) => {
                rectangle(band, (x, y), (CELL, CELL), GREY_PAPER, Some(EDGE));
                self.notice(band, ("not shown", Type { bold: true, em: 12.0, ..ABSENT }), (reason, ABSENT), (x, y));
            }
            Picture::Unusable(reason) => {
                rectangle(band, (x, y), (CELL, CELL), RED_PAPER, None);
                hatch(band, (x, y));
                draw_hollow_rect_mut(band, area((x, y), (CELL, CELL)), Rgb(RED));
                self.notice(band, ("cannot be used", REFUSED), (reason, REASON), (x, y));
            }
        }
    }

    /// Words in the place of a picture.
    fn notice(&self, band: &mut RgbImage, title: (&str, Type), reason: (&str, Type), (x, y): (u32, u32)) {
        let width = (CELL - 20) as f32;
        let mut lines = self.wrapped(title.0, title.1, width, 1);
        lines.extend(self.wrapped(reason.0, reason.1, width, 7));
        self.lines(band, &lines, ((x + 10) as f32, (y + 10) as f32));
    }

    /// Set, facts, remarks and id.
    fn caption(&self, cell: &Cell) -> Vec<Line> {
        let room = CELL as f32;
        let mut lines = self.wrapped(&cell.set, NAME, room, 1);
        lines.extend(self.facts(&cell.facts, room));
        lines.extend(cell.notes.iter().take(2).flat_map(|note| self.wrapped(note, REMARK, room, 2)));
        lines.extend(self.wrapped(&cell.id, ID, room, 1));
        lines
    }

    /// Facts one after the other, as many on a line as fit.
    fn facts(&self, facts: &[(String, String)], room: f32) -> Vec<Line> {
        const BETWEEN: &str = "   ";
        let width = |line: &Line| line.iter().map(|(text, style)| self.lettering.width(text, *style)).sum::<f32>();
        let mut lines: Vec<Line> = Vec::new();
        for (place, (name, value)) in facts.iter().enumerate() {
            let name = self.lettering.fit(name, FACT, room * 0.6) + " ";
            let left = room - self.lettering.width(&name, FACT);
            let fact = vec![(name, FACT), (self.lettering.fit(value, VALUE, left), VALUE)];
            let between = self.lettering.width(BETWEEN, FACT);
            let full = lines.len() == FACT_LINES;
            match lines.last_mut() {
                Some(line) if width(line) + between + width(&fact) <= room => {
                    line.push((BETWEEN.to_owned(), FACT));
                    line.extend(fact);
                }
                Some(line) if full => {
                    let more = format!("{BETWEEN}+{}", facts.len() - place);
                    if width(line) + self.lettering.width(&more, FACT) <= room {
                        line.push((more, FACT));
                    }
                    break;
                }
                _ => lines.push(fact),
            }
        }
        lines
    }

    fn footer(&self, sheet: &Sheet) -> RgbImage {
        let lines = self.wrapped(&sheet.footer, ID, self.room(), 2);
        let mut band = self.band(10.0 + self.height(&lines) + MARGIN as f32);
        draw_line_segment_mut(&mut band, (self.left() as f32, 0.0), (self.left() as f32 + self.room(), 0.0), Rgb(RULE));
        self.lines(&mut band, &lines, (self.left() as f32, 10.0));
        band
    }
}

/// A picture at the size of a cell. One that divides it is repeated pixel by pixel: what the model sees stays what it is.
fn enlarged(image: &RgbImage) -> RgbImage {
    let (width, height) = image.dimensions();
    if width == height && width > 0 && CELL.is_multiple_of(width) {
        let factor = CELL / width;
        return RgbImage::from_fn(CELL, CELL, |x, y| *image.get_pixel(x / factor, y / factor));
    }
    pixels::resize(image, CELL, CELL)
}

fn area((x, y): (u32, u32), (width, height): (u32, u32)) -> Rect {
    Rect::at(x as i32, y as i32).of_size(width.max(1), height.max(1))
}

fn rectangle(band: &mut RgbImage, at: (u32, u32), size: (u32, u32), colour: [u8; 3], edge: Option<[u8; 3]>) {
    draw_filled_rect_mut(band, area(at, size), Rgb(colour));
    if let Some(edge) = edge {
        draw_hollow_rect_mut(band, area(at, size), Rgb(edge));
    }
}

/// Diagonal stripes, so that a cell without a picture is not told by its colour alone.
fn hatch(band: &mut RgbImage, (left, top): (u32, u32)) {
    for y in 0..CELL {
        for x in (0..CELL).filter(|x| (x + y) % 14 < 4) {
            if let Some(pixel) = band.get_pixel_mut_checked(left + x, top + y) {
                *pixel = Rgb(RED_HATCH);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(picture: Picture) -> Cell {
        Cell { picture, set: "set".to_owned(), id: "0123456789abcdef".to_owned(), facts: Vec::new(), notes: Vec::new() }
    }

    fn sheet(cards: Vec<Card>) -> Sheet {
        Sheet { title: "title".to_owned(), sections: vec![Section { cards, ..Section::default() }], ..Sheet::default() }
    }

    /// Where pixels of this colour stand.
    fn found(image: &RgbImage, colour: [u8; 3]) -> Vec<(u32, u32)> {
        image.enumerate_pixels().filter(|(_, _, pixel)| pixel.0 == colour).map(|(x, y, _)| (x, y)).collect()
    }

    #[test]
    fn a_picture_that_divides_the_cell_keeps_its_pixels() {
        // One green pixel in the middle of a magenta picture, and nothing else of these colours on the sheet.
        let mut picture = RgbImage::from_pixel(80, 80, Rgb([255, 0, 255]));
        picture.put_pixel(40, 30, Rgb([0, 255, 0]));
        let image = draw(&sheet(vec![Card(vec![cell(Picture::Shown(picture))])]), 1600).unwrap_or_default();
        assert_eq!(image.width(), 1600);
        let green = found(&image, [0, 255, 0]);
        assert_eq!(green.len(), 4);
        // The border covers the outermost pixels.
        let magenta = found(&image, [255, 0, 255]);
        assert_eq!(magenta.len(), 158 * 158 - 4);
        let (left, top) = (magenta[0].0 - 1, magenta[0].1 - 1);
        assert_eq!(green[0], (left + 80, top + 60));
    }

    #[test]
    fn cards_wrap_and_stay_within_the_sheet() {
        let blue = || cell(Picture::Shown(RgbImage::from_pixel(80, 80, Rgb([0, 0, 255]))));
        for (width, per_card, cards) in
            [(MIN_WIDTH, 2, 3), (1600, 1, 20), (1600, 2, 9), (777, 1, 5), (MAX_WIDTH, 2, 30)]
        {
            let all = (0..cards).map(|_| Card((0..per_card).map(|_| blue()).collect())).collect();
            let image = draw(&sheet(all), width).unwrap_or_default();
            assert_eq!(image.width(), width);
            assert_eq!(found(&image, [0, 0, 255]).len(), cards * per_card * 158 * 158, "{width} {per_card} {cards}");
        }
    }

    #[test]
    fn what_cannot_be_shown_is_marked() {
        let unusable = draw(&sheet(vec![Card(vec![cell(Picture::Unusable("damaged".to_owned()))])]), 800);
        let hidden = draw(&sheet(vec![Card(vec![cell(Picture::Hidden("people".to_owned()))])]), 800);
        let (unusable, hidden) = (unusable.unwrap_or_default(), hidden.unwrap_or_default());
        assert!(found(&unusable, RED_HATCH).len() > 2000 && found(&hidden, RED_HATCH).is_empty());
        assert!(found(&hidden, GREY_PAPER).len() > 15_000 && found(&unusable, GREY_PAPER).is_empty());
    }

    #[test]
    fn a_sheet_that_would_be_too_high_is_none() {
        let card = Card(vec![cell(Picture::Hidden(String::new())); 2]);
        assert!(draw(&sheet(vec![card; 200]), MIN_WIDTH).is_none());
    }

    #[test]
    fn any_text_can_stand_on_a_sheet() {
        let long = "\u{202e}<b>\u{1b}[31m漢\0".repeat(2_000);
        let facts = (0..30).map(|number| (format!("{number}{long}"), long.clone())).collect();
        let cell = Cell {
            picture: Picture::Unusable(long.clone()),
            set: long.clone(),
            id: long.clone(),
            facts,
            notes: vec![long.clone(); 9],
        };
        let section =
            Section { title: long.clone(), counts: long.clone(), common: long.clone(), cards: vec![Card(vec![cell])] };
        let notes = vec![long.clone(); 3];
        let sheet = Sheet { title: long.clone(), about: long.clone(), notes, sections: vec![section], footer: long };
        assert!(draw(&sheet, 900).is_some_and(|image| image.height() < 1_200));
    }
}
