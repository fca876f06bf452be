//! The keys of a configuration in JSON: each read by its dotted path, with a default and bounds. Problems are gathered, so
//! that a configuration is told all that is wrong with it at once.

use serde_json::Value;

use super::json;

/// A configuration that is being read.
pub(super) struct Settings {
    root: Value,
    pub(super) problems: Vec<String>,
}

impl Settings {
    /// Parses a file; keys that stand twice are problems.
    ///
    /// # Errors
    /// When the bytes are not JSON.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let (root, duplicates) = json::parse(bytes).map_err(|error| format!("not JSON: {error}"))?;
        let problems = duplicates.into_iter().map(|key| format!("`{key}` stands twice")).collect();
        Ok(Self { root, problems })
    }

    pub(super) fn root(&self) -> &Value {
        &self.root
    }

    /// The value at a dotted path; a null is as good as none, as in the defaults of open_clip and transformers.
    pub(super) fn get(&self, path: &str) -> Option<&Value> {
        path.split('.').try_fold(&self.root, |value, key| value.get(key)).filter(|value| !value.is_null())
    }

    pub(super) fn problem(&mut self, problem: String) {
        self.problems.push(problem);
    }

    /// True or false; `default` where nothing is said.
    pub(super) fn flag(&mut self, path: &str, default: bool) -> bool {
        match self.get(path) {
            None => default,
            Some(Value::Bool(value)) => *value,
            Some(other) => {
                let problem = format!("{path} is {other}, expected true or false");
                self.problem(problem);
                default
            }
        }
    }

    /// What one of some names stands for.
    pub(super) fn choice<T: Copy>(&mut self, path: &str, names: &[(&str, T)], default: T) -> T {
        let Some(value) = self.get(path) else { return default };
        match names.iter().find(|(name, _)| value.as_str() == Some(name)) {
            Some((_, choice)) => *choice,
            None => {
                let names: Vec<String> = names.iter().map(|(name, _)| format!("\"{name}\"")).collect();
                let problem = format!("{path} is {value}, only {} is supported", names.join(" or "));
                self.problem(problem);
                default
            }
        }
    }

    /// A number of things, at least 1.
    pub(super) fn size(&mut self, path: &str, default: impl Into<Option<usize>>) -> usize {
        let Some(value) = self.get(path) else {
            return default.into().unwrap_or_else(|| {
                self.problem(format!("{path} is missing"));
                1
            });
        };
        match size(value) {
            Some(size) => size,
            None => {
                let problem = format!("{path} is {value}, expected a whole number from 1 to {LARGEST}");
                self.problem(problem);
                1
            }
        }
    }

    /// A number of blocks.
    pub(super) fn count(&mut self, path: &str, default: usize) -> usize {
        let count = self.size(path, default);
        if count > BLOCKS {
            self.problem(format!("{path} is {count}, expected at most {BLOCKS}"));
            return 1;
        }
        count
    }

    /// The side of a square picture, given as one number or as two equal ones.
    pub(super) fn side(&mut self, path: &str, default: usize) -> usize {
        let Some(Value::Array(sides)) = self.get(path) else { return self.size(path, default) };
        match sides.as_slice() {
            [height, width] if height == width && size(height).is_some() => size(height).unwrap_or(default),
            _ => {
                self.problem(format!("{path} is no square: only square pictures and patches are supported"));
                default
            }
        }
    }

    /// Three numbers for red, green and blue.
    pub(super) fn colours(&mut self, path: &str, default: [f64; 3]) -> [f64; 3] {
        let Some(value) = self.get(path) else { return default };
        let numbers: Option<Vec<f64>> = value.as_array().and_then(|values| values.iter().map(Value::as_f64).collect());
        match numbers.and_then(|numbers| <[f64; 3]>::try_from(numbers).ok()) {
            Some(numbers) => numbers,
            None => {
                let problem = format!("{path} is {value}, expected three numbers");
                self.problem(problem);
                default
            }
        }
    }

    /// Three numbers above 0.
    pub(super) fn deviations(&mut self, path: &str, default: [f64; 3]) -> [f64; 3] {
        let found = self.colours(path, default);
        if found.iter().any(|&value| value <= 0.0) {
            self.problem(format!("{path} is {found:?}, expected numbers above 0"));
        }
        found
    }
}

/// Bounds keep products of sizes far from overflow; the largest real size is a vocabulary.
const LARGEST: usize = 1 << 20;

/// The deepest published tower has some fifty blocks.
const BLOCKS: usize = 1000;

fn size(value: &Value) -> Option<usize> {
    value.as_u64().and_then(|size| usize::try_from(size).ok()).filter(|size| (1..=LARGEST).contains(size))
}

/// Equality of JSON values that takes 4 and 4.0 for one number.
pub(super) fn equal(value: &Value, literal: &str) -> bool {
    match serde_json::from_str::<Value>(literal) {
        Ok(neutral) => *value == neutral || (value.is_number() && value.as_f64() == neutral.as_f64()),
        Err(_) => false,
    }
}
