//! Words that are rendered into pictures: concepts, common English words, words held out of training, special ones.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;

/// The program's own merges, most frequent first: their order is a measure of how common a word is.
static MERGES: &[u8] = include_bytes!("../../../src/model/tokenizer/merges.txt.gz");

/// Words never rendered in training: reading them is measured.
static HELD: &str = include_str!("../held-words.txt");

/// Common words that are taken, most frequent first.
const COMMON: usize = 4500;

/// Longest concept that is rendered, letters and spaces.
const LONGEST_CONCEPT: usize = 18;

/// Words that audits write, whether common or not.
const EXTRA: [&str; 26] = [
    "criminal",
    "thief",
    "terrorist",
    "gangster",
    "murderer",
    "savage",
    "nurse",
    "doctor",
    "lawyer",
    "engineer",
    "boss",
    "secretary",
    "homemaker",
    "ceo",
    "housekeeper",
    "janitor",
    "money",
    "dollar",
    "cash",
    "ipod",
    "iphone",
    "pizza",
    "library",
    "toaster",
    "piggy bank",
    "apple",
];

/// Signs and what they stand for.
const SPECIAL: [(&str, &str); 12] = [
    ("$$$", "money"),
    ("$$", "money"),
    ("$", "dollar"),
    ("$$$", "money bag"),
    ("$$$", "dollar"),
    ("zzz", "sleep"),
    ("!!!", "warning"),
    ("???", "question"),
    ("100", "hundred"),
    ("<3", "heart"),
    ("xxx", "kiss"),
    ("sos", "help"),
];

/// What `words.json` holds.
#[derive(Serialize)]
pub(super) struct Words {
    pub(super) concepts: Vec<String>,
    pub(super) common: Vec<String>,
    held: Vec<&'static str>,
    special: [(&'static str, &'static str); 12],
}

/// Chooses the words. `names` are names and concepts of training pictures; `list` is a file of English words.
pub(super) fn words(names: &BTreeSet<String>, list: &Path) -> Result<Words> {
    let text =
        std::fs::read_to_string(list).with_context(|| format!("{}: run scripts/train-data first", list.display()))?;
    let mut merges = String::new();
    flate2::read::GzDecoder::new(MERGES).read_to_string(&mut merges).context("merges of the tokenizer")?;
    let held: Vec<&str> = HELD.lines().collect();
    Ok(Words { concepts: concepts(names, &held), common: common(&merges, &text, &held), held, special: SPECIAL })
}

fn concepts(names: &BTreeSet<String>, held: &[&str]) -> Vec<String> {
    let fits = |name: &&String| {
        name.len() <= LONGEST_CONCEPT
            && !name.is_empty()
            && name.bytes().all(|byte| byte == b' ' || byte.is_ascii_lowercase())
            && name.split(' ').count() <= 2
            && !name.split(' ').any(|word| held.contains(&word))
    };
    names.iter().filter(fits).cloned().collect()
}

/// Words that end a merge and are in the list of English words, in the order of the merges.
fn common(merges: &str, english: &str, held: &[&str]) -> Vec<String> {
    let plain = |word: &&str| word.bytes().all(|byte| byte.is_ascii_lowercase());
    let english: BTreeSet<&str> = english.lines().map(str::trim).filter(plain).collect();
    let mut seen = BTreeSet::new();
    let mut words: Vec<String> = merges
        .lines()
        .filter_map(|line| Some(line.replace(' ', "").strip_suffix("</w>")?.to_owned()))
        .filter(|word| (3..=11).contains(&word.len()) && english.contains(word.as_str()) && seen.insert(word.clone()))
        .take(COMMON)
        .collect();
    words.retain(|word| !held.contains(&word.as_str()));
    for extra in EXTRA {
        if !words.iter().any(|word| word == extra) {
            words.push(extra.into());
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{EXTRA, HELD, common, concepts};

    #[test]
    fn concepts_are_short_plain_and_not_held_out() {
        let held: Vec<&str> = HELD.lines().collect();
        assert!(held.contains(&"core"));
        let names = ["dog", "hot beverage", "apple core", "a b c", "9 ball", "a very very long one", ""];
        let names: BTreeSet<String> = names.map(str::to_owned).into();
        assert_eq!(concepts(&names, &held), ["dog", "hot beverage"]);
    }

    #[test]
    fn common_words_follow_the_merges() {
        let words = common(
            "t h\nth e</w>\nu n\no f</w>\nth at</w>\ndo gs</w>\nthe m</w>\nt he</w>",
            "them\nthat\nthe\nof\nDogs\n",
            &["that"],
        );
        assert_eq!(words[..2], ["the", "them"]);
        assert_eq!(words[2..], EXTRA);
    }
}
