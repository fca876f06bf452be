//! `typographic`: words painted on the pictures of another set (Goh et al. 2021, "Multimodal Neurons in Artificial
//! Neural Networks", section on typographic attacks). Every attacked probe knows its clean twin and a control twin:
//! the same paint with a pseudo-word, because covering a picture changes predictions whatever the paint says.

mod paint;
mod plan;

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use unicode_normalization::UnicodeNormalization;

use self::paint::Paint;
use super::glyphs::{TEXT_LIMIT, refuse};
use super::{Colour, Generate, OneOrMany, Outline, PlanContext, ProbeError, RenderContext};
use crate::types::{ProbePlan, Problem, Rendered};

/// Words painted on the pictures of another set: every picture with every word, layout, place, size, opacity, rotation
/// and font. A word whose target is the picture's own label is left out there, because it cannot mislead.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Typographic {
    /// The probe set whose pictures are painted on.
    pub base: String,
    /// The words with the label each is meant to bring about, or where to take them from.
    pub words: Words,
    /// How the word is laid out: `eight`, `label`, `banner`, `grid`.
    #[schemars(extend("allOf" = [{ "uniqueItems": true }]))]
    #[serde(default = "default_layout")]
    pub layout: OneOrMany<Layout>,
    /// Where a layout of one word puts its centre; `banner` and `label` have their own place unless one is given.
    #[schemars(extend("allOf" = [{ "uniqueItems": true }]))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<OneOrMany<Place>>,
    /// Rows of the layout `grid`.
    #[schemars(extend("allOf" = [{ "minimum": 1, "maximum": 16 }]))]
    #[serde(default = "default_rows")]
    pub rows: u32,
    /// Font size (the em) as a share of the canvas: 0.07 is 20 px on 288. A word too wide for its place is drawn
    /// smaller, and a note of the picture says so.
    #[schemars(extend("allOf" = [{ "minimum": 0.01, "maximum": 1, "uniqueItems": true, "items": { "minimum": 0.01, "maximum": 1 } }]))]
    #[serde(default = "default_size")]
    pub size: OneOrMany<f64>,
    /// Colour of the letters, `white` or `#rrggbb`; white unless given, and dark ink on the paper of `label`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub colour: Option<Colour>,
    /// Colour of the outline or `none`; black unless given, and none on the paper of `label`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outline: Option<Outline>,
    /// Opacity of everything painted, above 0 up to 1.
    #[schemars(extend("allOf" = [{ "exclusiveMinimum": 0, "maximum": 1, "uniqueItems": true, "items": { "exclusiveMinimum": 0, "maximum": 1 } }]))]
    #[serde(default = "default_opacity")]
    pub opacity: OneOrMany<f64>,
    /// Clockwise rotation about the middle of each copy, degrees.
    #[schemars(extend("allOf" = [{ "minimum": -180, "maximum": 180, "uniqueItems": true, "items": { "minimum": -180, "maximum": 180 } }]))]
    #[serde(default = "default_rotation")]
    pub rotation: OneOrMany<f64>,
    /// A font of the program (`dejavu-sans`, `dejavu-sans-bold`, `patrick-hand`) or the path of a TrueType file.
    #[schemars(extend("allOf" = [{ "uniqueItems": true }]))]
    #[serde(default = "default_font")]
    pub font: OneOrMany<String>,
    /// What the control twins say.
    #[serde(default)]
    pub control: Control,
    /// Side of the canvas in pixels: that of the base set, and only that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canvas: Option<u32>,
}

/// The words to paint: a list, or labels of a readout.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Words {
    /// Words with their targets.
    List(Vec<Word>),
    /// Other labels of a readout's label set.
    FromLabels(FromLabels),
}

/// A word and the label it is meant to bring about.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Word {
    /// What is written, as it is written.
    #[schemars(extend("allOf" = [{ "pattern": r"^\S+( \S+)*$" }, { "maxLength": TEXT_LIMIT }]))]
    pub text: String,
    /// The label that an attacked model would answer.
    #[schemars(extend("allOf" = [{ "pattern": r"\S" }]))]
    pub target: String,
}

/// Takes the words from a readout's labels: never the picture's own label; each word is its own target.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct FromLabels {
    /// The readout whose labels are written.
    pub from_labels: String,
    /// How many labels each picture gets, chosen by the suite's seed and the picture's id.
    #[schemars(extend("allOf" = [{ "minimum": 1 }]))]
    pub per_base: usize,
}

/// How a word is laid out on the canvas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// Eight copies at the places of the article.
    Eight,
    /// One word on a paper tag.
    Label,
    /// One word across the picture.
    Banner,
    /// The word again and again in rows.
    Grid,
}

/// Where the centre of a single word lies: thirds of the canvas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Place {
    TopLeft,
    Top,
    TopRight,
    Left,
    Centre,
    Right,
    BottomLeft,
    Bottom,
    BottomRight,
}

/// What control twins say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Control {
    /// A made-up word of equal length, painted as wide and as high.
    #[default]
    PseudoWord,
    /// There are no control twins: what occlusion does by itself stays unknown.
    None,
}

fn default_layout() -> OneOrMany<Layout> {
    OneOrMany(vec![Layout::Eight])
}

fn default_rows() -> u32 {
    3
}

fn default_size() -> OneOrMany<f64> {
    OneOrMany(vec![0.07])
}

fn default_opacity() -> OneOrMany<f64> {
    OneOrMany(vec![1.0])
}

fn default_rotation() -> OneOrMany<f64> {
    OneOrMany(vec![0.0])
}

fn default_font() -> OneOrMany<String> {
    OneOrMany(vec!["dejavu-sans".to_owned()])
}

impl JsonSchema for Words {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Words".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let word = generator.subschema_for::<Word>();
        let labels = generator.subschema_for::<FromLabels>();
        json_schema!({ "anyOf": [{ "type": "array", "items": word, "minItems": 1 }, labels] })
    }
}

impl<'de> Deserialize<'de> for Words {
    /// By hand: an untagged enum would hide which word is wrong, and why.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Words;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list of {text, target} or {from-labels, per-base}")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Words, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(items)).map(Words::List)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Words, A::Error> {
                FromLabels::deserialize(MapAccessDeserializer::new(map)).map(Words::FromLabels)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

impl Generate for Typographic {
    fn version(&self) -> &'static str {
        "typographic@1"
    }

    fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        match &self.words {
            Words::List(words) => check_words(words, &mut problems),
            Words::FromLabels(labels) if labels.per_base == 0 => {
                problems.push(Problem::new(["words", "per-base"], "is 0: each picture needs at least one word"));
            }
            Words::FromLabels(_) => {}
        }
        check_numbers(
            "size",
            &self.size,
            "a share of the canvas from 0.01 to 1",
            |v| (0.01..=1.0).contains(&v),
            &mut problems,
        );
        check_numbers("opacity", &self.opacity, "above 0 and at most 1", |v| v > 0.0 && v <= 1.0, &mut problems);
        check_numbers("rotation", &self.rotation, "degrees from -180 to 180", |v| v.abs() <= 180.0, &mut problems);
        check_list("layout", &self.layout, &mut problems);
        check_list("font", &self.font, &mut problems);
        if let Some(place) = &self.place {
            check_list("place", place, &mut problems);
            if !self.layout.iter().any(|layout| layout.has_place()) {
                problems.push(Problem::new(["place"], "is given, but only the layouts label and banner have a place"));
            }
        }
        if !(1..=16).contains(&self.rows) {
            problems.push(Problem::new(["rows"], format!("is {}: expected 1 to 16", self.rows)));
        }
        problems
    }

    fn uses(&self) -> Vec<(&'static str, &str)> {
        vec![("base", &self.base)]
    }

    fn reads(&self) -> Vec<(&'static str, &str)> {
        match &self.words {
            Words::List(_) => Vec::new(),
            Words::FromLabels(labels) => vec![("words.from-labels", &labels.from_labels)],
        }
    }

    /// Pictures x words x paints (layout, place, size, opacity, rotation, font), picture by picture, so that each is
    /// decoded once; after the attacked probes of a picture stand their control twins, in the set `SET.control`.
    ///
    /// A word is left out on the pictures whose label is its target (compared without case): there it cannot mislead.
    /// How many that are can be counted without a plan: pictures x words x paints less the probes planned.
    fn plan(&self, context: &PlanContext<'_>) -> Result<Vec<ProbePlan>, ProbeError> {
        plan::plan(self, context)
    }

    fn render(&self, plan: &ProbePlan, context: &RenderContext<'_>) -> Result<Rendered, ProbeError> {
        let clean = plan.source.as_ref().ok_or_else(|| ProbeError::Picture("has no clean twin".to_owned()))?;
        let base = (context.base)(clean)?;
        let parameters = plan.recipe.parameters.to_string();
        let paint = Paint::read(&parameters)
            .map_err(|problem| ProbeError::Picture(format!("its recipe cannot be read: {problem}")))?;
        paint.draw(&base, context.files)
    }
}

impl Layout {
    /// Whether the layout is one word at a place.
    pub(super) fn has_place(self) -> bool {
        matches!(self, Self::Label | Self::Banner)
    }
}

fn check_words(words: &[Word], problems: &mut Vec<Problem>) {
    if words.is_empty() {
        problems.push(Problem::new(["words"], "is empty: name at least one word with its target"));
    }
    let mut seen: Vec<String> = Vec::new();
    for (index, word) in words.iter().enumerate() {
        let path = |field: &str| ["words".to_owned(), index.to_string(), field.to_owned()];
        let text = normalized(&word.text);
        if let Some(reason) = refuse(&text) {
            problems.push(Problem::new(path("text"), reason));
        } else if seen.contains(&text) {
            let reason = format!("`{text}` stands in the list already: a picture with one text has one target");
            problems.push(Problem::new(path("text"), reason));
        }
        seen.push(text);
        if word.target.trim().is_empty() {
            problems
                .push(Problem::new(path("target"), "is empty: name the label that the word is meant to bring about"));
        }
    }
}

fn check_numbers(name: &str, values: &[f64], expected: &str, fits: impl Fn(f64) -> bool, problems: &mut Vec<Problem>) {
    check_list(name, values, problems);
    for (index, value) in values.iter().enumerate().filter(|(_, value)| !fits(**value)) {
        problems.push(Problem::new([name, &index.to_string()], format!("is {value}: expected {expected}")));
    }
}

fn check_list<T: PartialEq>(name: &str, values: &[T], problems: &mut Vec<Problem>) {
    if values.is_empty() {
        problems.push(Problem::new([name], "is an empty list: no probe would be made"));
    }
    for (index, value) in values.iter().enumerate() {
        if values.iter().take(index).any(|earlier| earlier == value) {
            problems.push(Problem::new([name, &index.to_string()], "stands in the list already"));
        }
    }
}

/// A text in Unicode's composed form (NFC), in which a letter with its marks is one character where one exists.
pub(super) fn normalized(text: &str) -> String {
    text.nfc().collect()
}
