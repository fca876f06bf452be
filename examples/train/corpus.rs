//! The prepared data: pictures with what is known of them, words, fonts. Read once, held in memory.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use rusttype::Font;
use serde::Deserialize;

/// Skin tones from light to dark, as Unicode orders them.
pub(crate) const TONES: [&str; 5] = ["light", "medium-light", "medium", "medium-dark", "dark"];
/// Gender presentations that icons are named by.
pub(crate) const GENDERS: [&str; 2] = ["man", "woman"];

/// The 200 object concepts that recognition is measured on.
pub(crate) fn measured_concepts() -> Vec<&'static str> {
    include_str!("concepts.txt").lines().collect()
}

/// What is known of a picture.
#[derive(Deserialize)]
pub(crate) struct Entry {
    pub(crate) set: String,
    pub(crate) style: Style,
    /// Name in its set.
    pub(crate) slug: String,
    /// What it shows, without gender and tone.
    pub(crate) concept: String,
    /// What it shows, with its gender.
    pub(crate) name: String,
    pub(crate) gender: Option<String>,
    pub(crate) tone: Option<String>,
    pub(crate) group: String,
    pub(crate) keywords: Vec<String>,
    pub(crate) part: Part,
}

impl Entry {
    /// A person with a skin tone and a gender presentation, in colours.
    pub(crate) fn toned_person(&self) -> bool {
        self.tone.is_some() && self.gender.is_some() && self.style != Style::Mono
    }
}

/// How a set is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Style {
    Color,
    Flat,
    #[serde(rename = "3d")]
    Render,
    Mono,
    Line,
}

/// What a picture may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Part {
    Train,
    /// Never trained on; the pictures of the audits come from here.
    Held,
    /// Never trained on, because of its licence; measured only.
    Measure,
}

#[derive(Deserialize)]
struct Catalogue {
    size: usize,
    pictures: Vec<Entry>,
}

/// Words to be written.
#[derive(Deserialize)]
pub(crate) struct Words {
    /// Names of what the pictures show.
    pub(crate) concepts: Vec<String>,
    /// English words, the most common first.
    pub(crate) common: Vec<String>,
    /// Never written in training.
    pub(crate) held: Vec<String>,
    /// Signs and what they mean.
    pub(crate) special: Vec<(String, String)>,
}

#[derive(Deserialize)]
struct FontEntry {
    file: String,
    split: Part,
    easy: bool,
}

/// A font.
pub(crate) struct Face {
    pub(crate) font: Font<'static>,
    /// Upright, of middle weight and width: easy to read.
    pub(crate) easy: bool,
    pub(crate) held: bool,
}

/// Everything that training and measuring draw from.
pub(crate) struct Corpus {
    pub(crate) entries: Vec<Entry>,
    pub(crate) words: Words,
    pub(crate) faces: Vec<Face>,
    /// Premultiplied RGBA, `size` x `size` a picture.
    pixels: Vec<u8>,
    /// The same at half the size, against aliasing when a picture is drawn small.
    halves: Vec<u8>,
    pub(crate) size: usize,
}

impl Corpus {
    /// Reads the folder that `prepare` wrote.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let catalogue: Catalogue = read_json(&folder.join("catalogue.json"))?;
        let path = folder.join("pictures.rgba");
        let pixels = fs::read(&path).with_context(|| path.display().to_string())?;
        let mut faces = Vec::new();
        let fonts: Vec<FontEntry> = read_json(&folder.join("fonts.json"))?;
        for entry in fonts {
            let path = folder.join("fonts").join(&entry.file);
            let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
            let font = Font::try_from_vec(bytes).with_context(|| format!("{}: no font", path.display()))?;
            faces.push(Face { font, easy: entry.easy, held: entry.split != Part::Train });
        }
        let words = read_json(&folder.join("words.json"))?;
        Self::new(catalogue.pictures, words, faces, pixels, catalogue.size)
            .with_context(|| format!("{}: prepare the data anew", path.display()))
    }

    /// `pixels`: premultiplied RGBA, `size` x `size` for each entry.
    pub(crate) fn new(
        entries: Vec<Entry>,
        words: Words,
        faces: Vec<Face>,
        pixels: Vec<u8>,
        size: usize,
    ) -> Result<Self> {
        ensure!(
            size > 0 && size.is_multiple_of(2) && pixels.len() == entries.len() * size * size * 4,
            "{} bytes of pixels do not fit {} pictures of {size} x {size}",
            pixels.len(),
            entries.len()
        );
        let halves = pixels.chunks_exact(size * size * 4).flat_map(|picture| half(picture, size)).collect();
        Ok(Self { entries, words, faces, pixels, halves, size })
    }

    /// A picture's pixels, and their number a side: the whole ones, or those of half the size.
    pub(crate) fn pixels(&self, number: usize, halved: bool) -> (&[u8], usize) {
        let (pixels, size) = if halved { (&self.halves, self.size / 2) } else { (&self.pixels, self.size) };
        let length = size * size * 4;
        (&pixels[number * length..(number + 1) * length], size)
    }

    /// Number of the picture of each name in a set, of those without gender and tone.
    pub(crate) fn plain(&self, set: &str) -> BTreeMap<&str, usize> {
        let plain = |entry: &Entry| entry.set == set && entry.tone.is_none() && entry.gender.is_none();
        let found = self.entries.iter().enumerate().filter(|(_, entry)| plain(entry));
        found.map(|(number, entry)| (entry.name.as_str(), number)).collect()
    }
}

fn half(picture: &[u8], size: usize) -> Vec<u8> {
    let at = |x: usize, y: usize, channel: usize| u16::from(picture[(y * size + x) * 4 + channel]);
    let mut less = Vec::with_capacity(size * size);
    for y in (0..size).step_by(2) {
        for x in (0..size).step_by(2) {
            for channel in 0..4 {
                let sum = at(x, y, channel) + at(x + 1, y, channel) + at(x, y + 1, channel) + at(x + 1, y + 1, channel);
                less.push(((sum + 2) / 4) as u8);
            }
        }
    }
    less
}

fn read_json<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<T> {
    let bytes = fs::read(path).with_context(|| format!("{}: run `prepare` first", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| path.display().to_string())
}
