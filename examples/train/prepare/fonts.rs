//! Fonts that words are rendered with: those that the program's own text drawing can read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rusttype::{Font, Scale};
use serde::Serialize;

/// Faces without ordinary letters, and hairlines that vanish in a small picture.
const UNFIT: [&str; 7] = ["D050000L", "Symbol", "Math", "Hairline", "Thin", "ExtraLight", "Z003"];

/// Faces never rendered in training, by a part of the file's name: reading them is measured.
const HELD: [&str; 10] = [
    "Humor-Sans",
    "dkgBd",
    "Quicksand-Medium",
    "P052-Bold.otf",
    "RobotoCondensed-Bold.ttf",
    "FreeMonoBold.ttf",
    "lobster",
    "LiberationSerif-Italic",
    "OpenSans-ExtraBold.ttf",
    "C059-Roman.otf",
];

/// Faces that are hard to read: slanted, light, very heavy, handwritten, narrow.
const HARD: [&str; 12] = [
    "Italic",
    "Oblique",
    "BdIt",
    "Light",
    "Hairline",
    "Black",
    "dkg",
    "Dancing",
    "EBGaramond",
    "Cond",
    "Narrow",
    "It.ttf",
];

/// Words of a file's name that tell a face, not its family.
const FACES: [&str; 21] = [
    "Regular",
    "Roman",
    "Book",
    "Medium",
    "Semibold",
    "Demi",
    "Bold",
    "ExtraBold",
    "Heavy",
    "Black",
    "Light",
    "Oblique",
    "Italic",
    "Ita",
    "Bd",
    "It",
    "BI",
    "CondBold",
    "CondLight",
    "Cond",
    "Extra",
];

/// One line of `fonts.json`.
#[derive(Serialize)]
pub(super) struct Face {
    pub(super) file: String,
    family: String,
    pub(super) package: String,
    pub(super) split: &'static str,
    pub(super) easy: bool,
}

/// Faces that are kept, with their files' bytes, and those left out with the reason.
#[derive(Default)]
pub(super) struct Faces {
    pub(super) kept: Vec<(Face, Vec<u8>)>,
    pub(super) skipped: BTreeMap<String, &'static str>,
}

/// Looks through the fetched fonts: one folder a package.
pub(super) fn faces(fetched: &Path) -> Result<Faces> {
    let mut faces = Faces::default();
    for package in list(fetched)? {
        let mut files = Vec::new();
        collect(&package, &mut files)?;
        files.sort();
        let twins: Vec<_> =
            files.iter().filter(|path| has_extension(path, "ttf")).map(|path| path.with_extension("")).collect();
        for path in &files {
            let file = file_name(path);
            // Some packages hold a face in both formats, in folders of their own.
            let twin = !has_extension(path, "ttf")
                && twins.iter().any(|twin| twin.file_name() == path.with_extension("").file_name());
            let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
            let reason = if UNFIT.iter().any(|word| file.contains(word)) {
                Some("symbols or hairlines")
            } else if twin {
                Some("the same face is there as TrueType")
            } else {
                flaw(&bytes)
            };
            if let Some(reason) = reason {
                faces.skipped.insert(file, reason);
                continue;
            }
            let split = if HELD.iter().any(|part| file.contains(part)) { "held" } else { "train" };
            let easy = !HARD.iter().any(|part| file.contains(part));
            let face = Face { family: family(&file), package: file_name(&package), split, easy, file };
            faces.kept.push((face, bytes));
        }
    }
    Ok(faces)
}

/// What keeps a font from being used: it must be readable and draw every character that words are made of.
fn flaw(bytes: &[u8]) -> Option<&'static str> {
    let Some(font) = Font::try_from_vec(bytes.to_vec()) else { return Some("rusttype cannot read it") };
    let complete = ('a'..='z').chain('A'..='Z').chain('0'..='9').chain("$!?".chars()).all(|letter| {
        let glyph = font.glyph(letter);
        glyph.id().0 != 0 && glyph.scaled(Scale::uniform(32.0)).exact_bounding_box().is_some()
    });
    if complete { None } else { Some("a letter, digit or sign is missing") }
}

/// `LiberationSerif` of `LiberationSerif-BoldItalic.ttf`: the name without the words for the face.
fn family(file: &str) -> String {
    let mut stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    while let Some(rest) = FACES.iter().find_map(|face| stem.strip_suffix(face)).filter(|rest| !rest.is_empty()) {
        stem = rest;
    }
    stem.trim_end_matches('-').into()
}

fn has_extension(path: &Path, wanted: &str) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(wanted))
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into()
}

fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("{}: run scripts/train-data first", folder.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths.into_iter().filter(|path| path.is_dir()).collect())
}

/// Font files below a folder; links are left alone, for they name the same files again.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let (kind, path) = (entry.file_type()?, entry.path());
        if kind.is_dir() {
            collect(&path, files)?;
        } else if kind.is_file() && (has_extension(&path, "ttf") || has_extension(&path, "otf")) {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{family, flaw};

    #[test]
    fn families_of_files() {
        assert_eq!(family("LiberationSerif-BoldItalic.ttf"), "LiberationSerif");
        assert_eq!(family("FreeMonoBoldOblique.ttf"), "FreeMono");
        assert_eq!(family("OpenSans-CondLightItalic.ttf"), "OpenSans");
        assert_eq!(family("dkgBd.ttf"), "dkg");
        assert_eq!(family("Humor-Sans.ttf"), "Humor-Sans");
    }

    #[test]
    fn what_is_no_font_is_told() {
        assert_eq!(flaw(b"no font"), Some("rusttype cannot read it"));
    }
}
