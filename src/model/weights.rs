//! A file of weights of whatever kind, told by its contents, for what people call `.bin` and `.pt` varies; and the header
//! of a safetensors file, checked and brought to entries without reading a value.

use std::rc::Rc;

use safetensors::tensor::Metadata;

use super::blob::Blob;
use super::entry::{Element, Entry};
use super::torch::Saved;
use super::{json, torch};

/// Longest header the format allows, bytes.
const LIMIT: u64 = 100_000_000;

/// The tensors of a file. One that is called `.safetensors` must be one.
///
/// # Errors
/// Every problem, each naming the file.
pub(super) fn read(blob: &Rc<Blob>) -> Result<Saved, Vec<String>> {
    let found = match blob.mistaken() {
        Some(mistaken) => Err(vec![mistaken]),
        None if blob.name().ends_with(".safetensors") || is_safetensors(blob) => {
            read_safetensors(blob).map(|entries| Saved { entries, ..Saved::default() })
        }
        None => torch::read(blob),
    };
    found.map_err(|problems| of_file(blob.name(), problems))
}

/// Problems with the name of their file.
pub(super) fn of_file(name: &str, problems: Vec<String>) -> Vec<String> {
    problems.into_iter().map(|problem| format!("{name}: {problem}")).collect()
}

/// The tensors of a file.
///
/// # Errors
/// Everything wrong with the header.
fn read_safetensors(blob: &Rc<Blob>) -> Result<Vec<Entry>, Vec<String>> {
    let fail = |problem: String| vec![format!("not a safetensors file: {problem}")];
    let start = blob.read(0, 8).ok().and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
    let Some(start) = start else {
        return Err(fail(format!("{} bytes are too few for a header", blob.len())));
    };
    let length = u64::from_le_bytes(start);
    let follow = blob.len() - 8;
    if length > LIMIT {
        return Err(fail(format!("its header claims {length} bytes, a header has at most {LIMIT}")));
    }
    if length > follow {
        return Err(fail(format!(
            "its header claims {length} bytes, only {follow} follow (cut short, or another format)"
        )));
    }
    let bytes = blob.read(8, length).map_err(fail)?;
    let (value, duplicates) = json::parse(&bytes).map_err(|error| fail(format!("its header is not JSON: {error}")))?;
    let entries = value.as_object().ok_or_else(|| fail("its header is no JSON object".to_owned()))?;
    // The crate keeps the last of two equal names, and does not say how many bytes are missing.
    let mut problems: Vec<String> =
        duplicates.iter().map(|name| format!("`{name}` stands twice in the header")).collect();
    let end = entries.values().filter_map(|entry| entry.get("data_offsets")?.get(1)?.as_u64()).max().unwrap_or(0);
    let data = follow - length;
    if end > data {
        problems.push(format!("the header describes {end} bytes of values, {data} are there (cut short)"));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let metadata: Metadata = serde_json::from_slice(&bytes).map_err(|error| fail(error.to_string()))?;
    if metadata.data_len() as u64 != data {
        let described = metadata.data_len();
        return Err(fail(format!(
            "the header describes {described} bytes of values, {data} are there (something was appended)"
        )));
    }
    let mut found = Vec::new();
    for name in metadata.offset_keys() {
        let Some(info) = metadata.info(&name) else { continue };
        let kind = info.dtype.to_string();
        let Some(element) = Element::of_safetensors(&kind) else {
            problems.push(format!("tensor `{name}` is stored as {kind}, expected f32, f16, bf16 or f64"));
            continue;
        };
        let offset = 8 + length + info.data_offsets.0 as u64;
        let shape = info.shape.clone();
        found.push(Entry { name, element, shape, strides: None, blob: Rc::clone(blob), offset });
    }
    if problems.is_empty() { Ok(found) } else { Err(problems) }
}

/// Whether a file begins as a safetensors file does, whatever it is called.
fn is_safetensors(blob: &Blob) -> bool {
    let head = blob.read(0, blob.len().min(9)).unwrap_or_default();
    head.first_chunk::<8>().is_some_and(|length| u64::from_le_bytes(*length) <= LIMIT) && head.get(8) == Some(&b'{')
}
