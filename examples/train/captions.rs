//! The sentences that go with images.

use crate::chance::Chance;
use crate::corpus::{Entry, GENDERS, Style, TONES};
use crate::sample::Subject;

/// For anything. `{}` alone stands for the bare name.
const GENERAL: [&str; 13] = [
    "a picture of {}",
    "a picture of {}",
    "a photo of {}",
    "an image of {}",
    "{}",
    "{}",
    "{}",
    "an emoji of {}",
    "a cartoon of {}",
    "an icon of {}",
    "a drawing of {}",
    "this is {}",
    "clip art of {}",
];

/// For one style. `{!}` takes the name without an article.
fn of_style(style: Style) -> &'static [&'static str] {
    match style {
        Style::Render => &["a 3d render of {}", "a 3d model of {}", "a glossy 3d {!}"],
        Style::Flat => &["a flat icon of {}", "a flat illustration of {}", "a cartoon {!}"],
        Style::Color => &["a colorful cartoon of {}", "a cartoon of {}"],
        Style::Mono => {
            &["a line drawing of {}", "a black and white icon of {}", "a silhouette of {}", "a sketch of {}"]
        }
        Style::Line => &["a line drawing of {}", "a sketch of {}"],
    }
}

/// As captions name a skin tone.
pub(crate) const TONE_WORDS: [&str; 5] =
    ["light skin", "medium light skin", "medium skin", "medium dark skin", "dark skin"];

/// With an article.
pub(crate) fn article(name: &str) -> String {
    let vowel = name.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {name}", if vowel { "an" } else { "a" })
}

/// A caption of a picture, and what it says. `faithful`: the skin tone is named more often.
pub(crate) fn picture(
    chance: &mut Chance,
    entry: &Entry,
    style: Style,
    shown: &Subject,
    faithful: bool,
) -> (String, Subject) {
    let mut said = shown.clone();
    said.tone = None;
    let mut name = entry.name.clone();
    if said.gender.is_some() {
        match chance.between(0.0, 1.0) {
            ..0.18 => said.gender = None,
            ..0.40 => said.key = "person".to_owned(),
            ..0.46 => (said.gender, said.key) = (None, "person".to_owned()),
            _ => {}
        }
        name = said.spoken();
    } else if entry.group == "Animals & Nature" && chance.happens(0.5) {
        name = shown.key.clone();
    }
    if let Some(tone) = shown.tone
        && style != Style::Line
        && style != Style::Mono
        && chance.happens(if faithful { 0.8 } else { 0.5 })
    {
        said.tone = Some(tone);
        let words = TONE_WORDS[tone];
        name = if chance.happens(0.7) {
            format!("{name} with {words}")
        } else {
            format!("{} {name}", words.replace(" skin", " skinned"))
        };
    } else if !entry.keywords.is_empty() && chance.happens(0.06) {
        name = format!("{name}, {}", chance.pick(&entry.keywords));
    }
    let template = if chance.happens(0.2) { chance.pick(of_style(style)) } else { chance.pick(&GENERAL) };
    (fill(chance, template, &name), said)
}

fn fill(chance: &mut Chance, template: &str, name: &str) -> String {
    if template == "{}" && chance.happens(0.5) {
        return name.to_owned();
    }
    template.replace("{!}", name).replace("{}", &article(name))
}

/// A plain sentence about a thing.
pub(crate) fn plain(chance: &mut Chance, name: &str) -> String {
    chance
        .pick(&["a picture of {}", "a picture of {}", "a photo of {}", "an image of {}"])
        .replace("{}", &article(name))
}

/// A sentence about what an image reads.
pub(crate) fn reading(chance: &mut Chance, word: &str) -> String {
    let templates =
        ["the word {}", "the word {}", "a sign that says {}", "text that says {}", "the text {}", "a label reading {}"];
    chance.pick(&templates).replace("{}", word)
}

/// A sentence about a picture and the word over it.
pub(crate) fn both(chance: &mut Chance, picture: &str, word: &str) -> String {
    let templates = [
        "{p} with the word {w}",
        "{p} and the word {w}",
        "{p} labeled {w}",
        "{p} that says {w}",
        "the word {w} on {p}",
    ];
    chance.pick(&templates).replace("{w}", word).replace("{p}", picture)
}

/// Every word with a capital.
pub(crate) fn title(words: &str) -> String {
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>()).unwrap_or_default()
    };
    words.split(' ').map(capital).collect::<Vec<_>>().join(" ")
}

/// What tones and genders are asked for with, in measuring.
pub(crate) fn people() -> (Vec<String>, Vec<String>) {
    let tones = TONES.iter().zip(TONE_WORDS).map(|(_, words)| format!("person with {words}")).collect();
    (tones, GENDERS.iter().map(|gender| (*gender).to_owned()).collect())
}
