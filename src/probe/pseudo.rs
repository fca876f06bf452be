//! Pseudo-words: what a control twin says. A pseudo-word has the length, the case and the pattern of vowels and
//! consonants of the word it stands for, is pronounceable where that word is, takes about as much ink and room, and
//! means nothing: it shares no letter at any place with the word, is no word the suite uses, and ends the way English
//! words do not (in v, j or u), which keeps it out of the dictionary without carrying one. In Greek and Cyrillic the ends
//! of words are free, so that a short one may by chance be a word of a language written so.

use std::collections::BTreeSet;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;

use super::glyphs::Face;

/// Pools of letters that may replace one another: vowels and consonants of a script, digits. Letters that look like
/// another script's or need marks are left out.
const POOLS: [&str; 7] = [
    "aeiou",
    "bdfgklmnprstvzjhcwxqy",
    "αεηιουω",
    "βγδζθκλμνξπρστφχψ",
    "аеиоуыэюя",
    "бвгджзклмнпрстфхцчшщ",
    "0123456789",
];
/// Consonants that a Latin pseudo-word draws from: those that can stand anywhere in a word.
const PLAIN_CONSONANTS: &str = "bdfgklmnprstvz";
/// English words that end like a pseudo-word, counted in a common list: these few and longer rarities.
const REAL: [&str; 34] = [
    "adj", "adv", "beau", "bayou", "conj", "ecru", "emu", "flu", "fondu", "gnu", "gov", "guru", "haiku", "kudzu",
    "lieu", "luau", "luv", "menu", "mu", "nu", "obj", "rev", "situ", "snafu", "subj", "tabu", "thou", "thru", "tofu",
    "tutu", "you", "zebu", "raj", "iv",
];
/// Symbols without a thing they stand for in a picture: no currency, no crosses, no arithmetic, no shapes.
const SYMBOLS: &str = "§¶¦¬‖·";
/// Signs that join letters within a word; they say nothing by themselves and stay.
const JOINTS: &str = " -'’.,:&/";
/// How many candidates are drawn; the best is taken.
const CANDIDATES: usize = 48;

/// The pseudo-word for `word`, or `None` when its script has no pool to draw from or nothing is left that is not taken.
/// `taken` holds words in lower case; the fonts must all have the letters, and the first decides what fits best.
pub(super) fn pseudo_word(word: &str, seed: u64, taken: &BTreeSet<String>, faces: &[Face<'_>]) -> Option<String> {
    let measure = faces.first()?;
    let (width, ink) = (measure.width_ems(word), measure.ink_ems(word));
    let mut hasher = Sha256::new();
    hasher.update(b"pseudo-word");
    hasher.update(seed.to_le_bytes());
    hasher.update(word.as_bytes());
    let mut random = ChaCha8Rng::from_seed(hasher.finalize().into());
    let spelled = word.chars().any(char::is_alphanumeric);
    let mut best: Option<(f32, String)> = None;
    let mut symbols = SYMBOLS.chars().collect::<Vec<_>>();
    for _ in 0..CANDIDATES {
        let candidate = if spelled {
            spell(word, &mut random, measure)?
        } else {
            // Symbols are tried in turn: a word of one repeated symbol becomes another one of a repeated symbol.
            let Some(symbol) = symbols.pop() else { break };
            word.chars().map(|letter| if letter == ' ' { ' ' } else { symbol }).collect()
        };
        let parts: Vec<String> = candidate.to_lowercase().split_whitespace().map(str::to_owned).collect();
        let known = taken.contains(&parts.join(" ")) || parts.iter().any(|part| taken.contains(part) || is_real(part));
        if known || shares_a_place(word, &candidate) || faces.iter().any(|face| face.missing(&candidate).is_some()) {
            continue;
        }
        let off = (measure.width_ems(&candidate) / width).ln().abs() + (measure.ink_ems(&candidate) / ink).ln().abs();
        if best.as_ref().is_none_or(|(least, _)| off < *least) {
            best = Some((off, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

fn is_real(part: &str) -> bool {
    REAL.contains(&part)
}

/// Whether a letter or digit stands at the same place in both, which would leave part of the word to be read.
fn shares_a_place(word: &str, candidate: &str) -> bool {
    word.chars().zip(candidate.chars()).any(|(ours, theirs)| ours == theirs && !JOINTS.contains(ours))
}

/// A number below `count`, by multiplication: the method is fixed here so that no library's next release changes it.
fn below(random: &mut ChaCha8Rng, count: usize) -> usize {
    ((u64::from(random.next_u32()) * count as u64) >> 32) as usize
}

/// One candidate, letter by letter.
fn spell(word: &str, random: &mut ChaCha8Rng, measure: &Face<'_>) -> Option<String> {
    let letters: Vec<char> = word.chars().collect();
    let mut spelled = String::new();
    for (place, &letter) in letters.iter().enumerate() {
        if JOINTS.contains(letter) {
            spelled.push(letter);
            continue;
        }
        let starts =
            place.checked_sub(1).and_then(|before| letters.get(before)).is_none_or(|&before| !before.is_alphabetic());
        let after = letters.get(place + 1);
        let ends = !starts && after.is_none_or(|&after| !after.is_alphabetic());
        let lower = bare(letter);
        // A y that does not open a word sounds as a vowel.
        let lower = if lower == 'y' && !starts { 'i' } else { lower };
        let Some(pool) = POOLS.iter().find(|pool| pool.contains(lower)) else {
            if letter.is_alphanumeric() {
                return None;
            }
            spelled.push(symbol_like(letter, measure)?);
            continue;
        };
        let pool = match (*pool, ends) {
            ("aeiou", true) => "u",
            ("bdfgklmnprstvzjhcwxqy", true) => "vj",
            ("bdfgklmnprstvzjhcwxqy", false) => PLAIN_CONSONANTS,
            (pool, _) => pool,
        };
        // A word that ends in u itself must end otherwise, and shares no letter anywhere.
        let mut choices: Vec<char> = pool.chars().filter(|&choice| choice != lower && choice != letter).collect();
        if choices.is_empty() {
            choices.push('i');
        }
        let choice = *choices.get(below(random, choices.len()))?;
        if letter.is_uppercase() { spelled.extend(choice.to_uppercase()) } else { spelled.push(choice) }
    }
    Some(spelled)
}

/// A letter in lower case and without its marks.
fn bare(letter: char) -> char {
    let lower = letter.to_lowercase().next().unwrap_or(letter);
    std::iter::once(lower).nfd().next().unwrap_or(lower)
}

/// The meaningless symbol whose ink comes closest.
fn symbol_like(letter: char, measure: &Face<'_>) -> Option<char> {
    let ink = |letter: char| measure.ink_ems(letter.encode_utf8(&mut [0; 4]));
    let wanted = ink(letter);
    let free = SYMBOLS.chars().filter(|&symbol| symbol != letter && measure.draws(symbol));
    free.min_by(|a, b| (ink(*a) - wanted).abs().total_cmp(&(ink(*b) - wanted).abs()))
}
