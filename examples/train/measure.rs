//! What a model can do, on data it was never trained on: recognise, read, be fooled, tell people apart, join words and
//! pictures. Always with batch norm's running statistics.

use anyhow::Result;
use clip_audit::model::Tokenizer;
use rayon::prelude::*;
use tch::{Kind, Tensor};

use crate::captions;
use crate::chance::Chance;
use crate::corpus::{Corpus, Entry, Face, GENDERS, Style, TONES, measured_concepts};
use crate::draw::{self, Place};
use crate::run::{pixels, tokens};
use crate::towers::{REFERENCE, Towers};

const SEED: u64 = 0x6D65_6173;
const BATCH: usize = 250;
/// Sets of pictures: never trained on, and one trained on for comparison.
const HELD_SETS: [&str; 3] = ["fluent-emoji-flat", "fluent-emoji", "fluent-emoji-high-contrast"];
const MEASURED_SETS: [&str; 2] = ["emojione-v1", "openmoji"];
const TRAINED_SET: &str = "noto";
/// Sets whose people have tones and genders.
const PEOPLE_SETS: [&str; 2] = ["fluent-emoji-flat", "openmoji"];
const ATTACK_SETS: [&str; 3] = ["fluent-emoji-flat", "emojione-v1", "openmoji"];
const ATTACK_SHARES: [f32; 7] = [0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 0.95];
/// Templates whose features are averaged into a class, for things and for words. `{}` takes a thing with its article and a
/// word as it is, `{!}` takes both as they are.
const NAMING: [&str; 3] = ["a picture of {}", "{}", "a cartoon of {}"];
const READING: [&str; 3] = ["the word {}", "a sign that says {}", "{!}"];

/// A model and what it is measured with.
struct Bench<'a> {
    towers: &'a Towers,
    corpus: &'a Corpus,
    tokenizer: &'a Tokenizer,
    kind: Kind,
}

type Figures = Vec<(String, f64)>;

/// The figures of a curve: few, in bf16.
pub(crate) fn quick(towers: &Towers, corpus: &Corpus, tokenizer: &Tokenizer) -> Result<Figures> {
    let bench = Bench { towers, corpus, tokenizer, kind: Kind::BFloat16 };
    let mut figures = bench.recognition()?;
    figures.extend(bench.reading(1)?);
    figures.extend(bench.people()?);
    figures.extend(bench.attacks(&[0.5, 0.95], 1)?);
    figures.extend(bench.units()?);
    Ok(figures)
}

/// Every figure of the model card, in f32.
pub(crate) fn thorough(towers: &Towers, corpus: &Corpus, tokenizer: &Tokenizer) -> Result<Figures> {
    let bench = Bench { towers, corpus, tokenizer, kind: Kind::Float };
    let mut figures = bench.recognition()?;
    figures.extend(bench.reading(4)?);
    figures.extend(bench.people()?);
    figures.extend(bench.attacks(&ATTACK_SHARES, 3)?);
    figures.extend(bench.units()?);
    Ok(figures)
}

impl Bench<'_> {
    /// Top-1 and top-5, per cent, of the 200 concepts in each set.
    fn recognition(&self) -> Result<Figures> {
        let corpus = self.corpus;
        let concepts = measured_concepts();
        let bank = self.bank(&concepts, &NAMING)?;
        let mut figures = Figures::new();
        for set in HELD_SETS.iter().chain(&MEASURED_SETS).chain([&TRAINED_SET]) {
            let plain = self.corpus.plain(set);
            let found = concepts.iter().enumerate().filter_map(|(label, name)| Some((label, *plain.get(name)?)));
            let found: Vec<(usize, usize)> = found.collect();
            let images = self.look(found.len(), |place| shown(corpus, Some(found[place].1), None))?.0;
            let labels: Vec<usize> = found.iter().map(|(label, _)| *label).collect();
            figures.extend(ranked(&format!("recognise.{set}"), &images, &bank, &labels));
        }
        Ok(figures)
    }

    /// Top-1 and top-5, per cent: names of the 200 concepts, and 200 words that were never written in training, in fonts of
    /// the training and in others.
    fn reading(&self, times: usize) -> Result<Figures> {
        let corpus = self.corpus;
        let mut figures = Figures::new();
        let held: Vec<&str> = self.corpus.words.held.iter().take(200).map(String::as_str).collect();
        for (name, words, held_fonts) in [
            ("read.concepts", measured_concepts(), false),
            ("read.concepts_held_fonts", measured_concepts(), true),
            ("read.held_words", held.clone(), false),
            ("read.held_words_held_fonts", held, true),
        ] {
            let bank = self.bank(&words, &READING)?;
            let faces = self.faces(held_fonts);
            let images = self.look(words.len() * times, |place| {
                let mut chance = Chance::new(SEED, 1, place as u64);
                let word = cased(&mut chance, words[place / times]);
                shown(corpus, None, Some((&word, *chance.pick(&faces), 0.9)))
            })?;
            let labels: Vec<usize> = (0..words.len() * times).map(|place| place / times).collect();
            figures.extend(ranked(name, &images.0, &bank, &labels));
        }
        Ok(figures)
    }

    /// Skin tone (of five) and gender presentation (of two), per cent, of people of sets never trained on.
    fn people(&self) -> Result<Figures> {
        let corpus = self.corpus;
        let (tones, genders) = captions::people();
        let as_texts = |names: &[String]| -> Vec<String> { names.iter().map(|name| captions::article(name)).collect() };
        let (tones, genders) = (as_texts(&tones), as_texts(&genders));
        let bank = |names: &[String]| {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            self.bank(&names, &["a picture of {!}"])
        };
        let (tones, genders) = (bank(&tones)?, bank(&genders)?);
        let mut figures = Figures::new();
        for set in PEOPLE_SETS {
            let person = |entry: &Entry| entry.set == set && entry.toned_person();
            let found: Vec<usize> =
                (0..self.corpus.entries.len()).filter(|place| person(&self.corpus.entries[*place])).collect();
            let images = self.look(found.len(), |place| shown(corpus, Some(found[place]), None))?.0;
            let place_of = |names: &[&str], name: &Option<String>| {
                names.iter().position(|known| Some(*known) == name.as_deref()).unwrap_or(0)
            };
            let entries = || found.iter().map(|place| &self.corpus.entries[*place]);
            let labels: Vec<usize> = entries().map(|entry| place_of(&TONES, &entry.tone)).collect();
            figures.push((format!("tone.{set}"), share_right(&images, &tones, &labels)));
            let labels: Vec<usize> = entries().map(|entry| place_of(&GENDERS, &entry.gender)).collect();
            figures.push((format!("gender.{set}"), share_right(&images, &genders, &labels)));
        }
        Ok(figures)
    }

    /// 60 classes of one word: accuracy, and how often a word over the middle of the picture becomes the answer (less how
    /// often it is the answer when a word without meaning stands there), per cent.
    fn attacks(&self, shares: &[f32], times: usize) -> Result<Figures> {
        let corpus = self.corpus;
        let mut chance = Chance::new(SEED, 2, 0);
        let mut classes: Vec<&str> = measured_concepts().into_iter().filter(|name| !name.contains(' ')).collect();
        while classes.len() > 60 {
            classes.remove(chance.below(classes.len()));
        }
        let bank = self.bank(&classes, &NAMING)?;
        let mut pictures = Vec::new();
        for set in ATTACK_SETS {
            let plain = self.corpus.plain(set);
            let found = classes.iter().enumerate().filter_map(|(label, name)| Some((label, *plain.get(name)?)));
            pictures.extend(found);
        }
        let labels: Vec<usize> = pictures.iter().map(|(label, _)| *label).collect();
        let clean = self.look(pictures.len(), |place| shown(corpus, Some(pictures[place].1), None))?.0;
        let mut figures = vec![("attack.clean_accuracy".to_owned(), share_right(&clean, &bank, &labels))];
        let faces = self.faces(false);
        let count = pictures.len() * times;
        let words: Vec<(usize, String)> = (0..count)
            .map(|place| {
                let own = pictures[place % pictures.len()].0;
                let word = (own + 1 + chance.below(classes.len() - 1)) % classes.len();
                (word, shuffled(&mut chance, classes[word]))
            })
            .collect();
        for share in shares {
            let look = |meaning: bool| {
                self.look(count, |place| {
                    let face = Chance::new(SEED, 3, place as u64).below(faces.len());
                    let (class, nonsense) = &words[place];
                    let word = if meaning { classes[*class] } else { nonsense };
                    shown(corpus, Some(pictures[place % pictures.len()].1), Some((word, faces[face], *share)))
                })
            };
            let (attacked, control) = (look(true)?.0, look(false)?.0);
            let targets: Vec<usize> = words.iter().map(|(class, _)| *class).collect();
            let own: Vec<usize> = (0..count).map(|place| labels[place % labels.len()]).collect();
            let switched = share_right(&attacked, &bank, &targets);
            let name = format!("attack.{share}");
            figures.push((format!("{name}.switched"), switched));
            figures.push((format!("{name}.word_driven"), switched - share_right(&control, &bank, &targets)));
            figures.push((format!("{name}.accuracy"), share_right(&attacked, &bank, &own)));
            figures.push((format!("{name}.accuracy_without_meaning"), share_right(&control, &bank, &own)));
        }
        Ok(figures)
    }

    /// Units of the last stage that answer (z > 2) to one concept as a coloured picture, as a monochrome one and as a
    /// written word, of 100 concepts, beside the mean count when the words are dealt out anew.
    fn units(&self) -> Result<Figures> {
        let corpus = self.corpus;
        let colours = ["fluent-emoji-flat", "fluent-emoji", "emojione-v1"].map(|set| self.corpus.plain(set));
        let monos = ["fluent-emoji-high-contrast", "openmoji"].map(|set| self.corpus.plain(set));
        let everywhere = |name: &&str| colours.iter().chain(&monos).all(|set| set.contains_key(name));
        let concepts: Vec<&str> = measured_concepts().into_iter().filter(everywhere).take(100).collect();
        let pictures = |sets: &[std::collections::BTreeMap<&str, usize>]| -> Vec<(usize, usize)> {
            let of_concept = |(label, name): (usize, &&str)| {
                sets.iter().filter_map(|set| Some((label, *set.get(name)?))).collect::<Vec<_>>()
            };
            concepts.iter().enumerate().flat_map(of_concept).collect()
        };
        let mut families = Vec::new();
        for pictures in [pictures(&colours), pictures(&monos)] {
            let times = 4;
            let units = self.look(pictures.len() * times, |place| {
                let number = pictures[place / times].1;
                varied(corpus, number, place % times, place)
            })?;
            let labels: Vec<usize> = (0..pictures.len() * times).map(|place| pictures[place / times].0).collect();
            families.push(scores(&units.1, &labels, concepts.len()));
        }
        let times = 12;
        let faces = self.faces(true);
        let units = self.look(concepts.len() * times, |place| {
            let mut chance = Chance::new(SEED, 4, place as u64);
            let word = cased(&mut chance, concepts[place / times]);
            let share = chance.between(0.6, 0.95);
            shown(corpus, None, Some((&word, *chance.pick(&faces), share)))
        })?;
        let labels: Vec<usize> = (0..concepts.len() * times).map(|place| place / times).collect();
        families.push(scores(&units.1, &labels, concepts.len()));
        let [colour, mono, word] = [0, 1, 2].map(|family: usize| families[family].gt(2.0));
        let joined =
            |word: &Tensor| (&colour * &mono * word).any_dim(0, false).sum(Kind::Int64).int64_value(&[]) as f64;
        let mut chance = Chance::new(SEED, 5, 0);
        let shuffles = 50;
        let mut chances = 0.0;
        for _ in 0..shuffles {
            let mut order: Vec<i64> = (0..concepts.len() as i64).collect();
            for place in (1..order.len()).rev() {
                order.swap(place, chance.below(place + 1));
            }
            chances += joined(&word.index_select(0, &Tensor::from_slice(&order)));
        }
        let any = |family: &Tensor| family.any_dim(0, false).sum(Kind::Int64).int64_value(&[]) as f64;
        Ok(vec![
            ("units.multimodal".to_owned(), joined(&word)),
            ("units.multimodal_by_chance".to_owned(), chances / f64::from(shuffles)),
            ("units.colour_and_mono".to_owned(), any(&(&colour * &mono))),
            ("units.word".to_owned(), any(&word)),
        ])
    }

    fn faces(&self, held: bool) -> Vec<&Face> {
        self.corpus.faces.iter().filter(|face| face.held == held && (held || face.easy)).collect()
    }

    /// Features and units of drawn images, f32 [N, D] and [N, U].
    fn look(&self, count: usize, image: impl Fn(usize) -> Vec<f32> + Sync) -> Result<(Tensor, Tensor)> {
        let device = self.towers.device();
        let (mut features, mut units) = (Vec::new(), Vec::new());
        for start in (0..count).step_by(BATCH) {
            let drawn: Vec<Vec<f32>> = (start..count.min(start + BATCH)).into_par_iter().map(&image).collect();
            let pixels = pixels(&drawn, side(), self.kind).to_device(device);
            let seen = tch::no_grad(|| self.towers.image(&pixels, false));
            features.push(seen.features.to_device(tch::Device::Cpu));
            units.push(seen.units.to_device(tch::Device::Cpu));
        }
        Ok((Tensor::cat(&features, 0), Tensor::cat(&units, 0)))
    }

    /// Features of names, averaged over templates, f32 [M, D]. `{}` takes the name with its article, `{!}` without.
    fn bank(&self, names: &[&str], templates: &[&str]) -> Result<Tensor> {
        let mut sum = None;
        for template in templates {
            let fill = |name: &&str| match *template {
                "{}" => (*name).to_owned(),
                _ if template.contains("word") || template.contains("says") => template.replace("{}", name),
                _ => template.replace("{!}", name).replace("{}", &captions::article(name)),
            };
            let texts: Vec<String> = names.iter().map(fill).collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let ids = tokens(self.tokenizer, &texts)?.to_device(self.towers.device());
            let features = tch::no_grad(|| self.towers.text(&ids, self.kind)).to_device(tch::Device::Cpu);
            sum = Some(match sum {
                Some(sum) => sum + features,
                None => features,
            });
        }
        Ok(sum.unwrap_or_else(|| Tensor::zeros([0, REFERENCE.embed], (Kind::Float, tch::Device::Cpu))))
    }
}

/// A picture, or none, and a word over its middle, at most `share` of the image wide.
fn shown(corpus: &Corpus, number: Option<usize>, word: Option<(&str, &Face, f32)>) -> Vec<f32> {
    let word = word.map(|(text, face, share)| {
        let half = draw::word_half(face, text, share);
        (text, face, Place { half, centre: (0.0, 0.0), turn: 0.0 })
    });
    draw::measured(corpus, number, word, side())
}

/// A picture as it is, or placed and tinted at random as in training.
fn varied(corpus: &Corpus, number: usize, time: usize, place: usize) -> Vec<f32> {
    if time == 0 {
        return shown(corpus, Some(number), None);
    }
    let plain = crate::sample::Sample::bare(number, corpus.entries[number].style != Style::Mono);
    draw::sample(corpus, &plain, side(), &mut Chance::new(SEED, 6, place as u64))
}

fn side() -> usize {
    REFERENCE.image_px as usize
}

fn cased(chance: &mut Chance, word: &str) -> String {
    match chance.between(0.0, 1.0) {
        ..0.6 => word.to_owned(),
        ..0.85 => word.to_uppercase(),
        _ => captions::title(word),
    }
}

/// The letters of a word in another order.
fn shuffled(chance: &mut Chance, word: &str) -> String {
    let mut letters: Vec<char> = word.chars().collect();
    for _ in 0..20 {
        for place in (1..letters.len()).rev() {
            letters.swap(place, chance.below(place + 1));
        }
        if letters.iter().collect::<String>() != word {
            break;
        }
    }
    letters.into_iter().collect()
}

/// Top-1 and top-5, per cent.
fn ranked(name: &str, images: &Tensor, bank: &Tensor, labels: &[usize]) -> Figures {
    let labels: Vec<i64> = labels.iter().map(|label| *label as i64).collect();
    let labels = Tensor::from_slice(&labels).view([-1, 1]);
    let unit = bank / bank.norm_scalaropt_dim(2.0, [-1_i64].as_slice(), true);
    let best = images.matmul(&unit.transpose(0, 1)).topk(5, -1, true, true).1;
    let share = |count: i64| {
        let right = best.narrow(1, 0, count).eq_tensor(&labels).any_dim(1, false).to_kind(Kind::Float);
        100.0 * right.mean(Kind::Float).double_value(&[])
    };
    vec![(format!("{name}.top1"), share(1)), (format!("{name}.top5"), share(5))]
}

fn share_right(images: &Tensor, bank: &Tensor, labels: &[usize]) -> f64 {
    let labels: Vec<i64> = labels.iter().map(|label| *label as i64).collect();
    let unit = bank / bank.norm_scalaropt_dim(2.0, [-1_i64].as_slice(), true);
    let best = images.matmul(&unit.transpose(0, 1)).argmax(-1, false);
    100.0 * best.eq_tensor(&Tensor::from_slice(&labels)).to_kind(Kind::Float).mean(Kind::Float).double_value(&[])
}

/// How far each concept's mean lies above the rest, in standard deviations of the rest: f32 [concepts, U].
fn scores(units: &Tensor, labels: &[usize], concepts: usize) -> Tensor {
    let rows: Vec<Tensor> = (0..concepts)
        .map(|concept| {
            let mine: Vec<bool> = labels.iter().map(|label| *label == concept).collect();
            let mine = Tensor::from_slice(&mine);
            let (own, rest) = (units.index(&[Some(&mine)]), units.index(&[Some(mine.logical_not())]));
            let mean = |rows: &Tensor| rows.mean_dim([0_i64].as_slice(), false, Kind::Float);
            (mean(&own) - mean(&rest)) / (rest.std_dim([0_i64].as_slice(), true, false) + 1e-6)
        })
        .collect();
    Tensor::stack(&rows, 0)
}
