//! The open_clip folder: `open_clip_config.json` and weights, as `open_clip.push_to_hf_hub` and open_clip's training write
//! them. Its names and shapes are the canonical ones. A configuration key that would change the computation in a way
//! this program does not follow is refused by name, never ignored.

use std::fs;
use std::path::Path;
use std::rc::Rc;

use serde_json::Value;

use super::blob::Blob;
use super::block::Activation;
use super::checkpoint::{CheckpointOptions, Configuration, Format, Parts};
use super::settings::{Settings, equal};
use super::tensors::Tensors;
use super::text;
use super::tower::{self, Patches, TokenPool, Vision};
use super::weights::{self, of_file};
use crate::types::Kind;

/// Name of the configuration in a folder.
pub(super) const CONFIGURATION: &str = "open_clip_config.json";
/// Bytes of a configuration.
const LIMIT: u64 = 1 << 20;
/// Names of the weights in a folder, in order of preference.
pub(super) const WEIGHTS: [&str; 4] = [
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
    "open_clip_pytorch_model.pt",
];

/// The line in the list of formats.
pub(super) const FORMAT: Format = Format {
    kind: Kind {
        name: "open_clip folder",
        about: "open_clip_config.json beside open_clip_model.safetensors, open_clip_pytorch_model.bin or one .pt file",
    },
    detects: |path| path.join(CONFIGURATION).exists() || path.join(WEIGHTS[0]).exists(),
    read: |path, options| {
        let (chosen, others) = choose(path);
        match (Blob::open(path, CONFIGURATION), chosen.and_then(|name| Blob::open(path, &name))) {
            (Ok(configuration), Ok(weights)) => {
                let mut parts = read(&configuration, &weights, options)?;
                if !others.is_empty() {
                    let fact = format!("{} is read; beside it, not read: {}", weights.name(), others.join(", "));
                    parts.facts.push(("weights".to_owned(), fact));
                }
                Ok(parts)
            }
            (configuration, weights) => Err(configuration.err().into_iter().chain(weights.err()).collect()),
        }
    },
};

/// The file of weights in a folder, and those that are passed over.
fn choose(folder: &Path) -> (Result<String, String>, Vec<String>) {
    let mut found: Vec<String> =
        WEIGHTS.iter().filter(|name| folder.join(name).exists()).map(|&name| name.to_owned()).collect();
    if found.is_empty() {
        // What open_clip's training writes is called by its epoch.
        let files = fs::read_dir(folder).into_iter().flatten().flatten();
        found =
            files.filter_map(|file| file.file_name().into_string().ok()).filter(|name| name.ends_with(".pt")).collect();
        found.sort();
        if found.len() > 1 {
            let problem = format!("the folder holds several .pt files, expected one: {}", found.join(", "));
            return (Err(problem), Vec::new());
        }
    }
    let mut found = found.into_iter();
    // The first name gives the message when nothing is there.
    let chosen = found.next().unwrap_or_else(|| WEIGHTS[0].to_owned());
    (Ok(chosen), found.collect())
}

/// Reads the two files.
///
/// # Errors
/// When the weights are not those that are expected.
pub(super) fn read(
    configuration: &Rc<Blob>,
    weights: &Rc<Blob>,
    options: &CheckpointOptions,
) -> Result<Parts, Vec<String>> {
    options.check(std::slice::from_ref(weights))?;
    let configured = configuration.whole(LIMIT).map_err(|problem| vec![problem]).and_then(|bytes| {
        let mut configured = configure(&bytes)?;
        // Where the key is missing open_clip takes exact GELU; who asks for the other may, for the files do not say.
        if !asks_for_activation(&bytes) && options.quick_gelu.is_some() {
            (configured.activation, configured.activation_reason) =
                options.activation(None).map_err(|problem| vec![problem])?;
        } else {
            let said = Some((configured.activation, configured.activation_reason));
            (configured.activation, configured.activation_reason) =
                options.activation(said).map_err(|problem| vec![problem])?;
        }
        Ok(configured)
    });
    let (facts, tensors) = match weights::read(weights) {
        Ok(saved) => (saved.facts, Tensors::load(&saved.entries).map_err(|problems| of_file(weights.name(), problems))),
        Err(problems) => (Vec::new(), Err(problems)),
    };
    weights.unchanged().map_err(|problem| vec![problem])?;
    let files = vec![configuration.record().clone(), weights.record().clone()];
    Ok(Parts { format: FORMAT.kind.name, files, configuration: configured, tensors, facts, merges: None })
}

/// Whether a configuration decides on the activation.
fn asks_for_activation(bytes: &[u8]) -> bool {
    let value: Value = serde_json::from_slice(bytes).unwrap_or_default();
    !value["model_cfg"]["quick_gelu"].is_null()
}

/// CLIP's own mean and standard deviation, which open_clip assumes where a configuration names none.
pub(super) const MEAN: [f64; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
pub(super) const STD: [f64; 3] = [0.268_629_54, 0.261_302_58, 0.275_777_11];

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
    ("model_cfg.text_cfg.embed_cls", "false", "a class token in the text tower (CoCa)"),
    ("model_cfg.text_cfg.pad_id", "0", "another padding token"),
    ("model_cfg.text_cfg.no_causal_mask", "false", "a text tower without causal mask"),
    ("model_cfg.text_cfg.final_ln_after_pool", "false", "another order of norm and pool"),
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

/// Keys of the image tower that open_clip reads only for transformers, likewise.
const NEUTRAL_IN_TRANSFORMERS: &[(&str, &str, &str)] = &[
    ("model_cfg.vision_cfg.output_tokens", "false", "token output (CoCa)"),
    ("model_cfg.vision_cfg.act_kwargs", "null", "parameters of the activation"),
    ("model_cfg.vision_cfg.norm_kwargs", "null", "parameters of the normalisation"),
    ("model_cfg.vision_cfg.block_type", "null", "another transformer block"),
    ("model_cfg.vision_cfg.qk_norm", "false", "another transformer block"),
    ("model_cfg.vision_cfg.scaled_cosine_attn", "false", "another transformer block"),
    ("model_cfg.vision_cfg.scale_heads", "false", "another transformer block"),
    ("model_cfg.vision_cfg.scale_attn_inner", "false", "another transformer block"),
    ("model_cfg.vision_cfg.scale_attn", "false", "another transformer block"),
    ("model_cfg.vision_cfg.scale_fc", "false", "another transformer block"),
];

/// Keys that are read below, or that decide nothing about features: the start of training, and what open_clip
/// itself does not read for the towers that are left.
const KNOWN: &[&str] = &[
    "model_cfg.embed_dim",
    "model_cfg.quick_gelu",
    "model_cfg.init_logit_scale",
    "model_cfg.output_dict",
    "model_cfg.vision_cfg.layers",
    "model_cfg.vision_cfg.width",
    "model_cfg.vision_cfg.head_width",
    "model_cfg.vision_cfg.image_size",
    "model_cfg.vision_cfg.patch_size",
    "model_cfg.vision_cfg.mlp_ratio",
    "model_cfg.vision_cfg.ls_init_value",
    "model_cfg.vision_cfg.no_ln_pre",
    "model_cfg.vision_cfg.pos_embed_type",
    "model_cfg.vision_cfg.pool_type",
    "model_cfg.vision_cfg.final_ln_after_pool",
    "model_cfg.vision_cfg.patch_dropout",
    "model_cfg.vision_cfg.attn_pooler_queries",
    "model_cfg.vision_cfg.attn_pooler_heads",
    "model_cfg.text_cfg.context_length",
    "model_cfg.text_cfg.vocab_size",
    "model_cfg.text_cfg.width",
    "model_cfg.text_cfg.heads",
    "model_cfg.text_cfg.layers",
    "model_cfg.text_cfg.mlp_ratio",
    "model_cfg.text_cfg.ls_init_value",
    "model_cfg.text_cfg.pool_type",
    "model_cfg.text_cfg.eos_id",
    "model_cfg.text_cfg.hf_model_pretrained",
    "model_cfg.text_cfg.hf_proj_type",
    "model_cfg.text_cfg.hf_pooler_type",
    "preprocess_cfg.size",
    "preprocess_cfg.mean",
    "preprocess_cfg.std",
];

/// Where the blocks of the image tower are counted.
const LAYERS: &str = "model_cfg.vision_cfg.layers";

const SECTIONS: &[&str] = &["model_cfg", "model_cfg.vision_cfg", "model_cfg.text_cfg", "preprocess_cfg"];

/// Reads the configuration; all its problems together.
pub(super) fn configure(bytes: &[u8]) -> Result<Configuration, Vec<String>> {
    let mut reader = Settings::parse(bytes).map_err(|problem| vec![format!("{CONFIGURATION}: {problem}")])?;
    let root = reader.root().clone();
    reader.refuse_unknown("", &root);
    for section in ["model_cfg", "model_cfg.vision_cfg", "model_cfg.text_cfg"] {
        if reader.get(section).is_none() {
            reader.problems.push(format!("{section} is missing"));
        }
    }

    let layers = reader.layers();
    let width = reader.size("model_cfg.vision_cfg.width", 768);
    let head_width = reader.size("model_cfg.vision_cfg.head_width", 64);
    let dimension = reader.size("model_cfg.embed_dim", None);
    let image_size = reader.side("model_cfg.vision_cfg.image_size", 224);
    let preprocess_size = reader.side("preprocess_cfg.size", image_size);
    if preprocess_size != image_size {
        reader
            .problems
            .push(format!("preprocess_cfg.size is {preprocess_size}, model_cfg.vision_cfg.image_size is {image_size}"));
    }
    let patches = reader.is_transformer().then(|| reader.patches(width));
    let vision = tower::recognise(&Vision { layers, width, head_width, image_size, dimension, patches });
    if vision.is_none() {
        reader.problems.push("model_cfg.vision_cfg describes no image tower of this program".to_owned());
    }
    let text_width = reader.size("model_cfg.text_cfg.width", 512);
    let text = text::Sizes {
        context_length: reader.size("model_cfg.text_cfg.context_length", 77),
        vocabulary: reader.size("model_cfg.text_cfg.vocab_size", 49408),
        width: text_width,
        heads: reader.size("model_cfg.text_cfg.heads", 8),
        layers: reader.count("model_cfg.text_cfg.layers", 12),
        hidden: reader.hidden("model_cfg.text_cfg.mlp_ratio", text_width),
        layer_scale: reader.get("model_cfg.text_cfg.ls_init_value").is_some(),
        dimension,
    };
    reader.check_text_pool(text.vocabulary);
    let (activation, activation_reason) = reader.activation();
    let (mean, std) = (reader.colours("preprocess_cfg.mean", MEAN), reader.deviations("preprocess_cfg.std", STD));
    match vision {
        Some(vision) if reader.problems.is_empty() => {
            Ok(Configuration { vision, text, activation, activation_reason, mean, std, called: None })
        }
        _ => Err(of_file(CONFIGURATION, reader.problems)),
    }
}

/// What only a configuration of open_clip has.
impl Settings {
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
            } else if let Some((_, neutral, meaning)) = self.neutral(&place) {
                // Null is open_clip's default, and keyword arguments without an entry are none.
                let nothing = value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty);
                if !nothing && !equal(value, neutral) {
                    self.problems.push(format!("{place} is {value}: {meaning} is not supported"));
                }
            } else if !KNOWN.contains(&place.as_str()) && !without_effect(&place, self.is_transformer()) {
                self.problems.push(format!("{place} is not known, and might change what the model computes"));
            }
        }
    }

    /// The entry of a key that may stand with one value only.
    fn neutral(&self, place: &str) -> Option<&'static (&'static str, &'static str, &'static str)> {
        let transformers = if self.is_transformer() { NEUTRAL_IN_TRANSFORMERS } else { &[] };
        NEUTRAL.iter().chain(transformers).find(|(name, _, _)| *name == place)
    }

    /// One number of blocks is how open_clip writes a vision transformer, a list a ResNet.
    fn is_transformer(&self) -> bool {
        !self.get(LAYERS).is_some_and(Value::is_array)
    }

    /// What only a transformer has.
    fn patches(&mut self, width: usize) -> Patches {
        let section = |key: &str| format!("model_cfg.vision_cfg.{key}");
        let default = Patches::clip(16, width);
        let pools = [("tok", TokenPool::Class), ("avg", TokenPool::Average)];
        let pool = self.choice(&section("pool_type"), &pools, default.pool);
        // A fixed embedding stands in the tensors like a learned one.
        self.choice(&section("pos_embed_type"), &[("learnable", ()), ("sin_cos_2d", ())], ());
        Patches {
            side: self.side(&section("patch_size"), default.side),
            hidden: self.hidden(&section("mlp_ratio"), width),
            pre_norm: !self.flag(&section("no_ln_pre"), false),
            pool,
            norm_after_pool: self.flag(&section("final_ln_after_pool"), false),
            layer_scale: self.get(&section("ls_init_value")).is_some(),
        }
    }

    /// Hidden units of an MLP, given as a multiple of the width; rounded down, as open_clip does.
    fn hidden(&mut self, path: &str, width: usize) -> usize {
        let ratio = self.get(path).map_or(Some(4.0), Value::as_f64);
        match ratio.map(|ratio| (width as f64 * ratio) as usize).filter(|hidden| (1..=1 << 22).contains(hidden)) {
            Some(hidden) => hidden,
            None => {
                let found = self.get(path).map_or_else(String::new, Value::to_string);
                self.problems.push(format!("{path} is {found}: no MLP of a width of {width} has such a size"));
                1
            }
        }
    }

    /// The text feature is read at the end-of-text token: the highest id, or that id asked for by its number.
    fn check_text_pool(&mut self, vocabulary: usize) {
        let path = "model_cfg.text_cfg.pool_type";
        let end = self.get("model_cfg.text_cfg.eos_id").map_or(Some(2), Value::as_u64);
        match self.get(path).map(|value| (value, value.as_str())) {
            None | Some((_, Some("argmax"))) => {}
            Some((_, Some("eos"))) if end == Some(vocabulary as u64 - 1) => {}
            Some((value, _)) => {
                self.problems.push(format!("{path} is {value}: another text pooling is not supported"));
            }
        }
    }

    /// Blocks per stage of a ResNet, or of a transformer's only one.
    fn layers(&mut self) -> Vec<usize> {
        let count = |value: &Value| value.as_u64().filter(|count| (1..=1000).contains(count)).map(|n| n as usize);
        let stages = match self.get(LAYERS) {
            Some(Value::Array(stages)) => stages.iter().map(count).collect::<Option<Vec<usize>>>(),
            None => return vec![12],
            Some(blocks) => match count(blocks) {
                Some(blocks) => return vec![blocks],
                None => None,
            },
        };
        match stages {
            Some(layers) if layers.len() == 4 => layers,
            _ => {
                self.problems.push(format!(
                    "{LAYERS} must be one number of blocks (a transformer) or four (a ResNet), each from 1 to 1000"
                ));
                vec![1; if self.is_transformer() { 1 } else { 4 }]
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
}

/// Keys of the image tower that open_clip does not read for this one.
fn without_effect(place: &str, transformer: bool) -> bool {
    let of_transformers = NEUTRAL_IN_TRANSFORMERS.iter().any(|(name, _, _)| *name == place);
    place.starts_with("model_cfg.vision_cfg.timm_") || (of_transformers && !transformer)
}
