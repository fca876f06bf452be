//! File formats: one tiny model in each (`tests/golden/formats.py`) has the features and the fingerprint that open_clip,
//! transformers and OpenAI's own code agree on; and files that a stranger made are refused by what they are or ask for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clip_audit::model::{CheckpointOptions, DeviceChoice, Encoder, LoadOptions, ModelError, ModelSource, load};
use proptest::prelude::*;
use tempfile::TempDir;

use super::checkpoints::{CONFIGURATION, WEIGHTS, entries, open, problems, serialise};
use super::encoder::{Golden, TEXTS, golden_folder, pictures, texts};

pub(super) fn formats() -> PathBuf {
    golden_folder().join("formats")
}

pub(super) fn open_with(path: &Path, checkpoint: CheckpointOptions) -> Result<Box<dyn Encoder>, ModelError> {
    let device = DeviceChoice::Cpu;
    let options = LoadOptions { device, batch: Some(4), threads: Some(1), checkpoint, ..LoadOptions::default() };
    load(&ModelSource::Folder(path.to_owned()), &options)
}

pub(super) fn asked(quick_gelu: bool) -> CheckpointOptions {
    CheckpointOptions { quick_gelu: Some(quick_gelu), ..CheckpointOptions::default() }
}

pub(super) fn fact<'a>(encoder: &'a dyn Encoder, name: &str) -> &'a str {
    &encoder.info().record.facts.iter().find(|(found, _)| found == name).unwrap().1
}

/// A folder with copies of golden files, each under a name of its own.
pub(super) fn folder_of(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (from, to) in files {
        fs::copy(formats().join(from), folder.path().join(to)).unwrap();
    }
    folder
}

/// A file of weights with these bytes.
fn file(name: &str, bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    (folder, path)
}

/// Features and fingerprint are those of the references.
pub(super) fn agrees(encoder: &dyn Encoder, model: &str) {
    let golden = Golden::read("formats/features");
    assert_eq!(golden.1["texts"], serde_json::json!(TEXTS));
    let (prefix, key) = if model == "resnet" { ("resnet.", "resnet") } else { ("", "fingerprint") };
    assert_eq!(golden.1[key], encoder.info().record.fingerprint.0);
    let images = encoder.encode_images(&pictures(encoder.info().image_size), &[], &[]).unwrap();
    golden.agrees(&format!("{prefix}image_features"), &images.features);
    golden.agrees(&format!("{prefix}text_features"), &encoder.encode_texts(&texts()).unwrap());
}

#[test]
fn the_same_weights_in_every_file_of_an_open_clip_folder_are_one_model() {
    for (weights, name) in [
        (WEIGHTS, WEIGHTS),
        (WEIGHTS, "open_clip_pytorch_model.safetensors"),
        ("legacy.bin", "open_clip_pytorch_model.bin"),
        ("training.pt", "open_clip_pytorch_model.pt"),
        ("training.pt", "epoch_3.pt"),
        // What a file is stands in its bytes.
        (WEIGHTS, "open_clip_pytorch_model.bin"),
    ] {
        let folder = folder_of(&[(CONFIGURATION, CONFIGURATION), (weights, name)]);
        let encoder = open(folder.path()).unwrap();
        agrees(encoder.as_ref(), "vit");
        assert_eq!(encoder.info().record.format, "open_clip folder");
        let files: Vec<&str> = encoder.info().record.files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(files, [CONFIGURATION, name]);
        assert_eq!(fact(encoder.as_ref(), "stored as"), "f16");
        if weights == "training.pt" {
            let left = "only its `state_dict` is read; left: epoch, name, optimizer, scaler, args, loss";
            assert_eq!(fact(encoder.as_ref(), "training checkpoint"), left);
            assert!(fact(encoder.as_ref(), "names").contains("`module.`"));
        }
    }
}

#[test]
fn safetensors_are_preferred_and_what_is_passed_over_is_a_fact() {
    let folder =
        folder_of(&[(CONFIGURATION, CONFIGURATION), (WEIGHTS, WEIGHTS), ("resnet.pt", "open_clip_pytorch_model.bin")]);
    let encoder = open(folder.path()).unwrap();
    agrees(encoder.as_ref(), "vit");
    assert_eq!(
        fact(encoder.as_ref(), "weights"),
        "open_clip_model.safetensors is read; beside it, not read: open_clip_pytorch_model.bin"
    );
    let several = folder_of(&[(CONFIGURATION, CONFIGURATION), ("training.pt", "a.pt"), ("training.pt", "b.pt")]);
    assert_eq!(problems(several.path()), ["the folder holds several .pt files, expected one: a.pt, b.pt"]);
}

#[test]
fn archives_of_openai_load_by_their_shapes_and_modules() {
    for (name, modules) in [("openai", 3), ("resnet", 1)] {
        let encoder = open(&formats().join(format!("{name}.pt"))).unwrap();
        agrees(encoder.as_ref(), if name == "openai" { "vit" } else { name });
        assert_eq!(encoder.info().record.format, "OpenAI archive");
        let said = format!("the archive has {modules} modules of the class QuickGELU");
        assert!(fact(encoder.as_ref(), "activation").ends_with(&said));
        assert_eq!(fact(encoder.as_ref(), "stored as"), "f16, f32");
        let refused = open_with(&formats().join(format!("{name}.pt")), asked(false)).err().unwrap().to_string();
        assert!(refused.contains("contradicts the checkpoint") && refused.contains(&said), "{refused}");
    }
}

#[test]
fn a_lone_file_needs_the_activation_and_gets_what_is_asked_for() {
    for name in [WEIGHTS, "legacy.bin", "training.pt"] {
        let path = formats().join(name);
        let refused = problems(&path);
        assert_eq!(refused.len(), 1);
        assert!(refused[0].ends_with("say --quick-gelu true or --quick-gelu false"), "{refused:?}");
        let encoder = open_with(&path, asked(true)).unwrap();
        agrees(encoder.as_ref(), "vit");
        assert_eq!(encoder.info().record.format, "file of weights");
        let images = pictures(encoder.info().image_size);
        let quick = encoder.encode_images(&images, &[], &[]).unwrap().features;
        let exact = open_with(&path, asked(false)).unwrap().encode_images(&images, &[], &[]).unwrap().features;
        assert_ne!(quick, exact);
    }
}

#[test]
fn a_width_that_hides_its_heads_is_refused() {
    let mut entries = entries(&formats());
    let norm = entries.iter_mut().find(|entry| entry.name == "visual.conv1.weight").unwrap();
    norm.shape[0] = 1280;
    norm.data = vec![0; norm.shape.iter().product::<usize>() * 2];
    let (_folder, path) = file("huge.safetensors", &serialise(&entries));
    let refused = open_with(&path, asked(true)).err().unwrap().to_string();
    assert!(refused.contains("the image tower has a width of 1280") && refused.contains(CONFIGURATION), "{refused}");
}

#[test]
fn numbers_and_masks_beside_the_weights_must_agree_with_them() {
    let bytes = fs::read(formats().join("openai.pt")).unwrap();
    let (_folder, path) = file("a.pt", &bytes);
    assert!(open(&path).is_ok());
    let swapped = {
        let mut entries = entries(&formats());
        for (name, value) in [("input_resolution", 64_i64), ("context_length", 24), ("vocab_size", 7)] {
            let data = value.to_le_bytes().to_vec();
            entries.push(super::checkpoints::Entry { name: name.into(), dtype: "I64".into(), shape: vec![], data });
        }
        let (shape, data) = (vec![24, 24], vec![0; 24 * 24 * 2]);
        let name = "transformer.resblocks.0.attn_mask".to_owned();
        entries.push(super::checkpoints::Entry { name, dtype: "F16".into(), shape, data });
        serialise(&entries)
    };
    let (_folder, path) = file("b.safetensors", &swapped);
    let refused = open_with(&path, asked(true)).err().unwrap().to_string();
    for expected in [
        "`input_resolution` is 64, 32 in the tensors' shapes",
        "`vocab_size` is 7, 560 in",
        "tensor `transformer.resblocks.0.attn_mask` is not CLIP's causal mask",
    ] {
        assert!(refused.contains(expected), "expected {expected:?}, found {refused}");
    }
    assert!(!refused.contains("context_length"), "{refused}");
}

#[test]
fn an_expected_hash_is_compared_before_anything_is_parsed() {
    let sha256 = open(&formats().join("openai.pt")).unwrap().info().record.files[0].sha256.clone();
    let expect = |hashes: &[&str]| CheckpointOptions {
        expect_sha256: hashes.iter().map(|&hash| hash.to_owned()).collect(),
        ..CheckpointOptions::default()
    };
    assert!(open_with(&formats().join("openai.pt"), expect(&[&sha256])).is_ok());
    let other = "0".repeat(64);
    let (_folder, garbage) = file("weights.pt", b"nothing at all");
    let refused = open_with(&garbage, expect(&[&other])).err().unwrap().to_string();
    assert!(refused.contains(&other) && refused.contains("weights.pt: its SHA-256 is "), "{refused}");
    assert!(!refused.contains("pickle"), "{refused}");
    let refused = open_with(&formats().join("openai.pt"), expect(&[&sha256, &other])).err().unwrap().to_string();
    assert!(refused.contains("no file of weights has the expected SHA-256 0000"), "{refused}");
}

/// A zip file with entries stored as they are, as torch writes it: name, bytes, method that the directory claims.
pub(super) fn zip(entries: &[(&str, &[u8], u16)]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes, method) in entries {
        let sizes = [[0; 4], (bytes.len() as u32).to_le_bytes(), (bytes.len() as u32).to_le_bytes()].concat();
        let about = [&[20, 0, 0, 0], &method.to_le_bytes()[..], &[0; 4], &sizes, &[name.len() as u8, 0, 0, 0]].concat();
        directory.extend([&b"PK\x01\x02\x14\x00"[..], &about, &[0; 10]].concat());
        directory.extend((out.len() as u32).to_le_bytes());
        directory.extend(name.as_bytes());
        out.extend([&b"PK\x03\x04"[..], &about, name.as_bytes(), bytes].concat());
    }
    let (start, count) = (out.len() as u32, (entries.len() as u16).to_le_bytes());
    out.extend(&directory);
    out.extend([&b"PK\x05\x06\0\0\0\0"[..], &count, &count, &(directory.len() as u32).to_le_bytes()].concat());
    out.extend([&start.to_le_bytes()[..], &[0, 0]].concat());
    out
}

/// A file of torch with this pickle and one storage of 16 values of f32.
pub(super) fn saved(pickle: &[u8]) -> Vec<u8> {
    zip(&[("archive/data.pkl", pickle, 0), ("archive/data/0", &[0; 64], 0)])
}

/// A pickle of `{"w": tensor}` over a storage of the file.
pub(super) fn tensor(class: &str, values: u8, offset: u8, shape: &[u8], strides: &[u8]) -> Vec<u8> {
    let numbers = |numbers: &[u8]| {
        let items: Vec<u8> = numbers.iter().flat_map(|&number| [b'K', number]).collect();
        [b"(", &items[..], b"t"].concat()
    };
    [
        &b"\x80\x02}X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagec"[..],
        class.as_bytes(),
        b"\nX\x01\0\0\x000X\x03\0\0\0cpuK",
        &[values],
        b"tQK",
        &[offset],
        &numbers(shape),
        &numbers(strides),
        b"\x89ccollections\nOrderedDict\n)RtRs.",
    ]
    .concat()
}

/// Pickles that would make a file, in the ways that pickles call functions.
pub(super) fn attacks(target: &Path) -> Vec<(Vec<u8>, &'static str)> {
    let command = format!("touch {}", target.display());
    let text = [&b"X"[..], &(command.len() as u32).to_le_bytes(), command.as_bytes()].concat();
    vec![
        ([&b"\x80\x02cposix\nsystem\n"[..], &text, b"\x85R."].concat(), "asks to call posix.system"),
        ([b"\x80\x04\x8c\x05posix\x8c\x06system\x93", &text[..], b"\x85R."].concat(), "asks to call posix.system"),
        ([b"\x80\x02(", &text[..], b"iposix\nsystem\n."].concat(), "asks to call posix.system"),
        ([b"\x80\x02(cposix\nsystem\n", &text[..], b"o."].concat(), "asks to call posix.system"),
        (format!("(S'{command}'\niposix\nsystem\n.").into_bytes(), "is no pickle of protocol 2 to 5"),
        (b"\x80\x02cbuiltins\neval\nX\x03\0\0\x001+1\x85R.".to_vec(), "asks to call builtins.eval"),
        (b"\x80\x02ctorch.jit\nload\nX\x03\0\0\x001+1\x85R.".to_vec(), "asks to call torch.jit.load"),
        (b"\x80\x02c__torch__.x\nY\n)\x81.".to_vec(), "asks to call __torch__.x.Y"),
        (b"\x80\x02ctorch._utils\n_rebuild_qtensor\n)R.".to_vec(), "asks to call torch._utils._rebuild_qtensor"),
        (b"\x80\x02\x82\x01.".to_vec(), "an entry of Python's extension registry"),
    ]
}

#[test]
fn a_pickle_that_would_make_a_file_is_refused_by_name_and_the_file_does_not_appear() {
    let place = tempfile::tempdir().unwrap();
    let target = place.path().join("made");
    for (pickle, expected) in attacks(&target) {
        for bytes in [pickle.clone(), saved(&pickle)] {
            for name in ["weights.bin", "weights.pt", "weights"] {
                let (_folder, path) = file(name, &bytes);
                let found = problems(&path).join("\n");
                assert!(found.starts_with(name) && found.contains(expected), "expected {expected:?}, found {found}");
                assert!(found.contains("nothing was run"), "{found}");
            }
        }
    }
    assert!(!target.exists());
}

#[test]
fn pickles_that_are_no_weights_are_refused() {
    let deep = [&b"\x80\x02"[..], &[b']'; 5000], &[b'a'; 4999], b"."].concat();
    let long = [&b"\x80\x02"[..], &b"N0".repeat(1_000_001), b"N."].concat();
    let name = [&b"\x80\x04\x8d"[..], &5000_u64.to_le_bytes(), &[b'a'; 5000], b"\x8c\x01b\x93."].concat();
    for (pickle, expected) in [
        (b"\x80\x02]q\0h\0a.".to_vec(), "a value that contains itself"),
        (b"\x80\x02}q\0X\x01\0\0\0ah\0s.".to_vec(), "a value that contains itself"),
        (deep, "more than 100 deep"),
        (long, "more than 2000000 instructions"),
        (name, "a name of more than 1000 bytes"),
        (b"\x80\x02Nr\xff\xff\xff\xff.".to_vec(), "keeps a value as number 4294967295"),
        (b"\x80\x02X\xff\xff\xff\x7fabc.".to_vec(), "ends before its end"),
        (b"\x80\x02\x8d\xff\xff\xff\xff\xff\xff\xff\xffabc.".to_vec(), "ends before its end"),
        (b"\x80\x02(K\x01K\x02".to_vec(), "ends before its end"),
        (b"\x80\x02h\x05.".to_vec(), "recalls value 5, which it never kept"),
        (b"\x80\x020.".to_vec(), "takes more from its stack"),
        (b"\x80\x02(.".to_vec(), "takes more from its stack"),
        (b"\x80\x02}(K\x01u.".to_vec(), "a key without a value"),
        (b"\x80\x07N.".to_vec(), "is a pickle of protocol 7"),
        (b"\x80\x02I5\n.".to_vec(), "has the instruction 0x49 at byte 2"),
        (b"\x80\x02]X\x01\0\0\0aa.".to_vec(), "holds no dictionary of tensors"),
        (b"\x80\x02}.".to_vec(), "holds no tensors"),
        (b"\x80\x02}X\x01\0\0\0wK\x05s.".to_vec(), "tensor `w` is no tensor"),
        (b"\x80\x02}K\x01K\x02s.".to_vec(), "whose keys are not all texts"),
        (b"\x80\x02}X\x01\0\0\0wNsX\x01\0\0\0wNs.".to_vec(), "in which `w` stands twice"),
        (b"\x80\x02}X\x01\0\0\0wcargparse\nNamespace\n)\x81s.".to_vec(), "tensor `w` is a argparse.Namespace"),
        (tensor("torch\nFloatStorage", 16, 0, &[17], &[1]), "reaches beyond its storage of 16 values"),
        (tensor("torch\nFloatStorage", 16, 1, &[4, 4], &[4, 1]), "reaches beyond its storage of 16 values"),
        (tensor("torch\nFloatStorage", 16, 0, &[2, 2], &[200, 1]), "reaches beyond its storage of 16 values"),
        (tensor("torch\nFloatStorage", 17, 0, &[4], &[1]), "17 values of f32 in a storage of 64 bytes"),
        (tensor("torch\nDoubleStorage", 16, 0, &[4], &[1]), "16 values of f64 in a storage of 64 bytes"),
        (tensor("torch\nFloatStorage", 16, 0, &[4, 4], &[1]), "a tensor without a storage, offset, shape and strides"),
        (tensor("torch\nQInt8Storage", 16, 0, &[4], &[1]), "asks to call torch.QInt8Storage"),
    ] {
        let (_folder, path) = file("weights.pt", &saved(&pickle));
        let found = match open_with(&path, asked(true)) {
            Ok(_) => panic!("loaded where {expected:?} was expected"),
            Err(error) => error.to_string(),
        };
        assert!(found.contains(expected), "expected {expected:?}, found {found}");
    }
    // Much made of little: steps of 0 would read one value again and again.
    for shape in [&[200, 200][..], &[255; 8]] {
        let folder = folder_of(&[(CONFIGURATION, CONFIGURATION)]);
        let bytes = saved(&tensor("torch\nFloatStorage", 16, 0, shape, &vec![0; shape.len()]));
        fs::write(folder.path().join("open_clip_pytorch_model.bin"), bytes).unwrap();
        assert!(problems(folder.path())[0].contains("tensors of more values than the file's"));
    }
}

#[test]
fn zip_files_that_torch_does_not_write_are_refused() {
    let whole = fs::read(formats().join("training.pt")).unwrap();
    let pickle = tensor("torch\nFloatStorage", 16, 0, &[16], &[1]);
    let data: (&str, &[u8], u16) = ("a/data/0", &[0; 64], 0);
    let good = zip(&[("a/data.pkl", &pickle, 0), data]);
    // The second entry of the directory says that it stands where the first does.
    let mut over = good.clone();
    let second = over.windows(4).rposition(|bytes| bytes == b"PK\x01\x02").unwrap();
    over[second + 42..second + 46].fill(0);
    let mut huge = good.clone();
    let end = huge.len() - 22;
    huge[end + 8..end + 12].fill(0xff);
    let mut renamed = good.clone();
    renamed[30] = b'b';
    for (bytes, expected) in [
        (whole[..whole.len() / 2].to_vec(), "without its directory at the end (cut short"),
        (whole[..whole.len() - 1].to_vec(), "without its directory at the end (cut short"),
        ([&whole[..], b"more"].concat(), "something was appended"),
        (b"PK\x03\x04".to_vec(), "without its directory at the end"),
        (zip(&[("a/data.pkl", &pickle, 8), data]), "entry `a/data.pkl` is compressed (method 8)"),
        (zip(&[("a/data.pkl", &pickle, 0), ("a/data/0", &[0; 64], 8)]), "entry `a/data/0` is compressed (method 8)"),
        (zip(&[("a/data.pkl", &pickle, 0)]), "is a zip file without an entry `a/data/0`"),
        (zip(&[("a/data.pkl", &pickle, 0), data, data]), "with two entries `a/data/0`"),
        (zip(&[("a/data.pkl", &pickle, 0), ("b/data.pkl", &pickle, 0), data]), "without one `data.pkl`"),
        (zip(&[("../../data.pkl", &pickle, 0), data]), "without one `data.pkl`"),
        (zip(&[("word/document.xml", b"<x/>", 0)]), "without one `data.pkl`"),
        (zip(&[("a/data.pkl", &pickle, 0), ("a/byteorder", b"big", 0), data]), "not in little-endian order"),
        (over, "entries lie over each other"),
        (huge, "directory ends before its end"),
        (renamed, "directory and entry `a/data.pkl` contradict each other"),
    ] {
        let (_folder, path) = file("weights.pt", &bytes);
        let found = problems(&path).join("\n");
        assert!(found.starts_with("weights.pt: ") && found.contains(expected), "expected {expected:?}, found {found}");
    }
}

#[test]
fn what_often_stands_in_place_of_weights_is_named() {
    let tar = [&[0_u8; 257][..], b"ustar", &[0; 300]].concat();
    for (bytes, expected) in [
        (&b""[..], "is empty"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
            "is a git-LFS pointer, not the weights",
        ),
        (b"\n<!DOCTYPE html><html><body>404</body></html>", "is a web page or XML, not weights"),
        (&tar, "is a tar archive"),
        (b"\x1f\x8b\x08abc", "is compressed with gzip"),
        (b"GGUF....", "is no pickle of protocol 2 to 5"),
        (b"{\"error\": \"not found\"}", "is no pickle of protocol 2 to 5"),
    ] {
        for name in ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"] {
            let folder = folder_of(&[(CONFIGURATION, CONFIGURATION)]);
            fs::write(folder.path().join(name), bytes).unwrap();
            let found = problems(folder.path()).join("\n");
            let safetensors = name.ends_with("safetensors") && expected.contains("pickle");
            let expected = if safetensors { "not a safetensors file" } else { expected };
            assert!(found.starts_with(name) && found.contains(expected), "expected {expected:?}, found {found}");
        }
    }
    let folder = folder_of(&[(CONFIGURATION, CONFIGURATION)]);
    fs::create_dir(folder.path().join("open_clip_pytorch_model.bin")).unwrap();
    assert_eq!(problems(folder.path()), ["open_clip_pytorch_model.bin is not a plain file"]);
}

#[test]
fn weights_without_a_text_tower_are_refused_by_what_is_missing() {
    let mut entries = entries(&formats());
    entries.retain(|entry| entry.name.starts_with("visual."));
    let (_folder, path) = file("vision.safetensors", &serialise(&entries));
    let refused = open_with(&path, asked(true)).err().unwrap().to_string();
    for name in ["ln_final.weight", "token_embedding.weight", "text_projection", "transformer.resblocks.0.."] {
        assert!(refused.contains(&format!("`{name}`")), "{name}: {refused}");
    }
}

#[test]
fn refused_files_exit_with_3() {
    let place = tempfile::tempdir().unwrap();
    let target = place.path().join("made");
    let whole = fs::read(formats().join("openai.pt")).unwrap();
    for (bytes, expected) in [
        (
            saved(&attacks(&target)[0].0),
            "weights.pt: asks to call posix.system, which no checkpoint needs; nothing was run",
        ),
        (whole[..whole.len() / 2].to_vec(), "weights.pt: is a zip file without its directory at the end"),
        (zip(&[("a/data.pkl", &[0; 9], 8)]), "weights.pt: is a zip file whose entry `a/data.pkl` is compressed"),
        (saved(b"\x80\x02]q\0h\0a."), "weights.pt: is a pickle of a value that contains itself"),
    ] {
        let (_folder, path) = file("weights.pt", &bytes);
        let run = Command::new(env!("CARGO_BIN_EXE_clip-audit")).arg("inspect").arg(&path).output().unwrap();
        let said = String::from_utf8(run.stderr).unwrap();
        assert_eq!((run.status.code(), run.stdout.len()), (Some(3), 0), "{said}");
        assert!(said.contains(expected), "expected {expected:?}, found {said}");
    }
    assert!(!target.exists());
    let inspect = |arguments: &[&str]| {
        let run = Command::new(env!("CARGO_BIN_EXE_clip-audit"))
            .arg("inspect")
            .arg(formats().join("legacy.bin"))
            .args(arguments)
            .output()
            .unwrap();
        (run.status.code(), String::from_utf8([run.stdout, run.stderr].concat()).unwrap())
    };
    let (code, said) = inspect(&["--quick-gelu", "true"]);
    assert!(code == Some(0) && said.contains("QuickGELU, x * sigmoid(1.702 x); asked for with --quick-gelu"), "{said}");
    let (code, said) = inspect(&["--quick-gelu", "true", "--expect-sha256", &"A".repeat(64)]);
    assert!(code == Some(3) && said.contains(&"a".repeat(64)) && said.contains("not read further"), "{said}");
    assert_eq!(inspect(&["--expect-sha256", "abc"]).0, Some(2));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a stranger does to the bytes of a file: loaded or refused, never a panic.
    #[test]
    fn damaged_files_of_torch_never_panic(
        which in 0..3_usize,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..8),
    ) {
        let mut bytes = fs::read(formats().join(["training.pt", "legacy.bin", "openai.pt"][which])).unwrap();
        for (place, byte, kind) in edits {
            // Most of a file is values; what describes them stands at both ends.
            let place = match kind {
                0 => place.index(bytes.len()),
                1 | 2 => place.index(bytes.len().min(12_000)),
                _ => bytes.len() - 1 - place.index(bytes.len().min(12_000)),
            };
            bytes[place] = byte;
        }
        let (_folder, path) = file("weights.pt", &bytes);
        if let Ok(encoder) = open_with(&path, asked(true)) {
            prop_assert!(encoder.info().dimension > 0);
        }
    }
}
