//! Icon sets: the list of sources, their files, and which icon names which thing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::names::{Name, parse};

/// Packages, versions, licences and what each is for.
static SOURCES: &str = include_str!("../sources.tsv");

/// Most pictures of one name that an icon set gives: its variants are nearly alike.
const MOST_VARIANTS: usize = 4;

/// Endings of icon slugs that name a variant of the drawing, not another thing.
const VARIANTS: [&str; 22] = [
    "bold", "bolder", "fill", "filled", "duotone", "duo", "flat", "line", "outline", "outlined", "thin", "light",
    "sharp", "rounded", "round", "solid", "24px", "one", "two", "three", "four", "variant",
];

/// What means something else in a set, or is drawn past recognition there: set (`*` for all interface icons), and the emoji's
/// name or the icon's slug without its variant. Chosen by eye.
static HOMONYMS: &str = include_str!("../homonyms.tsv");

/// Other words for a thing: the icon's slug without its variant, and the emoji's name.
static SYNONYMS: &str = include_str!("../synonyms.tsv");

/// How the slugs of a set become names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Naming {
    /// Every icon is a named emoji.
    Emoji,
    /// The same, and a number at the end tells renditions apart.
    Numbered,
    /// Names of emoji without separators.
    Joined,
    /// Interface icons: only those that bear the name of an emoji.
    Icon,
}

/// One line of `sources.tsv`.
pub(super) struct Source {
    pub(super) package: &'static str,
    pub(super) version: &'static str,
    pub(super) licence: &'static str,
    pub(super) set: &'static str,
    pub(super) style: &'static str,
    pub(super) part: &'static str,
    pub(super) naming: &'static str,
}

impl Source {
    /// Folder of the package inside the fetched one, named as npm names its archives.
    pub(super) fn folder(&self) -> String {
        format!("packages/{}-{}", self.package.trim_start_matches('@').replace('/', "-"), self.version)
    }

    /// How slugs become names; `None` for a table.
    pub(super) fn icons(&self) -> Result<Option<Naming>> {
        Ok(match self.naming {
            "emoji" => Some(Naming::Emoji),
            "numbered" => Some(Naming::Numbered),
            "joined" => Some(Naming::Joined),
            "icon" => Some(Naming::Icon),
            "keywords" | "groups" => None,
            other => bail!("sources.tsv: unknown naming {other} of {}", self.package),
        })
    }
}

/// Reads the list of sources.
pub(super) fn sources() -> Result<Vec<Source>> {
    SOURCES
        .lines()
        .skip(1)
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let [package, version, _integrity, licence, set, style, part, naming] = fields[..] else {
                bail!("sources.tsv: not eight columns: {line}");
            };
            Ok(Source { package, version, licence, set, style, part, naming })
        })
        .collect()
}

/// A drawing: the body of an SVG, and its view: left, top, width, height.
pub(super) struct Icon {
    pub(super) body: String,
    pub(super) view: [f64; 4],
}

#[derive(Deserialize)]
struct File {
    icons: BTreeMap<String, Entry>,
    width: Option<f64>,
    height: Option<f64>,
}

#[derive(Deserialize)]
struct Entry {
    body: String,
    left: Option<f64>,
    top: Option<f64>,
    width: Option<f64>,
    height: Option<f64>,
}

/// Reads a set, by slug.
pub(super) fn read(folder: &Path) -> Result<BTreeMap<String, Icon>> {
    let path = folder.join("icons.json");
    let text = std::fs::read(&path).with_context(|| format!("{}: run scripts/train-data first", path.display()))?;
    let file: File = serde_json::from_slice(&text).with_context(|| path.display().to_string())?;
    // 16 is the default of the format.
    let (width, height) = (file.width.unwrap_or(16.0), file.height.unwrap_or(16.0));
    let view = |entry: &Entry| {
        [
            entry.left.unwrap_or(0.0),
            entry.top.unwrap_or(0.0),
            entry.width.unwrap_or(width),
            entry.height.unwrap_or(height),
        ]
    };
    Ok(file.icons.into_iter().map(|(slug, entry)| (slug, Icon { view: view(&entry), body: entry.body })).collect())
}

/// Names of untoned emoji of the training sets, by slug and by slug without separators.
pub(super) struct Index {
    slugs: BTreeMap<String, Name>,
    joined: BTreeMap<String, Name>,
    /// Slug of an icon, and the slug of the emoji it shows.
    synonyms: BTreeMap<&'static str, String>,
    /// Set and name.
    homonyms: BTreeSet<(&'static str, &'static str)>,
}

impl Index {
    /// Knows synonyms and homonyms, and no emoji yet.
    pub(super) fn new() -> Self {
        let rows = |table: &'static str| table.lines().skip(1).filter_map(|line| line.split_once('\t'));
        Self {
            slugs: BTreeMap::new(),
            joined: BTreeMap::new(),
            synonyms: rows(SYNONYMS).map(|(icon, name)| (icon, name.replace(' ', "-"))).collect(),
            homonyms: rows(HOMONYMS).collect(),
        }
    }

    /// Adds the names of an emoji set; what is known already stays.
    pub(super) fn add(&mut self, named: &Named) {
        for name in named.names.values().filter(|name| name.tone.is_none()) {
            let slug = name.name.replace(' ', "-");
            self.joined.entry(slug.replace('-', "")).or_insert_with(|| name.clone());
            self.slugs.entry(slug).or_insert_with(|| name.clone());
        }
    }
}

/// Names of a set's icons, and the icons left out, by reason.
#[derive(Default)]
pub(super) struct Named {
    pub(super) names: BTreeMap<String, Name>,
    pub(super) skipped: BTreeMap<&'static str, Vec<String>>,
}

/// Names the icons of a set. `index` is needed by all but [`Naming::Emoji`].
pub(super) fn name(set: &str, slugs: BTreeSet<String>, naming: Naming, index: &Index) -> Named {
    let bare = set.starts_with("fluent-emoji").then_some(&slugs);
    let mut named = Named::default();
    let mut variants: BTreeMap<String, usize> = BTreeMap::new();
    for slug in &slugs {
        let found = match naming {
            Naming::Emoji => parse(slug, bare).ok_or("names no single thing"),
            Naming::Numbered => numbered(slug, index).ok_or("names no single thing"),
            Naming::Joined => joined(slug, index).ok_or("no emoji of the other sets has this name"),
            Naming::Icon => icon(slug, index).ok_or("no emoji has this name"),
        };
        let found = found.and_then(|name| {
            let homonym = |word: &str| {
                let listed = |set| index.homonyms.contains(&(set, word));
                listed(set) || naming == Naming::Icon && listed("*")
            };
            if homonym(&name.name) || homonym(bases(slug).last().unwrap_or(slug)) {
                return Err("means something else in this set");
            }
            let count = variants.entry(name.name.clone()).or_default();
            *count += 1;
            if naming == Naming::Icon && *count > MOST_VARIANTS { Err("more variants than are kept") } else { Ok(name) }
        });
        match found {
            Ok(name) => {
                named.names.insert(slug.clone(), name);
            }
            Err(reason) => named.skipped.entry(reason).or_default().push(slug.clone()),
        }
    }
    named
}

/// `baby-2` is a baby; a country stands for its flag.
fn numbered(slug: &str, index: &Index) -> Option<Name> {
    let base = match slug.rsplit_once('-') {
        Some((base, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => base,
        _ => slug,
    };
    match index.slugs.get(&format!("flag-{base}")) {
        Some(flag) if !index.slugs.contains_key(base) => Some(flag.clone()),
        _ => parse(base, None),
    }
}

/// Slugs of this set have no separators.
fn joined(slug: &str, index: &Index) -> Option<Name> {
    let joined = slug.replace('-', "");
    index.joined.get(&joined).or_else(|| index.slugs.get(index.synonyms.get(joined.as_str())?)).cloned()
}

/// The emoji that bears this icon's name, or a synonym, once endings of variants are taken off. Names with digits are left
/// out: the number is a variant's.
fn icon(slug: &str, index: &Index) -> Option<Name> {
    let named = |base: &str| index.slugs.get(index.synonyms.get(base).map_or(base, String::as_str));
    let name = bases(slug).filter(|base| base.len() > 2).find_map(named)?;
    (!name.name.contains(|letter: char| letter.is_ascii_digit())).then(|| name.clone())
}

/// A slug, then what is left as one ending of a variant after the other is taken off: `house-2-bold`, `house-2`, `house`.
fn bases(slug: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(slug), |base| {
        let (rest, end) = base.rsplit_once('-')?;
        (VARIANTS.contains(&end) || end.bytes().all(|byte| byte.is_ascii_digit())).then_some(rest)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{HOMONYMS, Index, MOST_VARIANTS, Naming, SYNONYMS, name, sources};

    fn slugs(slugs: &[&str]) -> BTreeSet<String> {
        slugs.iter().map(|slug| (*slug).to_owned()).collect()
    }

    fn index() -> Index {
        let mut index = Index::new();
        let emoji =
            ["house", "traffic-light", "ram", "1st-place-medal", "flag-for-brazil", "hot-pepper", "boy-dark-skin-tone"];
        let named = name("noto", slugs(&emoji), Naming::Emoji, &index);
        index.add(&named);
        index
    }

    fn named(set: &str, naming: Naming, list: &[&str]) -> Vec<(String, String)> {
        name(set, slugs(list), naming, &index()).names.into_iter().map(|(slug, name)| (slug, name.name)).collect()
    }

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(slug, name)| ((*slug).to_owned(), (*name).to_owned())).collect()
    }

    #[test]
    fn sources_are_whole_and_openly_licensed() {
        let sources = sources().unwrap();
        assert!(sources.len() > 30);
        for source in sources {
            assert!(source.icons().is_ok() && ["train", "held", "measure", "table"].contains(&source.part));
            let shared_alike = source.licence.contains("-SA") || source.licence.contains("-NC");
            assert!(!shared_alike || source.part == "measure", "{} is {}", source.package, source.licence);
        }
    }

    #[test]
    fn tables_name_known_sets() {
        let sets: Vec<&str> = sources().unwrap().iter().map(|source| source.set).collect();
        for line in HOMONYMS.lines().skip(1) {
            let (set, _) = line.split_once('\t').unwrap();
            assert!(set == "*" || sets.contains(&set), "{line}");
        }
        assert!(SYNONYMS.lines().skip(1).all(|line| line.split('\t').count() == 2));
    }

    #[test]
    fn icons_borrow_names_of_emoji() {
        let icons = [
            "home-outline",
            "house",
            "house-2-bold",
            "house-off",
            "ram",
            "ram-2",
            "traffic-light",
            "traffic-light-fill",
            "boy",
        ];
        let expected = [
            ("home-outline", "house"),
            ("house", "house"),
            ("house-2-bold", "house"),
            ("traffic-light", "traffic light"),
            ("traffic-light-fill", "traffic light"),
        ];
        assert_eq!(named("mdi", Naming::Icon, &icons), pairs(&expected));
    }

    #[test]
    fn variants_are_bounded_and_told() {
        let icons = ["house", "house-bold", "house-fill", "house-flat", "house-thin", "no-such-thing"];
        let named = name("mdi", slugs(&icons), Naming::Icon, &index());
        assert_eq!(named.names.len(), MOST_VARIANTS);
        assert_eq!(named.skipped["more variants than are kept"], ["house-thin"]);
        assert_eq!(named.skipped["no emoji has this name"], ["no-such-thing"]);
    }

    #[test]
    fn joined_and_numbered_slugs() {
        let joined = ["trafficlight", "chilipepper", "unknown"];
        assert_eq!(
            named("fxemoji", Naming::Joined, &joined),
            pairs(&[("chilipepper", "hot pepper"), ("trafficlight", "traffic light")])
        );
        assert_eq!(
            named("streamline-emojis", Naming::Numbered, &["brazil", "man-judge-2", "house-1"]),
            pairs(&[("brazil", "flag brazil"), ("house-1", "house"), ("man-judge-2", "man judge")])
        );
    }
}
