//! The open_clip folder: `open_clip_config.json` and `open_clip_model.safetensors`, as `open_clip.push_to_hf_hub` writes
//! them. Its names and shapes are the canonical ones. A configuration key that would change the computation in a way
//! this program does not follow is refused by name, never ignored.

use std::path::Path;

use serde_json::Value;

use super::checkpoint::{Checkpoint, Configuration, Format, assemble, read_file, record, refuse};
use super::tensors::Tensors;
use super::text::Activation;
use super::tower::{self, Vision};
use super::{ModelError, json, text};
use crate::types::Kind;

/// Name of the configuration in a folder.
pub(super) const CONFIGURATION: &str = "open_clip_config.json";
/// Name of the weights in a folder.
pub(super) const WEIGHTS: &str = "open_clip_model.safetensors";

/// What older checkpoints hold instead of [`WEIGHTS`].
const PICKLE: &str = "open_clip_pytorch_model.bin";

const NAME: &str = "open_clip folder";

/// The line in the list of formats.
pub(super) const FORMAT: Format = Format {
    kind: Kind { name: NAME, about: "a folder with open_clip_config.json and open_clip_model.safetensors" },
    detects: |path| path.join(CONFIGURATION).exists() || path.join(WEIGHTS).exists(),
    read: |path| {
        let configuration = read_file(path, CONFIGURATION);
        let weights = read_file(path, WEIGHTS).map_err(|problem| {
            let pickle = if path.join(PICKLE).exists() {
                format!("; {PICKLE} is a pickle, which can run code and is never read: convert it to safetensors")
            } else {
                String::new()
            };
            problem + &pickle
        });
        match (configuration, weights) {
            (Ok((configuration, first)), Ok((weights, second))) => assemble(
                path,
                NAME,
                vec![first, second],
                configure(&configuration),
                Tensors::read(&weights).map_err(in_weights),
            ),
            (configuration, weights) => {
                Err(refuse(path, configuration.err().into_iter().chain(weights.err()).collect()))
            }
        }
    },
};

/// Reads a folder whose files are at hand as bytes.
///
/// # Errors
/// Listing every problem.
pub(super) fn read_bytes(name: &str, configuration: &[u8], weights: &[u8]) -> Result<Checkpoint, ModelError> {
    let files = vec![record(CONFIGURATION, configuration), record(WEIGHTS, weights)];
    let tensors = Tensors::read(weights).map_err(in_weights);
    assemble(Path::new(name), NAME, files, configure(configuration), tensors)
}

fn in_weights(problems: Vec<String>) -> Vec<String> {
    problems.into_iter().map(|problem| format!("{WEIGHTS}: {problem}")).collect()
}

/// CLIP's own mean and standard deviation, which open_clip assumes where a configuration names none.
const MEAN: [f64; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const STD: [f64; 3] = [0.268_629_54, 0.261_302_58, 0.275_777_11];

/// Keys that may stand with these values, which leave CLIP as it was published, and the name of what any other value
/// asks for. Defaults are those of open_clip 3.3 (`CLIPVisionCfg`, `CLIPTextCfg`, `CLIP`, `PreprocessCfg`).
const NEUTRAL: &[(&str, &str, &str)] = &[
    ("model_cfg.custom_text", "false", "a custom text tower"),
    ("model_cfg.multimodal_cfg", "null", "CoCa"),
    ("model_cfg.init_logit_bias", "null", "a logit bias (SigLIP)"),
    ("model_cfg.nonscalar_logit_scale", "false", "a logit scale that is no scalar"),
    ("model_cfg.cast_dtype", "null", "a fixed precision"),
    ("model_cfg.vision_cfg.timm_model_name", "null", "a timm image tower"),
    ("model_cfg.vision_cfg.attentional_pool", "false", "attentional pooling (CoCa)"),
    ("model_cfg.text_cfg.hf_tokenizer_name", "null", "another tokenizer"),
    ("model_cfg.text_cfg.hf_model_name", "null", "a text tower of Hugging Face"),
    ("model_cfg.text_cfg.tokenizer_mode", "null", "another tokenizer"),
    ("model_cfg.text_cfg.tokenizer_kwargs", "null", "another tokenizer"),
    ("model_cfg.text_cfg.mlp_ratio", "4.0", "another MLP width"),
    ("model_cfg.text_cfg.ls_init_value", "null", "layer scale"),
    ("model_cfg.text_cfg.embed_cls", "false", "a class token in the text tower (CoCa)"),
    ("model_cfg.text_cfg.pad_id", "0", "another padding token"),
    ("model_cfg.text_cfg.no_causal_mask", "false", "a text tower without causal mask"),
    ("model_cfg.text_cfg.final_ln_after_pool", "false", "another order of norm and pool"),
    ("model_cfg.text_cfg.pool_type", "\"argmax\"", "another text pooling"),
    ("model_cfg.text_cfg.proj_bias", "false", "a projection with bias"),
    ("model_cfg.text_cfg.proj_type", "\"linear\"", "another projection"),
    ("model_cfg.text_cfg.output_tokens", "false", "token output (CoCa)"),
    ("model_cfg.text_cfg.act_kwargs", "null", "parameters of the activation"),
    ("model_cfg.text_cfg.norm_kwargs", "null", "parameters of the normalisation"),
    ("model_cfg.text_cfg.block_type", "null", "another transformer block"),
    ("model_cfg.text_cfg.qk_norm", "false", "another transformer block"),
    ("model_cfg.text_cfg.scaled_cosine_attn", "false", "another transformer block"),
    ("model_cfg.text_cfg.scale_heads", "false", "another transformer block"),
    ("model_cfg.text_cfg.scale_attn_inner", "false", "another transformer block"),
    ("model_cfg.text_cfg.scale_attn", "false", "another transformer block"),
    ("model_cfg.text_cfg.scale_fc", "false", "another transformer block"),
    ("preprocess_cfg.mode", "\"RGB\"", "another colour mode"),
    ("preprocess_cfg.interpolation", "\"bicubic\"", "another interpolation"),
    ("preprocess_cfg.resize_mode", "\"shortest\"", "another way of resizing"),
    ("preprocess_cfg.fill_color", "0", "another fill colour"),
];

/// Keys that are read below, or that decide nothing about features: the start of training, and hints that open_clip
/// itself does not read for a ResNet.
const KNOWN: &[&str] = &[
    "model_cfg.embed_dim",
    "model_cfg.quick_gelu",
    "model_cfg.init_logit_scale",
    "model_cfg.output_dict",
    "model_cfg.vision_cfg.layers",
    "model_cfg.vision_cfg.width",
    "model_cfg.vision_cfg.head_width",
    "model_cfg.vision_cfg.image_size",
    "model_cfg.vision_cfg.mlp_ratio",
    "model_cfg.vision_cfg.patch_dropout",
    "model_cfg.text_cfg.context_length",
    "model_cfg.text_cfg.vocab_size",
    "model_cfg.text_cfg.width",
    "model_cfg.text_cfg.heads",
    "model_cfg.text_cfg.layers",
    "model_cfg.text_cfg.eos_id",
    "model_cfg.text_cfg.hf_model_pretrained",
    "model_cfg.text_cfg.hf_proj_type",
    "model_cfg.text_cfg.hf_pooler_type",
    "preprocess_cfg.size",
    "preprocess_cfg.mean",
    "preprocess_cfg.std",
];

const SECTIONS: &[&str] = &["model_cfg", "model_cfg.vision_cfg", "model_cfg.text_cfg", "preprocess_cfg"];

/// Reads the configuration; all its problems together.
fn configure(bytes: &[u8]) -> Result<Configuration, Vec<String>> {
    let (value, duplicates) =
        json::parse(bytes).map_err(|error| vec![format!("{CONFIGURATION}: not JSON: {error}")])?;
    let mut reader = Reader { root: &value, problems: Vec::new() };
    for key in duplicates {
        reader.problems.push(format!("`{key}` stands twice"));
    }
    reader.refuse_unknown("", &value);
    for section in ["model_cfg", "model_cfg.vision_cfg", "model_cfg.text_cfg"] {
        if reader.get(section).is_none() {
            reader.problems.push(format!("{section} is missing"));
        }
    }

    let layers = reader.layers();
    let width = reader.size("model_cfg.vision_cfg.width", 64);
    let head_width = reader.size("model_cfg.vision_cfg.head_width", 64);
    let dimension = reader.size("model_cfg.embed_dim", None);
    let image_size = reader.side("model_cfg.vision_cfg.image_size", 224);
    let preprocess_size = reader.side("preprocess_cfg.size", image_size);
    if preprocess_size != image_size {
        reader
            .problems
            .push(format!("preprocess_cfg.size is {preprocess_size}, model_cfg.vision_cfg.image_size is {image_size}"));
    }
    let vision = tower::recognise(&Vision { layers, width, head_width, image_size, dimension });
    if vision.is_none() {
        let found = reader.get("model_cfg.vision_cfg.layers").map_or("missing".to_owned(), Value::to_string);
        reader.problems.push(format!(
            "model_cfg.vision_cfg.layers is {found}: a vision transformer is not supported, a ResNet has four numbers of blocks"
        ));
    }
    let text = text::Sizes {
        context_length: reader.size("model_cfg.text_cfg.context_length", 77),
        vocabulary: reader.size("model_cfg.text_cfg.vocab_size", 49408),
        width: reader.size("model_cfg.text_cfg.width", 512),
        heads: reader.size("model_cfg.text_cfg.heads", 8),
        layers: reader.size("model_cfg.text_cfg.layers", 12),
        dimension,
    };
    let (activation, activation_reason) = reader.activation();
    let (mean, std) = (reader.colours("preprocess_cfg.mean", MEAN), reader.colours("preprocess_cfg.std", STD));
    if std.iter().any(|&value| value <= 0.0) {
        reader.problems.push(format!("preprocess_cfg.std is {std:?}, expected numbers above 0"));
    }
    match vision {
        Some(vision) if reader.problems.is_empty() => {
            Ok(Configuration { vision, text, activation, activation_reason, mean, std })
        }
        _ => Err(reader.problems.into_iter().map(|problem| format!("{CONFIGURATION}: {problem}")).collect()),
    }
}

struct Reader<'a> {
    root: &'a Value,
    problems: Vec<String>,
}

impl<'a> Reader<'a> {
    /// The value at a dotted path; a null is as good as none, as in open_clip's own defaults.
    fn get(&self, path: &str) -> Option<&'a Value> {
        path.split('.').try_fold(self.root, |value, key| value.get(key)).filter(|value| !value.is_null())
    }

    /// Walks the sections and refuses what is neither known nor neutral.
    fn refuse_unknown(&mut self, path: &str, value: &Value) {
        let Some(entries) = value.as_object() else {
            let name = if path.is_empty() { "the file" } else { path };
            self.problems.push(format!("{name} is not an object"));
            return;
        };
        for (key, value) in entries {
            let place = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            if SECTIONS.contains(&place.as_str()) {
                self.refuse_unknown(&place, value);
            } else if let Some((_, neutral, meaning)) = NEUTRAL.iter().find(|(name, _, _)| *name == place) {
                if !value.is_null() && !equal(value, neutral) {
                    self.problems.push(format!("{place} is {value}: {meaning} is not supported"));
                }
            } else if !KNOWN.contains(&place.as_str()) && !without_effect(&place) {
                self.problems.push(format!("{place} is not known, and might change what the model computes"));
            }
        }
    }

    /// A number of things, at least 1.
    fn size(&mut self, path: &str, default: impl Into<Option<usize>>) -> usize {
        let Some(value) = self.get(path) else {
            return default.into().unwrap_or_else(|| {
                self.problems.push(format!("{path} is missing"));
                1
            });
        };
        // The bound keeps products of sizes far from overflow; the largest real size is a vocabulary.
        match value.as_u64().and_then(|size| usize::try_from(size).ok()).filter(|size| (1..=1 << 20).contains(size)) {
            Some(size) => size,
            None => {
                let problem = format!("{path} is {value}, expected a whole number from 1 to {}", 1 << 20);
                self.problems.push(problem);
                1
            }
        }
    }

    /// The side of a square picture, given as one number or as two equal ones.
    fn side(&mut self, path: &str, default: usize) -> usize {
        let pair = self.get(path).and_then(Value::as_array).map(|sides| match sides.as_slice() {
            [height, width] if height == width => height.as_u64().and_then(|side| usize::try_from(side).ok()),
            _ => None,
        });
        match pair {
            None => self.size(path, default),
            Some(Some(side)) if (1..=1 << 20).contains(&side) => side,
            Some(_) => {
                self.problems.push(format!("{path} is no square: only square pictures are supported"));
                default
            }
        }
    }

    /// Blocks per stage. One number instead of four is how open_clip writes a vision transformer.
    fn layers(&mut self) -> Vec<usize> {
        let path = "model_cfg.vision_cfg.layers";
        let count = |value: &Value| value.as_u64().filter(|count| (1..=1000).contains(count)).map(|n| n as usize);
        let stages = match self.get(path) {
            Some(Value::Array(stages)) => stages.iter().map(count).collect::<Option<Vec<usize>>>(),
            other => return other.and_then(count).into_iter().collect(),
        };
        match stages {
            Some(layers) if layers.len() == 4 => layers,
            _ => {
                self.problems.push(format!("{path} must be four numbers of blocks from 1 to 1000"));
                vec![1; 4]
            }
        }
    }

    fn activation(&mut self) -> (Activation, String) {
        match self.get("model_cfg.quick_gelu") {
            Some(Value::Bool(true)) => (Activation::QuickGelu, "quick_gelu is true in the configuration".to_owned()),
            Some(Value::Bool(false)) => (Activation::Gelu, "quick_gelu is false in the configuration".to_owned()),
            None => (Activation::Gelu, "the configuration does not set quick_gelu".to_owned()),
            Some(other) => {
                self.problems.push(format!("model_cfg.quick_gelu is {other}, expected true or false"));
                (Activation::Gelu, String::new())
            }
        }
    }

    /// Three numbers for red, green and blue.
    fn colours(&mut self, path: &str, default: [f64; 3]) -> [f64; 3] {
        let Some(value) = self.get(path) else { return default };
        let numbers: Option<Vec<f64>> = value.as_array().and_then(|values| values.iter().map(Value::as_f64).collect());
        match numbers.and_then(|numbers| <[f64; 3]>::try_from(numbers).ok()) {
            Some(numbers) => numbers,
            None => {
                let problem = format!("{path} is {value}, expected three numbers");
                self.problems.push(problem);
                default
            }
        }
    }
}

/// Equality of JSON values that takes 4 and 4.0 for one number.
fn equal(value: &Value, literal: &str) -> bool {
    match serde_json::from_str::<Value>(literal) {
        Ok(neutral) => *value == neutral || (value.is_number() && value.as_f64() == neutral.as_f64()),
        Err(_) => false,
    }
}

/// Keys of the image tower that open_clip reads only for transformers and timm models.
fn without_effect(place: &str) -> bool {
    place.strip_prefix("model_cfg.vision_cfg.").is_some_and(|key| {
        key.starts_with("timm_")
            || [
                "patch_size",
                "ls_init_value",
                "attn_pooler_queries",
                "attn_pooler_heads",
                "no_ln_pre",
                "pos_embed_type",
                "final_ln_after_pool",
                "pool_type",
                "output_tokens",
                "act_kwargs",
                "norm_kwargs",
                "block_type",
                "qk_norm",
                "scaled_cosine_attn",
                "scale_heads",
                "scale_attn_inner",
                "scale_attn",
                "scale_fc",
            ]
            .contains(&key)
    })
}
