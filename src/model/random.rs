//! Random weights in the size of a published model, to measure speed and memory without a checkpoint. Never evidence: a
//! suite and the command line of an audit cannot name them.

use std::path::Path;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tch::{TchError, Tensor};

use super::ModelError;
use super::checkpoint::{Checkpoint, LOGIT_SCALE, Parts, assemble};
use super::openclip::configure;
use super::tensors::Tensors;

/// Blocks, width, side of the input, side of a patch, dimension; width, heads and layers of the text tower.
type Sizes = (Value, usize, usize, Option<usize>, usize, [usize; 3]);

/// The architectures by open_clip's names, as its configurations give them.
pub const ARCHITECTURES: &[&str] =
    &["RN50", "RN101", "RN50x4", "RN50x16", "RN50x64", "ViT-B-32", "ViT-B-16", "ViT-L-14", "ViT-L-14-336", "ViT-H-14"];

/// Ends the name of an architecture whose transformers use QuickGELU, as OpenAI trained them all.
const QUICK_GELU: &str = "-quickgelu";

fn sizes(name: &str) -> Option<Sizes> {
    Some(match name {
        "RN50" => (json!([3, 4, 6, 3]), 64, 224, None, 1024, [512, 8, 12]),
        "RN101" => (json!([3, 4, 23, 3]), 64, 224, None, 512, [512, 8, 12]),
        "RN50x4" => (json!([4, 6, 10, 6]), 80, 288, None, 640, [640, 10, 12]),
        "RN50x16" => (json!([6, 8, 18, 8]), 96, 384, None, 768, [768, 12, 12]),
        "RN50x64" => (json!([3, 15, 36, 10]), 128, 448, None, 1024, [1024, 16, 12]),
        "ViT-B-32" => (json!(12), 768, 224, Some(32), 512, [512, 8, 12]),
        "ViT-B-16" => (json!(12), 768, 224, Some(16), 512, [512, 8, 12]),
        "ViT-L-14" => (json!(24), 1024, 224, Some(14), 768, [768, 12, 12]),
        "ViT-L-14-336" => (json!(24), 1024, 336, Some(14), 768, [768, 12, 12]),
        "ViT-H-14" => (json!(32), 1280, 224, Some(14), 1024, [1024, 16, 24]),
        _ => return None,
    })
}

/// The configuration of an architecture in open_clip's own form.
fn configuration(name: &str) -> Option<Value> {
    let plain = name.strip_suffix(QUICK_GELU).unwrap_or(name);
    let (layers, width, image_size, patch_size, dimension, [text_width, heads, text_layers]) = sizes(plain)?;
    let mut vision = json!({ "layers": layers, "width": width, "image_size": image_size });
    if let Some(side) = patch_size {
        vision["patch_size"] = json!(side);
    }
    if plain == "ViT-H-14" {
        vision["head_width"] = json!(80);
    }
    let text = json!({ "context_length": 77, "vocab_size": 49408, "width": text_width, "heads": heads, "layers": text_layers });
    let model = json!({ "embed_dim": dimension, "quick_gelu": plain != name, "vision_cfg": vision, "text_cfg": text });
    Some(json!({ "model_cfg": model, "preprocess_cfg": { "size": image_size } }))
}

/// A checkpoint of an architecture with random weights: the same ones for the same name.
///
/// # Errors
/// When there is no such architecture.
pub(super) fn checkpoint(name: &str) -> Result<Checkpoint, ModelError> {
    let Some(written) = configuration(name) else {
        return Err(ModelError::Input(format!(
            "there is no architecture `{name}`: expected {}, each also with {QUICK_GELU}",
            ARCHITECTURES.join(", ")
        )));
    };
    let place = Path::new(name);
    let configuration = configure(written.to_string().as_bytes())
        .map_err(|problems| ModelError::Checkpoint { path: name.to_owned(), problems })?;
    let mut shapes = configuration.vision.shapes();
    shapes.extend(configuration.text.shapes());
    shapes.push((LOGIT_SCALE.to_owned(), Vec::new()));
    let drawn = shapes.into_iter().map(|(name, shape)| Ok((name.clone(), draw(&name, &shape)?)));
    let drawn = drawn.collect::<Result<_, TchError>>()?;
    assemble(
        place,
        Parts {
            format: "random weights",
            files: Vec::new(),
            configuration: Ok(configuration),
            tensors: Ok(Tensors::drawn(drawn)),
            facts: Vec::new(),
            merges: None,
        },
    )
}

/// The values of a tensor, uniform, with a spread that keeps activations in the range of a trained model's: He et al. 2015
/// for convolutions before a ReLU, the inverse root of the inputs for products; the last norm of a ResNet's block adds a
/// sixteenth of its input's variance, so that the sum over blocks stays small.
fn draw(name: &str, shape: &[usize]) -> Result<Tensor, TchError> {
    let inputs: usize = shape.iter().skip(1).product();
    let root = |count: usize| 1.0 / (count.max(1) as f64).sqrt();
    let (centre, deviation) = match shape {
        [] => (100f64.ln(), 0.0),
        [_] if name.ends_with("running_var") => (1.0, 0.1),
        [_] if name.ends_with("bn3.weight") => (0.25, 0.02),
        [_] if name.ends_with(".gamma") => (0.1, 0.01),
        [width] if name.ends_with("class_embedding") => (0.0, root(*width)),
        [_] if name.ends_with(".weight") => (1.0, 0.1),
        [_] => (0.0, 0.05),
        [width, _] if name.ends_with("proj") || name.ends_with("text_projection") => (0.0, root(*width)),
        [_, _] if name.ends_with("embedding") || name.ends_with("token_embedding.weight") => (0.0, 0.02),
        [_, _] => (0.0, root(inputs)),
        _ => (0.0, 2f64.sqrt() * root(inputs)),
    };
    // A uniform value on an interval of width w has a standard deviation of w / sqrt(12).
    let width = (deviation * 12f64.sqrt()) as f32;
    let (low, step) = (centre as f32 - width / 2.0, width / (1u32 << 24) as f32);
    let mut random = ChaCha8Rng::from_seed(Sha256::digest(name).into());
    let count: usize = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|_| low + (random.next_u32() >> 8) as f32 * step).collect();
    let shape: Vec<i64> = shape.iter().map(|&side| side as i64).collect();
    Tensor::f_from_slice(&values)?.f_reshape(shape)
}
