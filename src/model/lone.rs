//! One file of weights without a configuration: OpenAI's own TorchScript archives, and state dictionaries with the names
//! that OpenAI and open_clip use. The architecture is read from the tensors' shapes, as openai/CLIP's `build_model` does, so
//! no configuration can be wrong; what leaves no trace in shapes is told by the file's hash or its modules, or asked for.

use std::path::Path;
use std::rc::Rc;

use super::blob::Blob;
use super::block::Activation;
use super::checkpoint::{CheckpointOptions, Configuration, Format, Parts};
use super::entry::{Element, Entry};
use super::openclip::{MEAN, STD};
use super::tensors::Tensors;
use super::text;
use super::torch::{Saved, Script};
use super::tower::{self, Patches, Vision};
use super::weights::{self, of_file};
use crate::types::Kind;

/// Channels of an attention head in every model that OpenAI published. A narrower transformer has one head.
const HEAD: usize = 64;
/// Widths of image towers that open_clip publishes with other heads, which leave no trace in any shape.
const OTHER_HEADS: [usize; 4] = [1280, 1408, 1664, 1792];
/// What OpenAI's archives say about themselves, beside the weights.
const NUMBERS: [&str; 3] = ["input_resolution", "context_length", "vocab_size"];

/// The files that OpenAI published, by the SHA-256 that stands in each file's address (openai/CLIP `clip.py`). All nine were
/// trained with QuickGELU.
const OPENAI: [(&str, &str); 9] = [
    ("RN50", "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762"),
    ("RN101", "8fa8567bab74a42d41c5915025a8e4538c3bdbe8804a470a72f30b0d94fab599"),
    ("RN50x4", "7e526bd135e493cef0776de27d5f42653e6b4c8bf9e0f653bb11773263205fdd"),
    ("RN50x16", "52378b407f34354e150460fe41077663dd5b39c54cd0bfd2b27167a4a06ec9aa"),
    ("RN50x64", "be1cfb55d75a9666199fb2206c106743da0f6468c9d327f3e0d0a543a9919d9c"),
    ("ViT-B/32", "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af"),
    ("ViT-B/16", "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f"),
    ("ViT-L/14", "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836"),
    ("ViT-L/14@336px", "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02"),
];

const STATE: &str = "file of weights";
const ARCHIVE: &str = "OpenAI archive";

/// The line in the list of formats.
pub(super) const FORMAT: Format = Format {
    kind: Kind {
        name: STATE,
        about: "a .pt, .bin or .safetensors file with OpenAI's or open_clip's names; also OpenAI's own archives",
    },
    detects: Path::is_file,
    read,
};

fn read(path: &Path, options: &CheckpointOptions) -> Result<Parts, Vec<String>> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let name =
        path.file_name().and_then(|name| name.to_str()).ok_or_else(|| vec!["its name is not UTF-8".to_owned()])?;
    let blob = Blob::open(folder, name).map_err(|problem| vec![problem])?;
    options.check(std::slice::from_ref(&blob))?;
    let Saved { mut entries, mut facts, script } = weights::read(&blob)?;
    if entries.iter().any(|entry| entry.name.starts_with("text_model.")) {
        let problem =
            format!("{name}: has the names of Hugging Face: give the folder that it and its config.json stand in");
        return Err(vec![problem]);
    }
    let mut problems = Vec::new();
    let configuration = match configure(&entries, activation(&blob, script.as_ref()), options) {
        Ok(configuration) => configuration,
        Err(problems) => return Err(of_file(name, problems)),
    };
    problems.extend(take_numbers(&mut entries, script.as_ref(), &configuration));
    problems.extend(take_masks(&mut entries, configuration.text.context_length));
    if !problems.is_empty() {
        return Err(of_file(name, problems));
    }
    let about = |text: &str| text.to_owned();
    facts.push((
        about("sizes"),
        about("read from the tensors' shapes; attention heads of 64 channels, as OpenAI builds them"),
    ));
    facts.push((about("mean and deviation"), about("CLIP's own, for the file names none")));
    if let Some(published) = published(&blob.record().sha256) {
        facts.push((about("published as"), format!("{published} by OpenAI, by its SHA-256")));
    }
    let tensors = Tensors::load(&entries).map_err(|problems| of_file(name, problems));
    blob.unchanged().map_err(|problem| vec![problem])?;
    Ok(Parts {
        format: if script.is_some() { ARCHIVE } else { STATE },
        files: vec![blob.record().clone()],
        configuration: Ok(configuration),
        tensors,
        facts,
        merges: None,
    })
}

/// The activation, where hash or modules tell it.
fn activation(blob: &Rc<Blob>, script: Option<&Script>) -> Option<(Activation, String)> {
    if let Some(name) = published(&blob.record().sha256) {
        return Some((Activation::QuickGelu, format!("the file is OpenAI's {name} by its SHA-256")));
    }
    let count =
        |class: &str| script.map_or(0, |script| script.classes.values().filter(|found| *found == class).count());
    match (count("QuickGELU"), count("GELU")) {
        (quick @ 1.., 0) => {
            Some((Activation::QuickGelu, format!("the archive has {quick} modules of the class QuickGELU")))
        }
        (0, exact @ 1..) => Some((Activation::Gelu, format!("the archive has {exact} modules of the class GELU"))),
        _ => None,
    }
}

/// The architecture by the shapes.
fn configure(
    entries: &[Entry],
    activation: Option<(Activation, String)>,
    options: &CheckpointOptions,
) -> Result<Configuration, Vec<String>> {
    let mut shapes = Shapes { entries, missing: Vec::new() };
    let width = shapes.side("ln_final.weight", 0);
    let text = text::Sizes {
        context_length: shapes.side("positional_embedding", 0),
        vocabulary: shapes.side("token_embedding.weight", 0),
        width,
        heads: (width / HEAD).max(1),
        layers: shapes.blocks("transformer.resblocks."),
        hidden: 4 * width,
        layer_scale: false,
        dimension: shapes.side("text_projection", 1),
    };
    let vision = if entries.iter().any(|entry| entry.name == "visual.proj" || entry.name == "visual.class_embedding") {
        let (width, side) = (shapes.side("visual.conv1.weight", 0), shapes.side("visual.conv1.weight", 3));
        Vision {
            layers: vec![shapes.blocks("visual.transformer.resblocks.")],
            width,
            head_width: HEAD.min(width),
            image_size: side * shapes.grid("visual.positional_embedding"),
            dimension: shapes.side("visual.proj", 1),
            patches: Some(Patches::clip(side, width)),
        }
    } else {
        Vision {
            layers: (1..=4).map(|stage| shapes.blocks(&format!("visual.layer{stage}."))).collect(),
            width: shapes.side("visual.layer1.0.conv1.weight", 0),
            head_width: HEAD,
            image_size: 32 * shapes.grid("visual.attnpool.positional_embedding"),
            dimension: shapes.side("visual.attnpool.c_proj.weight", 0),
            patches: None,
        }
    };
    let mut problems = shapes.missing;
    problems.dedup();
    for (tower, width) in [("image", vision.patches.map_or(HEAD, |_| vision.width)), ("text", text.width)] {
        let told = width < HEAD || width % HEAD == 0;
        if !told || (tower == "image" && OTHER_HEADS.contains(&width)) {
            problems.push(format!(
                "the {tower} tower has a width of {width}, and how many attention heads that is cannot be told from a \
                 file of weights: give the folder with its open_clip_config.json"
            ));
        }
    }
    let activation = options.activation(activation);
    match (tower::recognise(&vision), activation) {
        (Some(vision), Ok((activation, activation_reason))) if problems.is_empty() => {
            Ok(Configuration { vision, text, activation, activation_reason, mean: MEAN, std: STD, called: None })
        }
        (vision, activation) => {
            problems.extend(activation.err());
            if vision.is_none() {
                problems.push("the image tower's tensors are neither a ResNet's nor a transformer's".to_owned());
            }
            Err(problems)
        }
    }
}

/// Sides of tensors by name; what is missing or misshaped is kept.
struct Shapes<'a> {
    entries: &'a [Entry],
    missing: Vec<String>,
}

impl Shapes<'_> {
    fn side(&mut self, name: &str, dimension: usize) -> usize {
        let entry = self.entries.iter().find(|entry| entry.name == name);
        match entry.map(|entry| entry.shape.get(dimension)) {
            // The bound keeps products of sizes far from overflow, as in configurations.
            Some(Some(&side)) if (1..=1 << 20).contains(&side) => side,
            Some(_) => self.unusable(format!("tensor `{name}` has a shape that tells no sizes")),
            None => self.unusable(format!("tensor `{name}` is missing: without it the architecture is unknown")),
        }
    }

    fn unusable(&mut self, problem: String) -> usize {
        self.missing.push(problem);
        1
    }

    /// Side of a square grid from the number of its positions and one token more.
    fn grid(&mut self, name: &str) -> usize {
        let positions = self.side(name, 0);
        let grid = (positions - 1).isqrt();
        if grid > 0 && grid * grid + 1 == positions {
            return grid;
        }
        self.unusable(format!("tensor `{name}` has {positions} positions, expected a square and one more"))
    }

    /// Numbered parts below a prefix.
    fn blocks(&mut self, prefix: &str) -> usize {
        let number = |entry: &Entry| entry.name.strip_prefix(prefix)?.split_once('.')?.0.parse::<usize>().ok();
        match self.entries.iter().filter_map(number).max() {
            Some(last) if last < 1000 => last + 1,
            Some(_) => self.unusable(format!("tensors `{prefix}..` have numbers above 1000")),
            None => {
                self.unusable(format!("tensors `{prefix}0..` are missing: without them the architecture is unknown"))
            }
        }
    }
}

/// Takes out the numbers that OpenAI's files carry beside the weights, and holds them against the shapes.
fn take_numbers(entries: &mut Vec<Entry>, script: Option<&Script>, configuration: &Configuration) -> Vec<String> {
    let text = &configuration.text;
    let expected = [configuration.vision.image_size(), text.context_length, text.vocabulary];
    let mut problems = Vec::new();
    for (name, expected) in NUMBERS.into_iter().zip(expected) {
        let number = entries.iter().find(|entry| entry.name == name).map(|entry| entry.integer().map(i128::from));
        let attribute = script.and_then(|script| script.numbers.get(name)).map(|&number| Some(number));
        match number.or(attribute) {
            Some(Some(found)) if found != expected as i128 => {
                problems.push(format!("`{name}` is {found}, {expected} in the tensors' shapes"));
            }
            Some(None) => problems.push(format!("`{name}` is no whole number")),
            _ => {}
        }
    }
    entries.retain(|entry| !NUMBERS.contains(&entry.name.as_str()));
    problems
}

/// Takes out the causal masks that archives carry as if they were weights, if they are that and nothing else.
fn take_masks(entries: &mut Vec<Entry>, length: usize) -> Vec<String> {
    let is_mask = |name: &str| {
        name == "attn_mask"
            || name.strip_prefix("transformer.resblocks.").is_some_and(|rest| rest.ends_with(".attn_mask"))
    };
    let odd = entries.iter().filter(|entry| is_mask(&entry.name) && !causal(entry, length));
    let problems = odd.map(|entry| format!("tensor `{}` is not CLIP's causal mask", entry.name)).collect();
    entries.retain(|entry| !is_mask(&entry.name));
    problems
}

/// 0 on and below the diagonal, minus infinity above.
fn causal(entry: &Entry, length: usize) -> bool {
    let infinity: &[u8] = match entry.element {
        Element::F16 => &[0x00, 0xfc],
        Element::F32 => &[0x00, 0x00, 0x80, 0xff],
        _ => return false,
    };
    let size = entry.element.size();
    let bytes = match entry.bytes() {
        Ok(bytes) if entry.shape == [length, length] && entry.strides.is_none() => bytes,
        _ => return false,
    };
    bytes.chunks_exact(size).enumerate().all(|(place, value)| {
        let above = place % length > place / length;
        if above { value == infinity } else { value.iter().all(|&byte| byte == 0) }
    })
}

/// What OpenAI published under a hash.
fn published(sha256: &str) -> Option<&'static str> {
    OPENAI.iter().find(|(_, known)| *known == sha256).map(|(name, _)| *name)
}
