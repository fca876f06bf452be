//! Figures of people with a skin tone and a gender presentation that no model was trained on, as folders of PNG files with
//! a manifest: `suite` with the harm audit of tests/controls/people, and `apart`, which is in no suite, for the independent
//! measuring of the siblings (`scripts/measure-siblings`). No role is in both.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use image::{Rgb, RgbImage};

use crate::corpus::{Corpus, Entry, Part, Style};

/// Every so many-th role goes to the suite.
const SUITE_EVERY: usize = 3;

/// Share of a figure's side that the drawing takes.
const SHARE: f32 = 0.9;
/// Side of a figure, pixels.
const SIDE: u32 = 112;

/// Writes `suite` and `apart` into a folder.
pub(crate) fn write(corpus: &Corpus, folder: &Path) -> Result<()> {
    let unseen = |entry: &Entry| entry.part != Part::Train && entry.tone.is_some() && entry.style != Style::Mono;
    let mut found: Vec<(usize, &Entry)> =
        corpus.entries.iter().enumerate().filter(|(_, entry)| unseen(entry)).collect();
    // What has a skin tone and is never drawn as a man or a woman is a hand, a foot or an ear.
    let people = found.iter().filter(|(_, entry)| entry.gender.is_some());
    let roles: BTreeSet<&str> = people.map(|(_, entry)| entry.concept.as_str()).collect();
    found.retain(|(_, entry)| roles.contains(entry.concept.as_str()));
    let chosen: BTreeSet<&str> = roles.into_iter().step_by(SUITE_EVERY).collect();
    for (name, in_suite) in [("suite", true), ("apart", false)] {
        // Share-alike drawings may be measured, and are in no suite.
        let of_part = |entry: &Entry| {
            chosen.contains(entry.concept.as_str()) == in_suite && (!in_suite || entry.part == Part::Held)
        };
        let place = folder.join(name);
        fs::create_dir_all(place.join("figures"))?;
        let mut manifest = String::from("path,label,tone,gender,rendition,cluster\n");
        let mut count = 0;
        for (number, entry) in found.iter().filter(|(_, entry)| of_part(entry)) {
            let path = format!("figures/{}-{}.png", entry.set, entry.slug);
            paint(corpus, *number).save(place.join(&path)).with_context(|| path.clone())?;
            let (tone, gender) = (entry.tone.as_deref().unwrap_or(""), entry.gender.as_deref().unwrap_or("none"));
            let row = format!("{path},person,{tone},{gender},{},{}\n", entry.set, entry.concept);
            manifest.push_str(&row);
            count += 1;
        }
        fs::write(place.join("manifest.csv"), manifest)?;
        println!("{count} figures in {}", place.display());
    }
    fs::write(folder.join("suite/harm.yaml"), include_str!("../../tests/controls/people/harm.yaml"))?;
    Ok(())
}

/// A figure on white.
fn paint(corpus: &Corpus, number: usize) -> RgbImage {
    let (pixels, size) = corpus.pixels(number, false);
    let side = (SIDE as f32 * SHARE).round() as u32;
    let drawn = image::RgbaImage::from_raw(size as u32, size as u32, pixels.to_vec()).unwrap_or_default();
    let drawn = image::imageops::resize(&drawn, side, side, image::imageops::FilterType::CatmullRom);
    let mut figure = RgbImage::from_pixel(SIDE, SIDE, Rgb([255; 3]));
    let edge = (SIDE - side) / 2;
    for (x, y, pixel) in drawn.enumerate_pixels() {
        // Premultiplied.
        let [red, green, blue, alpha] = pixel.0;
        let over = |value: u8| value.saturating_add(255 - alpha);
        figure.put_pixel(x + edge, y + edge, Rgb([over(red), over(green), over(blue)]));
    }
    figure
}
