//! A tensor as a file describes it, before a value is read: what every file format of weights is brought to.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::blob::Blob;

/// The types of values in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    F64,
    F32,
    F16,
    Bf16,
    I64,
    I32,
    I16,
    I8,
    U8,
    Bool,
}

/// Every type: its name here, in safetensors, and in the name of torch's storage; bytes of a value.
const ELEMENTS: &[(Element, &str, &str, &str, usize)] = &[
    (Element::F64, "f64", "F64", "Double", 8),
    (Element::F32, "f32", "F32", "Float", 4),
    (Element::F16, "f16", "F16", "Half", 2),
    (Element::Bf16, "bf16", "BF16", "BFloat16", 2),
    (Element::I64, "i64", "I64", "Long", 8),
    (Element::I32, "i32", "I32", "Int", 4),
    (Element::I16, "i16", "I16", "Short", 2),
    (Element::I8, "i8", "I8", "Char", 1),
    (Element::U8, "u8", "U8", "Byte", 1),
    (Element::Bool, "bool", "BOOL", "Bool", 1),
];

impl Element {
    /// `FloatStorage` is written as `Float`.
    pub(super) fn of_storage(name: &str) -> Option<Self> {
        ELEMENTS.iter().find(|row| row.3 == name).map(|row| row.0)
    }

    /// By the name of the type in a safetensors header.
    pub(super) fn of_safetensors(name: &str) -> Option<Self> {
        ELEMENTS.iter().find(|row| row.2 == name).map(|row| row.0)
    }

    /// As it is written in facts and problems.
    pub(super) fn name(self) -> &'static str {
        ELEMENTS.iter().find(|row| row.0 == self).map_or("", |row| row.1)
    }

    /// Bytes of one value.
    pub(super) fn size(self) -> usize {
        ELEMENTS.iter().find(|row| row.0 == self).map_or(1, |row| row.4)
    }
}

/// A tensor in a file.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) element: Element,
    pub(super) shape: Vec<usize>,
    /// Steps between neighbours along each dimension, in values; none where rows follow each other.
    pub(super) strides: Option<Vec<usize>>,
    pub(super) blob: Rc<Blob>,
    /// Where its first value stands, in bytes.
    pub(super) offset: u64,
}

impl Entry {
    /// Number of values; none where there are too many to count.
    pub(super) fn values(&self) -> Option<usize> {
        self.shape.iter().try_fold(1usize, |product, &side| product.checked_mul(side))
    }

    /// Values from the first to the last in the file, which is more than the tensor has where it steps over some.
    pub(super) fn span(&self) -> Option<usize> {
        let Some(strides) = &self.strides else { return self.values() };
        if self.shape.contains(&0) {
            return Some(0);
        }
        self.shape
            .iter()
            .zip(strides)
            .try_fold(1usize, |span, (&side, &stride)| span.checked_add((side - 1).checked_mul(stride)?))
    }

    /// The bytes from the first value to the last.
    ///
    /// # Errors
    /// When the file is shorter.
    pub(super) fn bytes(&self) -> Result<Vec<u8>, String> {
        let count = self.span().and_then(|span| span.checked_mul(self.element.size()));
        let count = count.ok_or_else(|| "has more values than can be counted".to_owned())?;
        self.blob.read(self.offset, count as u64)
    }

    /// The value of an integer tensor that holds one.
    pub(super) fn integer(&self) -> Option<i64> {
        let bytes = (self.values() == Some(1)).then(|| self.bytes().ok()).flatten()?;
        match self.element {
            Element::I64 => Some(i64::from_le_bytes(bytes.try_into().ok()?)),
            Element::I32 => Some(i32::from_le_bytes(bytes.try_into().ok()?).into()),
            _ => None,
        }
    }
}

/// Refuses tensors that together have more values than their files have room for: views of one storage, each of full
/// size, would make much of little.
pub(super) fn check_total(entries: &[Entry]) -> Result<(), String> {
    let mut totals: BTreeMap<*const Blob, (u64, &Blob)> = BTreeMap::new();
    for entry in entries {
        let bytes = entry.values().and_then(|values| values.checked_mul(entry.element.size()));
        let (total, blob) = totals.entry(Rc::as_ptr(&entry.blob)).or_insert((0, &entry.blob));
        match bytes.and_then(|bytes| total.checked_add(bytes as u64)) {
            Some(sum) if sum <= blob.len() => *total = sum,
            _ => {
                return Err(format!(
                    "{}: tensors of more values than the file's {} bytes hold; the first too many is `{}` {:?}",
                    blob.name(),
                    blob.len(),
                    entry.name,
                    entry.shape
                ));
            }
        }
    }
    Ok(())
}

/// Names that stand more than once.
pub(super) fn duplicates(entries: &[Entry]) -> Vec<String> {
    let mut names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    names.sort_unstable();
    let mut twice: Vec<&str> = names.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
    twice.dedup();
    twice.into_iter().map(|name| format!("tensor `{name}` stands twice")).collect()
}
