//! Overlays: the changed tensors alone, laid over a base, are the whole model, by features and fingerprint of open_clip's own
//! (`tests/golden/formats.py`); and whatever is not exactly over its base is refused.

mod refused;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use clip_audit::model::{CheckpointOptions, Encoder, ModelError};
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::checkpoints::{CONFIGURATION, Entry, WEIGHTS, entries, entries_of, open, problems, serialise};
use super::encoder::{golden_folder, pictures, texts};
use super::formats::{agrees, asked, fact, formats, open_with};

const DECLARATION: &str = "overlay.json";
const CHANGED: &str = "overlay.safetensors";

/// A base in `reference`, and in `sibling` an overlay over it.
pub(super) struct Pair(TempDir);

impl Pair {
    /// A copy of a golden folder as the base, turned around in some of its tensors; over it tensors by canonical names.
    pub(super) fn new(base: &Path, turned: &[&str], changed: &[Entry]) -> Self {
        let pair = Self(tempfile::tempdir().unwrap());
        fs::create_dir(pair.reference()).unwrap();
        fs::create_dir(pair.sibling()).unwrap();
        let mut count = 0;
        for file in fs::read_dir(base).unwrap() {
            let (from, to) = (file.as_ref().unwrap().path(), pair.reference().join(file.unwrap().file_name()));
            if from.extension().is_some_and(|end| end == "safetensors") {
                let mut entries = entries_of(&from);
                for entry in entries.iter_mut().filter(|entry| turned.contains(&entry.name.as_str())) {
                    turn(entry);
                    count += 1;
                }
                fs::write(to, serialise(&entries)).unwrap();
            } else if from.is_file() {
                fs::copy(from, to).unwrap();
            }
        }
        assert_eq!(count, turned.len());
        fs::write(pair.sibling().join(CHANGED), serialise(changed)).unwrap();
        let fingerprint = open(&pair.reference()).unwrap().info().record.fingerprint.0.clone();
        pair.declare(&declaration(&fingerprint));
        pair
    }

    pub(super) fn reference(&self) -> PathBuf {
        self.0.path().join("reference")
    }

    pub(super) fn sibling(&self) -> PathBuf {
        self.0.path().join("sibling")
    }

    pub(super) fn declare(&self, declaration: &Value) {
        fs::write(self.sibling().join(DECLARATION), declaration.to_string()).unwrap();
    }

    pub(super) fn declared(&self) -> Value {
        serde_json::from_slice(&fs::read(self.sibling().join(DECLARATION)).unwrap()).unwrap()
    }
}

fn declaration(fingerprint: &str) -> Value {
    json!({"format": "clip-audit-overlay", "version": 1, "base": "../reference", "base_fingerprint": fingerprint})
}

/// Turns the sign of every value of a tensor in f16.
fn turn(entry: &mut Entry) {
    assert_eq!(entry.dtype, "F16");
    entry.data.iter_mut().skip(1).step_by(2).for_each(|byte| *byte ^= 0x80);
}

fn of(folder: &Path, names: &[&str]) -> Vec<Entry> {
    let found: Vec<Entry> = entries(folder).into_iter().filter(|entry| names.contains(&entry.name.as_str())).collect();
    assert_eq!(found.len(), names.len());
    found
}

/// The open_clip folder of the golden transformer alone, without the other files of its folder.
fn open_clip() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in [CONFIGURATION, WEIGHTS] {
        fs::copy(formats().join(name), folder.path().join(name)).unwrap();
    }
    folder
}

const KEYS: &str = "visual.transformer.resblocks.1.attn.in_proj_weight";
const PROJECTION: &str = "visual.proj";

/// The golden transformer as a base in which two tensors are turned around, and an overlay that puts them right.
pub(super) fn pair() -> Pair {
    let base = open_clip();
    Pair::new(base.path(), &[KEYS, PROJECTION], &of(&formats(), &[KEYS, PROJECTION, "ln_final.bias"]))
}

#[test]
fn over_a_base_of_any_format_it_is_the_model_that_open_clip_computes() {
    let base = open_clip();
    let theirs = ["vision_model.encoder.layers.1.self_attn.k_proj.weight", "visual_projection.weight"];
    for (base, turned, format, weights) in [
        (base.path().to_owned(), [KEYS, PROJECTION], "open_clip folder", WEIGHTS),
        (formats().join("hugging"), theirs, "Hugging Face folder", "model.safetensors"),
        (formats().join("sharded"), theirs, "Hugging Face folder", "model-00003-of-00003.safetensors"),
    ] {
        let pair = Pair::new(&base, &turned, &of(&formats(), &[KEYS, PROJECTION, "ln_final.bias"]));
        let under = open(&pair.reference()).unwrap();
        let encoder = open(&pair.sibling()).unwrap();
        agrees(encoder.as_ref(), "vit");
        let (record, base) = (&encoder.info().record, &under.info().record);
        assert_ne!(record.fingerprint, base.fingerprint);
        assert_eq!((record.format.as_str(), base.format.as_str()), ("overlay folder", format));
        assert_eq!(
            fact(encoder.as_ref(), "overlay"),
            format!("2 of 50 tensors differ from the base: {PROJECTION}, {KEYS}; 1 more given, equal to the base's")
        );
        assert_eq!(
            fact(encoder.as_ref(), "base"),
            format!("../reference ({format}), fingerprint {}", base.fingerprint)
        );
        // What is said of the base is said still.
        assert!(base.facts.iter().all(|fact| record.facts.contains(fact)), "{record:#?}");

        let of_base = base.files.iter().map(|file| (format!("../reference/{}", file.name), file.sha256.clone()));
        let own = [DECLARATION, CHANGED].map(|name| (name.to_owned(), digest(&pair.sibling().join(name))));
        let expected: Vec<(String, String)> = of_base.chain(own).collect();
        let files: Vec<_> = record.files.iter().map(|file| (file.name.clone(), file.sha256.clone())).collect();
        assert_eq!(files, expected);
        assert!(files.iter().any(|(name, _)| *name == format!("../reference/{weights}")), "{files:?}");
    }
}

fn digest(path: &Path) -> String {
    Sha256::digest(fs::read(path).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_resnet_with_changed_statistics_is_the_same_model_saved_whole() {
    let tiny = golden_folder().join("tiny");
    let mut changed = of(&tiny, &["visual.layer4.0.conv2.weight", "visual.layer4.0.bn1.bias", "logit_scale"]);
    changed.iter_mut().filter(|entry| entry.dtype == "F16").for_each(turn);
    // Channels that died in the base and came to life, and one that died since; a counter, which is no weight.
    let variances = of(&tiny, &["visual.layer4.0.bn2.running_var", "visual.layer4.0.bn2.num_batches_tracked"]);
    changed.extend(variances);
    for entry in changed.iter_mut().filter(|entry| entry.name.ends_with("running_var")) {
        entry.data[..6].fill(0);
    }
    let pair = Pair::new(&tiny, &[], &changed);
    let mut whole = entries(&tiny);
    for entry in &mut whole {
        if let Some(changed) = changed.iter().find(|changed| changed.name == entry.name) {
            *entry = changed.clone();
        }
    }
    let folder = tempfile::tempdir().unwrap();
    fs::copy(tiny.join(CONFIGURATION), folder.path().join(CONFIGURATION)).unwrap();
    fs::write(folder.path().join(WEIGHTS), serialise(&whole)).unwrap();
    let (overlaid, whole) = (open(&pair.sibling()).unwrap(), open(folder.path()).unwrap());
    same(overlaid.as_ref(), whole.as_ref());
    let constant = fact(whole.as_ref(), "constant channels");
    assert_eq!(constant, "3 batch-norm channels have a running variance of 0");
    assert_eq!(fact(overlaid.as_ref(), "overlay"), {
        let total = fact(whole.as_ref(), "tensors");
        format!("3 of {total} tensors differ from the base: visual.layer4 (3); 1 more given, equal to the base's")
    });

    // The other way round: the dead channels stand in the base.
    let back = Pair::new(folder.path(), &[], &of(&tiny, &["visual.layer4.0.bn2.running_var"]));
    let encoder = open(&back.sibling()).unwrap();
    assert!(encoder.info().record.facts.iter().all(|(name, _)| name != "constant channels"));
}

/// Fingerprint, features and every fact of the model alike, to the last bit.
fn same(a: &dyn Encoder, b: &dyn Encoder) {
    assert_eq!(a.info().record.fingerprint, b.info().record.fingerprint);
    let images = pictures(a.info().image_size);
    let (of_a, of_b) = (a.encode_images(&images, &[], &[]).unwrap(), b.encode_images(&images, &[], &[]).unwrap());
    assert_eq!(of_a.features, of_b.features);
    assert_eq!(a.encode_texts(&texts()).unwrap(), b.encode_texts(&texts()).unwrap());
    assert!(b.info().record.facts.iter().all(|fact| a.info().record.facts.contains(fact)));
}

#[test]
fn what_is_the_same_as_the_base_changes_nothing() {
    let base = open_clip();
    let pair = Pair::new(base.path(), &[], &of(&formats(), &[PROJECTION]));
    let encoder = open(&pair.sibling()).unwrap();
    agrees(encoder.as_ref(), "vit");
    let expected = "0 of 50 tensors differ from the base; 1 more given, equal to the base's";
    assert_eq!(fact(encoder.as_ref(), "overlay"), expected);
    // All of them: the parts of the model are named, the first ones.
    let mut all = entries(&formats());
    all.iter_mut().for_each(turn);
    all.retain(|entry| entry.name != "logit_scale");
    let pair = Pair::new(base.path(), &[], &all);
    assert_eq!(
        fact(open(&pair.sibling()).unwrap().as_ref(), "overlay"),
        "49 of 50 tensors differ from the base: ln_final.bias, ln_final.weight, positional_embedding, text_projection, \
         token_embedding.weight, transformer.resblocks.0 (12), visual.class_embedding, visual.conv1.weight, and 6 more parts"
    );
}

#[test]
fn the_activation_is_the_bases_or_is_asked_for_as_there() {
    let pair = pair();
    let path = pair.reference().join(CONFIGURATION);
    let mut configuration: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let contradicted = open_with(&pair.sibling(), asked(false)).err().unwrap().to_string();
    assert!(contradicted.contains("base ../reference: the activation asked for contradicts"), "{contradicted}");
    configuration["model_cfg"].as_object_mut().unwrap().remove("quick_gelu");
    fs::write(path, configuration.to_string()).unwrap();
    agrees(open_with(&pair.sibling(), asked(true)).unwrap().as_ref(), "vit");
}

#[test]
fn an_overlay_that_lost_a_file_is_not_taken_for_what_stands_beside_it() {
    for lost in [DECLARATION, CHANGED] {
        let pair = pair();
        for name in [CONFIGURATION, WEIGHTS] {
            fs::copy(pair.reference().join(name), pair.sibling().join(name)).unwrap();
        }
        let encoder = open(&pair.sibling()).unwrap();
        agrees(encoder.as_ref(), "vit");
        assert_eq!(
            fact(encoder.as_ref(), "beside the overlay"),
            "files of another checkpoint (open_clip folder) stand in the overlay's folder; not read"
        );
        fs::remove_file(pair.sibling().join(lost)).unwrap();
        assert_eq!(problems(&pair.sibling()), [format!("{lost}: No such file or directory (os error 2)")]);
    }
}

#[test]
fn expected_hashes_are_of_the_weights_of_both() {
    let pair = pair();
    let (base, own) = (digest(&pair.reference().join(WEIGHTS)), digest(&pair.sibling().join(CHANGED)));
    let expect = |hashes: &[&String]| {
        let expect_sha256 = hashes.iter().map(|&hash| hash.clone()).collect();
        open_with(&pair.sibling(), CheckpointOptions { expect_sha256, ..CheckpointOptions::default() })
    };
    assert!(expect(&[&base, &own]).is_ok() && expect(&[&own, &base]).is_ok());
    let other = "0".repeat(64);
    let of_base = format!("base ../reference: {WEIGHTS}: its SHA-256 is {base}, expected ");
    let of_own = format!("{CHANGED}: its SHA-256 is {own}, expected ");
    for (hashes, expected) in [
        (vec![&own], format!("{of_base}{own}; it was not read further")),
        (vec![&base], format!("{of_own}{base}; it was not read further")),
        (vec![&other], format!("{of_own}{other}; it was not read further")),
        (vec![&own, &other], format!("{of_base}{other}; it was not read further")),
        (vec![&base, &other], format!("{of_own}{base} or {other}; it was not read further")),
        (vec![&own, &base, &other], format!("no file of weights has the expected SHA-256 {other}")),
    ] {
        let refused = expect(&hashes).err().unwrap().to_string();
        assert!(refused.contains(&expected), "expected {expected:?}, found {refused}");
    }
    // Compared before anything is parsed.
    fs::write(pair.sibling().join(CHANGED), "nothing at all").unwrap();
    let refused = expect(&[&own, &base]).err().unwrap().to_string();
    assert!(refused.contains("it was not read further") && !refused.contains("not a safetensors file"), "{refused}");
}

#[test]
fn a_base_behind_a_link_is_told_and_a_folder_that_must_not_be_left_is_not() {
    let pair = pair();
    let place = pair.sibling().parent().unwrap().canonicalize().unwrap();
    fs::rename(pair.reference(), place.join("elsewhere")).unwrap();
    symlink("elsewhere", pair.reference()).unwrap();
    let encoder = open(&pair.sibling()).unwrap();
    agrees(encoder.as_ref(), "vit");
    let expected = format!("../reference, by its links {} (open_clip folder)", place.join("elsewhere").display());
    assert!(fact(encoder.as_ref(), "base").starts_with(&expected), "{}", fact(encoder.as_ref(), "base"));

    let within = |folder: &Path| {
        let options = CheckpointOptions { inside: Some(folder.to_owned()), ..CheckpointOptions::default() };
        open_with(&pair.sibling(), options).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(within(&place), Ok(()));
    let refused = within(&pair.sibling()).unwrap_err();
    assert!(refused.contains("base: ../reference lies outside the folder that a suite"), "{refused}");
    // A link inside the folder that leads out of it.
    let outside = tempfile::tempdir().unwrap();
    fs::rename(place.join("elsewhere"), outside.path().join("far")).unwrap();
    fs::remove_file(place.join("reference")).unwrap();
    symlink(outside.path().join("far"), place.join("reference")).unwrap();
    assert!(within(&place).unwrap_err().contains("lies outside the folder"));
    assert!(open(&pair.sibling()).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a stranger does to the bytes of either file: loaded or refused, never a panic.
    #[test]
    fn damaged_overlays_never_panic(
        which in 0..2_usize,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let pair = pair();
        let path = pair.sibling().join([DECLARATION, CHANGED][which]);
        let mut bytes = fs::read(&path).unwrap();
        for (place, byte) in edits {
            // What describes the values stands at the start.
            let place = place.index(bytes.len().min(400));
            bytes[place] = byte;
        }
        fs::write(path, bytes).unwrap();
        if let Err(error) = open(&pair.sibling()) {
            prop_assert!(matches!(error, ModelError::Checkpoint { .. }), "{error}");
        }
    }
}
