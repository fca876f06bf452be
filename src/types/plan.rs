//! Probe plans: what will be shown to the model, known before any pixel exists. A plan is cheap, so a suite can be
//! counted, previewed and resumed without drawing it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use image::RgbImage;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Facts about a probe by name: the class (`label`), groups, and for attacks `word`, `target`, `size`, `layout`, ...
/// Names and values are shared between the probes of a set, so a million probes stay small.
pub type Labels = BTreeMap<Arc<str>, Arc<str>>;

/// A stable name for a probe: the first 16 hexadecimal digits of a SHA-256 over its set and recipe, never a row number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProbeId(Arc<str>);

impl ProbeId {
    /// The id of the probe that `recipe` makes in `set`.
    pub fn of(set: &str, recipe: &Recipe) -> Self {
        let mut parts = vec![set, recipe.generator, &recipe.parameters];
        parts.extend(recipe.files.iter().map(|file| &**file));
        let seed = recipe.seed.to_string();
        parts.push(&seed);
        Self(digest(&parts)[..16].into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for ProbeId {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for ProbeId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Lower-case hexadecimal SHA-256 over the parts, each preceded by its length, so that no two lists of parts collide.
pub fn digest<P: AsRef<[u8]>>(parts: &[P]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.as_ref().len() as u64).to_le_bytes());
        hasher.update(part.as_ref());
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Everything that decides the pixels of a probe, apart from the contents of the files it names.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// Kind and version of the generator (`typographic@1`): a change of its pixels changes the version.
    pub generator: &'static str,
    /// The parameters as canonical JSON; only the generator reads it.
    pub parameters: Arc<str>,
    /// Files and fonts the pixels depend on, as paths of the suite's file store. Their contents are hashed when observing.
    pub files: Vec<Arc<str>>,
    /// Seed of the probe's own random stream, derived from the suite's seed and the recipe; 0 where nothing is random.
    pub seed: u64,
}

/// One probe before it is drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbePlan {
    /// Stable name.
    pub id: ProbeId,
    /// The probe set it belongs to. Control twins of a set `attack` stand in the set `attack.control`.
    pub set: Arc<str>,
    /// Class, groups and attack facts.
    pub labels: Labels,
    /// The clean twin of an attacked or control probe.
    pub source: Option<ProbeId>,
    /// The control twin of an attacked probe: same layout, size, colour and cover, a pseudo-word of equal length.
    pub control: Option<ProbeId>,
    /// Probes of one cluster are not independent: texts over one image, photos of one subject.
    pub cluster: Arc<str>,
    /// How to draw it.
    pub recipe: Recipe,
}

/// What drawing a probe gives.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// The picture, 8-bit RGB, `canvas` x `canvas` for the kinds of this program.
    pub image: RgbImage,
    /// Share of canvas pixels that differ from the clean twin, 0 to 1; `None` for clean probes.
    pub cover: Option<f32>,
    /// What a reviewer should know of this picture (`EXIF orientation 6 not applied`).
    pub notes: Vec<String>,
}
