//! Checkpoints that must load, and those that must be refused with every problem listed. Each starts from the tiny
//! checkpoint of `tests/golden/tiny` and breaks something.

use std::fs;
use std::path::{Path, PathBuf};

use clip_audit::model::{
    DeviceChoice, Encoder, LoadOptions, MODELS, ModelError, ModelSource, Repository, formats, load,
};
use clip_audit::types::digest;
use proptest::prelude::*;
use safetensors::SafeTensors;
use serde_json::{Value, json};
use tempfile::TempDir;

pub(super) const CONFIGURATION: &str = "open_clip_config.json";
pub(super) const WEIGHTS: &str = "open_clip_model.safetensors";

/// A safetensors file as it is written: any names in any order, so that broken ones can be made.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) dtype: String,
    pub(super) shape: Vec<usize>,
    pub(super) data: Vec<u8>,
}

fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tiny")
}

fn tiny_configuration() -> Value {
    serde_json::from_slice(&fs::read(tiny().join(CONFIGURATION)).unwrap()).unwrap()
}

fn tiny_entries() -> Vec<Entry> {
    entries(&tiny())
}

/// The tensors of a checkpoint, by name.
pub(super) fn entries(folder: &Path) -> Vec<Entry> {
    entries_of(&folder.join(WEIGHTS))
}

/// The tensors of a safetensors file, by name.
pub(super) fn entries_of(path: &Path) -> Vec<Entry> {
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut entries: Vec<Entry> = file
        .iter()
        .map(|(name, view)| Entry {
            name: name.to_owned(),
            dtype: view.dtype().to_string(),
            shape: view.shape().to_vec(),
            data: view.data().to_vec(),
        })
        .collect();
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    entries
}

pub(super) fn serialise(entries: &[Entry]) -> Vec<u8> {
    let (mut header, mut data) = (Vec::new(), Vec::new());
    for Entry { name, dtype, shape, data: bytes } in entries {
        let end = data.len() + bytes.len();
        header.push(format!(
            "{}:{{\"dtype\":\"{dtype}\",\"shape\":{shape:?},\"data_offsets\":[{},{end}]}}",
            json!(name),
            data.len()
        ));
        data.extend(bytes);
    }
    let header = format!("{{{}}}", header.join(","));
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat()
}

pub(super) fn folder(configuration: &[u8], weights: &[u8]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(CONFIGURATION), configuration).unwrap();
    fs::write(folder.path().join(WEIGHTS), weights).unwrap();
    folder
}

pub(super) fn open(path: &Path) -> Result<Box<dyn Encoder>, ModelError> {
    let options = LoadOptions { device: DeviceChoice::Cpu, batch: Some(1), threads: Some(1), ..LoadOptions::default() };
    load(&ModelSource::Folder(path.to_owned()), &options)
}

/// The problems with which a folder is refused.
pub(super) fn problems(path: &Path) -> Vec<String> {
    match open(path) {
        Ok(_) => panic!("{} was loaded", path.display()),
        Err(ModelError::Checkpoint { path: named, problems }) => {
            assert_eq!(named, path.display().to_string());
            assert!(!problems.is_empty());
            problems
        }
        Err(other) => panic!("expected a checkpoint error, got {other}"),
    }
}

fn with_entries(change: impl FnOnce(&mut Vec<Entry>)) -> Vec<String> {
    let mut entries = tiny_entries();
    change(&mut entries);
    problems(folder(&fs::read(tiny().join(CONFIGURATION)).unwrap(), &serialise(&entries)).path())
}

fn with_configuration(change: impl FnOnce(&mut Value)) -> Vec<String> {
    let mut configuration = tiny_configuration();
    change(&mut configuration);
    problems(folder(configuration.to_string().as_bytes(), &fs::read(tiny().join(WEIGHTS)).unwrap()).path())
}

fn entry<'a>(entries: &'a mut [Entry], name: &str) -> &'a mut Entry {
    entries.iter_mut().find(|entry| entry.name == name).unwrap()
}

fn f16(value: f32) -> [u8; 2] {
    // Only the few values these tests need.
    let bits: u16 = match value {
        0.0 => 0,
        -1.0 => 0xbc00,
        value if value.is_nan() => 0x7e00,
        value if value == f32::INFINITY => 0x7c00,
        other => panic!("no f16 for {other}"),
    };
    bits.to_le_bytes()
}

#[test]
fn names_shapes_and_values_are_refused_all_at_once() {
    let problems = with_entries(|entries| {
        entries.retain(|entry| entry.name != "visual.layer2.0.bn2.bias");
        entries.push(Entry { name: "visual.extra".into(), dtype: "F32".into(), shape: vec![1], data: vec![0; 4] });
        entries.push(Entry {
            name: "visual.bn9.num_batches_tracked".into(),
            dtype: "I64".into(),
            shape: vec![],
            data: vec![0; 8],
        });
        let bias = entry(entries, "visual.layer1.0.bn1.bias");
        bias.shape = vec![1, 4];
    });
    assert_eq!(
        problems,
        [
            "tensor `visual.layer1.0.bn1.bias` has shape [1, 4], expected [4]",
            "tensor `visual.layer2.0.bn2.bias` [8] is missing",
            "tensor `visual.extra` is not expected",
            "tensor `visual.bn9.num_batches_tracked` [] is not expected",
        ]
    );
}

#[test]
fn unusable_values_and_types_are_refused_all_at_once() {
    let problems = with_entries(|entries| {
        let bias = entry(entries, "visual.bn1.bias");
        bias.data[..2].copy_from_slice(&f16(f32::NAN));
        let weight = entry(entries, "visual.conv1.weight");
        weight.data[2..4].copy_from_slice(&f16(f32::INFINITY));
        weight.data[6..8].copy_from_slice(&f16(f32::NAN));
        entry(entries, "visual.bn2.running_var").data[..2].copy_from_slice(&f16(-1.0));
        entry(entries, "visual.bn3.running_var").data.fill(0);
        let narrow = entry(entries, "ln_final.bias");
        narrow.dtype = "I32".into();
        narrow.data = vec![0; 32 * 4];
        let integer = entry(entries, "ln_final.weight");
        integer.dtype = "I64".into();
        integer.data = vec![0; 32 * 8];
    });
    assert_eq!(
        problems,
        [
            "tensor `ln_final.bias` is stored as i32, expected f32, f16, bf16 or f64",
            "tensor `ln_final.weight` is stored as i64, expected f32, f16, bf16 or f64",
            "tensor `visual.bn1.bias` has 1 of 2 values that are NaN or infinite",
            "tensor `visual.bn2.running_var` has 1 of 2 variances below 0",
            "tensor `visual.bn3.running_var` has no variance above 0",
            "tensor `visual.conv1.weight` has 2 of 54 values that are NaN or infinite",
        ]
        .map(|problem| format!("{WEIGHTS}: {problem}"))
    );
}

#[test]
fn a_name_that_stands_twice_is_refused() {
    let problems = with_entries(|entries| {
        let copy = entry(entries, "ln_final.bias").clone();
        entries.push(copy);
        let copy = entry(entries, "logit_scale").clone();
        entries.push(copy);
    });
    assert_eq!(
        problems,
        ["ln_final.bias", "logit_scale"].map(|name| format!("{WEIGHTS}: `{name}` stands twice in the header"))
    );
}

#[test]
fn broken_files_are_refused() {
    let configuration = fs::read(tiny().join(CONFIGURATION)).unwrap();
    let whole = fs::read(tiny().join(WEIGHTS)).unwrap();
    let refusal = |weights: &[u8]| problems(folder(&configuration, weights).path()).join("\n");
    let with_header = |header: &str| [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 8]].concat();
    for (weights, expected) in [
        (Vec::new(), "is empty"),
        (whole[..7].to_vec(), "7 bytes are too few for a header"),
        (whole[..100].to_vec(), "only 92 follow (cut short, or another format)"),
        (whole[..whole.len() - 1].to_vec(), "(cut short)"),
        ([whole.clone(), vec![0]].concat(), "(something was appended)"),
        ([&u64::MAX.to_le_bytes()[..], &whole[8..]].concat(), "a header has at most 100000000"),
        ([&99_000_000u64.to_le_bytes()[..], &whole[8..]].concat(), "its header claims 99000000 bytes"),
        (with_header("[]"), "its header is no JSON object"),
        (with_header("{\"a\":"), "its header is not JSON"),
        (with_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}"), "invalid shape, data type"),
        (
            with_header(
                "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\
                 \"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
            ),
            "invalid offset",
        ),
        (
            with_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,8]}}"),
            "overflow",
        ),
        (with_header("{\"a\":{\"dtype\":\"F31\",\"shape\":[2],\"data_offsets\":[0,8]}}"), "unknown variant"),
    ] {
        let found = refusal(&weights);
        assert!(found.contains(expected) && found.contains(WEIGHTS), "expected {expected:?}, found {found}");
    }
}

#[test]
fn a_configuration_that_asks_for_something_else_is_refused_by_name() {
    let problems = with_configuration(|configuration| {
        let model = &mut configuration["model_cfg"];
        model["init_logit_bias"] = json!(-10);
        model["custom_text"] = json!(true);
        model["multimodal_cfg"] = json!({"width": 512});
        model["vision_cfg"]["timm_model_name"] = json!("vit_base_patch16_siglip_224");
        model["text_cfg"]["pool_type"] = json!("last");
        model["text_cfg"]["hf_model_name"] = json!("roberta-base");
        model["text_cfg"]["heds"] = json!(8);
        configuration["preprocess_cfg"]["resize_mode"] = json!("squash");
        configuration["preprocess_cfg"]["interpolation"] = json!("bilinear");
        configuration["preprocess_cfg"]["std"] = json!([0.2, 0.3]);
        configuration["version"] = json!(2);
    });
    let expected = [
        "model_cfg.vision_cfg.timm_model_name is \"vit_base_patch16_siglip_224\": a timm image tower is not supported",
        "model_cfg.text_cfg.hf_model_name is \"roberta-base\": a text tower of Hugging Face is not supported",
        "model_cfg.text_cfg.heds is not known, and might change what the model computes",
        "model_cfg.init_logit_bias is -10: a logit bias (SigLIP) is not supported",
        "model_cfg.custom_text is true: a custom text tower is not supported",
        "model_cfg.multimodal_cfg is {\"width\":512}: CoCa is not supported",
        "preprocess_cfg.resize_mode is \"squash\": another way of resizing is not supported",
        "preprocess_cfg.interpolation is \"bilinear\": another interpolation is not supported",
        "version is not known, and might change what the model computes",
        "model_cfg.text_cfg.pool_type is \"last\": another text pooling is not supported",
        "preprocess_cfg.std is [0.2,0.3], expected three numbers",
    ];
    assert_eq!(problems, expected.map(|problem| format!("{CONFIGURATION}: {problem}")));
}

#[test]
fn sizes_that_differ_from_the_tensors_are_one_problem_each() {
    let problems = with_configuration(|configuration| {
        let model = &mut configuration["model_cfg"];
        model["embed_dim"] = json!(64);
        model["vision_cfg"]["image_size"] = json!(96);
        model["vision_cfg"]["layers"] = json!([1, 1, 2, 1]);
        model["text_cfg"]["vocab_size"] = json!(700);
        model["text_cfg"]["layers"] = json!(3);
        model["text_cfg"]["heads"] = json!(5);
    });
    assert_eq!(
        problems,
        [
            "embed_dim (image tower) is 64 in the configuration, 32 in the tensors",
            "vision_cfg.image_size is 96 in the configuration, 64 in the tensors",
            "vision_cfg.layers is [1, 1, 2, 1] in the configuration, [1, 1, 1, 1] in the tensors",
            "embed_dim (text tower) is 64 in the configuration, 32 in the tensors",
            "text_cfg.vocab_size is 700 in the configuration, 600 in the tensors",
            "text_cfg.layers is 3 in the configuration, 2 in the tensors",
            "the text tower's width 32 does not divide into 5 heads",
        ]
    );
}

#[test]
fn a_vocabulary_no_tokenizer_has_is_refused() {
    let mut configuration = tiny_configuration();
    configuration["model_cfg"]["text_cfg"]["vocab_size"] = json!(100);
    let mut entries = tiny_entries();
    let embedding = entry(&mut entries, "token_embedding.weight");
    embedding.shape = vec![100, 32];
    embedding.data.truncate(100 * 32 * 2);
    let problems = problems(folder(configuration.to_string().as_bytes(), &serialise(&entries)).path());
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("tokenizer: ") && problems[0].contains("100"), "{problems:?}");
}

#[test]
fn nonsense_in_the_configuration_is_refused() {
    let weights = fs::read(tiny().join(WEIGHTS)).unwrap();
    let text = fs::read_to_string(tiny().join(CONFIGURATION)).unwrap();
    let deep = "[".repeat(100_000);
    for (configuration, expected) in [
        ("", "not JSON"),
        ("{} {}", "not JSON"),
        (deep.as_str(), "not JSON"),
        ("[]", "the file is not an object"),
        ("{}", "model_cfg is missing"),
        (&text.replace("\"embed_dim\": 32", "\"embed_dim\": -1"), "model_cfg.embed_dim is -1, expected a whole number"),
        (&text.replace("\"embed_dim\": 32", "\"embed_dim\": 1e300"), "expected a whole number"),
        (&text.replace("\"width\": 4", "\"width\": 0"), "model_cfg.vision_cfg.width is 0"),
        (
            &text.replace("\"embed_dim\": 32", "\"embed_dim\": 32, \"embed_dim\": 33"),
            "`model_cfg.embed_dim` stands twice",
        ),
        (&text.replace("\"embed_dim\": 32", "\"quick_gelu\": 1"), "model_cfg.embed_dim is missing"),
        (&text.replace("\"embed_dim\": 32", "\"quick_gelu\": 1"), "model_cfg.quick_gelu is 1, expected true or false"),
        (&text.replace("0.2", "0.0"), "expected numbers above 0"),
    ] {
        let found = problems(folder(configuration.as_bytes(), &weights).path()).join("\n");
        assert!(found.contains(expected), "expected {expected:?}, found {found}");
    }
}

#[test]
fn configuration_and_weights_are_judged_together() {
    let folder = folder(b"{}", b"nothing");
    let found = problems(folder.path());
    assert!(found.iter().any(|problem| problem.contains("model_cfg is missing")), "{found:?}");
    assert!(found.iter().any(|problem| problem.contains("7 bytes are too few")), "{found:?}");
}

#[test]
fn paths_that_are_no_checkpoint_say_what_is_expected() {
    let empty = tempfile::tempdir().unwrap();
    let found = problems(empty.path());
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("the folder holds no checkpoint of a known format; known formats: "), "{found:?}");
    for format in formats() {
        assert!(found[0].contains(&format!("{} ({})", format.name, format.about)), "{found:?}");
    }
    assert!(problems(&empty.path().join("absent"))[0].contains("No such file"));

    fs::write(empty.path().join(CONFIGURATION), b"{}").unwrap();
    assert_eq!(problems(empty.path()), [format!("{WEIGHTS}: No such file or directory (os error 2)")]);
    fs::create_dir(empty.path().join(WEIGHTS)).unwrap();
    assert!(problems(empty.path())[0].starts_with(&format!("{WEIGHTS} is not a plain file")));
}

#[test]
fn the_same_weights_have_one_fingerprint_in_every_storage_type() {
    let original = open(&tiny()).unwrap();
    let mut entries = tiny_entries();
    for entry in entries.iter_mut().filter(|entry| entry.dtype == "BF16") {
        entry.data = entry.data.chunks_exact(2).flat_map(|pair| [0, 0, pair[0], pair[1]]).collect();
        entry.dtype = "F32".into();
    }
    entries.retain(|entry| entry.dtype != "I64");
    entries.reverse();
    let configuration = fs::read(tiny().join(CONFIGURATION)).unwrap();
    let same_folder = folder(&configuration, &serialise(&entries));
    let same = open(same_folder.path()).unwrap();
    assert_eq!(same.info().record.fingerprint, original.info().record.fingerprint);
    assert_ne!(same.info().record.files, original.info().record.files);

    entry(&mut entries, "ln_final.bias").data[0] ^= 1;
    let other_folder = folder(&configuration, &serialise(&entries));
    assert_ne!(open(other_folder.path()).unwrap().info().record.fingerprint, original.info().record.fingerprint);
}

#[test]
fn values_that_change_nothing_may_stand_in_a_configuration() {
    let mut configuration = tiny_configuration();
    let model = &mut configuration["model_cfg"];
    model["quick_gelu"] = json!(false);
    model["custom_text"] = json!(false);
    model["init_logit_bias"] = Value::Null;
    model["vision_cfg"]["timm_model_name"] = Value::Null;
    model["vision_cfg"]["image_size"] = json!([64, 64]);
    model["text_cfg"]["mlp_ratio"] = json!(4);
    model["text_cfg"]["pool_type"] = json!("argmax");
    configuration["preprocess_cfg"]["interpolation"] = json!("bicubic");
    let folder = folder(configuration.to_string().as_bytes(), &fs::read(tiny().join(WEIGHTS)).unwrap());
    let encoder = open(folder.path()).unwrap();
    assert_eq!(encoder.info().record.fingerprint, open(&tiny()).unwrap().info().record.fingerprint);
}

#[test]
fn the_record_of_a_model_names_its_files() {
    let encoder = open(&tiny()).unwrap();
    let record = &encoder.info().record;
    assert_eq!(record.format, "open_clip folder");
    let bytes = fs::read(tiny().join(WEIGHTS)).unwrap();
    assert_eq!(record.files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), [CONFIGURATION, WEIGHTS]);
    assert_eq!(record.files[1].bytes, bytes.len() as u64);
    assert_eq!(record.files[1].sha256.len(), 64);
    assert_eq!(record.fingerprint.0.len(), digest::<&[u8]>(&[]).len());
    assert_eq!(
        record.architecture,
        "CLIP: ModifiedResNet [1, 1, 1, 1], width 4, 64 px; text transformer of 2 layers, width 32"
    );
}

#[test]
fn sources_are_named_or_paths() {
    assert_eq!("reference".parse::<ModelSource>().unwrap(), ModelSource::Reference);
    assert_eq!("./reference".parse::<ModelSource>().unwrap(), ModelSource::Folder("./reference".into()));
    assert_eq!(
        "hf://org/name".parse::<ModelSource>().unwrap(),
        ModelSource::Hub("hf://org/name@main".parse::<Repository>().unwrap())
    );
    assert!("s3://org/name".parse::<ModelSource>().unwrap_err().to_string().contains("is not on this machine"));
    assert!("".parse::<ModelSource>().is_err());
    assert_eq!(MODELS.iter().map(|kind| kind.name).collect::<Vec<_>>(), ["reference"]);
    assert_eq!(
        formats().iter().map(|kind| kind.name).collect::<Vec<_>>(),
        ["overlay folder", "open_clip folder", "Hugging Face folder", "file of weights"]
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a stranger does to the bytes: loaded or refused, never a panic.
    #[test]
    fn damaged_bytes_never_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..6),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let mut bytes = fs::read(tiny().join(WEIGHTS)).unwrap();
        let header = usize::from_le_bytes(bytes[..8].try_into().unwrap());
        for (place, value, in_header) in edits {
            let end = if in_header { header + 8 } else { bytes.len() };
            bytes[place.index(end)] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let folder = folder(&fs::read(tiny().join(CONFIGURATION)).unwrap(), &bytes);
        if let Err(error) = open(folder.path()) {
            prop_assert!(matches!(error, ModelError::Checkpoint { .. }), "{error}");
        }
    }
}
