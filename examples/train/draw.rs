//! Draws a sample: a background, a picture placed at random, a word, and what cameras and printers do to them. Every
//! choice comes from the sample's own random numbers, so that it does not matter which core draws it.

use std::sync::LazyLock;

use rusttype::{Scale, point};

use crate::chance::Chance;
use crate::corpus::{Corpus, Face, Style};
use crate::sample::{Sample, Writing};

/// CLIP's mean and standard deviation per channel.
pub(crate) const MEAN: [f32; 3] = [0.48145466, 0.4578275, 0.40821073];
pub(crate) const DEVIATION: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];

type Colour = [f32; 3];

/// A square image, f32 [side, side, 3], 0 to 1 while it is drawn.
pub(crate) struct Canvas {
    side: usize,
    pub(crate) values: Vec<f32>,
}

/// Where something is put: from the canvas's coordinates (-1 to 1 a side) to its own.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    /// Half its width and height.
    pub(crate) half: (f32, f32),
    pub(crate) centre: (f32, f32),
    /// Radians.
    pub(crate) turn: f32,
}

impl Place {
    fn inside(&self, x: f32, y: f32) -> (f32, f32) {
        let (sine, cosine) = self.turn.sin_cos();
        let (x, y) = (x - self.centre.0, y - self.centre.1);
        ((x * cosine + y * sine) / self.half.0, (y * cosine - x * sine) / self.half.1)
    }
}

/// The training sample as an image, normalised, f32 [side, side, 3].
pub(crate) fn sample(corpus: &Corpus, sample: &Sample, side: usize, chance: &mut Chance) -> Vec<f32> {
    let easy = sample.picture.is_none() && sample.writing.as_ref().is_some_and(|writing| writing.easy);
    let ground = colour(chance);
    let mut canvas = Canvas::new(side, ground);
    if !(easy && chance.happens(0.7)) {
        canvas.enliven(chance);
    }
    if let Some(number) = sample.picture {
        let scale = if chance.happens(0.85) { chance.between(0.62, 1.12) } else { chance.between(0.4, 0.7) };
        let high = scale * chance.between(0.9, 1.1);
        let room = (1.0 - scale).max(0.0) + 0.1;
        let mirror = if chance.happens(0.3) { -1.0 } else { 1.0 };
        let centre = (chance.between(-room, room), chance.between(-room, room));
        let place = Place { half: (scale * mirror, high), centre, turn: chance.normal(0.13) };
        let tint = Tint::random(chance, sample.faithful, corpus.entries[number].style == Style::Mono, ground);
        canvas.picture(corpus, number, place, &tint);
        if sample.outlined {
            canvas.outline(chance.happens(0.3));
        }
    }
    if let Some(writing) = &sample.writing {
        canvas.scribble(&corpus.faces[writing.face], writing, sample.picture.is_some(), chance);
    }
    canvas.roughen(chance);
    canvas.normalised()
}

/// A picture on white without any change, and a word over it where one is given: what is measured on.
pub(crate) fn measured(
    corpus: &Corpus,
    number: Option<usize>,
    word: Option<(&str, &Face, Place)>,
    side: usize,
) -> Vec<f32> {
    let mut canvas = Canvas::new(side, [1.0; 3]);
    if let Some(number) = number {
        let place = Place { half: (0.9, 0.9), centre: (0.0, 0.0), turn: 0.0 };
        canvas.picture(corpus, number, place, &Tint::none());
    }
    if let Some((text, face, place)) = word
        && let Some(mask) = Mask::write(face, text, place.half.0 * side as f32)
    {
        canvas.stamp(&mask, place, [0.0; 3], None);
    }
    canvas.normalised()
}

/// Half the width and height of a word's ink, when it is `share` of the image wide; less where the letters would become
/// higher than 0.55 of it.
pub(crate) fn word_half(face: &Face, text: &str, share: f32) -> (f32, f32) {
    let aspect = Mask::aspect(face, text).unwrap_or(1.0);
    let wide = share.min(0.55 * aspect);
    (wide, wide / aspect)
}

/// What is done to a picture's colours.
struct Tint {
    /// Rows give the new channels.
    matrix: [Colour; 3],
    shift: Colour,
    /// One colour for every pixel, of monochrome icons.
    ink: Option<Colour>,
}

impl Tint {
    fn none() -> Self {
        Self { matrix: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], shift: [0.0; 3], ink: None }
    }

    fn random(chance: &mut Chance, faithful: bool, mono: bool, ground: Colour) -> Self {
        let spread = if faithful { 0.015 } else { 0.06 };
        let mut tint = Self::none();
        if !faithful && chance.happens(0.06) {
            tint.matrix = [[0.3, 0.59, 0.11]; 3];
        } else {
            for value in tint.matrix.iter_mut().flatten() {
                *value += chance.normal(spread);
            }
        }
        tint.shift = std::array::from_fn(|_| chance.normal(if faithful { 0.015 } else { 0.04 }));
        if mono {
            let plain = if luminance(ground) > 0.45 { [0.0; 3] } else { [1.0; 3] };
            tint.ink = Some(if chance.happens(0.6) { contrasting(chance, ground, 0.35) } else { plain });
        }
        tint
    }

    /// `[r, g, b, a]` premultiplied.
    fn apply(&self, pixel: [f32; 4]) -> Colour {
        let alpha = pixel[3];
        match self.ink {
            Some(ink) => ink.map(|value| value * alpha),
            None => std::array::from_fn(|row| {
                let [red, green, blue] = self.matrix[row];
                red * pixel[0] + green * pixel[1] + blue * pixel[2] + self.shift[row] * alpha
            }),
        }
    }
}

impl Canvas {
    fn new(side: usize, ground: Colour) -> Self {
        Self { side, values: ground.repeat(side * side) }
    }

    /// Coordinate of a row or column, -1 to 1.
    fn at(&self, place: usize) -> f32 {
        (2 * place + 1) as f32 / self.side as f32 - 1.0
    }

    fn each(&mut self, mut change: impl FnMut(f32, f32, &mut [f32])) {
        let side = self.side;
        for row in 0..side {
            let y = self.at(row);
            for column in 0..side {
                let x = self.at(column);
                let start = (row * side + column) * 3;
                change(x, y, &mut self.values[start..start + 3]);
            }
        }
    }

    /// A gradient or soft blots of a second colour, or nothing.
    fn enliven(&mut self, chance: &mut Chance) {
        let second = colour(chance);
        let kind = chance.between(0.0, 1.0);
        if kind < 0.3 {
            let (sine, cosine) = chance.between(0.0, std::f32::consts::TAU).sin_cos();
            self.each(|x, y, pixel| {
                let share = ((x * cosine + y * sine) * 0.5 + 0.5).clamp(0.0, 1.0);
                blend(pixel, second, share);
            });
        } else if kind < 0.5 {
            let strength = chance.between(0.2, 1.0);
            let grid: [f32; 25] = std::array::from_fn(|_| chance.between(0.0, strength));
            self.each(|x, y, pixel| {
                let share = bilinear((x + 1.0) * 2.5 - 0.5, (y + 1.0) * 2.5 - 0.5, (5, 5), |column, row| {
                    grid[row * 5 + column]
                });
                blend(pixel, second, share);
            });
        }
    }

    fn picture(&mut self, corpus: &Corpus, number: usize, place: Place, tint: &Tint) {
        let shown = place.half.0.abs().min(place.half.1) * self.side as f32;
        let (pixels, size) = corpus.pixels(number, shown < 0.65 * corpus.size as f32);
        let half = size as f32 / 2.0;
        self.each(|x, y, pixel| {
            let (u, v) = place.inside(x, y);
            if u.abs() > 1.05 || v.abs() > 1.05 {
                return;
            }
            let (column, row) = ((u + 1.0) * half - 0.5, (v + 1.0) * half - 0.5);
            let found = rgba(pixels, size, column, row);
            for (value, new) in pixel.iter_mut().zip(tint.apply(found)) {
                *value = new + (1.0 - found[3]) * *value;
            }
        });
    }

    /// Edges only, dark on light, or the other way round.
    fn outline(&mut self, inverted: bool) {
        let side = self.side;
        let grey: Vec<f32> =
            self.values.chunks_exact(3).map(|pixel| luminance([pixel[0], pixel[1], pixel[2]])).collect();
        let edge = |x: usize, y: usize| {
            let here = grey[y * side + x];
            let (right, below) = (grey[y * side + (x + 1).min(side - 1)], grey[(y + 1).min(side - 1) * side + x]);
            (right - here).abs() + (below - here).abs()
        };
        let edges: Vec<f32> = (0..side * side).map(|place| edge(place % side, place / side)).collect();
        for (place, pixel) in self.values.chunks_exact_mut(3).enumerate() {
            let (x, y) = ((place % side) as isize, (place / side) as isize);
            let mut sum = 0.0;
            for (dx, dy) in (-1..=1).flat_map(|dy| (-1..=1).map(move |dx| (dx, dy))) {
                let (x, y) = ((x + dx).clamp(0, side as isize - 1), (y + dy).clamp(0, side as isize - 1));
                sum += edges[y as usize * side + x as usize];
            }
            let light = (1.0 - sum / 9.0 * 6.0).clamp(0.0, 1.0);
            pixel.fill(if inverted { 1.0 - light } else { light });
        }
    }

    fn scribble(&mut self, face: &Face, writing: &Writing, over_picture: bool, chance: &mut Chance) {
        let Some(aspect) = Mask::aspect(face, &writing.text) else { return };
        let letters = writing.text.chars().count().max(2) as f32;
        let largest = (0.55 * aspect).min(0.98);
        let smallest = (4.2 * letters / self.side as f32).max(0.2).min(largest * 0.9);
        let wide = smallest + (largest - smallest) * writing.width_share;
        let high = wide / aspect;
        let (room_x, room_y) = ((1.0 - wide).max(0.0), (0.95 - high).max(0.0));
        let centre = (chance.between(-room_x, room_x), chance.between(-room_y, room_y));
        let turn = if writing.easy {
            0.025
        } else if chance.happens(0.8) {
            0.08
        } else {
            0.3
        };
        let place = Place { half: (wide, high), centre, turn: chance.normal(turn) };
        let Some(mask) = Mask::write(face, &writing.text, wide * self.side as f32) else { return };
        let label = chance.happens(if over_picture { 0.35 } else { 0.12 }).then(|| colour(chance));
        let under = label.unwrap_or_else(|| self.pixel_at(centre));
        let least = if !over_picture && writing.easy { 0.55 } else { 0.4 };
        let ink = contrasting(chance, under, least);
        self.stamp(&mask, place, ink, label);
    }

    fn pixel_at(&self, (x, y): (f32, f32)) -> Colour {
        let place = |value: f32| (((value + 1.0) / 2.0 * self.side as f32) as usize).min(self.side - 1);
        let start = (place(y) * self.side + place(x)) * 3;
        [self.values[start], self.values[start + 1], self.values[start + 2]]
    }

    /// A word in one colour, on a label where a colour for it is given.
    fn stamp(&mut self, mask: &Mask, place: Place, ink: Colour, label: Option<Colour>) {
        let (width, height) = (mask.width as f32, mask.height as f32);
        self.each(|x, y, pixel| {
            let (u, v) = place.inside(x, y);
            if let Some(label) = label
                && u.abs() < 1.08
                && v.abs() < 1.25
            {
                pixel.copy_from_slice(&label);
            }
            if u.abs() > 1.1 || v.abs() > 1.1 {
                return;
            }
            let (column, row) = ((u + 1.0) * width / 2.0 - 0.5, (v + 1.0) * height / 2.0 - 0.5);
            blend(pixel, ink, mask.value(column, row));
        });
    }

    /// Brightness, a colour cast, and noise.
    fn roughen(&mut self, chance: &mut Chance) {
        let gain = 1.0 + chance.normal(0.1);
        let cast: Colour = std::array::from_fn(|_| chance.normal(0.03));
        let noise = chance.between(0.0, 0.05);
        let mut at = chance.below(NOISE.len());
        let stride = chance.below(NOISE.len() / 2) * 2 + 1;
        for pixel in self.values.chunks_exact_mut(3) {
            for (value, cast) in pixel.iter_mut().zip(cast) {
                at = (at + stride) % NOISE.len();
                *value = *value * gain + cast + noise * NOISE[at];
            }
        }
    }

    fn normalised(mut self) -> Vec<f32> {
        for pixel in self.values.chunks_exact_mut(3) {
            for (value, (mean, deviation)) in pixel.iter_mut().zip(MEAN.into_iter().zip(DEVIATION)) {
                *value = (value.clamp(0.0, 1.0) - mean) / deviation;
            }
        }
        self.values
    }
}

/// Normal numbers, taken in steps of a random width.
static NOISE: LazyLock<Vec<f32>> = LazyLock::new(|| {
    let mut chance = Chance::new(0, 0, 0);
    (0..1 << 16).map(|_| chance.normal(1.0)).collect()
});

/// Coverage of a word's ink, cut to its box.
struct Mask {
    width: usize,
    height: usize,
    values: Vec<u8>,
}

/// Pixels of the mask for one of the canvas.
const OVERSAMPLING: f32 = 1.5;

impl Mask {
    /// Box of a text's ink at a height of line, px: left, top, right, bottom.
    fn ink(face: &Face, text: &str, line_px: f32) -> Option<(i32, i32, i32, i32)> {
        let glyphs = face.font.layout(text, Scale::uniform(line_px), point(0.0, 0.0));
        let boxes = glyphs.filter_map(|glyph| glyph.pixel_bounding_box());
        let boxes = boxes.map(|ink| (ink.min.x, ink.min.y, ink.max.x, ink.max.y));
        boxes.reduce(|a, b| (a.0.min(b.0), a.1.min(b.1), a.2.max(b.2), a.3.max(b.3)))
    }

    /// Width of a text's ink, as a multiple of its height.
    fn aspect(face: &Face, text: &str) -> Option<f32> {
        let (left, top, right, bottom) = Self::ink(face, text, 64.0)?;
        (right > left && bottom > top).then(|| (right - left) as f32 / (bottom - top) as f32)
    }

    /// `half_px`: half the width that the ink takes on the canvas, pixels.
    fn write(face: &Face, text: &str, half_px: f32) -> Option<Self> {
        let (left, _, right, _) = Self::ink(face, text, 64.0)?;
        let line_px = (64.0 * half_px * OVERSAMPLING / (right - left).max(1) as f32).clamp(4.0, 400.0);
        let (left, top, right, bottom) = Self::ink(face, text, line_px)?;
        let (width, height) = ((right - left) as usize, (bottom - top) as usize);
        let mut values = vec![0_u8; width * height];
        for glyph in face.font.layout(text, Scale::uniform(line_px), point(0.0, 0.0)) {
            let Some(ink) = glyph.pixel_bounding_box() else { continue };
            let (x, y) = ((ink.min.x - left) as usize, (ink.min.y - top) as usize);
            glyph.draw(|column, row, coverage| {
                let at = (y + row as usize) * width + x + column as usize;
                if let Some(value) = values.get_mut(at) {
                    *value = value.saturating_add((coverage.clamp(0.0, 1.0) * 255.0) as u8);
                }
            });
        }
        (width > 0 && height > 0).then_some(Self { width, height, values })
    }

    fn value(&self, column: f32, row: f32) -> f32 {
        bilinear_or_zero(column, row, (self.width, self.height), |x, y| f32::from(self.values[y * self.width + x]))
            / 255.0
    }
}

/// Premultiplied colour and alpha at a place between pixels; outside there is nothing.
fn rgba(pixels: &[u8], size: usize, column: f32, row: f32) -> [f32; 4] {
    let (left, top) = (column.floor(), row.floor());
    let (right_share, low_share) = (column - left, row - top);
    let mut sum = [0.0_f32; 4];
    let corners = [
        (0, 0, (1.0 - right_share) * (1.0 - low_share)),
        (1, 0, right_share * (1.0 - low_share)),
        (0, 1, (1.0 - right_share) * low_share),
        (1, 1, right_share * low_share),
    ];
    for (dx, dy, share) in corners {
        let (x, y) = (left as i32 + dx, top as i32 + dy);
        if x < 0 || y < 0 || x >= size as i32 || y >= size as i32 {
            continue;
        }
        let start = (y as usize * size + x as usize) * 4;
        if let Some(pixel) = pixels.get(start..start + 4) {
            for (sum, value) in sum.iter_mut().zip(pixel) {
                *sum += share * f32::from(*value);
            }
        }
    }
    sum.map(|value| value / 255.0)
}

fn bilinear(column: f32, row: f32, (width, height): (usize, usize), value: impl Fn(usize, usize) -> f32) -> f32 {
    let (column, row) = (column.clamp(0.0, (width - 1) as f32), row.clamp(0.0, (height - 1) as f32));
    bilinear_or_zero(column, row, (width, height), value)
}

fn bilinear_or_zero(
    column: f32,
    row: f32,
    (width, height): (usize, usize),
    value: impl Fn(usize, usize) -> f32,
) -> f32 {
    let (left, top) = (column.floor(), row.floor());
    let (right_share, low_share) = (column - left, row - top);
    let at = |dx: i32, dy: i32| {
        let (x, y) = (left as i32 + dx, top as i32 + dy);
        let inside = x >= 0 && y >= 0 && x < width as i32 && y < height as i32;
        if inside { value(x as usize, y as usize) } else { 0.0 }
    };
    let above = at(0, 0) * (1.0 - right_share) + at(1, 0) * right_share;
    let below = at(0, 1) * (1.0 - right_share) + at(1, 1) * right_share;
    above * (1.0 - low_share) + below * low_share
}

fn blend(pixel: &mut [f32], colour: Colour, share: f32) {
    for (value, new) in pixel.iter_mut().zip(colour) {
        *value += (new - *value) * share;
    }
}

fn luminance([red, green, blue]: Colour) -> f32 {
    0.3 * red + 0.59 * green + 0.11 * blue
}

/// White and greys more often than their share of all colours.
fn colour(chance: &mut Chance) -> Colour {
    match chance.between(0.0, 1.0) {
        ..0.2 => [1.0; 3],
        ..0.27 => [0.0; 3],
        ..0.4 => [chance.between(0.0, 1.0); 3],
        _ => std::array::from_fn(|_| chance.between(0.0, 1.0)),
    }
}

/// A colour whose luminance differs by at least `least`.
fn contrasting(chance: &mut Chance, under: Colour, least: f32) -> Colour {
    for _ in 0..20 {
        let found = colour(chance);
        if (luminance(found) - luminance(under)).abs() > least {
            return found;
        }
    }
    if luminance(under) > 0.5 { [0.0; 3] } else { [1.0; 3] }
}
