//! Tensors with their values, whatever file they were read from. Whatever is wrong with names, types and values is listed
//! together.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};
use tch::{Kind, TchError, Tensor};

use super::ModelError;
use super::entry::{self, Element, Entry};
use crate::types::Fingerprint;

/// What batch norm counts its updates with: an integer no inference reads, so it is neither loaded nor fingerprinted.
pub(super) const COUNTER: &str = "num_batches_tracked";

/// Canonical tensors: name -> f32 values on the CPU.
pub(super) struct Tensors {
    /// By canonical (open_clip) name, so in order of the names.
    values: BTreeMap<String, Tensor>,
    /// Names and shapes of the integer counters.
    counters: BTreeMap<String, Vec<usize>>,
    /// Types the values were stored in (`f16`).
    stored: BTreeSet<&'static str>,
    /// Channels whose running variance is 0: filters that died in training and put out a constant.
    constant_channels: usize,
}

impl Tensors {
    /// Reads the values of every tensor and widens them to f32 (f64 is rounded).
    ///
    /// # Errors
    /// Every tensor that stands twice, is of an unsupported type or has unusable values.
    pub(super) fn load(entries: &[Entry]) -> Result<Self, Vec<String>> {
        let mut problems = entry::duplicates(entries);
        problems.extend(entry::check_total(entries).err());
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut tensors =
            Self { values: BTreeMap::new(), counters: BTreeMap::new(), stored: BTreeSet::new(), constant_channels: 0 };
        let mut entries: Vec<&Entry> = entries.iter().collect();
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        for entry in entries {
            let name = &entry.name;
            let kind = match entry.element {
                Element::F64 => Kind::Double,
                Element::F32 => Kind::Float,
                Element::F16 => Kind::Half,
                Element::Bf16 => Kind::BFloat16,
                Element::I64 if name.ends_with(COUNTER) => {
                    tensors.counters.insert(name.clone(), entry.shape.clone());
                    continue;
                }
                other => {
                    let other = other.name();
                    problems.push(format!("tensor `{name}` is stored as {other}, expected f32, f16, bf16 or f64"));
                    continue;
                }
            };
            match read(entry, kind) {
                Ok((values, tensor)) => {
                    problems.extend(unusable(name, &values));
                    tensors.constant_channels += constant_channels(name, &values);
                    tensors.stored.insert(entry.element.name());
                    tensors.values.insert(name.clone(), tensor);
                }
                Err(error) => problems.push(format!("tensor `{name}` cannot be read: {error}")),
            }
        }
        if problems.is_empty() { Ok(tensors) } else { Err(problems) }
    }

    /// Tensors that come from no file.
    pub(super) fn drawn(values: BTreeMap<String, Tensor>) -> Self {
        Self { values, counters: BTreeMap::new(), stored: BTreeSet::from(["f32"]), constant_channels: 0 }
    }

    /// The shape of a tensor that is there.
    pub(super) fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.values.get(name).map(shape_of)
    }

    /// The value of a tensor without dimensions.
    pub(super) fn scalar(&self, name: &str) -> Option<f32> {
        let tensor = self.values.get(name).filter(|tensor| tensor.dim() == 0)?;
        floats(tensor).ok()?.first().copied()
    }

    /// Numbered entries below a prefix: `blocks("visual.layer2.")` is 2 when
    /// `visual.layer2.0.` and `visual.layer2.1.` are there.
    pub(super) fn blocks(&self, prefix: &str) -> usize {
        let numbers: BTreeSet<usize> =
            self.values.keys().filter_map(|name| name.strip_prefix(prefix)?.split_once('.')?.0.parse().ok()).collect();
        // Counted from 0 without a gap; what stands beyond a gap is reported as unexpected.
        (0..).zip(&numbers).take_while(|(expected, number)| expected == *number).count()
    }

    /// Everything in which these tensors differ from the expected names and shapes, with the name it is about.
    pub(super) fn differences(&self, expected: &[(String, Vec<usize>)]) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        for (name, shape) in expected {
            match self.shape(name) {
                None => problems.push((name.clone(), format!("tensor `{name}` {shape:?} is missing"))),
                Some(found) if found != *shape => {
                    let problem = format!("tensor `{name}` has shape {found:?}, expected {shape:?}");
                    problems.push((name.clone(), problem));
                }
                Some(_) => {}
            }
        }
        let known: BTreeSet<&str> = expected.iter().map(|(name, _)| name.as_str()).collect();
        for name in self.values.keys().filter(|name| !known.contains(name.as_str())) {
            problems.push((name.clone(), format!("tensor `{name}` is not expected")));
        }
        for (name, shape) in &self.counters {
            let belongs =
                name.strip_suffix(COUNTER).is_some_and(|norm| known.contains(format!("{norm}running_var").as_str()));
            if !belongs || !shape.is_empty() {
                problems.push((name.clone(), format!("tensor `{name}` {shape:?} is not expected")));
            }
        }
        problems
    }

    /// The same tensors by other names. Parts are joined along their first side, in order.
    ///
    /// # Errors
    /// Every name without a place, and every part without the others or unlike them.
    pub(super) fn renamed(mut self, place: impl Fn(&str) -> Option<Place>) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        let mut joined: BTreeMap<String, Vec<Option<(String, Tensor)>>> = BTreeMap::new();
        for (name, tensor) in std::mem::take(&mut self.values) {
            match place(&name) {
                Some(Place { name: canonical, part, parts }) => {
                    let places = joined.entry(canonical).or_default();
                    places.resize_with(parts, || None);
                    if let Some(free) = places.get_mut(part) {
                        *free = Some((name, tensor));
                    }
                }
                None => problems.push(format!("tensor `{name}` is not expected")),
            }
        }
        for (name, parts) in joined {
            let expected = parts.len();
            let whole: Vec<(String, Tensor)> = parts.into_iter().flatten().collect();
            if whole.len() < expected {
                let there: Vec<String> = whole.iter().map(|(name, _)| format!("`{name}`")).collect();
                problems.push(format!("of query, key and value only {} is there", there.join(" and ")));
                continue;
            }
            let unlike = whole.iter().find(|(_, tensor)| tensor.size() != whole[0].1.size());
            if let Some((other, tensor)) = unlike {
                let (first, shapes) = (&whole[0].0, (shape_of(&whole[0].1), shape_of(tensor)));
                problems
                    .push(format!("tensors `{first}` {:?} and `{other}` {:?} are of unlike shape", shapes.0, shapes.1));
                continue;
            }
            let tensors: Vec<&Tensor> = whole.iter().map(|(_, tensor)| tensor).collect();
            match tensors.as_slice() {
                [one] => drop(self.values.insert(name, one.shallow_clone())),
                several => match Tensor::f_cat(several, 0) {
                    Ok(tensor) => drop(self.values.insert(name, tensor)),
                    Err(error) => problems.push(format!("tensor `{name}` cannot be joined: {error}")),
                },
            }
        }
        if problems.is_empty() { Ok(self) } else { Err(problems) }
    }

    /// These tensors with others in place of those of their names; and the names of those whose values differ.
    ///
    /// # Errors
    /// Every one of the others that has no place here, or another shape there.
    pub(super) fn overlaid(mut self, others: Self) -> Result<(Self, Vec<String>), Vec<String>> {
        let mut problems = Vec::new();
        let mut differing = Vec::new();
        for (name, tensor) in others.values {
            let shape = shape_of(&tensor);
            let Some(place) = self.values.get_mut(&name) else {
                problems.push(format!("tensor `{name}` {shape:?} is not in the base"));
                continue;
            };
            if shape_of(place) != shape {
                problems.push(format!("tensor `{name}` has shape {shape:?}, {:?} in the base", shape_of(place)));
                continue;
            }
            match (floats(place), floats(&tensor)) {
                (Ok(before), Ok(after)) => {
                    // By their bits, as the fingerprint takes them.
                    if before.iter().zip(&after).any(|(before, after)| before.to_bits() != after.to_bits()) {
                        differing.push(name.clone());
                    }
                    let before = constant_channels(&name, &before);
                    self.constant_channels = self.constant_channels.saturating_sub(before);
                    self.constant_channels += constant_channels(&name, &after);
                }
                (before, after) => {
                    let errors = before.err().into_iter().chain(after.err());
                    problems.extend(errors.map(|error| format!("tensor `{name}` cannot be read: {error}")));
                }
            }
            *place = tensor;
        }
        self.stored.extend(others.stored);
        self.counters.extend(others.counters);
        if problems.is_empty() { Ok((self, differing)) } else { Err(problems) }
    }

    /// Takes a tensor out; the towers take every one.
    ///
    /// # Errors
    /// When it is not there.
    pub(super) fn take(&mut self, name: &str) -> Result<Tensor, ModelError> {
        self.values.remove(name).ok_or_else(|| ModelError::Checkpoint {
            path: "checkpoint".to_owned(),
            problems: vec![format!("tensor `{name}` is missing")],
        })
    }

    /// Names that nobody took.
    pub(super) fn left(&self) -> Vec<String> {
        self.values.keys().cloned().collect()
    }

    /// Number of tensors and of values in them.
    pub(super) fn count(&self) -> (usize, usize) {
        (self.values.len(), self.values.values().map(Tensor::numel).sum())
    }

    /// Types the values were stored in.
    pub(super) fn stored(&self) -> String {
        self.stored.iter().copied().collect::<Vec<_>>().join(", ")
    }

    /// Channels whose running variance is 0: filters that died in training and put out a constant.
    pub(super) fn constant_channels(&self) -> usize {
        self.constant_channels
    }

    /// SHA-256 over names in order, shapes and little-endian f32 values, each part preceded by its length: the same
    /// weights have one fingerprint in every file format and storage type.
    ///
    /// # Errors
    /// When libtorch cannot give the values out.
    pub(super) fn fingerprint(&self) -> Result<Fingerprint, TchError> {
        let mut hasher = Sha256::new();
        for (name, tensor) in &self.values {
            let shape = shape_of(tensor);
            hasher.update((name.len() as u64).to_le_bytes());
            hasher.update(name.as_bytes());
            hasher.update((shape.len() as u64).to_le_bytes());
            for side in shape {
                hasher.update((side as u64).to_le_bytes());
            }
            let values = floats(tensor)?;
            hasher.update((values.len() as u64 * 4).to_le_bytes());
            let mut bytes = Vec::new();
            for values in values.chunks(1 << 14) {
                bytes.clear();
                values.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
                hasher.update(&bytes);
            }
        }
        Ok(Fingerprint(hexadecimal(hasher)))
    }
}

/// Where a tensor belongs, as the whole or as one of several parts.
pub(super) struct Place {
    pub(super) name: String,
    pub(super) part: usize,
    pub(super) parts: usize,
}

/// A finished hash in lower-case hexadecimal.
pub(super) fn hexadecimal(hasher: Sha256) -> String {
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn shape_of(tensor: &Tensor) -> Vec<usize> {
    tensor.size().iter().map(|&side| usize::try_from(side).unwrap_or(0)).collect()
}

/// The values of an f32 tensor in row-major order.
///
/// # Errors
/// When the tensor holds another type.
pub(super) fn floats(tensor: &Tensor) -> Result<Vec<f32>, TchError> {
    let mut values = vec![0.0f32; tensor.numel()];
    let count = values.len();
    tensor.f_copy_data(&mut values, count)?;
    Ok(values)
}

/// Channels of a tensor of variances that are 0.
fn constant_channels(name: &str, values: &[f32]) -> usize {
    if name.ends_with("running_var") { values.iter().filter(|&&value| value == 0.0).count() } else { 0 }
}

/// Values no model can be run with.
fn unusable(name: &str, values: &[f32]) -> Option<String> {
    let bad = values.iter().filter(|value| !value.is_finite()).count();
    if bad > 0 {
        return Some(format!("tensor `{name}` has {bad} of {} values that are NaN or infinite", values.len()));
    }
    if !name.ends_with("running_var") {
        return None;
    }
    let negative = values.iter().filter(|&&value| value < 0.0).count();
    if negative > 0 {
        return Some(format!("tensor `{name}` has {negative} of {} variances below 0", values.len()));
    }
    // One filter may have died in training; a layer whose every variance is 0 was never trained or was lost.
    (!values.is_empty() && values.iter().all(|&value| value == 0.0))
        .then(|| format!("tensor `{name}` has no variance above 0"))
}

/// The values of a tensor in row-major order, as numbers and as a tensor of its shape.
fn read(entry: &Entry, kind: Kind) -> Result<(Vec<f32>, Tensor), String> {
    let bytes = entry.bytes()?;
    let sizes = |sizes: &[usize]| sizes.iter().map(|&size| size as i64).collect::<Vec<i64>>();
    let shape = sizes(&entry.shape);
    let read = || {
        let tensor = match &entry.strides {
            None => Tensor::f_from_data_size(&bytes, &shape, kind)?,
            Some(strides) => {
                let span = (bytes.len() / entry.element.size()) as i64;
                Tensor::f_from_data_size(&bytes, &[span], kind)?
                    .f_as_strided(&shape, sizes(strides), 0)?
                    .f_contiguous()?
            }
        };
        let tensor = tensor.f_to_kind(Kind::Float)?;
        Ok::<_, TchError>((floats(&tensor)?, tensor))
    };
    read().map_err(|error| error.to_string())
}
