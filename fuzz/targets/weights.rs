//! Weights saved with PyTorch: any bytes as a lone `.pt` file, which is a zip, a pickle of the format before it, or neither.
#![no_main]

use std::fs;
use std::sync::LazyLock;

use clip_audit::model::{DeviceChoice, LoadOptions, ModelError, ModelSource, load};
use libfuzzer_sys::fuzz_target;

static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());

fuzz_target!(|bytes: &[u8]| {
    let file = FOLDER.path().join("weights.pt");
    fs::write(&file, bytes).unwrap();
    let mut options = LoadOptions { device: DeviceChoice::Cpu, threads: Some(1), ..LoadOptions::default() };
    options.checkpoint.quick_gelu = Some(true);
    if let Err(error) = load(&ModelSource::Folder(file), &options) {
        assert!(matches!(error, ModelError::Checkpoint { .. }), "{error}");
    }
});
