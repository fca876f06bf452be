//! The folder of a `CLIPModel` as Hugging Face's transformers save it: `config.json`, weights in one file or in shards,
//! and `preprocessor_config.json`. Every other model of transformers is refused by its name. What a key means where it is
//! missing is what it means in transformers 5 (`CLIPConfig`, `CLIPImageProcessor`); keys that `CLIPModel` does not read change
//! nothing there and nothing here.

use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::blob::Blob;
use super::block::Activation;
use super::checkpoint::{CheckpointOptions, Configuration, Format, Merges, Parts};
use super::openclip::{MEAN, STD};
use super::settings::{Settings, equal};
use super::shards::Shards;
use super::tensors::{Tensors, hexadecimal};
use super::torch::Saved;
use super::tower::{self, Patches, Vision};
use super::weights::{self, of_file};
use super::{rename, text};
use crate::types::Kind;

pub(super) const CONFIGURATION: &str = "config.json";
/// What is done to pictures: a file of its own, or since transformers 5 a section of another.
const PREPROCESSING: [(&str, &str); 2] =
    [("preprocessor_config.json", ""), ("processor_config.json", "image_processor.")];
/// The merges of the tokenizer, best first: as text below a line with its version, or in JSON.
const MERGES: [&str; 2] = ["merges.txt", "tokenizer.json"];
/// Names of the weights in a folder, in the order in which transformers looks for them.
pub(super) const WEIGHTS: [&str; 4] =
    ["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"];
/// What is read beside them where it is there.
pub(super) const BESIDE: [&str; 4] = [PREPROCESSING[0].0, PREPROCESSING[1].0, MERGES[0], MERGES[1]];
/// Bytes of a configuration; one with every default of transformers has some thousand.
const LIMIT: u64 = 1 << 20;
/// Bytes of a list of merges; CLIP's has half a million.
const LIMIT_OF_MERGES: u64 = 16 << 20;

/// The line in the list of formats.
pub(super) const FORMAT: Format = Format {
    kind: Kind {
        name: "Hugging Face folder",
        about: "config.json of a CLIPModel beside model.safetensors or pytorch_model.bin, in one file or in shards",
    },
    detects: |path| path.join(CONFIGURATION).exists() || WEIGHTS.iter().any(|name| path.join(name).exists()),
    read,
};

fn read(path: &Path, options: &CheckpointOptions) -> Result<Parts, Vec<String>> {
    let found: Vec<&str> = WEIGHTS.into_iter().filter(|name| path.join(name).exists()).collect();
    // The first name gives the message when nothing is there.
    let chosen = found.first().copied().unwrap_or(WEIGHTS[0]);
    let configuration = Blob::open(path, CONFIGURATION);
    let first = Blob::open(path, chosen);
    let (configuration, first) = match (configuration, first) {
        (Ok(configuration), Ok(first)) => (configuration, first),
        (configuration, first) => return Err(configuration.err().into_iter().chain(first.err()).collect()),
    };
    let shards = if chosen.ends_with(".index.json") { Some(Shards::open(path, &first)?) } else { None };
    let weights = shards.as_ref().map_or_else(|| std::slice::from_ref(&first), |shards| &shards.blobs);
    options.check(weights)?;

    let mut files = vec![configuration.record().clone()];
    let mut beside = |names: &[&str]| {
        let found = names.iter().find(|name| path.join(name).exists());
        let blob = found.map(|name| Blob::open(path, name)).transpose().map_err(one)?;
        files.extend(blob.iter().map(|blob| blob.record().clone()));
        Ok::<_, Vec<String>>(blob)
    };
    let (preprocessing, merges) = (beside(&PREPROCESSING.map(|(name, _)| name))?, beside(&MERGES)?);
    if shards.is_some() {
        files.push(first.record().clone());
    }
    files.extend(weights.iter().map(|blob| blob.record().clone()));

    let mut configured = configure(&configuration, preprocessing.as_deref(), options);
    // Tensors of another model are a hundred problems that all say what its name says already.
    if let Err(Refused { problems, other_model: true }) = configured {
        return Err(problems);
    }
    let merges = match (&mut configured, merges) {
        (Ok(configured), Some(blob)) => Some(hash(&blob, configured.text.vocabulary).map_err(one)?),
        _ => None,
    };
    let saved = shards.as_ref().map_or_else(|| weights::read(&first), Shards::read);
    let mut facts = Vec::new();
    let mut fact = |name: &str, value: String| facts.push((name.to_owned(), value));
    if found.len() > 1 {
        fact("weights", format!("{chosen} is read; beside it, not read: {}", found[1..].join(", ")));
    }
    if preprocessing.is_none() {
        fact("mean and deviation", format!("CLIP's own, for there is no {}", PREPROCESSING[0].0));
    }
    fact("odd margins", "cropped as open_clip crops them; transformers cuts up to one pixel elsewhere".to_owned());
    let tensors = saved.and_then(|Saved { entries, facts: of_saved, .. }| {
        facts.extend(of_saved);
        let (entries, left_out) = rename::prepare(entries).map_err(|problems| of_file(chosen, problems))?;
        if !left_out.is_empty() {
            facts.push(("left out".to_owned(), format!("positions counted from 0: {}", left_out.join(", "))));
        }
        let tensors = Tensors::load(&entries).map_err(|problems| of_file(chosen, problems))?;
        rename::canonical(tensors).map_err(|problems| of_file(chosen, problems))
    });
    for blob in weights {
        blob.unchanged().map_err(one)?;
    }
    let configuration = configured.map_err(|refused| refused.problems);
    Ok(Parts { format: FORMAT.kind.name, files, configuration, tensors, facts, merges })
}

fn one(problem: String) -> Vec<String> {
    vec![problem]
}

/// The merges that a tokenizer of this vocabulary uses: 512 symbols and two control tokens are no merges.
fn hash(blob: &Blob, vocabulary: usize) -> Result<Merges, String> {
    let (bytes, name) = (blob.whole(LIMIT_OF_MERGES)?, blob.name());
    let merges: Vec<String> = if name == MERGES[0] {
        String::from_utf8_lossy(&bytes).lines().skip(1).map(str::to_owned).collect()
    } else {
        let settings = Settings::parse(&bytes).map_err(|problem| format!("{name}: {problem}"))?;
        let list = settings.get("model.merges").and_then(Value::as_array);
        let pair = |merge: &Value| match merge {
            Value::Array(pair) => Some(format!("{} {}", pair.first()?.as_str()?, pair.get(1)?.as_str()?)),
            merge => merge.as_str().map(str::to_owned),
        };
        let merges = list.and_then(|list| list.iter().map(pair).collect());
        merges.ok_or_else(|| {
            format!("{name}: has no list of merges at model.merges: another tokenizer is not supported")
        })?
    };
    let mut hasher = Sha256::new();
    for merge in merges.iter().take(vocabulary.saturating_sub(514)) {
        hasher.update(merge);
        hasher.update("\n");
    }
    Ok(Merges { file: name.to_owned(), sha256: hexadecimal(hasher) })
}

/// Why a configuration cannot be used.
struct Refused {
    problems: Vec<String>,
    /// Whether it is another model's.
    other_model: bool,
}

/// Models that are often taken for this one, by what transformers calls their type.
const OTHERS: &[(&str, &str)] = &[
    ("siglip", "SigLIP"),
    ("siglip2", "SigLIP 2"),
    ("align", "ALIGN"),
    ("altclip", "AltCLIP"),
    ("chinese_clip", "Chinese-CLIP"),
    ("clipseg", "CLIPSeg"),
    ("metaclip_2", "MetaCLIP 2"),
    ("xclip", "X-CLIP"),
    ("blip", "BLIP"),
    ("blip-2", "BLIP-2"),
    ("flava", "FLAVA"),
    ("groupvit", "GroupViT"),
    ("vision-text-dual-encoder", "a dual encoder of two other models"),
    ("clip_text_model", "the text tower of CLIP alone"),
    ("clip_vision_model", "the image tower of CLIP alone"),
];

/// What another model's configuration says it is.
fn other_model(settings: &Settings) -> Option<String> {
    let kind = settings.get("model_type").cloned().unwrap_or_default();
    let Some(kind) = kind.as_str() else {
        return Some("has no model_type, so whose configuration it is cannot be told: expected \"clip\"".to_owned());
    };
    if kind != "clip" {
        let name = OTHERS.iter().find(|(known, _)| *known == kind).map_or("this model", |(_, name)| *name);
        return Some(format!("model_type is \"{kind}\": {name} is not supported, only CLIPModel is"));
    }
    if settings.get("auto_map").is_some() {
        return Some("auto_map asks for code beside the weights, which is never run".to_owned());
    }
    let classes = settings.get("architectures").and_then(Value::as_array).cloned().unwrap_or_default();
    if !classes.is_empty() && !classes.contains(&Value::from("CLIPModel")) {
        let names: Vec<String> = classes.iter().map(Value::to_string).collect();
        return Some(format!("architectures is {}: only CLIPModel is supported", names.join(", ")));
    }
    None
}

/// Keys of either tower that may stand with these values, and the name of what another asks for.
const NEUTRAL: &[(&str, &str, &str)] =
    &[("layer_norm_eps", "1e-5", "another epsilon of the norms"), ("pruned_heads", "{}", "pruning of attention heads")];

/// Reads the configuration; all its problems together.
fn configure(
    configuration: &Blob,
    preprocessing: Option<&Blob>,
    options: &CheckpointOptions,
) -> Result<Configuration, Refused> {
    let refuse = |problems| Refused { problems, other_model: false };
    let parse = |blob: &Blob| {
        let parsed = blob
            .whole(LIMIT)
            .and_then(|bytes| Settings::parse(&bytes).map_err(|problem| format!("{}: {problem}", blob.name())));
        parsed.map_err(|problem| refuse(vec![problem]))
    };
    let mut settings = parse(configuration)?;
    if !settings.root().is_object() {
        return Err(refuse(vec![format!("{CONFIGURATION}: is not an object")]));
    }
    if let Some(problem) = other_model(&settings) {
        return Err(Refused { problems: of_file(CONFIGURATION, vec![problem]), other_model: true });
    }
    if let Some(kind) = settings.get("quantization_config").map(|of| of["quant_method"].clone()) {
        settings.problem(format!("quantization_config is there: weights quantised by {kind} are not supported"));
    }
    let (of_text, of_vision) = (section(&mut settings, "text"), section(&mut settings, "vision"));
    let text_key = |key: &str| format!("{of_text}.{key}");
    let vision_key = |key: &str| format!("{of_vision}.{key}");
    for section in [&of_text, &of_vision] {
        for (key, neutral, meaning) in NEUTRAL {
            let key = format!("{section}.{key}");
            if let Some(value) = settings.get(&key).filter(|value| !equal(value, neutral)) {
                let problem = format!("{key} is {value}: {meaning} is not supported");
                settings.problem(problem);
            }
        }
    }
    if let Some(channels) = settings.get(&vision_key("num_channels")).filter(|value| !equal(value, "3")) {
        let problem =
            format!("{} is {channels}: only pictures of 3 channels are supported", vision_key("num_channels"));
        settings.problem(problem);
    }

    let dimension = settings.size("projection_dim", 512);
    let width = settings.size(&vision_key("hidden_size"), 768);
    let heads = settings.size(&vision_key("num_attention_heads"), 12);
    let image_size = settings.side(&vision_key("image_size"), 224);
    let patches = Patches {
        hidden: settings.size(&vision_key("intermediate_size"), 3072),
        ..Patches::clip(settings.side(&vision_key("patch_size"), 32), width)
    };
    let layers = vec![settings.count(&vision_key("num_hidden_layers"), 12)];
    if !width.is_multiple_of(heads) {
        settings.problem(format!("{of_vision}: a hidden_size of {width} does not divide into {heads} heads"));
    }
    let head_width = (width / heads).max(1);
    let vision = tower::recognise(&Vision { layers, width, head_width, image_size, dimension, patches: Some(patches) });
    let text = text::Sizes {
        context_length: settings.size(&text_key("max_position_embeddings"), 77),
        vocabulary: settings.size(&text_key("vocab_size"), 49408),
        width: settings.size(&text_key("hidden_size"), 512),
        heads: settings.size(&text_key("num_attention_heads"), 8),
        layers: settings.count(&text_key("num_hidden_layers"), 12),
        hidden: settings.size(&text_key("intermediate_size"), 2048),
        layer_scale: false,
        dimension,
    };
    check_end(&mut settings, &text_key("eos_token_id"), text.vocabulary);
    let activation = activation(&mut settings, [&text_key("hidden_act"), &vision_key("hidden_act")], options);

    let mut problems = of_file(CONFIGURATION, settings.problems);
    let (mut mean, mut std) = (MEAN, STD);
    if let Some(blob) = preprocessing {
        let mut settings = parse(blob)?;
        let section = PREPROCESSING.iter().find(|(name, _)| *name == blob.name()).map_or("", |(_, section)| *section);
        (mean, std) = preprocess(&mut settings, section, image_size);
        problems.extend(of_file(blob.name(), settings.problems));
    }
    let called = Some(rename::called as fn(&str) -> Option<String>);
    match (vision, activation) {
        (Some(vision), Some((activation, activation_reason))) if problems.is_empty() => {
            Ok(Configuration { vision, text, activation, activation_reason, mean, std, called })
        }
        _ => Err(refuse(problems)),
    }
}

/// Where the keys of a tower stand. Files of older transformers say them twice; the second section decides, with its own
/// defaults.
fn section(settings: &mut Settings, tower: &str) -> String {
    let (usual, deciding) = (format!("{tower}_config"), format!("{tower}_config_dict"));
    let name = if settings.get(&deciding).is_some() { deciding } else { usual };
    if let Some(value) = settings.get(&name).filter(|value| !value.is_object()) {
        let problem = format!("{name} is {value}, expected an object");
        settings.problem(problem);
    }
    name
}

/// The text feature is read at the end-of-text token, the last of the vocabulary. transformers looks for the token by its
/// number, or for the highest of a text where that number is 2, as files from before its release 4.31 say.
fn check_end(settings: &mut Settings, path: &str, vocabulary: usize) {
    let last = vocabulary as u64 - 1;
    let end = settings.get(path).map_or(Some(49407), Value::as_u64);
    if end != Some(2) && end != Some(last) {
        let found = settings.get(path).map_or_else(|| "49407, its default,".to_owned(), Value::to_string);
        settings.problem(format!(
            "{path} is {found}: CLIP's tokenizer ends a text with {last}, the last of {vocabulary} tokens, and another \
             text pooling is not supported"
        ));
    }
}

/// The activation of both towers; none where there is a problem.
fn activation(settings: &mut Settings, paths: [&str; 2], options: &CheckpointOptions) -> Option<(Activation, String)> {
    let names = [("quick_gelu", Activation::QuickGelu), ("gelu", Activation::Gelu), ("gelu_python", Activation::Gelu)];
    let before = settings.problems.len();
    let [text, image] = paths.map(|path| settings.choice(path, &names, Activation::QuickGelu));
    if text != image {
        settings
            .problem(format!("{} and {} differ: towers of unlike activation are not supported", paths[0], paths[1]));
    }
    if settings.problems.len() > before {
        return None;
    }
    let said: Vec<&str> = paths.into_iter().filter(|path| settings.get(path).is_some()).collect();
    let found = match said.as_slice() {
        // transformers takes QuickGELU; who asks for the other may, for the files do not say.
        [] if options.quick_gelu.is_some() => options.activation(None),
        [] => Ok((text, "hidden_act is missing in the configuration, which means quick_gelu".to_owned())),
        said => {
            let value = settings.get(said[0]).cloned().unwrap_or_default();
            let verb = if said.len() == 1 { "is" } else { "are" };
            options.activation(Some((text, format!("{} {verb} {value} in the configuration", said.join(" and ")))))
        }
    };
    found.map_err(|problem| settings.problem(problem)).ok()
}

/// Mean and standard deviation; everything else must be what CLIP does.
fn preprocess(settings: &mut Settings, section: &str, image_size: usize) -> ([f64; 3], [f64; 3]) {
    let key = |key: &str| format!("{section}{key}");
    for kind in ["image_processor_type", "feature_extractor_type"].map(key) {
        let other = settings.get(&kind).filter(|value| !value.as_str().is_some_and(|name| name.starts_with("CLIP")));
        if let Some(problem) = other.map(|value| format!("{kind} is {value}: only CLIPImageProcessor is supported")) {
            settings.problem(problem);
        }
    }
    for (flag, expected) in [
        ("do_resize", true),
        ("do_center_crop", true),
        ("do_rescale", true),
        ("do_normalize", true),
        ("do_pad", false),
        ("use_square_size", false),
    ] {
        if settings.flag(&key(flag), expected) != expected {
            settings.problem(format!("{} is {}: CLIP's preprocessing has it {expected}", key(flag), !expected));
        }
    }
    for (name, neutral, meaning) in [("resample", "3", "bicubic"), ("rescale_factor", "0.00392156862745098", "1/255")] {
        if let Some(value) = settings.get(&key(name)).filter(|value| !equal(value, neutral)) {
            let problem = format!("{} is {value}: only {neutral} ({meaning}) is supported", key(name));
            settings.problem(problem);
        }
    }
    // The short side, as a number of its own or by its name. Height and width would change the shape of what is seen.
    let size = if settings.get(&key("size")).is_some_and(Value::is_object) {
        if settings.get(&key("size.shortest_edge")).is_none() {
            settings.problem(format!("{} has no shortest_edge: another way of resizing is not supported", key("size")));
        }
        settings.size(&key("size.shortest_edge"), 224)
    } else {
        settings.size(&key("size"), 224)
    };
    let crop = if settings.get(&key("crop_size")).is_some_and(Value::is_object) {
        let (height, width) = (key("crop_size.height"), key("crop_size.width"));
        let (height, width) = (settings.size(&height, None), settings.size(&width, None));
        if height != width {
            settings.problem(format!("{} is no square: only square pictures are supported", key("crop_size")));
        }
        height
    } else {
        settings.size(&key("crop_size"), 224)
    };
    for (name, found) in [("size", size), ("crop_size", crop)] {
        if found != image_size {
            settings.problem(format!("{} is {found}, the model's pictures are of {image_size} px", key(name)));
        }
    }
    (settings.colours(&key("image_mean"), MEAN), settings.deviations(&key("image_std"), STD))
}
