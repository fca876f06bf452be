//! Which towers load: every configuration that open_clip publishes (`tests/golden/towers.py`), and transformers whose tensors or
//! configuration were changed, each refused with everything that is wrong.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clip_audit::model::ModelError;
use clip_audit::types::Tap;
use image::RgbImage;
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::checkpoints::{CONFIGURATION, Entry, WEIGHTS, entries, folder, open, problems, serialise};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// A scale and nothing else, so that every other tensor of the towers is listed as missing, with its shape.
fn scale_alone() -> Vec<u8> {
    serialise(&[Entry { name: "logit_scale".into(), dtype: "F32".into(), shape: vec![], data: vec![0; 4] }])
}

/// The tensors a configuration asks for, a line each and sorted, or why it is refused.
fn tensors_of(configuration: &Value) -> Result<Vec<String>, Vec<String>> {
    let file = json!({ "model_cfg": configuration, "preprocess_cfg": {} });
    let problems = problems(folder(file.to_string().as_bytes(), &scale_alone()).path());
    if problems[0].starts_with(CONFIGURATION) {
        return Err(problems);
    }
    let mut lines = vec!["logit_scale []".to_owned()];
    for problem in problems {
        let line = problem.strip_prefix("tensor `").and_then(|rest| rest.strip_suffix(" is missing"));
        lines.push(line.unwrap_or_else(|| panic!("another problem: {problem}")).replace("` ", " "));
    }
    lines.sort();
    Ok(lines)
}

/// Whole towers of every published size, up to 5 thousand million values, without a weight.
#[test]
fn every_published_configuration_has_the_tensors_of_open_clip_or_is_refused_by_name() {
    let file: Value = serde_json::from_slice(&fs::read(golden("towers.json")).unwrap()).unwrap();
    let (mut loaded, mut refused) = (Vec::new(), BTreeMap::<String, Vec<&str>>::new());
    for (name, model) in file["models"].as_object().unwrap() {
        match tensors_of(&model["config"]) {
            Ok(lines) => {
                assert_eq!(model["tensors"], lines.len(), "{name}");
                let digest = Sha256::digest(lines.join("\n"));
                let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
                assert_eq!(model["sha256"], digest, "{name}: {lines:#?}");
                loaded.push(name.as_str());
            }
            Err(problems) => {
                let reasons = problems.iter().map(|problem| {
                    let problem = problem.strip_prefix(CONFIGURATION).unwrap().trim_start_matches(": ");
                    format!("{}: {}", problem.split(" is ").next().unwrap(), problem.rsplit(": ").next().unwrap())
                });
                refused.entry(reasons.collect::<Vec<_>>().join("\n")).or_default().push(name);
            }
        }
    }
    let refused = refused.iter().map(|(why, names)| format!("{}\n{why}", names.join(" ")));
    let refused = refused.collect::<Vec<_>>().join("\n\n");
    insta::assert_snapshot!(format!("Loaded:\n{}\n\nRefused:\n{refused}", loaded.join(" ")));
}

/// What a checkpoint of the golden folder is refused with after a change.
fn changed(name: &str, change: impl FnOnce(&mut Vec<Entry>, &mut Value, &mut Value)) -> Vec<String> {
    let mut entries = entries(&golden(name));
    let mut configuration: Value =
        serde_json::from_slice(&fs::read(golden(name).join(CONFIGURATION)).unwrap()).unwrap();
    let mut vision = configuration["model_cfg"]["vision_cfg"].take();
    let mut text = configuration["model_cfg"]["text_cfg"].take();
    change(&mut entries, &mut vision, &mut text);
    configuration["model_cfg"]["vision_cfg"] = vision;
    configuration["model_cfg"]["text_cfg"] = text;
    problems(folder(configuration.to_string().as_bytes(), &serialise(&entries)).path())
}

fn zeros(name: &str, shape: &[usize]) -> Entry {
    let data = vec![0; 4 * shape.iter().product::<usize>()];
    Entry { name: name.to_owned(), dtype: "F32".to_owned(), shape: shape.to_vec(), data }
}

#[test]
fn missing_misshaped_and_extra_tensors_of_a_transformer_are_all_listed() {
    let problems = changed("vit", |entries, _, _| {
        let gone =
            ["visual.class_embedding", "visual.transformer.resblocks.1.attn.in_proj_bias", "visual.ln_post.weight"];
        entries.retain(|entry| !gone.contains(&entry.name.as_str()));
        entries.push(zeros("visual.transformer.resblocks.0.attn.bias", &[2]));
        entries.push(zeros("visual.transformer.resblocks.1.ls_1.gamma", &[32]));
        let projection = entries.iter_mut().find(|entry| entry.name == "visual.proj").unwrap();
        projection.shape.reverse();
        let patches = entries.iter_mut().find(|entry| entry.name == "visual.conv1.weight").unwrap();
        patches.shape = vec![32, 3, 256];
    });
    insta::assert_snapshot!(problems.join("\n"), @r"
    embed_dim (image tower) is 24 in the configuration, 32 in the tensors
    tensor `visual.conv1.weight` has shape [32, 3, 256], expected [32, 3, 16, 16]
    tensor `visual.class_embedding` [32] is missing
    tensor `visual.transformer.resblocks.1.attn.in_proj_bias` [96] is missing
    tensor `visual.ln_post.weight` [32] is missing
    tensor `visual.proj` has shape [24, 32], expected [32, 24]
    tensor `visual.transformer.resblocks.0.attn.bias` is not expected
    tensor `visual.transformer.resblocks.1.ls_1.gamma` is not expected
    ");
}

#[test]
fn a_transformer_whose_configuration_contradicts_its_tensors_is_refused() {
    let problems = changed("vit", |_, vision, text| {
        *vision = json!({"layers": 3, "width": 48, "head_width": 8, "patch_size": 8, "image_size": 48, "mlp_ratio": 2.5,
                         "ls_init_value": 0.1, "no_ln_pre": true});
        *text = json!({"context_length": 23, "vocab_size": 601, "width": 24, "heads": 2, "layers": 1, "mlp_ratio": 3,
                       "ls_init_value": 1e-5});
    });
    insta::assert_snapshot!(problems.join("\n"), @r"
    vision_cfg.width is 48 in the configuration, 32 in the tensors
    vision_cfg.image_size is 48 in the configuration, 64 in the tensors
    vision_cfg.patch_size is 8 in the configuration, 16 in the tensors
    vision_cfg.layers is 3 in the configuration, 2 in the tensors
    the image tower's MLP width (vision_cfg.mlp_ratio) is 120 in the configuration, 128 in the tensors
    layer scale (vision_cfg.ls_init_value) is present in the configuration, absent in the tensors
    the norm before the first block (vision_cfg.no_ln_pre) is absent in the configuration, present in the tensors
    text_cfg.context_length is 23 in the configuration, 24 in the tensors
    text_cfg.vocab_size is 601 in the configuration, 600 in the tensors
    text_cfg.width is 24 in the configuration, 16 in the tensors
    text_cfg.layers is 1 in the configuration, 2 in the tensors
    the text tower's MLP width (text_cfg.mlp_ratio) is 72 in the configuration, 64 in the tensors
    layer scale (text_cfg.ls_init_value) is present in the configuration, absent in the tensors
    ");
}

/// Layer scale that a configuration does not mention would be left out of the computation.
#[test]
fn layer_scale_is_in_tensors_and_configuration_or_in_neither() {
    let problems = changed("average", |_, vision, text| {
        vision["ls_init_value"] = Value::Null;
        text["ls_init_value"] = Value::Null;
    });
    insta::assert_snapshot!(problems.join("\n"), @r"
    layer scale (vision_cfg.ls_init_value) is absent in the configuration, present in the tensors
    layer scale (text_cfg.ls_init_value) is absent in the configuration, present in the tensors
    ");
    let problems = changed("average", |entries, _, _| entries.retain(|entry| !entry.name.ends_with("gamma")));
    insta::assert_snapshot!(problems.join("\n"), @r"
    layer scale (vision_cfg.ls_init_value) is present in the configuration, absent in the tensors
    layer scale (text_cfg.ls_init_value) is present in the configuration, absent in the tensors
    ");
}

#[test]
fn transformers_that_cannot_be_are_refused() {
    let problems = changed("vit", |_, vision, text| {
        vision["patch_size"] = json!(65);
        vision["head_width"] = json!(5);
        text["heads"] = json!(3);
    });
    insta::assert_snapshot!(problems.join("\n"), @r"
    vision_cfg.patch_size is 65 in the configuration, 16 in the tensors
    the image tower's width 32 does not divide into 6 heads
    an image of 64 px holds no patch of 65 px
    the text tower's width 16 does not divide into 3 heads
    ");
    let problems = changed("vit", |_, vision, text| {
        vision["layers"] = json!(0);
        vision["patch_size"] = json!([16, 8]);
        vision["mlp_ratio"] = json!(0.001);
        vision["pool_type"] = json!("none");
        vision["pos_embed_type"] = json!("rotary");
        vision["no_ln_pre"] = json!(1);
        vision["attentional_pool"] = json!(true);
        vision["qk_norm"] = json!(true);
        vision["act_kwargs"] = json!({"approximate": "tanh"});
        vision["norm_kwargs"] = json!({"eps": 1e-6});
        text["mlp_ratio"] = json!("wide");
        text["pool_type"] = json!("eos");
    });
    insta::assert_snapshot!(problems.join("\n"), @r#"
    open_clip_config.json: model_cfg.vision_cfg.attentional_pool is true: attentional pooling (CoCa) is not supported
    open_clip_config.json: model_cfg.vision_cfg.qk_norm is true: another transformer block is not supported
    open_clip_config.json: model_cfg.vision_cfg.act_kwargs is {"approximate":"tanh"}: parameters of the activation is not supported
    open_clip_config.json: model_cfg.vision_cfg.norm_kwargs is {"eps":1e-6}: parameters of the normalisation is not supported
    open_clip_config.json: model_cfg.vision_cfg.layers must be one number of blocks (a transformer) or four (a ResNet), each from 1 to 1000
    open_clip_config.json: model_cfg.vision_cfg.pool_type is "none", only "tok" or "avg" is supported
    open_clip_config.json: model_cfg.vision_cfg.pos_embed_type is "rotary", only "learnable" or "sin_cos_2d" is supported
    open_clip_config.json: model_cfg.vision_cfg.patch_size is no square: only square pictures and patches are supported
    open_clip_config.json: model_cfg.vision_cfg.mlp_ratio is 0.001: no MLP of a width of 32 has such a size
    open_clip_config.json: model_cfg.vision_cfg.no_ln_pre is 1, expected true or false
    open_clip_config.json: model_cfg.text_cfg.mlp_ratio is "wide": no MLP of a width of 16 has such a size
    open_clip_config.json: model_cfg.text_cfg.pool_type is "eos": another text pooling is not supported
    "#);
}

/// Keys that change nothing in a finished model, and keyword arguments that are none.
#[test]
fn what_changes_nothing_in_a_transformer_may_stand() {
    let mut configuration: Value =
        serde_json::from_slice(&fs::read(golden("vit").join(CONFIGURATION)).unwrap()).unwrap();
    let vision = configuration["model_cfg"]["vision_cfg"].as_object_mut().unwrap();
    let harmless = json!({"patch_dropout": 0.5, "attentional_pool": false, "attn_pooler_queries": 256, "act_kwargs": {},
        "norm_kwargs": null, "pos_embed_type": "learnable", "patch_size": [16, 16], "pool_type": "tok", "mlp_ratio": 4});
    vision.extend(harmless.as_object().unwrap().clone());
    let folder = folder(configuration.to_string().as_bytes(), &fs::read(golden("vit").join(WEIGHTS)).unwrap());
    assert_eq!(open(folder.path()).unwrap().info().sites, open(&golden("vit")).unwrap().info().sites);
}

/// Values that sizes, options and nonsense have, for any key of a configuration.
fn some_value() -> impl Strategy<Value = Value> {
    let numbers =
        prop::sample::select(vec![0_i64, 1, 2, 3, 4, 8, 12, 16, 20, 24, 31, 32, 33, 50, 64, 1 << 20, 1 << 40, -1]);
    let words = prop::sample::select(vec!["tok", "avg", "none", "learnable", "sin_cos_2d", "argmax", "eos", ""]);
    prop_oneof![
        6 => numbers.prop_map(Value::from),
        2 => words.prop_map(Value::from),
        2 => any::<bool>().prop_map(Value::from),
        1 => any::<f64>().prop_map(|number| json!(number)),
        1 => prop::collection::vec(1_u8..4, 0..5).prop_map(|sizes| json!(sizes)),
        1 => Just(Value::Null),
    ]
}

const KEYS: [&str; 20] = [
    "vision_cfg/layers",
    "vision_cfg/width",
    "vision_cfg/head_width",
    "vision_cfg/patch_size",
    "vision_cfg/image_size",
    "vision_cfg/mlp_ratio",
    "vision_cfg/ls_init_value",
    "vision_cfg/no_ln_pre",
    "vision_cfg/pool_type",
    "vision_cfg/final_ln_after_pool",
    "vision_cfg/pos_embed_type",
    "vision_cfg",
    "text_cfg/width",
    "text_cfg/heads",
    "text_cfg/layers",
    "text_cfg/mlp_ratio",
    "text_cfg/ls_init_value",
    "text_cfg/pool_type",
    "text_cfg/eos_id",
    "quick_gelu",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a configuration says: refused, or a model that computes every feature and tap.
    #[test]
    fn a_configuration_is_refused_or_works(
        name in prop::sample::select(vec!["vit", "average", "tiny"]),
        changes in prop::collection::vec((prop::sample::select(KEYS.to_vec()), some_value()), 1..4),
    ) {
        let mut configuration: Value =
            serde_json::from_slice(&fs::read(golden(name).join(CONFIGURATION)).unwrap()).unwrap();
        for (key, value) in changes {
            let (section, key) = key.split_once('/').unwrap_or(("", key));
            let model = &mut configuration["model_cfg"];
            match (if section.is_empty() { model } else { &mut model[section] }).as_object_mut() {
                Some(section) => { section.insert(key.to_owned(), value); }
                None => prop_assert!(!section.is_empty()),
            }
        }
        let folder = folder(configuration.to_string().as_bytes(), &fs::read(golden(name).join(WEIGHTS)).unwrap());
        match open(folder.path()) {
            Err(error) => prop_assert!(matches!(error, ModelError::Checkpoint { .. }), "{error}"),
            Ok(encoder) => {
                let info = encoder.info();
                let taps: Vec<Tap> = info.sites.iter().map(|(layer, site, _)| format!("{layer}.{site}:mean").parse().unwrap()).collect();
                let picture = RgbImage::from_fn(info.image_size, info.image_size, |x, y| image::Rgb([x as u8, y as u8, 7]));
                let encoded = encoder.encode_images(&[picture], &taps, &[]).unwrap();
                prop_assert!(encoded.features.values().iter().all(|value| value.is_finite()));
                prop_assert_eq!(encoded.taps.len(), taps.len());
                prop_assert_eq!(encoder.encode_texts(&["a".to_owned()]).unwrap().columns(), info.dimension);
            }
        }
    }
}
