//! The names that Hugging Face's `CLIPModel` gives its tensors, and the canonical ones. Query, key and value are three
//! tensors there and one here, and both projections lie the other way round.

use super::entry::{Element, Entry};
use super::tensors::{Place, Tensors};

/// What a position is looked up by: 0, 1, 2, .., which is how this program counts anyway. Older releases save them.
const POSITIONS: [&str; 2] = ["text_model.embeddings.position_ids", "vision_model.embeddings.position_ids"];

/// Projections that are saved as [out, in].
const TURNED: [&str; 2] = ["text_projection.weight", "visual_projection.weight"];

/// Whole names: theirs, ours.
const NAMES: &[(&str, &str)] = &[
    ("logit_scale", "logit_scale"),
    ("text_projection.weight", "text_projection"),
    ("visual_projection.weight", "visual.proj"),
    ("text_model.embeddings.token_embedding.weight", "token_embedding.weight"),
    ("text_model.embeddings.position_embedding.weight", "positional_embedding"),
    ("text_model.final_layer_norm.weight", "ln_final.weight"),
    ("text_model.final_layer_norm.bias", "ln_final.bias"),
    ("vision_model.embeddings.class_embedding", "visual.class_embedding"),
    ("vision_model.embeddings.patch_embedding.weight", "visual.conv1.weight"),
    ("vision_model.embeddings.position_embedding.weight", "visual.positional_embedding"),
    ("vision_model.pre_layrnorm.weight", "visual.ln_pre.weight"),
    ("vision_model.pre_layrnorm.bias", "visual.ln_pre.bias"),
    ("vision_model.post_layernorm.weight", "visual.ln_post.weight"),
    ("vision_model.post_layernorm.bias", "visual.ln_post.bias"),
];

/// What the names of blocks begin with, before the block's number: theirs, ours.
const BLOCKS: &[(&str, &str)] = &[
    ("text_model.encoder.layers.", "transformer.resblocks."),
    ("vision_model.encoder.layers.", "visual.transformer.resblocks."),
];

/// What follows the number, before `weight` or `bias`: theirs, ours.
const LAYERS: &[(&str, &str)] = &[
    ("layer_norm1", "ln_1"),
    ("layer_norm2", "ln_2"),
    ("mlp.fc1", "mlp.c_fc"),
    ("mlp.fc2", "mlp.c_proj"),
    ("self_attn.out_proj", "attn.out_proj"),
];

/// The parts of `attn.in_proj`, in its order.
const PARTS: [&str; 3] = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"];

/// Keys of the configuration: open_clip's, as problems call them, and theirs.
const KEYS: &[(&str, &str)] = &[
    ("embed_dim (image tower)", "projection_dim"),
    ("embed_dim (text tower)", "projection_dim"),
    ("vision_cfg.width", "vision_config.hidden_size"),
    ("vision_cfg.image_size", "vision_config.image_size"),
    ("vision_cfg.patch_size", "vision_config.patch_size"),
    ("vision_cfg.layers", "vision_config.num_hidden_layers"),
    ("the image tower's MLP width (vision_cfg.mlp_ratio)", "vision_config.intermediate_size"),
    ("text_cfg.context_length", "text_config.max_position_embeddings"),
    ("text_cfg.vocab_size", "text_config.vocab_size"),
    ("text_cfg.width", "text_config.hidden_size"),
    ("text_cfg.layers", "text_config.num_hidden_layers"),
    ("the text tower's MLP width (text_cfg.mlp_ratio)", "text_config.intermediate_size"),
];

/// The canonical place of one of their tensors.
fn place(name: &str) -> Option<Place> {
    if let Some((_, ours)) = NAMES.iter().find(|(theirs, _)| *theirs == name) {
        return Some(Place { name: (*ours).to_owned(), part: 0, parts: 1 });
    }
    let (rest, prefix) = BLOCKS.iter().find_map(|(theirs, ours)| Some((name.strip_prefix(theirs)?, ours)))?;
    let (number, rest) = rest.split_once('.')?;
    let (layer, kind) = rest.rsplit_once('.').filter(|(_, kind)| ["weight", "bias"].contains(kind))?;
    if let Some(part) = PARTS.iter().position(|part| *part == layer) {
        return Some(Place { name: format!("{prefix}{number}.attn.in_proj_{kind}"), part, parts: PARTS.len() });
    }
    let (_, ours) = LAYERS.iter().find(|(theirs, _)| *theirs == layer)?;
    Some(Place { name: format!("{prefix}{number}.{ours}.{kind}"), part: 0, parts: 1 })
}

/// What a canonical tensor, or a key of open_clip, is called by Hugging Face.
pub(super) fn called(name: &str) -> Option<String> {
    if let Some((theirs, _)) = NAMES.iter().find(|(_, ours)| *ours == name) {
        let turned = if TURNED.contains(theirs) { ", the other way round" } else { "" };
        return Some(format!("`{theirs}`{turned}"));
    }
    if let Some((_, theirs)) = KEYS.iter().find(|(ours, _)| *ours == name) {
        return Some((*theirs).to_owned());
    }
    let (rest, prefix) = BLOCKS.iter().find_map(|(theirs, ours)| Some((name.strip_prefix(ours)?, theirs)))?;
    let (number, rest) = rest.split_once('.')?;
    if let Some(kind) = rest.strip_prefix("attn.in_proj_") {
        let parts = PARTS.map(|part| format!("`{prefix}{number}.{part}.{kind}`"));
        return Some(parts.join(", "));
    }
    let (layer, kind) = rest.rsplit_once('.')?;
    let (theirs, _) = LAYERS.iter().find(|(_, ours)| *ours == layer)?;
    Some(format!("`{prefix}{number}.{theirs}.{kind}`"))
}

/// Leaves positions out and turns projections; gives the names of what was left out.
///
/// # Errors
/// Positions that do not count from 0.
pub(super) fn prepare(entries: Vec<Entry>) -> Result<(Vec<Entry>, Vec<String>), Vec<String>> {
    let (mut kept, mut left_out, mut problems) = (Vec::new(), Vec::new(), Vec::new());
    for mut entry in entries {
        if POSITIONS.contains(&entry.name.as_str()) {
            match counts(&entry) {
                true => left_out.push(entry.name),
                false => problems.push(format!("tensor `{}` does not count positions from 0", entry.name)),
            }
            continue;
        }
        if let (true, &[rows, columns]) = (TURNED.contains(&entry.name.as_str()), entry.shape.as_slice()) {
            let mut strides = entry.strides.take().unwrap_or_else(|| vec![columns, 1]);
            strides.reverse();
            (entry.shape, entry.strides) = (vec![columns, rows], Some(strides));
        }
        kept.push(entry);
    }
    if problems.is_empty() { Ok((kept, left_out)) } else { Err(problems) }
}

/// Whether the values are 0, 1, 2, ..
fn counts(entry: &Entry) -> bool {
    let size = entry.element.size();
    let integers = matches!(entry.element, Element::I64 | Element::I32) && entry.strides.is_none();
    let Some(bytes) = integers.then(|| entry.bytes().ok()).flatten() else { return false };
    bytes.chunks_exact(size).enumerate().all(|(place, value)| value == &(place as u64).to_le_bytes()[..size])
}

/// The same tensors by canonical names.
///
/// # Errors
/// Every tensor that a `CLIPModel` does not have, and every part without the others.
pub(super) fn canonical(tensors: Tensors) -> Result<Tensors, Vec<String>> {
    tensors.renamed(place)
}
