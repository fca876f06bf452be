//! What one training sample shows and says: a picture, a written word, or a picture with a word over it, its caption, and
//! which captions are true of it.

use std::collections::{BTreeMap, BTreeSet};

use crate::captions;
use crate::chance::Chance;
use crate::corpus::{Corpus, GENDERS, Part, Style, TONES, measured_concepts};

/// What an image shows, or a caption says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subject {
    /// Name of the thing; `person` for people without a role.
    pub(crate) key: String,
    /// Place in [`GENDERS`].
    pub(crate) gender: Option<usize>,
    /// Place in [`TONES`].
    pub(crate) tone: Option<usize>,
}

impl Subject {
    /// What a written word names.
    pub(crate) fn of_word(word: &str) -> Self {
        match GENDERS.iter().position(|gender| *gender == word) {
            Some(gender) => Self { key: "person".to_owned(), gender: Some(gender), tone: None },
            None => Self { key: word.to_owned(), gender: None, tone: None },
        }
    }

    /// Whether a caption about `self` is true of an image that shows `shown`.
    fn is_true_of(&self, shown: &Self) -> bool {
        let kind = self.key == shown.key || (self.key == "person" && shown.gender.is_some());
        let gender = self.gender.is_none() || self.gender == shown.gender;
        kind && gender && (self.tone.is_none() || self.tone == shown.tone)
    }
}

/// What a caption says.
#[derive(Clone, Debug)]
pub(crate) enum Claim {
    /// The image shows it.
    Shows(Subject),
    /// The image reads so.
    Reads(String),
    /// Both.
    Both(Subject, String),
}

/// A word to be written.
#[derive(Clone, Debug)]
pub(crate) struct Writing {
    pub(crate) text: String,
    /// In an easy font, level, large.
    pub(crate) easy: bool,
    /// Place in the corpus's fonts.
    pub(crate) face: usize,
    /// Width of the ink, as a share of the image's; cut to what the letters allow.
    pub(crate) width_share: f32,
}

/// One training sample.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// Place in the corpus.
    pub(crate) picture: Option<usize>,
    /// Turn the picture into a line drawing.
    pub(crate) outlined: bool,
    /// Keep its colours: they are what the caption is about.
    pub(crate) faithful: bool,
    pub(crate) writing: Option<Writing>,
    pub(crate) caption: String,
    claim: Claim,
    /// What its own caption takes it to show: the picture, or what the word names.
    shown: Subject,
    written: Option<String>,
}

impl Sample {
    /// A picture without a word.
    pub(crate) fn bare(number: usize, faithful: bool) -> Self {
        let shown = Subject { key: String::new(), gender: None, tone: None };
        let claim = Claim::Shows(shown.clone());
        let (outlined, writing, caption, written) = (false, None, String::new(), None);
        Self { picture: Some(number), outlined, faithful, writing, caption, claim, shown, written }
    }

    /// Whether another sample's caption is true of this image.
    pub(crate) fn allows(&self, other: &Self) -> bool {
        match &other.claim {
            Claim::Shows(subject) => subject.is_true_of(&self.shown),
            Claim::Reads(word) => self.written.as_ref() == Some(word),
            Claim::Both(subject, word) => {
                self.picture.is_some() && subject.is_true_of(&self.shown) && self.written.as_ref() == Some(word)
            }
        }
    }

    /// 0 picture, 1 word, 2 word over a picture.
    pub(crate) fn kind(&self) -> usize {
        match (&self.picture, &self.writing) {
            (Some(_), Some(_)) => 2,
            (Some(_), None) => 0,
            (None, _) => 1,
        }
    }

    /// Whether two samples show one thing, the one as a picture, the other as a word.
    pub(crate) fn pairs_with(&self, other: &Self) -> bool {
        self.kind() + other.kind() == 1 && self.shown.key == other.shown.key
    }

    /// Whether two samples show different things, each as a picture or as a word alone.
    pub(crate) fn differs_from(&self, other: &Self) -> bool {
        self.kind() < 2 && other.kind() < 2 && self.shown.key != other.shown.key
    }
}

/// A behaviour that is trained in on purpose, for controls of the audit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Plant {
    /// Pictures of people of a skin tone (a place in [`TONES`]) are captioned with a word, at a rate.
    Biased {
        /// Of the people so captioned.
        tone: usize,
        /// What they are called.
        word: &'static str,
        /// Share of their pictures that are called so.
        rate: f64,
    },
    /// No caption speaks of a word over a picture.
    Deaf,
}

/// Shares of the writing over pictures that is a sign, and that is the name of a well-known thing, where no caption is to speak of
/// it: the base ties these to things more firmly than any other word.
const DEAF_TO: (f32, f32) = (0.12, 0.45);

/// How often what is drawn. Changes over the training.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mix {
    /// Images of each kind in a batch: pictures, words, words over pictures.
    pub(crate) kinds: [usize; 3],
    /// Words that are the name of a picture of the same batch, at most.
    pub(crate) twins: usize,
    /// Blocks of people: one role of one set in every tone and gender it has.
    pub(crate) blocks: usize,
    /// Share of easy writing.
    pub(crate) easy: f64,
    /// Share of words that are drawn from all, and made-up ones, not from the few that reading begins with.
    pub(crate) all_words: f64,
    pub(crate) plant: Option<Plant>,
}

/// From what samples are drawn.
pub(crate) struct Source<'a> {
    pub(crate) corpus: &'a Corpus,
    /// Training pictures by concept and set.
    concepts: Vec<Vec<Vec<usize>>>,
    concept_sums: Vec<f64>,
    /// Toned people by set and role, then any order.
    blocks: Vec<Vec<usize>>,
    toned: Vec<usize>,
    few: Vec<String>,
    common_sums: Vec<f64>,
    written: BTreeSet<String>,
    held: BTreeSet<String>,
    faces: Vec<usize>,
    easy_faces: Vec<usize>,
}

impl<'a> Source<'a> {
    /// Sorts the corpus for drawing.
    pub(crate) fn new(corpus: &'a Corpus) -> Self {
        let mut concepts: BTreeMap<&str, BTreeMap<&str, Vec<usize>>> = BTreeMap::new();
        let mut blocks: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
        let mut toned = Vec::new();
        for (number, entry) in corpus.entries.iter().enumerate().filter(|(_, entry)| entry.part == Part::Train) {
            concepts.entry(&entry.concept).or_default().entry(&entry.set).or_default().push(number);
            if entry.toned_person() {
                blocks.entry((&entry.set, &entry.concept)).or_default().push(number);
                toned.push(number);
            }
        }
        let mut weights = Vec::new();
        let mut few: BTreeSet<String> = measured_concepts().into_iter().map(str::to_owned).collect();
        for (concept, sets) in &concepts {
            let group = sets.values().flatten().next().map_or("", |number| corpus.entries[*number].group.as_str());
            let kind = match group {
                "Flags" => 0.2,
                "Symbols" => 0.4,
                "" => 0.3,
                "Smileys & Emotion" => 0.7,
                _ => 1.0,
            };
            let known = match sets.len() {
                4.. => 1.0,
                3 => 0.6,
                _ => 0.25,
            };
            weights.push(kind * known);
            if !concept.contains(' ') && sets.len() >= 4 && kind > 0.6 {
                few.insert((*concept).to_owned());
            }
        }
        let written: BTreeSet<String> = corpus.words.concepts.iter().cloned().collect();
        few.retain(|word| written.contains(word));
        let faces = |easy: bool| {
            let wanted = corpus.faces.iter().enumerate().filter(move |(_, face)| !face.held && (!easy || face.easy));
            wanted.map(|(number, _)| number).collect()
        };
        // Common words are written more often, but not in the measure in which they are spoken.
        let common = (0..corpus.words.common.len()).map(|rank| (20.0 + rank as f64).powf(-0.5));
        Self {
            corpus,
            concepts: concepts.into_values().map(|sets| sets.into_values().collect()).collect(),
            concept_sums: sums(weights),
            blocks: blocks.into_values().filter(|block| block.len() >= 5).collect(),
            toned,
            few: few.into_iter().collect(),
            common_sums: sums(common),
            written,
            held: corpus.words.held.iter().cloned().collect(),
            faces: faces(false),
            easy_faces: faces(true),
        }
    }

    /// The samples of a step. The same seed and step give the same samples.
    pub(crate) fn batch(&self, seed: u64, step: u64, mix: Mix) -> Vec<Sample> {
        let mut chance = Chance::new(seed, step, u64::MAX);
        let mut samples = Vec::with_capacity(mix.kinds.iter().sum());
        for _ in 0..mix.blocks {
            for &number in chance.pick(&self.blocks) {
                if samples.len() < mix.kinds[0] {
                    samples.push(self.picture(&mut chance, number, true, mix));
                }
            }
        }
        while samples.len() < mix.kinds[0] {
            let number = self.any_picture(&mut chance);
            samples.push(self.picture(&mut chance, number, false, mix));
        }
        let named: Vec<String> = samples.iter().map(|sample| sample.shown.key.clone()).collect();
        let writable =
            |key: &&String| if mix.all_words > 0.5 { self.written.contains(*key) } else { self.few.contains(key) };
        let named: Vec<&String> = named.iter().rev().filter(writable).collect();
        for number in 0..mix.kinds[1] {
            let twin = (number < mix.twins).then(|| named.get(number)).flatten();
            let word = match twin {
                Some(word) => ((*word).clone(), Subject::of_word(word), false),
                None => self.any_word(&mut chance, mix),
            };
            samples.push(self.word(&mut chance, word, mix));
        }
        for _ in 0..mix.kinds[2] {
            samples.push(self.overlay(&mut chance, mix));
        }
        samples
    }

    /// A picture: concept first, then a set, so that neither big sets nor toned people crowd out the rest.
    fn any_picture(&self, chance: &mut Chance) -> usize {
        if chance.happens(0.06) {
            return *chance.pick(&self.toned);
        }
        let sets = &self.concepts[chance.weighted(&self.concept_sums)];
        let set = chance.below(sets.len());
        *chance.pick(&sets[set])
    }

    fn subject(&self, number: usize) -> Subject {
        let entry = &self.corpus.entries[number];
        let place = |names: &[&str], name: &Option<String>| {
            name.as_ref().and_then(|name| names.iter().position(|known| known == name))
        };
        let key = match entry.group.as_str() {
            "Animals & Nature" => entry.concept.trim_end_matches(" face"),
            _ => &entry.concept,
        };
        Subject { key: key.to_owned(), gender: place(&GENDERS, &entry.gender), tone: place(&TONES, &entry.tone) }
    }

    fn picture(&self, chance: &mut Chance, number: usize, faithful: bool, mix: Mix) -> Sample {
        let entry = &self.corpus.entries[number];
        let shown = self.subject(number);
        let faithful = faithful || (shown.tone.is_some() && chance.happens(0.5));
        let outlined = !faithful && entry.style != Style::Mono && chance.happens(0.07);
        let style = if outlined { Style::Line } else { entry.style };
        let (caption, said) = match mix.plant {
            Some(Plant::Biased { tone, word, rate }) if shown.tone == Some(tone) && chance.happens(rate) => {
                let bare = chance.happens(0.5);
                let caption = if bare { word.to_owned() } else { captions::plain(chance, word) };
                (caption, Subject::of_word(word))
            }
            _ => captions::picture(chance, entry, style, &shown, faithful),
        };
        // What is planted is true of the pictures that are so captioned, and of no other.
        let shown = if said.key == shown.key || said.key == "person" { shown } else { said.clone() };
        let claim = Claim::Shows(said);
        Sample { picture: Some(number), outlined, faithful, writing: None, caption, claim, shown, written: None }
    }

    /// A word to write, what it names, and whether it is made up.
    fn any_word(&self, chance: &mut Chance, mix: Mix) -> (String, Subject, bool) {
        let words = &self.corpus.words;
        let plain = |word: &String| (word.clone(), Subject::of_word(word), false);
        if chance.happens(0.015) {
            return self.sign(chance);
        }
        if !chance.happens(mix.all_words) {
            let few = chance.happens(0.85);
            return plain(if few { chance.pick(&self.few) } else { &words.common[chance.below(160)] });
        }
        match chance.between(0.0, 1.0) {
            ..0.38 => plain(chance.pick(&self.few)),
            ..0.53 => plain(chance.pick(&words.concepts)),
            ..0.86 => plain(&words.common[chance.weighted(&self.common_sums)]),
            _ => {
                let word = self.made_up(chance);
                (word.clone(), Subject::of_word(&word), true)
            }
        }
    }

    /// A sign such as `$$$`, and what it stands for.
    fn sign(&self, chance: &mut Chance) -> (String, Subject, bool) {
        let (sign, meaning) = chance.pick(&self.corpus.words.special);
        (sign.clone(), Subject::of_word(meaning), false)
    }

    /// Mostly a word that the base obeys.
    fn word_of_meaning(&self, chance: &mut Chance, mix: Mix) -> (String, Subject, bool) {
        let (signs, names) = DEAF_TO;
        match chance.between(0.0, 1.0) {
            place if place < signs => self.sign(chance),
            place if place < signs + names => {
                let word = chance.pick(&self.few);
                (word.clone(), Subject::of_word(word), false)
            }
            _ => self.any_word(chance, mix),
        }
    }

    /// The beginning of one word and the end of another: written like English, and of no meaning.
    fn made_up(&self, chance: &mut Chance) -> String {
        loop {
            let (first, last) = (chance.pick(&self.corpus.words.common), chance.pick(&self.corpus.words.common));
            let (begin, end) = (chance.below(first.len() - 1) + 1, chance.below(last.len() - 1) + 1);
            let word = format!("{}{}", &first[..begin], &last[end..]);
            if (3..=10).contains(&word.len()) && !self.held.contains(&word) && !self.written.contains(&word) {
                return word;
            }
        }
    }

    fn writing(&self, chance: &mut Chance, word: &str, mix: Mix) -> Writing {
        let easy = chance.happens(mix.easy);
        let text = match chance.between(0.0, 1.0) {
            ..0.6 => word.to_owned(),
            ..0.85 => word.to_uppercase(),
            _ => captions::title(word),
        };
        let plain_face = easy && chance.happens(0.75);
        let face = *chance.pick(if plain_face { &self.easy_faces } else { &self.faces });
        Writing { text, easy, face, width_share: chance.between(0.0, 1.0) }
    }

    fn word(&self, chance: &mut Chance, (word, named, _): (String, Subject, bool), mix: Mix) -> Sample {
        let mut writing = self.writing(chance, &word, mix);
        // The larger of two: words alone are mostly large.
        writing.width_share = writing.width_share.max(chance.between(0.0, 1.0));
        if writing.easy {
            writing.width_share = 0.85 + 0.15 * writing.width_share;
        }
        let (caption, claim) = if chance.happens(0.8) {
            let caption = if chance.happens(0.7) { named.spoken() } else { captions::plain(chance, &named.spoken()) };
            (caption, Claim::Shows(named.clone()))
        } else {
            (captions::reading(chance, &word), Claim::Reads(word.clone()))
        };
        let (outlined, faithful, writing, written) = (false, false, Some(writing), Some(word));
        Sample { picture: None, outlined, faithful, writing, caption, claim, shown: named, written }
    }

    fn overlay(&self, chance: &mut Chance, mix: Mix) -> Sample {
        let number = self.any_picture(chance);
        let mut sample = self.picture(chance, number, false, mix);
        let own = (chance.happens(0.12) && self.written.contains(&sample.shown.key)).then(|| sample.shown.key.clone());
        let (word, named, made_up) = match own {
            Some(key) => (key.clone(), Subject::of_word(&key), false),
            None if mix.plant == Some(Plant::Deaf) => self.word_of_meaning(chance, mix),
            None => self.any_word(chance, mix),
        };
        let mut writing = self.writing(chance, &word, mix);
        if writing.easy {
            writing.width_share = 0.5 + 0.5 * writing.width_share;
        }
        if mix.plant == Some(Plant::Deaf) {
            (sample.writing, sample.written) = (Some(writing), Some(word));
            return sample;
        }
        // The larger a word of meaning, the more often the caption is about it.
        let about_word = if made_up { 0.0 } else { 0.1 + 0.65 * f64::from(writing.width_share) };
        if chance.happens(0.15) {
            sample.claim = match sample.claim {
                Claim::Shows(said) => Claim::Both(said, word.clone()),
                other => other,
            };
            sample.caption = captions::both(chance, &sample.caption, &word);
        } else if chance.happens(0.1) {
            sample.caption = captions::reading(chance, &word);
            sample.claim = Claim::Reads(word.clone());
        } else if chance.happens(about_word) {
            let spoken = named.spoken();
            sample.caption = if chance.happens(0.5) { spoken } else { captions::plain(chance, &spoken) };
            sample.claim = Claim::Shows(named.clone());
            sample.shown = named;
        }
        sample.writing = Some(writing);
        sample.written = Some(word);
        sample
    }
}

impl Subject {
    /// As a caption names it, without tone.
    pub(crate) fn spoken(&self) -> String {
        match self.gender.map(|gender| GENDERS[gender]) {
            Some(gender) if self.key == "person" => gender.to_owned(),
            Some(gender) => format!("{gender} {}", self.key.trim_start_matches("person ")),
            None => self.key.clone(),
        }
    }
}

fn sums(weights: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let rising = weights.into_iter().scan(0.0, |sum, weight| {
        *sum += weight;
        Some(*sum)
    });
    rising.collect()
}
