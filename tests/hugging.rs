//! Folders of Hugging Face's transformers: the weights that transformers itself held against open_clip
//! (`tests/golden/formats.py`) give the same features and the same fingerprint in every layout, and whatever is not CLIP's own
//! is refused by its name.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use clip_audit::model::Encoder;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::checkpoints::{CONFIGURATION, Entry, WEIGHTS, entries_of, open, problems, serialise};
use super::formats::{agrees, asked, fact, folder_of, formats, open_with};

const CONFIG: &str = "config.json";
const PREPROCESSING: &str = "preprocessor_config.json";
const MODEL: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

fn hugging(files: &[(&str, &str)]) -> TempDir {
    folder_of(
        &[&[("hugging/config.json", CONFIG), ("hugging/preprocessor_config.json", PREPROCESSING)], files].concat(),
    )
}

fn whole() -> TempDir {
    hugging(&[("hugging/model.safetensors", MODEL)])
}

fn sharded() -> TempDir {
    let shards = [1, 2, 3].map(|number| format!("model-{number:05}-of-00003.safetensors"));
    let files: Vec<(String, &str)> = shards.iter().map(|name| (format!("sharded/{name}"), name.as_str())).collect();
    let folder = folder_of(&files.iter().map(|(from, to)| (from.as_str(), *to)).collect::<Vec<_>>());
    for name in [CONFIG, INDEX] {
        fs::copy(formats().join("sharded").join(name), folder.path().join(name)).unwrap();
    }
    folder
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// A whole folder with another configuration.
fn with(name: &str, change: impl FnOnce(&mut Value)) -> TempDir {
    let folder = whole();
    let path = folder.path().join(name);
    let mut value = read_json(&path);
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
    folder
}

fn with_entries(change: impl FnOnce(&mut Vec<Entry>)) -> TempDir {
    let folder = whole();
    let path = folder.path().join(MODEL);
    let mut entries = entries_of(&path);
    change(&mut entries);
    fs::write(path, serialise(&entries)).unwrap();
    folder
}

fn files(encoder: &dyn Encoder) -> Vec<&str> {
    encoder.info().record.files.iter().map(|file| file.name.as_str()).collect()
}

#[test]
fn every_layout_of_the_folder_is_one_model() {
    let encoder = open(whole().path()).unwrap();
    agrees(encoder.as_ref(), "vit");
    assert_eq!(encoder.info().record.format, "Hugging Face folder");
    assert_eq!(files(encoder.as_ref()), [CONFIG, PREPROCESSING, MODEL]);
    let activation = "text_config.hidden_act and vision_config.hidden_act are \"quick_gelu\" in the configuration";
    assert!(fact(encoder.as_ref(), "activation").ends_with(activation), "{}", fact(encoder.as_ref(), "activation"));
    assert!(!encoder.info().record.facts.iter().any(|(name, _)| name == "mean and deviation"));

    let encoder = open(sharded().path()).unwrap();
    agrees(encoder.as_ref(), "vit");
    assert_eq!(files(encoder.as_ref()).len(), 5);
    assert_eq!(files(encoder.as_ref())[1], INDEX);
    assert!(
        fact(encoder.as_ref(), "mean and deviation").contains("CLIP's own, for there is no preprocessor_config.json")
    );

    let encoder = open(hugging(&[("hugging.bin", "pytorch_model.bin")]).path()).unwrap();
    agrees(encoder.as_ref(), "vit");

    let both = hugging(&[("hugging/model.safetensors", MODEL), ("resnet.pt", "pytorch_model.bin")]);
    let encoder = open(both.path()).unwrap();
    agrees(encoder.as_ref(), "vit");
    assert_eq!(fact(encoder.as_ref(), "weights"), "model.safetensors is read; beside it, not read: pytorch_model.bin");
}

/// The same numbers in eight files are one fingerprint, so one cache of observations and one unit.
#[test]
fn one_fingerprint_in_every_format() {
    let folder = |weights: &str, name: &str| folder_of(&[(CONFIGURATION, CONFIGURATION), (weights, name)]);
    let lone = |name: &str| open_with(&formats().join(name), asked(true)).unwrap();
    let mut shards_in_bin = read_json(&formats().join("sharded").join(INDEX));
    shards_in_bin["weight_map"].as_object_mut().unwrap().values_mut().for_each(|file| *file = json!("one.bin"));
    let indexed = hugging(&[("hugging.bin", "one.bin")]);
    fs::write(indexed.path().join("pytorch_model.bin.index.json"), shards_in_bin.to_string()).unwrap();
    let models: BTreeMap<&str, Box<dyn Encoder>> = BTreeMap::from([
        ("open_clip folder, safetensors", open(folder(WEIGHTS, WEIGHTS).path()).unwrap()),
        (
            "open_clip folder, .bin before 1.6",
            open(folder("legacy.bin", "open_clip_pytorch_model.bin").path()).unwrap(),
        ),
        ("open_clip folder, .pt of training", open(folder("training.pt", "epoch_3.pt").path()).unwrap()),
        ("Hugging Face folder", open(whole().path()).unwrap()),
        ("Hugging Face folder, shards", open(sharded().path()).unwrap()),
        ("Hugging Face folder, .bin", open(hugging(&[("hugging.bin", "pytorch_model.bin")]).path()).unwrap()),
        ("Hugging Face folder, .bin by an index", open(indexed.path()).unwrap()),
        ("OpenAI archive", open(&formats().join("openai.pt")).unwrap()),
        ("file of weights", lone(WEIGHTS)),
    ]);
    let expected = &models["OpenAI archive"].info().record.fingerprint;
    for (name, model) in &models {
        assert_eq!(&model.info().record.fingerprint, expected, "{name}");
        assert_eq!(model.info().record.architecture, models["OpenAI archive"].info().record.architecture, "{name}");
    }
}

#[test]
fn what_is_missing_means_what_it_means_in_transformers() {
    // The activation, the epsilon and everything training is asked for can be left out.
    let folder = with(CONFIG, |config| {
        for tower in ["text_config", "vision_config"] {
            let tower = config[tower].as_object_mut().unwrap();
            tower.retain(|key, _| {
                !["hidden_act", "layer_norm_eps", "attention_dropout", "model_type"].contains(&key.as_str())
            });
        }
        config.as_object_mut().unwrap().retain(|key, _| key != "architectures");
        config["vision_config"].as_object_mut().unwrap().remove("num_channels");
        config["text_config"]["whatever"] = json!("transformers does not read it");
    });
    let encoder = open(folder.path()).unwrap();
    agrees(encoder.as_ref(), "vit");
    let reason = "hidden_act is missing in the configuration, which means quick_gelu";
    assert!(fact(encoder.as_ref(), "activation").ends_with(reason));
    assert!(fact(open_with(folder.path(), asked(false)).unwrap().as_ref(), "activation").starts_with("GELU, exact"));
    // A configuration that says it contradicts who asks for the other.
    let refused = open_with(whole().path(), asked(false)).err().unwrap().to_string();
    assert!(refused.contains("contradicts the checkpoint"), "{refused}");

    // An empty one is ViT-B/32, which these weights are not.
    let found = problems(with(CONFIG, |config| *config = json!({"model_type": "clip"})).path()).join("\n");
    for expected in [
        "embed_dim (text tower) is 512 in the configuration, 20 in the tensors (in the files: projection_dim)",
        "vision_cfg.width is 768 in the configuration, 32 in the tensors (in the files: vision_config.hidden_size)",
        "vision_cfg.patch_size is 32 in the configuration, 8 in the tensors",
        "text_cfg.vocab_size is 49408 in the configuration, 560 in the tensors",
    ] {
        // Sizes of pictures are held against each other first.
        assert!(
            found.contains(expected) || found.contains("the model's pictures are of 224 px"),
            "{expected}: {found}"
        );
    }
    let bare = with(CONFIG, |config| *config = json!({"model_type": "clip"}));
    fs::remove_file(bare.path().join(PREPROCESSING)).unwrap();
    let found = problems(bare.path()).join("\n");
    assert!(found.contains("(in the files: projection_dim)") && found.contains("49408"), "{found}");

    // What older releases say twice: the second section decides.
    let folder = with(CONFIG, |config| {
        config["text_config_dict"] = config["text_config"].clone();
        config["text_config"] = json!({"hidden_size": 7, "hidden_act": "gelu"});
        config["vision_config_dict"] = Value::Null;
    });
    agrees(open(folder.path()).unwrap().as_ref(), "vit");
    // Before release 4.31 the end-of-text token was called 2, and the highest was meant.
    agrees(
        open(with(CONFIG, |config| config["text_config"]["eos_token_id"] = json!(2)).path()).unwrap().as_ref(),
        "vit",
    );
}

#[test]
fn other_models_are_refused_by_name() {
    for (kind, name) in [
        (json!("siglip"), "model_type is \"siglip\": SigLIP is not supported, only CLIPModel is"),
        (json!("align"), "ALIGN is not supported"),
        (json!("chinese_clip"), "Chinese-CLIP is not supported"),
        (json!("clip_vision_model"), "the image tower of CLIP alone is not supported"),
        (json!("mistral"), "model_type is \"mistral\": this model is not supported"),
        (Value::Null, "has no model_type"),
    ] {
        let found = problems(with(CONFIG, |config| config["model_type"] = kind).path());
        assert!(found.len() == 1 && found[0].starts_with("config.json: ") && found[0].contains(name), "{found:?}");
    }
    let found =
        problems(with(CONFIG, |config| config["architectures"] = json!(["CLIPVisionModelWithProjection"])).path());
    assert_eq!(found, ["config.json: architectures is \"CLIPVisionModelWithProjection\": only CLIPModel is supported"]);
    let found = problems(with(CONFIG, |config| config["auto_map"] = json!({"AutoModel": "modeling.Mine"})).path());
    assert_eq!(found, ["config.json: auto_map asks for code beside the weights, which is never run"]);
}

#[test]
fn a_configuration_that_asks_for_something_else_is_refused() {
    let found = problems(
        with(CONFIG, |config| {
            config["quantization_config"] = json!({"quant_method": "bitsandbytes"});
            config["text_config"]["layer_norm_eps"] = json!(1e-6);
            config["text_config"]["eos_token_id"] = json!(3);
            config["text_config"]["num_attention_heads"] = json!("one");
            config["vision_config"]["hidden_act"] = json!("gelu_new");
            config["vision_config"]["num_attention_heads"] = json!(5);
            config["vision_config"]["num_hidden_layers"] = json!(100_000);
            config["vision_config"]["num_channels"] = json!(4);
            config["vision_config"]["pruned_heads"] = json!({"0": [1]});
        })
        .path(),
    )
    .join("\n");
    for expected in [
        "config.json: quantization_config is there: weights quantised by \"bitsandbytes\" are not supported",
        "text_config.layer_norm_eps is 1e-6: another epsilon of the norms is not supported",
        "text_config.eos_token_id is 3: CLIP's tokenizer ends a text with 559, the last of 560 tokens",
        "text_config.num_attention_heads is \"one\", expected a whole number",
        "vision_config.hidden_act is \"gelu_new\", only \"quick_gelu\" or \"gelu\" or \"gelu_python\" is supported",
        "vision_config: a hidden_size of 32 does not divide into 5 heads",
        "vision_config.num_hidden_layers is 100000, expected at most 1000",
        "vision_config.num_channels is 4: only pictures of 3 channels",
        "vision_config.pruned_heads is {\"0\":[1]}: pruning of attention heads is not supported",
    ] {
        assert!(found.contains(expected), "expected {expected:?}, found {found}");
    }
    let unlike = with(CONFIG, |config| config["vision_config"]["hidden_act"] = json!("gelu"));
    assert!(problems(unlike.path())[0].contains("towers of unlike activation are not supported"));
    for (bytes, expected) in [
        ("[]", "config.json: is not an object"),
        ("{", "config.json: not JSON"),
        ("{\"a\":1,\"a\":2}", "has no model_type"),
    ] {
        let folder = whole();
        fs::write(folder.path().join(CONFIG), bytes).unwrap();
        let found = problems(folder.path()).join("\n");
        assert!(found.contains(expected), "{found}");
    }
    let folder = whole();
    fs::remove_file(folder.path().join(CONFIG)).unwrap();
    assert!(problems(folder.path())[0].starts_with("config.json: No such file"));
    fs::rename(folder.path().join(MODEL), folder.path().join(CONFIG)).unwrap();
    let found = problems(folder.path());
    assert!(found[0].starts_with("model.safetensors: No such file"), "{found:?}");
}

#[test]
fn preprocessing_is_clips_or_refused() {
    let folder = with(PREPROCESSING, |config| {
        *config = json!({"crop_size": 32, "size": 32, "resample": 3, "image_mean": [0.5, 0.5, 0.25], "image_std": [0.5, 0.25, 0.5],
                         "feature_extractor_type": "CLIPFeatureExtractor", "do_convert_rgb": true});
    });
    let encoder = open(folder.path()).unwrap();
    let preprocessing = &encoder.info().record.preprocessing;
    assert!(preprocessing.contains(&("mean".to_owned(), "0.5, 0.5, 0.25".to_owned())), "{preprocessing:?}");
    assert!(preprocessing.contains(&("standard deviation".to_owned(), "0.5, 0.25, 0.5".to_owned())));

    // Since release 5 it is a section of another file.
    let folder = whole();
    let inner = read_json(&folder.path().join(PREPROCESSING));
    fs::remove_file(folder.path().join(PREPROCESSING)).unwrap();
    let outer = |inner: Value| json!({"processor_class": "CLIPProcessor", "image_processor": inner}).to_string();
    fs::write(folder.path().join("processor_config.json"), outer(inner.clone())).unwrap();
    agrees(open(folder.path()).unwrap().as_ref(), "vit");
    let mut other = inner;
    other["do_resize"] = json!(false);
    fs::write(folder.path().join("processor_config.json"), outer(other)).unwrap();
    let expected = "processor_config.json: image_processor.do_resize is false: CLIP's preprocessing has it true";
    assert_eq!(problems(folder.path()), [expected]);

    let found = problems(
        with(PREPROCESSING, |config| {
            config["size"] = json!({"height": 32, "width": 32});
            config["crop_size"] = json!({"height": 64, "width": 32});
            config["resample"] = json!(2);
            config["rescale_factor"] = json!(0.5);
            config["image_std"] = json!([0.5, 0, 0.5]);
            config["image_processor_type"] = json!("ViTImageProcessor");
            config["do_normalize"] = json!(false);
        })
        .path(),
    )
    .join("\n");
    for expected in [
        "preprocessor_config.json: image_processor_type is \"ViTImageProcessor\": only CLIPImageProcessor is supported",
        "do_normalize is false: CLIP's preprocessing has it true",
        "resample is 2: only 3 (bicubic) is supported",
        "rescale_factor is 0.5: only 0.00392156862745098 (1/255) is supported",
        "size has no shortest_edge: another way of resizing is not supported",
        "crop_size is no square",
        "size is 224, the model's pictures are of 32 px",
        "crop_size is 64, the model's pictures are of 32 px",
        "image_std is [0.5, 0.0, 0.5], expected numbers above 0",
    ] {
        assert!(found.contains(expected), "expected {expected:?}, found {found}");
    }
}

#[test]
fn tensors_must_be_those_of_a_clip_model() {
    let attention = "vision_model.encoder.layers.1.self_attn";
    let found = problems(
        with_entries(|entries| {
            entries.retain(|entry| {
                entry.name != format!("{attention}.k_proj.weight") && entry.name != "vision_model.pre_layrnorm.bias"
            });
            let mut other = entries.iter().find(|entry| entry.name == "logit_scale").unwrap().clone();
            other.name = "vision_model.head.weight".to_owned();
            entries.push(other);
        })
        .path(),
    );
    let parts = ["q", "v"].map(|part| format!("`{attention}.{part}_proj.weight`")).join(" and ");
    assert_eq!(
        found,
        [
            "model.safetensors: tensor `vision_model.head.weight` is not expected".to_owned(),
            format!("model.safetensors: of query, key and value only {parts} is there"),
        ]
    );
    let found =
        problems(with_entries(|entries| entries.retain(|entry| entry.name != "visual_projection.weight")).path());
    let expected =
        "tensor `visual.proj` [32, 20] is missing (in the files: `visual_projection.weight`, the other way round)";
    assert_eq!(found, [expected]);
    // A wrong shape in one of three parts would pass unseen in the whole.
    let found = problems(
        with_entries(|entries| {
            for (part, rows) in [("q", 40), ("k", 24)] {
                let name = format!("{attention}.{part}_proj.bias");
                let entry = entries.iter_mut().find(|entry| entry.name == name).unwrap();
                (entry.shape, entry.data) = (vec![rows], vec![0; rows * 2]);
            }
        })
        .path(),
    );
    assert_eq!(
        found,
        [format!(
            "model.safetensors: tensors `{attention}.q_proj.bias` [40] and `{attention}.k_proj.bias` [24] are of unlike shape"
        )]
    );
    // Positions of older releases are left out where they count, and only there.
    let positions = |numbers: [i64; 4]| {
        move |entries: &mut Vec<Entry>| {
            let data = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
            let name = "text_model.embeddings.position_ids".to_owned();
            entries.push(Entry { name, dtype: "I64".to_owned(), shape: vec![1, 4], data });
        }
    };
    let encoder = open(with_entries(positions([0, 1, 2, 3])).path()).unwrap();
    agrees(encoder.as_ref(), "vit");
    let left_out = "positions counted from 0: text_model.embeddings.position_ids";
    assert_eq!(fact(encoder.as_ref(), "left out"), left_out);
    let found = problems(with_entries(positions([0, 1, 3, 2])).path());
    assert_eq!(
        found,
        ["model.safetensors: tensor `text_model.embeddings.position_ids` does not count positions from 0"]
    );
}

#[test]
fn an_index_must_be_that_of_its_files() {
    let with_index = |change: &dyn Fn(&mut serde_json::Map<String, Value>)| {
        let folder = sharded();
        let path = folder.path().join(INDEX);
        let mut index = read_json(&path);
        change(index["weight_map"].as_object_mut().unwrap());
        fs::write(path, index.to_string()).unwrap();
        folder
    };
    for file in ["../model.safetensors", "/etc/passwd", "a/b.safetensors", "..", "", "a\\b"] {
        let folder = with_index(&|map| drop(map.insert("logit_scale".to_owned(), json!(file))));
        let found = problems(folder.path());
        assert!(found.len() == 1 && found[0].ends_with("which is no file's name"), "{file}: {found:?}");
    }
    let folder =
        with_index(&|map| drop(map.insert("logit_scale".to_owned(), json!("model-00003-of-00003.safetensors"))));
    assert_eq!(
        problems(folder.path()),
        [
            "model-00001-of-00003.safetensors: tensor `logit_scale` is not expected here (model.safetensors.index.json says so)",
            "model-00003-of-00003.safetensors: tensor `logit_scale` is missing (model.safetensors.index.json says so)",
        ]
    );
    let folder = sharded();
    fs::remove_file(folder.path().join("model-00002-of-00003.safetensors")).unwrap();
    let found = problems(folder.path());
    assert!(found[0].starts_with("model-00002-of-00003.safetensors: No such file"), "{found:?}");
    assert!(found[0].ends_with("(model.safetensors.index.json names it)"), "{found:?}");
    let many = with_index(&|map| {
        (0..300).for_each(|number| drop(map.insert(format!("t{number}"), json!(format!("{number}.safetensors")))));
    });
    assert_eq!(problems(many.path()), ["model.safetensors.index.json: names 303 files, expected at most 200"]);
    for (bytes, expected) in [
        ("{}", "has no `weight_map`"),
        ("nothing", "not JSON"),
        ("{\"weight_map\":{\"a\":\"b\",\"a\":\"c\"}}", "`weight_map.a` stands twice"),
    ] {
        let folder = sharded();
        fs::write(folder.path().join(INDEX), bytes).unwrap();
        let found = problems(folder.path()).join("\n");
        assert!(found.starts_with("model.safetensors.index.json: ") && found.contains(expected), "{found}");
    }
}

/// CLIP's merges as the two files of transformers list them.
#[test]
fn another_tokenizer_is_refused() {
    let mut merges = String::new();
    let packed: &[u8] = include_bytes!("../src/model/tokenizer/merges.txt.gz");
    flate2::read::GzDecoder::new(packed).read_to_string(&mut merges).unwrap();
    let lists = |merges: &[&str]| {
        let text = format!("#version: 0.2\n{}\n", merges.join("\n"));
        let pairs: Vec<Vec<&str>> = merges.iter().map(|merge| merge.split(' ').collect()).collect();
        [
            ("merges.txt", text),
            ("tokenizer.json", json!({"model": {"type": "BPE", "merges": merges}}).to_string()),
            ("tokenizer.json", json!({"model": {"type": "BPE", "merges": pairs}}).to_string()),
        ]
    };
    let clip: Vec<&str> = merges.lines().collect();
    // This model's vocabulary of 560 holds 46 merges; what follows them in a list is not used.
    let mut other = clip.clone();
    other.swap(44, 45);
    let mut beyond = clip.clone();
    beyond.swap(46, 47);
    for (list, used) in [(&clip, true), (&beyond, true), (&other, false)] {
        for (name, text) in lists(list) {
            let folder = whole();
            fs::write(folder.path().join(name), text).unwrap();
            if used {
                let encoder = open(folder.path()).unwrap();
                agrees(encoder.as_ref(), "vit");
                assert!(files(encoder.as_ref()).contains(&name));
            } else {
                let expected = format!("{name}: lists other merges than CLIP's: another tokenizer is not supported");
                assert_eq!(problems(folder.path()), [expected]);
            }
        }
    }
    let folder = whole();
    fs::write(folder.path().join("tokenizer.json"), "{\"model\":{\"type\":\"Unigram\"}}").unwrap();
    assert!(problems(folder.path())[0].starts_with("tokenizer.json: has no list of merges at model.merges"));
}
