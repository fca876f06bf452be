//! Overlays: the changed tensors (any bytes) or the declaration (bytes that begin with `{`) of an overlay over the tiny model,
//! loaded or refused as a checkpoint.
#![no_main]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use clip_audit::model::{DeviceChoice, Encoder, LoadOptions, ModelError, ModelSource, load};
use libfuzzer_sys::fuzz_target;

static CONFIGURATION: &[u8] = include_bytes!("../../tests/golden/tiny/open_clip_config.json");
static WEIGHTS: &[u8] = include_bytes!("../../tests/golden/tiny/open_clip_model.safetensors");

/// One tensor of the tiny model, all zeros.
fn changed() -> Vec<u8> {
    let header = br#"{"ln_final.bias":{"dtype":"F32","shape":[32],"data_offsets":[0,128]}}"#;
    [&(header.len() as u64).to_le_bytes()[..], header, &[0; 128]].concat()
}

/// A folder with the base, the overlay's own, and its declaration as it should be.
struct Place {
    overlay: PathBuf,
    declaration: String,
    _folder: tempfile::TempDir,
}

static PLACE: LazyLock<Place> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let (base, overlay) = (folder.path().join("base"), folder.path().join("overlay"));
    fs::create_dir(&base).unwrap();
    fs::create_dir(&overlay).unwrap();
    fs::write(base.join("open_clip_config.json"), CONFIGURATION).unwrap();
    fs::write(base.join("open_clip_model.safetensors"), WEIGHTS).unwrap();
    let fingerprint = open(&base).unwrap().info().record.fingerprint.clone();
    let declaration = format!(
        r#"{{"format": "clip-audit-overlay", "version": 1, "base": "../base", "base_fingerprint": "{fingerprint}"}}"#
    );
    Place { overlay, declaration, _folder: folder }
});

/// Nothing outside is read, wherever a base would lead.
fn open(path: &Path) -> Result<Box<dyn Encoder>, ModelError> {
    let mut options = LoadOptions { device: DeviceChoice::Cpu, threads: Some(1), ..LoadOptions::default() };
    options.checkpoint.inside = path.parent().map(Path::to_owned);
    load(&ModelSource::Folder(path.to_owned()), &options)
}

fuzz_target!(|bytes: &[u8]| {
    let place = &*PLACE;
    let (own, whole) = (place.declaration.as_bytes(), changed());
    let (declaration, weights) = if bytes.starts_with(b"{") { (bytes, &*whole) } else { (own, bytes) };
    fs::write(place.overlay.join("overlay.json"), declaration).unwrap();
    fs::write(place.overlay.join("overlay.safetensors"), weights).unwrap();
    if let Err(error) = open(&place.overlay) {
        assert!(matches!(error, ModelError::Checkpoint { .. }), "{error}");
    }
});
