//! Lays the training data out: pictures of emoji and icons, words, and fonts, from what `scripts/train-data` fetched.
//!
//! The folder it writes holds
//! - `pictures.rgba`: one square of premultiplied RGBA after another;
//! - `catalogue.json`: what each picture shows, in the same order, and whether it is for training (`train`), never trained on
//!   because the shipped pictures are like it (`held`), or for measuring only because it may only be shared alike (`measure`);
//! - `words.json` and `fonts.json` with `fonts/`: what is written into pictures;
//! - `sources.json`: packages, versions, licences, counts, and everything left out with the reason.
//!
//! The same fetched folder gives the same bytes.

mod fonts;
mod icons;
mod raster;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use rayon::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};

use icons::{Icon, Index, Named, Naming, Source};

/// Pictures drawn before they are written: bounds the memory.
const CHUNK: usize = 1024;

/// Packages and licences of the fonts and of the list of words.
static FONTS: &str = include_str!("fonts.tsv");

/// One line of the catalogue.
#[derive(Serialize)]
struct Picture<'a> {
    set: &'static str,
    style: &'static str,
    slug: &'a str,
    concept: &'a str,
    name: &'a str,
    gender: Option<&'static str>,
    tone: Option<&'static str>,
    group: &'a str,
    keywords: &'a [String],
    part: &'static str,
}

/// A set with its icons, their names, and those that could not be drawn.
struct Set {
    source: Source,
    icons: BTreeMap<String, Icon>,
    named: Named,
    undrawn: BTreeMap<String, Vec<String>>,
}

/// Groups and keywords of emoji, by name.
#[derive(Default)]
struct Tables {
    groups: BTreeMap<String, String>,
    keywords: BTreeMap<String, Vec<String>>,
}

/// Writes the prepared data into `out`.
pub(crate) fn prepare(fetched: &Path, out: &Path) -> Result<()> {
    std::fs::create_dir_all(out.join("fonts")).with_context(|| out.display().to_string())?;
    let tables = tables(fetched)?;
    let mut sets = sets(fetched)?;
    let kept = draw(&mut sets, out)?;
    let mut names = BTreeSet::new();
    let mut pictures = Vec::new();
    for (set, slug) in &kept {
        let Set { source, named, .. } = &sets[*set];
        let name = &named.names[slug];
        if source.part == "train" {
            names.extend([name.name.clone(), name.concept.clone()]);
        }
        let by_name = |name: &str| (tables.groups.get(name), tables.keywords.get(name));
        let (group, keywords) = match by_name(&name.name) {
            (None, _) => by_name(&name.concept),
            found => found,
        };
        pictures.push(Picture {
            set: source.set,
            style: source.style,
            slug,
            concept: &name.concept,
            name: &name.name,
            gender: name.gender,
            tone: name.tone,
            group: group.map_or("", String::as_str),
            keywords: keywords.map_or(&[], Vec::as_slice),
            part: source.part,
        });
    }
    write_json(&out.join("catalogue.json"), &json!({ "size": raster::SIZE, "pictures": pictures }))?;
    let words = words::words(&names, &fetched.join("words/american-english-small"))?;
    write_json(&out.join("words.json"), &serde_json::to_value(&words)?)?;
    eprintln!("words: {} concepts, {} common", words.concepts.len(), words.common.len());
    let faces = fonts::faces(&fetched.join("fonts"))?;
    for (face, bytes) in &faces.kept {
        write(&out.join("fonts").join(&face.file), bytes)?;
    }
    let kept_faces: Vec<&fonts::Face> = faces.kept.iter().map(|(face, _)| face).collect();
    write_json(&out.join("fonts.json"), &serde_json::to_value(&kept_faces)?)?;
    let count =
        |split: &str, easy: bool| kept_faces.iter().filter(|face| face.split == split && (face.easy || !easy)).count();
    eprintln!(
        "fonts: {} for training ({} easy), {} held out, {} left out",
        count("train", false),
        count("train", true),
        count("held", false),
        faces.skipped.len()
    );
    let sources = json!({ "sets": report(&sets, &kept), "fonts": report_fonts(fetched, &faces)? });
    write_json(&out.join("sources.json"), &sources)
}

/// Reads the icon sets and names their icons: emoji first, for the others borrow their names.
fn sets(fetched: &Path) -> Result<Vec<Set>> {
    let mut sets = Vec::new();
    let mut index = Index::new();
    for source in icons::sources()? {
        let Some(naming) = source.icons()? else { continue };
        let icons = icons::read(&fetched.join(source.folder()))?;
        let named = icons::name(source.set, icons.keys().cloned().collect(), naming, &index);
        if naming == Naming::Emoji && source.part == "train" {
            index.add(&named);
        }
        sets.push(Set { source, icons, named, undrawn: BTreeMap::new() });
    }
    Ok(sets)
}

/// Draws every named icon into `pictures.rgba` and returns which were drawn: the set's place and the slug.
fn draw(sets: &mut [Set], out: &Path) -> Result<Vec<(usize, String)>> {
    let path = out.join("pictures.rgba");
    let temporary = path.with_extension("rgba.tmp");
    let mut file = BufWriter::new(File::create(&temporary).with_context(|| temporary.display().to_string())?);
    let mut kept = Vec::new();
    // A panic of resvg is caught and told in the report: the hook would print each.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    for (place, set) in sets.iter_mut().enumerate() {
        let slugs: Vec<&String> = set.named.names.keys().collect();
        for chunk in slugs.chunks(CHUNK) {
            let drawn: Vec<_> = chunk.par_iter().map(|slug| raster::rasterise(&set.icons[*slug])).collect();
            for (slug, drawn) in chunk.iter().zip(drawn) {
                match drawn {
                    Ok(pixels) => {
                        file.write_all(&pixels).with_context(|| temporary.display().to_string())?;
                        kept.push((place, (*slug).clone()));
                    }
                    Err(reason) => set.undrawn.entry(reason).or_default().push((*slug).clone()),
                }
            }
        }
        let undrawn: usize = set.undrawn.values().map(Vec::len).sum();
        eprintln!("{}: {} icons, {} named, {undrawn} not drawn", set.source.set, set.icons.len(), slugs.len());
    }
    std::panic::set_hook(hook);
    file.flush().with_context(|| temporary.display().to_string())?;
    drop(file);
    std::fs::rename(&temporary, &path).with_context(|| path.display().to_string())?;
    Ok(kept)
}

/// Groups of `unicode-emoji-json` and keywords of `emojilib`.
fn tables(fetched: &Path) -> Result<Tables> {
    let read = |naming: &str, file: &str| -> Result<Value> {
        let source = icons::sources()?.into_iter().find(|source| source.naming == naming);
        let folder =
            source.map(|source| source.folder()).with_context(|| format!("sources.tsv: no source of {naming}"))?;
        let path = fetched.join(folder).join(file);
        let text = std::fs::read(&path).with_context(|| format!("{}: run scripts/train-data first", path.display()))?;
        serde_json::from_slice(&text).with_context(|| path.display().to_string())
    };
    let (emoji, keywords) = (read("groups", "data-by-emoji.json")?, read("keywords", "dist/emoji-en-US.json")?);
    let mut tables = Tables::default();
    for (sign, entry) in emoji.as_object().context("data-by-emoji.json: no object")? {
        let text =
            |field: &str| entry[field].as_str().with_context(|| format!("data-by-emoji.json: {sign} has no {field}"));
        let mut name = text("slug")?.replace('_', " ");
        name.retain(|letter| letter == ' ' || letter.is_ascii_lowercase() || letter.is_ascii_digit());
        let plain = |word: &&str| {
            (3..=14).contains(&word.len()) && word.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase())
        };
        let words = keywords[sign].as_array().into_iter().flatten().filter_map(Value::as_str).filter(plain);
        let words = words.map(|word| word.replace('_', " ")).filter(|word| *word != name).collect();
        tables.keywords.insert(name.clone(), words);
        tables.groups.insert(name, text("group")?.into());
    }
    Ok(tables)
}

/// Counts of each set, and what was left out.
fn report(sets: &[Set], kept: &[(usize, String)]) -> Vec<Value> {
    let mut all = Vec::new();
    for (place, Set { source, icons, named, undrawn }) in sets.iter().enumerate() {
        let unnamed = named.skipped.iter().map(|(reason, slugs)| ((*reason).to_owned(), slugs));
        let skipped: Vec<Value> = unnamed
            .chain(undrawn.iter().map(|(reason, slugs)| (reason.clone(), slugs)))
            .map(|(reason, slugs)| json!({ "reason": reason, "count": slugs.len(), "slugs": slugs }))
            .collect();
        all.push(json!({
            "set": source.set, "package": source.package, "version": source.version, "licence": source.licence,
            "style": source.style, "part": source.part, "naming": source.naming,
            "icons": icons.len(), "named": named.names.len(),
            "kept": kept.iter().filter(|(set, _)| *set == place).count(),
            "skipped": skipped,
        }));
    }
    all
}

/// Versions and licences of the font packages, and the faces left out.
fn report_fonts(fetched: &Path, faces: &fonts::Faces) -> Result<Value> {
    let path = fetched.join("debian.tsv");
    let versions =
        std::fs::read_to_string(&path).with_context(|| format!("{}: run scripts/train-data first", path.display()))?;
    let versions: BTreeMap<&str, &str> = versions.lines().filter_map(|line| line.split_once('\t')).collect();
    let packages: Vec<Value> = FONTS
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once('\t'))
        .map(|(package, licence)| {
            json!({
                "package": package, "version": versions.get(package), "licence": licence,
                "faces": faces.kept.iter().filter(|(face, _)| face.package == package).count(),
            })
        })
        .collect();
    Ok(json!({ "packages": packages, "skipped": faces.skipped }))
}

fn write_json(path: &Path, value: &Value) -> Result<()> {
    write(path, &serde_json::to_vec(value)?)
}

/// Writes a file under a temporary name and renames it.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    std::fs::write(&temporary, bytes)
        .and_then(|()| std::fs::rename(&temporary, path))
        .with_context(|| path.display().to_string())
}
