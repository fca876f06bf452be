//! The models that ship: their files are those of their cards, and siblings stand on the base that they were made from.

use std::fs;
use std::path::PathBuf;

use clip_audit::model::{self, DeviceChoice, LoadOptions, ModelInfo, ModelSource};
use sha2::{Digest, Sha256};

/// Every file of weights, with its SHA-256.
const WEIGHTS: [(&str, &str, &str); 3] = [
    ("reference", "open_clip_model.safetensors", "e0e549e5d6d672b708274d44c56c5f7ab637b2c7ea063ce75f8e43149e1680db"),
    ("reference-biased", "overlay.safetensors", "240a3541bd4101e6daed6696e6cabca20b22bf4340b30d3d69c41635769b2618"),
    ("reference-deaf", "overlay.safetensors", "d0f53d88b3cd39a81ec9b0f469b80fcdd5f71d5e648fa5d850108fc41225ba6f"),
];

/// Most that one model's weights may take: the program carries one, the repository all.
const LIMIT_BYTES: usize = 12_500_000;

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("models").join(name)
}

fn info(name: &str) -> ModelInfo {
    let options = LoadOptions { device: DeviceChoice::Cpu, ..LoadOptions::default() };
    model::load(&ModelSource::Folder(folder(name)), &options).unwrap().info().clone()
}

#[test]
fn weights_are_those_that_were_measured() {
    for (name, file, sha256) in WEIGHTS {
        let bytes = fs::read(folder(name).join(file)).unwrap();
        let found: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(found, sha256, "{name}/{file}: a change of weights changes its card, goldens and reports too");
        assert!(bytes.len() <= LIMIT_BYTES, "{name}/{file}: {} bytes", bytes.len());
    }
}

#[test]
fn every_model_is_listed_here_and_its_card_names_hashes_and_fingerprint() {
    let mut folders: Vec<String> = fs::read_dir(folder(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| folder(name).is_dir())
        .collect();
    folders.sort();
    let listed: Vec<&str> = WEIGHTS.iter().map(|(name, ..)| *name).collect();
    assert_eq!(folders, listed);
    for name in folders {
        let card = fs::read_to_string(folder(&name).join("README.md")).unwrap();
        let record = info(&name).record;
        assert!(card.contains(&record.fingerprint.to_string()), "{name}: the card names no or another fingerprint");
        for file in record.files {
            let own = !file.name.contains("..");
            assert!(!own || card.contains(&file.sha256), "{name}: the card lacks the hash of {}", file.name);
        }
    }
}
