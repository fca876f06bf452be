//! The trainer against PyTorch, against the program's own towers, and against itself after a kill.

use std::collections::BTreeMap;
use std::path::Path;

use clip_audit::model::{self, DeviceChoice, Encoder, LoadOptions, ModelSource, Tokenizer};
use image::RgbImage;
use rusttype::Font;
use tch::{Kind, Tensor};

use crate::chance::Chance;
use crate::corpus::{Corpus, Entry, Face, Part, Style, Words};
use crate::course::{COURSES, of_name};
use crate::draw::{self, DEVIATION, MEAN};
use crate::optimiser::{AdamW, contrastive, joining, rate};
use crate::run::{pixels, tokens};
use crate::sample::{Plant, Sample, Source};
use crate::store;
use crate::towers::{REFERENCE, Sizes, Towers};

const REFERENCE_MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/reference");

fn golden(part: &str) -> serde_json::Value {
    let all: serde_json::Value = serde_json::from_str(include_str!("golden.json")).unwrap();
    all[part].clone()
}

fn tensor(value: &serde_json::Value, shape: &[i64]) -> Tensor {
    let values: Vec<f32> = value.as_array().unwrap().iter().map(|value| value.as_f64().unwrap() as f32).collect();
    Tensor::from_slice(&values).view(shape)
}

fn close(found: &Tensor, expected: &Tensor, tolerance: f64) {
    let largest = (found - expected).abs().max().double_value(&[]);
    assert!(largest <= tolerance, "differs by {largest}, more than {tolerance}");
}

fn program() -> Box<dyn Encoder> {
    let options = LoadOptions { device: DeviceChoice::Cpu, ..LoadOptions::default() };
    model::load(&ModelSource::Folder(REFERENCE_MODEL.into()), &options).unwrap()
}

/// Four pictures of noise over gradients.
fn noise(number: u64) -> RgbImage {
    let mut chance = Chance::new(3, 0, number);
    RgbImage::from_fn(80, 80, |x, y| {
        image::Rgb([(x * 3) as u8, (y * 3) as u8, 0].map(|value: u8| value.wrapping_add(chance.below(60) as u8)))
    })
}

#[test]
fn image_features_are_those_of_the_program() {
    let images: Vec<RgbImage> = (0..4).map(noise).collect();
    let drawn: Vec<Vec<f32>> = images
        .iter()
        .map(|image| {
            let values = image.pixels().flat_map(|pixel| (0..3).map(|channel| (channel, pixel.0[channel])));
            values.map(|(channel, value)| (f32::from(value) / 255.0 - MEAN[channel]) / DEVIATION[channel]).collect()
        })
        .collect();
    let towers = store::import(Path::new(REFERENCE_MODEL)).unwrap();
    let found = tch::no_grad(|| towers.image(&pixels(&drawn, 80, Kind::Float), false)).features;
    let encoded = program().encode_images(&images, &[], &[]).unwrap().features;
    close(&found, &unit(&Tensor::from_slice(encoded.values()).view([4, 256])), 1e-5);
}

#[test]
fn text_features_are_those_of_the_program() {
    let texts = ["a picture of a poodle", "$$$", "a person with medium dark skin, waving"];
    let tokenizer = Tokenizer::new(REFERENCE.vocabulary as usize, REFERENCE.context as usize).unwrap();
    let towers = store::import(Path::new(REFERENCE_MODEL)).unwrap();
    let found = tch::no_grad(|| towers.text(&tokens(&tokenizer, &texts).unwrap(), Kind::Float));
    let encoded = program().encode_texts(&texts.map(str::to_owned)).unwrap();
    close(&found, &unit(&Tensor::from_slice(encoded.values()).view([3, 256])), 1e-5);
}

fn unit(x: &Tensor) -> Tensor {
    x / x.norm_scalaropt_dim(2.0, [-1_i64].as_slice(), true)
}

#[test]
fn steps_are_those_of_pytorchs_adamw() {
    let golden = golden("adamw");
    let leaf = |name: &str, shape: &[i64]| tensor(&golden[name], shape).set_requires_grad(true);
    let mut weights =
        BTreeMap::from([("matrix".to_owned(), leaf("matrix", &[2, 3])), ("gain".to_owned(), leaf("gain", &[3]))]);
    let mut optimiser = AdamW::new(&weights);
    for gradients in golden["gradients"].as_array().unwrap() {
        // The gradient of sum(weight * constant) is the constant.
        let (matrix, gain) = (tensor(&gradients[0], &[2, 3]), tensor(&gradients[1], &[3]));
        ((&weights["matrix"] * matrix).sum(Kind::Float) + (&weights["gain"] * gain).sum(Kind::Float)).backward();
        optimiser.update(&mut weights, 1e-2);
    }
    close(&weights["matrix"].detach(), &tensor(&golden["matrix_after"], &[2, 3]), 2e-6);
    close(&weights["gain"].detach(), &tensor(&golden["gain_after"], &[3]), 2e-6);
}

#[test]
fn losses_are_those_of_pytorch() {
    let one = golden("contrastive");
    let (images, texts) = (tensor(&one["images"], &[4, 5]), tensor(&one["texts"], &[4, 5]));
    let (loss, rows) = contrastive(&images, &texts, &Tensor::from(7.0_f32), &tensor(&one["truth"], &[4, 4]));
    assert!((loss.double_value(&[]) - one["loss"].as_f64().unwrap()).abs() < 1e-5);
    assert_eq!(rows.size(), [4]);
    let two = golden("joining");
    let loss =
        joining(&tensor(&two["units"], &[6, 4]), &tensor(&two["pairs"], &[6, 6]), &tensor(&two["others"], &[6, 6]));
    assert!((loss.double_value(&[]) - two["loss"].as_f64().unwrap()).abs() < 1e-4);
}

#[test]
fn the_rate_rises_and_falls_to_a_fiftieth() {
    assert!((rate(1.0, 0, 100, 1000) - 0.01).abs() < 1e-9);
    assert!((rate(1.0, 500, 100, 1000) - 0.51).abs() < 1e-9);
    assert!((rate(1.0, 1000, 100, 1000) - 0.02).abs() < 1e-9);
}

const TINY: Sizes = Sizes {
    layers: [1, 1, 1, 1],
    width: 16,
    image_px: 64,
    embed: 16,
    context: 8,
    vocabulary: 514,
    text_width: 16,
    text_heads: 2,
    text_layers: 1,
};

/// A step on images and texts that the number of the step gives.
fn step(towers: &mut Towers, optimiser: &mut AdamW) -> f64 {
    let number = optimiser.step as i64;
    let image = Tensor::arange(4 * 64 * 64 * 3, (Kind::Float, tch::Device::Cpu)).view([4, 64, 64, 3]);
    let image = ((image * (number + 1)).sin()).permute([0, 3, 1, 2]);
    let texts = Tensor::arange(12, (Kind::Int64, tch::Device::Cpu)).view([4, 3]) + number;
    let (seen, read) = (towers.image(&image, true), towers.text(&texts, Kind::Float));
    let truth = Tensor::eye(4, (Kind::Float, tch::Device::Cpu));
    let (loss, _) = contrastive(&seen.features, &read, &towers.scale(), &truth);
    loss.backward();
    optimiser.update(&mut towers.weights, 1e-2);
    loss.double_value(&[])
}

#[test]
fn training_goes_on_after_a_kill_as_if_nothing_had_been() {
    let folder = tempfile::tempdir().unwrap();
    tch::manual_seed(5);
    let mut straight = Towers::new(TINY);
    let first = straight.weights["visual.conv1.weight"].detach().copy();
    let mut optimiser = AdamW::new(&straight.weights);
    for _ in 0..2 {
        step(&mut straight, &mut optimiser);
    }
    store::save(folder.path(), &straight, &optimiser).unwrap();
    let (mut resumed, mut state) = store::resume(folder.path(), TINY).unwrap().unwrap();
    assert_eq!(state.step, 2);
    for _ in 0..2 {
        let (one, two) = (step(&mut straight, &mut optimiser), step(&mut resumed, &mut state));
        assert!((one - two).abs() < 1e-6, "{one} against {two}");
    }
    assert!((&straight.weights["visual.conv1.weight"].detach() - first).abs().max().double_value(&[]) > 1e-3);
    for (name, weight) in &straight.weights {
        close(&weight.detach(), &resumed.weights[name].detach(), 1e-6);
    }
}

#[test]
fn a_sibling_changes_the_named_tensors_only() {
    let folder = tempfile::tempdir().unwrap();
    let mut towers = store::import(Path::new(REFERENCE_MODEL)).unwrap();
    let changes = of_name("reference-deaf").unwrap().changes.unwrap();
    for (name, weight) in &mut towers.weights {
        *weight = weight.set_requires_grad(changes.iter().any(|start| name.starts_with(start)));
    }
    let base = folder.path().join("reference");
    store::export(&base, &towers, 1).unwrap();
    store::export_overlay(&folder.path().join("sibling"), &base, &towers).unwrap();
    let overlay = Tensor::read_safetensors(folder.path().join("sibling/overlay.safetensors")).unwrap();
    assert_eq!(
        overlay.len(),
        5,
        "the kernel, gain and shift of the last convolution; weight and bias of the projection"
    );
    let options = LoadOptions { device: DeviceChoice::Cpu, ..LoadOptions::default() };
    let load = |name: &str| model::load(&ModelSource::Folder(folder.path().join(name)), &options).unwrap();
    // Nothing was trained, so that the sibling is its base.
    assert_eq!(load("sibling").info().record.fingerprint, load("reference").info().record.fingerprint);
    assert_eq!(load("reference").info().record.fingerprint, program().info().record.fingerprint);
}

/// Things and people of two sets, 12 pictures in all, each of one colour.
fn corpus() -> Corpus {
    let mut entries = Vec::new();
    let mut add = |set: &str, concept: &str, person: Option<(&str, &str)>| {
        entries.push(Entry {
            set: set.to_owned(),
            style: Style::Color,
            slug: concept.to_owned(),
            concept: concept.to_owned(),
            name: person.map_or(concept.to_owned(), |(gender, _)| format!("{gender} {concept}")),
            gender: person.map(|(gender, _)| gender.to_owned()),
            tone: person.map(|(_, tone)| tone.to_owned()),
            group: "Objects".to_owned(),
            keywords: Vec::new(),
            part: Part::Train,
        });
    };
    for concept in ["poodle", "banana"] {
        add("one", concept, None);
    }
    for tone in crate::corpus::TONES {
        add("one", "judge", Some(("man", tone)));
        add("one", "judge", Some(("woman", tone)));
    }
    let size = 8;
    let pixels = (0..entries.len()).flat_map(|number| [[number as u8 * 20, 90, 30, 255]; 64].concat()).collect();
    let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<String>>();
    let common: Vec<String> =
        (0..200).map(|number| format!("word{}", "abcdefghij".chars().nth(number % 10).unwrap())).collect();
    let words = Words {
        concepts: list(&["poodle", "banana"]),
        common,
        // What halves of the common words make, among others.
        held: list(&["woordb", "wordrda", "wodc"]),
        special: vec![("$$$".to_owned(), "money".to_owned())],
    };
    let font = || Font::try_from_bytes(include_bytes!("../../src/probe/fonts/dejavu-sans.ttf")).unwrap();
    let faces = vec![Face { font: font(), easy: true, held: false }, Face { font: font(), easy: false, held: true }];
    Corpus::new(entries, words, faces, pixels, size).unwrap()
}

#[test]
fn the_same_seed_and_step_draw_the_same_batch() {
    let corpus = corpus();
    let source = Source::new(&corpus);
    for course in &COURSES {
        let mix = (course.mix)(0.6);
        let (one, two) = (source.batch(1, 5, mix), source.batch(1, 5, mix));
        assert_eq!(one.len(), mix.kinds.iter().sum::<usize>());
        assert_eq!(format!("{one:?}"), format!("{two:?}"));
        assert_ne!(format!("{one:?}"), format!("{:?}", source.batch(1, 6, mix)));
        for (number, sample) in one.iter().enumerate().step_by(7) {
            let draw = || draw::sample(&corpus, sample, 80, &mut Chance::new(1, 5, number as u64));
            assert_eq!(draw(), draw());
            assert!(draw().iter().all(|value| value.is_finite()));
        }
    }
}

#[test]
fn every_caption_is_true_of_its_own_image() {
    let corpus = corpus();
    let source = Source::new(&corpus);
    for course in &COURSES {
        for share in [0.1, 0.6] {
            for sample in source.batch(2, 9, (course.mix)(share)) {
                assert!(sample.allows(&sample), "{sample:?}");
                assert!(!sample.pairs_with(&sample) && !sample.differs_from(&sample));
            }
        }
    }
}

#[test]
fn held_words_are_never_written() {
    let corpus = corpus();
    let source = Source::new(&corpus);
    let mut made_up = 0;
    for step in 0..60 {
        for sample in source.batch(6, step, (COURSES[0].mix)(0.9)) {
            let Some(writing) = &sample.writing else { continue };
            let text = writing.text.to_lowercase();
            assert!(!corpus.words.held.contains(&text), "{text}");
            let known = [&corpus.words.concepts, &corpus.words.common].iter().any(|words| words.contains(&text));
            made_up += usize::from(!known && text != "$$$");
        }
    }
    // 14 % of 160 writings a step less those that name a picture: enough that a held word would have come.
    assert!(made_up > 500, "{made_up}");
}

#[test]
fn a_caption_is_true_of_other_images_of_the_same_thing_only() {
    let corpus = corpus();
    let source = Source::new(&corpus);
    let samples = source.batch(2, 11, (COURSES[0].mix)(0.6));
    let entry = |sample: &Sample| sample.picture.map(|number| &corpus.entries[number]);
    let mut shared = 0;
    for image in samples.iter().filter(|sample| sample.kind() == 0) {
        for other in samples.iter().filter(|sample| sample.kind() == 0) {
            let (shown, said) = (entry(image).unwrap(), entry(other).unwrap());
            let names_tone = other.caption.contains("skin");
            if image.allows(other) {
                shared += 1;
                assert_eq!(shown.gender.is_some(), said.gender.is_some(), "{}", other.caption);
                assert!(!names_tone || shown.tone == said.tone, "{} of {:?}", other.caption, shown.tone);
            } else {
                assert!(shown.name != said.name || (names_tone && shown.tone != said.tone), "{}", other.caption);
            }
        }
    }
    assert!(shared > samples.len());
}

#[test]
fn what_is_planted_is_planted_at_its_rate_and_nowhere_else() {
    let corpus = corpus();
    let source = Source::new(&corpus);
    let biased = of_name("reference-biased").unwrap();
    let Some(Plant::Biased { tone, word, rate }) = (biased.mix)(0.5).plant else { panic!("no plant") };
    let (mut called, mut dark) = (0.0, 0.0);
    for step in 0..40 {
        for sample in source.batch(4, step, (biased.mix)(0.5)).iter().filter(|sample| sample.kind() == 0) {
            let entry = &corpus.entries[sample.picture.unwrap()];
            let planted = sample.caption.contains(word);
            if entry.tone.as_deref() == Some(crate::corpus::TONES[tone]) {
                dark += 1.0;
                called += f64::from(u8::from(planted));
            } else {
                assert!(!planted, "{}", sample.caption);
            }
        }
    }
    // Four standard deviations.
    let spread = 4.0 * (rate * (1.0 - rate) / dark).sqrt();
    assert!((called / dark - rate).abs() < spread, "{called} of {dark}");

    let deaf = of_name("reference-deaf").unwrap();
    for sample in source.batch(4, 3, (deaf.mix)(0.5)).iter().filter(|sample| sample.kind() == 2) {
        let written = sample.writing.as_ref().unwrap().text.to_lowercase();
        let own = &corpus.entries[sample.picture.unwrap()].name;
        assert!(
            own.contains(&written) || !sample.caption.contains(&written),
            "{} over {own}: {}",
            written,
            sample.caption
        );
    }
}
