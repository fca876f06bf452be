//! Weights in several files: an index in JSON names the file of every tensor (`model.safetensors.index.json`,
//! `pytorch_model.bin.index.json` of transformers), and both must agree.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};
use std::rc::Rc;

use serde_json::Value;

use super::blob::Blob;
use super::json;
use super::torch::Saved;
use super::weights;

/// Bytes of an index; a tensor takes a hundred.
const LIMIT: u64 = 32 << 20;
/// Files, each of which stays open while the weights are read. The largest models have some dozens.
const FILES: usize = 200;

/// The files of an index.
pub(super) struct Shards {
    index: String,
    /// In the order of their names.
    pub(super) blobs: Vec<Rc<Blob>>,
    /// The file of every tensor.
    places: BTreeMap<String, String>,
}

impl Shards {
    /// Reads the index and opens its files.
    ///
    /// # Errors
    /// Everything wrong with the index, and every file that cannot be opened.
    pub(super) fn open(folder: &Path, index: &Rc<Blob>) -> Result<Self, Vec<String>> {
        let name = index.name();
        let fail = |problem: String| vec![format!("{name}: {problem}")];
        let bytes = index.whole(LIMIT).map_err(|problem| vec![problem])?;
        let (value, duplicates) = json::parse(&bytes).map_err(|error| fail(format!("not JSON: {error}")))?;
        if !duplicates.is_empty() {
            return Err(duplicates.into_iter().map(|key| format!("{name}: `{key}` stands twice")).collect());
        }
        let Some(Value::Object(map)) = value.get("weight_map") else {
            return Err(fail("has no `weight_map` of tensors and their files".to_owned()));
        };
        let mut places = BTreeMap::new();
        let mut problems = Vec::new();
        for (tensor, file) in map {
            match file.as_str().filter(|file| is_plain(file)) {
                Some(file) => drop(places.insert(tensor.clone(), file.to_owned())),
                // What stands elsewhere is none of the checkpoint's.
                None => problems.push(format!("{name}: `{tensor}` is said to be in {file}, which is no file's name")),
            }
        }
        let files: BTreeSet<&String> = places.values().collect();
        if files.len() > FILES {
            problems.push(format!("{name}: names {} files, expected at most {FILES}", files.len()));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut blobs = Vec::new();
        for file in files {
            match Blob::open(folder, file) {
                Ok(blob) => blobs.push(blob),
                Err(problem) => problems.push(format!("{problem} ({name} names it)")),
            }
        }
        let index = name.to_owned();
        if problems.is_empty() { Ok(Self { index, blobs, places }) } else { Err(problems) }
    }

    /// The tensors of every file.
    ///
    /// # Errors
    /// What is wrong with a file, and every tensor that stands elsewhere than the index says.
    pub(super) fn read(&self) -> Result<Saved, Vec<String>> {
        let mut all = Saved::default();
        let mut problems = Vec::new();
        for blob in &self.blobs {
            match weights::read(blob) {
                Ok(saved) => {
                    problems.extend(self.compare(blob, &saved));
                    all.entries.extend(saved.entries);
                    all.facts.extend(saved.facts);
                }
                Err(found) => problems.extend(found),
            }
        }
        all.facts.dedup();
        if problems.is_empty() { Ok(all) } else { Err(problems) }
    }

    fn compare(&self, blob: &Blob, saved: &Saved) -> Vec<String> {
        let file = blob.name();
        let found: BTreeSet<&str> = saved.entries.iter().map(|entry| entry.name.as_str()).collect();
        let said = self.places.iter().filter(|(_, place)| *place == file).map(|(tensor, _)| tensor.as_str());
        let said: BTreeSet<&str> = said.collect();
        let missing = said.difference(&found).map(|name| format!("{file}: tensor `{name}` is missing"));
        let more = found.difference(&said).map(|name| format!("{file}: tensor `{name}` is not expected here"));
        missing.chain(more).map(|problem| format!("{problem} ({} says so)", self.index)).collect()
    }
}

/// A name without a folder before it.
fn is_plain(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    !name.contains(['/', '\\']) && matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None))
}
