//! Probe plans: what will be shown to the model, known before any pixel exists. A plan is cheap, so a suite can be
//! counted, previewed and resumed without drawing it.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::sync::Arc;

use image::RgbImage;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Labels;

/// A stable name for a probe: the first 8 bytes of a SHA-256 over its set and recipe, written as 16 hexadecimal digits;
/// never a row number.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ProbeId(u64);

impl ProbeId {
    /// The id of the probe that `recipe` makes in `set`.
    pub fn of(set: &str, recipe: &Recipe) -> Self {
        let parameters = recipe.parameters.to_string();
        let seed = recipe.seed.to_string();
        let before = [set, recipe.generator, &parameters].into_iter();
        Self::first(hash(before.chain(recipe.files.iter().map(|file| &**file)).chain([seed.as_str()])))
    }

    /// The id of what a text says all of: a prompt, a probe of a test.
    pub fn named(text: &str) -> Self {
        Self::first(hash([text]))
    }

    fn first(hash: [u8; 32]) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = hash;
        Self(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }
}

impl FromStr for ProbeId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.len() == 16 && text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        let id = digits.then(|| u64::from_str_radix(text, 16).ok()).flatten();
        id.map(Self).ok_or_else(|| "expected the id of a probe: 16 lower-case hexadecimal digits".to_owned())
    }
}

impl TryFrom<String> for ProbeId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ProbeId> for String {
    fn from(id: ProbeId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for ProbeId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}

impl fmt::Debug for ProbeId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")
    }
}

/// Lower-case hexadecimal SHA-256 over the parts, each preceded by its length, so that no two lists of parts collide.
pub fn digest<P: AsRef<[u8]>>(parts: &[P]) -> String {
    hash(parts).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hash<P: AsRef<[u8]>>(parts: impl IntoIterator<Item = P>) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.as_ref().len() as u64).to_le_bytes());
        hasher.update(part.as_ref());
    }
    hasher.finalize().into()
}

/// The parameters of a recipe as canonical JSON. What many probes of a set have in common may stand in a second part that
/// they share; the JSON is both parts together.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Parameters {
    first: Arc<str>,
    rest: Option<Arc<str>>,
}

impl Parameters {
    /// The parameters that `first` and `rest` write together.
    pub fn joined(first: Arc<str>, rest: Arc<str>) -> Self {
        Self { first, rest: Some(rest) }
    }
}

impl<T: Into<Arc<str>>> From<T> for Parameters {
    fn from(text: T) -> Self {
        Self { first: text.into(), rest: None }
    }
}

impl fmt::Display for Parameters {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.first)?;
        formatter.write_str(self.rest.as_deref().unwrap_or_default())
    }
}

impl fmt::Debug for Parameters {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")
    }
}

/// Everything that decides the pixels of a probe, apart from the contents of the files it names.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// Kind and version of the generator (`typographic@1`): a change of its pixels changes the version.
    pub generator: &'static str,
    /// The parameters; only the generator reads them.
    pub parameters: Parameters,
    /// Files and fonts the pixels depend on, as paths of the suite's file store. Their contents are hashed when observing.
    pub files: Arc<[Arc<str>]>,
    /// Seed of the probe's own random stream, derived from the suite's seed and the recipe; 0 where nothing is random.
    pub seed: u64,
}

/// One probe before it is drawn. Texts are shared between the probes of a set, so a million probes stay small: a plan of
/// an attack takes some 160 bytes.
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

/// One plan among all those of a run, which are kept once however many look at them.
#[derive(Clone)]
pub struct SharedPlan {
    all: Arc<Vec<ProbePlan>>,
    place: usize,
}

impl SharedPlan {
    /// The plan at a place; `None` beyond the last.
    pub fn new(all: &Arc<Vec<ProbePlan>>, place: usize) -> Option<Self> {
        (place < all.len()).then(|| Self { all: Arc::clone(all), place })
    }
}

impl Deref for SharedPlan {
    type Target = ProbePlan;

    fn deref(&self) -> &ProbePlan {
        &self.all[self.place]
    }
}

impl fmt::Debug for SharedPlan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(formatter)
    }
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
