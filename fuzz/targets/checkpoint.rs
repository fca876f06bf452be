//! Checkpoints: the weights (any bytes) or the configuration (bytes that begin with `{`) of the tiny model, loaded or
//! refused as a checkpoint.
#![no_main]

use std::fs;
use std::sync::LazyLock;

use clip_audit::model::{DeviceChoice, LoadOptions, ModelError, ModelSource, load};
use libfuzzer_sys::fuzz_target;

static CONFIGURATION: &[u8] = include_bytes!("../../tests/golden/tiny/open_clip_config.json");
static WEIGHTS: &[u8] = include_bytes!("../../tests/golden/tiny/open_clip_model.safetensors");
static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());

fuzz_target!(|bytes: &[u8]| {
    let (configuration, weights) = if bytes.starts_with(b"{") { (bytes, WEIGHTS) } else { (CONFIGURATION, bytes) };
    fs::write(FOLDER.path().join("open_clip_config.json"), configuration).unwrap();
    fs::write(FOLDER.path().join("open_clip_model.safetensors"), weights).unwrap();
    let options = LoadOptions { device: DeviceChoice::Cpu, threads: Some(1), ..LoadOptions::default() };
    if let Err(error) = load(&ModelSource::Folder(FOLDER.path().to_owned()), &options) {
        assert!(matches!(error, ModelError::Checkpoint { .. }), "{error}");
    }
});
