//! The suite: a YAML file read strictly, then validated, with every problem that can be reached reported at once.
//!
//! Four passes, each over what the one before left usable: `marks` (which YAML is allowed, and where everything
//! stands), `shape` (keys and types, against the JSON Schema of the types below), the typed reading of each entry on
//! its own, and `check` (what the entries say of each other). `plan` then lets the generators plan their probes and
//! checks what only the probes can tell.

mod check;
mod marks;
mod plan;
mod problem;
mod shape;
pub mod shipped;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::gate::{Gate, Waiver};
use crate::measure::{AnyMeasure, AnyRead};
use crate::probe::{AnyGenerate, OneOrMany};

use marks::{Content, Node};
use problem::{Problems, Step};

pub use crate::types::Thumbnails;
pub use plan::{InputError, PlanError, Planned, PlannedSet, plan};
pub use problem::{Located, SuiteError};

/// Version of the suite format. A file of another version is refused.
pub const SUITE_SCHEMA: u32 = 1;

/// Entries of one section. Beyond this a suite is generated, and what varies belongs into lists or files.
const ENTRIES: usize = 1000;

/// A suite that was read and found consistent.
#[derive(Clone, Debug)]
pub struct Suite {
    /// Version of the format.
    pub schema: u32,
    /// What the audit is called.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Seed of everything random.
    pub seed: u64,
    /// The model under audit.
    pub model: ModelUse,
    /// How embeddings become predictions.
    pub readouts: Vec<ReadoutEntry>,
    /// What is shown to the model.
    pub probes: Vec<ProbeEntry>,
    /// What is measured.
    pub measures: Vec<MeasureEntry>,
    /// What is acceptable.
    pub gates: Vec<Gate>,
    /// Fails that somebody accepts until a date.
    pub waivers: Vec<Waiver>,
    /// How many inputs may be unusable.
    pub quarantine: Quarantine,
    /// How probes are shown in reports, where the suite says so.
    pub thumbnails: Option<Thumbnails>,
    /// What the suite states of the audited system.
    pub system: System,
    /// What a reader should know although nothing is wrong: a set nothing measures, a gate that looks the other way.
    pub notes: Vec<Located>,
    /// The file as it was named.
    pub file: String,
    /// The file's text, without a byte order mark.
    pub text: String,
    /// Lower-case hexadecimal SHA-256 of the file.
    pub sha256: String,
    /// Where everything stands in the file.
    tree: Node,
    /// Indices into `probes`: every set after those it uses, otherwise as in the file.
    order: Vec<usize>,
}

/// A suite with every default filled in, in the order of the file.
#[derive(serde::Serialize)]
#[serde(rename_all = "kebab-case")]
struct Effective<'a> {
    schema: u32,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    seed: u64,
    model: &'a ModelUse,
    readouts: &'a [ReadoutEntry],
    probes: &'a [ProbeEntry],
    measures: &'a [MeasureEntry],
    gates: &'a [Gate],
    waivers: &'a [Waiver],
    quarantine: Quarantine,
    #[serde(skip_serializing_if = "Option::is_none")]
    thumbnails: Option<Thumbnails>,
    system: &'a System,
}

impl Suite {
    /// The suite as the program understood it, as YAML: every default filled in, nothing left of comments and layout.
    pub fn effective(&self) -> String {
        let effective = Effective {
            schema: self.schema,
            name: &self.name,
            description: self.description.as_deref(),
            seed: self.seed,
            model: &self.model,
            readouts: &self.readouts,
            probes: &self.probes,
            measures: &self.measures,
            gates: &self.gates,
            waivers: &self.waivers,
            quarantine: self.quarantine,
            thumbnails: self.thumbnails,
            system: &self.system,
        };
        let mut text = Vec::new();
        // Every value came out of YAML, so it goes back; a failure would show as an empty text.
        match serde_yaml::with::singleton_map_recursive::serialize(
            &effective,
            &mut serde_yaml::Serializer::new(&mut text),
        ) {
            Ok(()) => String::from_utf8(text).unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    /// The sets that show people, control sets included: those that say so, and what is painted on them.
    pub fn people(&self) -> BTreeSet<String> {
        let mut people = BTreeSet::new();
        // Each round finds the sets one step further from their source.
        loop {
            let known = people.len();
            for probe in &self.probes {
                let from_people = probe.generate.uses().iter().any(|(_, set)| people.contains(*set));
                if probe.generate.people() || from_people {
                    people.extend([probe.id.clone(), format!("{}.control", probe.id)]);
                }
            }
            if people.len() == known {
                return people;
            }
        }
    }
}

/// An audit: what to show a model, what to measure and what is acceptable.
// The file as a whole: only its JSON Schema is used, the sections are read one by one.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, rename_all = "kebab-case", title = "clip-audit suite")]
#[expect(dead_code, reason = "the fields stand for the sections of the file in its JSON Schema")]
struct File {
    /// Version of the suite format: 1.
    #[schemars(extend("const" = SUITE_SCHEMA))]
    schema: u32,
    /// What the audit is called.
    #[schemars(extend("allOf" = [{ "pattern": r"\S" }, { "maxLength": check::NAME }]))]
    name: String,
    /// What it is for, in a sentence or two.
    #[schemars(extend("allOf" = [{ "pattern": r"\S" }]))]
    description: Option<String>,
    /// Seed of everything random; 0 unless given.
    #[schemars(default)]
    seed: u64,
    /// The model under audit.
    model: ModelUse,
    /// How embeddings become predictions. Every measure is taken once for each readout.
    #[schemars(default, extend("allOf" = [{ "maxItems": ENTRIES }]))]
    readouts: Vec<ReadoutEntry>,
    /// The probe sets: what is shown to the model.
    #[schemars(length(min = 1), extend("allOf" = [{ "maxItems": ENTRIES }]))]
    probes: Vec<ProbeEntry>,
    /// What is measured.
    #[schemars(default, extend("allOf" = [{ "maxItems": ENTRIES }]))]
    measures: Vec<MeasureEntry>,
    /// Limits: what is acceptable.
    #[schemars(default, extend("allOf" = [{ "maxItems": ENTRIES }]))]
    gates: Vec<Gate>,
    /// Fails that somebody accepts until a date; they are listed, and do not fail the audit.
    #[schemars(default, extend("allOf" = [{ "maxItems": ENTRIES }]))]
    waivers: Vec<Waiver>,
    /// How many inputs may be unusable before the audit is inconclusive.
    #[schemars(default)]
    quarantine: Quarantine,
    /// How probes are shown in reports; unless given, `full` for things and `none` for sets that show people.
    #[schemars(default)]
    thumbnails: Thumbnails,
    /// What the audited system is, for the reader of the report.
    #[schemars(default)]
    system: System,
}

/// The model under audit.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ModelUse {
    /// The name of a model shipped with the program (`reference`), the path of a checkpoint, or `hf://org/name@revision`.
    #[schemars(extend("allOf" = [{ "pattern": r"\S" }]))]
    #[serde(rename = "use")]
    pub name: String,
    /// SHA-256 that the file of weights must have, compared before it is parsed; of weights in several files a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "OneOrMany<String>")]
    pub expect_sha256: Option<OneOrMany<String>>,
    /// Whether the weights were trained with QuickGELU, where the checkpoint does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub quick_gelu: Option<bool>,
}

impl ModelUse {
    /// The hashes that are expected, as the program writes hashes.
    pub fn expected(&self) -> Vec<String> {
        self.expect_sha256.iter().flat_map(|hashes| hashes.iter()).map(|hash| hash.to_ascii_lowercase()).collect()
    }
}

/// A readout under the name measures and gates know it by.
#[derive(Clone, Debug, Deserialize, serde::Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ReadoutEntry {
    /// Its name.
    #[schemars(regex(pattern = r"^[a-z0-9][a-z0-9_-]{0,63}$"))]
    pub id: String,
    /// The kind of readout with its specification.
    pub read: AnyRead,
}

/// A probe set under the name measures know it by. Its control twins form the set `ID.control`.
#[derive(Clone, Debug, Deserialize, serde::Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ProbeEntry {
    /// Its name.
    #[schemars(regex(pattern = r"^[a-z0-9][a-z0-9_-]{0,63}$"))]
    pub id: String,
    /// The kind of probe with its specification.
    pub generate: AnyGenerate,
}

/// A measure under the name gates know it by.
#[derive(Clone, Debug, Deserialize, serde::Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MeasureEntry {
    /// Its name.
    #[schemars(regex(pattern = r"^[a-z0-9][a-z0-9_-]{0,63}$"))]
    pub id: String,
    /// The kind of measure with its specification.
    pub compute: AnyMeasure,
}

/// How many inputs may be unusable.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Quarantine {
    /// The largest share of a set or group that may be unusable, 0 to 1; more makes the audit inconclusive.
    #[schemars(range(min = 0.0, max = 1.0))]
    #[serde(default = "default_quarantine")]
    pub max: f64,
}

fn default_quarantine() -> f64 {
    0.01
}

impl Default for Quarantine {
    fn default() -> Self {
        Self { max: default_quarantine() }
    }
}

/// What the audited system is, in the words of who deploys it. Printed in the report, judged by nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct System {
    /// Who provides the model.
    #[schemars(with = "String")]
    pub provider: Option<String>,
    /// What it is meant to be used for.
    #[schemars(with = "String")]
    pub intended_purpose: Option<String>,
    /// Uses that are known to go wrong.
    #[schemars(with = "String")]
    pub known_misuse: Option<String>,
    /// What a reader of the report should be warned of.
    #[schemars(with = "String")]
    pub content_warning: Option<String>,
    /// Where the data come from, their licences and the consent of who is shown.
    #[schemars(with = "String")]
    pub data_statement: Option<String>,
}

impl System {
    /// What is stated, by its title, in a fixed order.
    pub fn facts(&self) -> Vec<(String, String)> {
        [
            ("provider", &self.provider),
            ("intended purpose", &self.intended_purpose),
            ("known misuse", &self.known_misuse),
            ("content warning", &self.content_warning),
            ("data", &self.data_statement),
        ]
        .into_iter()
        .filter_map(|(title, text)| Some((title.to_owned(), text.clone()?)))
        .collect()
    }
}

/// The JSON Schema (draft 2020-12) of a suite file, for editors and for other programs that write suites.
pub fn schema() -> serde_json::Value {
    SCHEMA.clone()
}

static SCHEMA: LazyLock<serde_json::Value> = LazyLock::new(|| {
    let mut schema = schemars::schema_for!(File).to_value();
    without_nulls(&mut schema);
    schema
});

/// `schemars` lets an optional key be null. In a suite a key without a value is a mistake: what is not wanted is left
/// out.
fn without_nulls(schema: &mut serde_json::Value) {
    use serde_json::Value as Json;
    match schema {
        Json::Object(object) => {
            if let Some(Json::Array(types)) = object.get_mut("type") {
                types.retain(|one| one != "null");
                if let [one] = types.as_slice() {
                    let one = one.clone();
                    object.insert("type".to_owned(), one);
                }
            }
            if let Some(Json::Array(branches)) = object.get_mut("anyOf") {
                branches.retain(|branch| branch.get("type").is_none_or(|one| one != "null"));
            }
            if object.get("default").is_some_and(Json::is_null) {
                object.shift_remove("default");
            }
            // Line breaks of the source are none of the reader's business.
            if let Some(Json::String(description)) = object.get_mut("description") {
                *description = description.replace('\n', " ");
            }
            object.values_mut().for_each(without_nulls);
        }
        Json::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

/// Reads and validates a suite; `file_name` only names it in messages. No other file is touched.
///
/// # Errors
/// Every problem that can be reached, each with its place.
pub fn read(file_name: &str, bytes: &[u8]) -> Result<Suite, SuiteError> {
    let mut problems = Problems::default();
    let (text, tree) = marks::read(bytes, &mut problems);
    let refuse = |problems| Err(SuiteError::new(file_name, text, problems));
    let Some(tree) = tree else { return refuse(problems) };
    shape::check(&SCHEMA, &tree, &mut problems);
    if !matches!(tree.content, Content::Map(_)) {
        return refuse(problems);
    }
    check::line_breaks(&tree, &mut Vec::new(), &mut problems);
    let draft = Draft::read(&tree, &mut problems);
    let mut notes = Problems::default();
    let order = check::check(&draft, &tree, &mut problems, &mut notes);
    let Draft {
        name,
        description,
        seed,
        model,
        readouts,
        probes,
        measures,
        gates,
        waivers,
        quarantine,
        thumbnails,
        system,
    } = draft;
    // Without a problem, everything asked for is there.
    let (Some(name), Some(model), true) = (name, model, problems.is_empty()) else { return refuse(problems) };
    Ok(Suite {
        schema: SUITE_SCHEMA,
        name,
        description,
        seed: seed.unwrap_or_default(),
        model,
        readouts: readouts.into_iter().flatten().collect(),
        probes: probes.into_iter().flatten().collect(),
        measures: measures.into_iter().flatten().collect(),
        gates: gates.into_iter().flatten().collect(),
        waivers: waivers.into_iter().flatten().collect(),
        quarantine: quarantine.unwrap_or_default(),
        thumbnails,
        system: system.unwrap_or_default(),
        notes: notes.into_notes(),
        file: file_name.to_owned(),
        text: text.to_owned(),
        sha256: Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect(),
        tree,
        order,
    })
}

/// What could be read of a suite: `None` stands for an entry with a problem that was reported. Lists are parallel to
/// those of the file.
struct Draft {
    name: Option<String>,
    description: Option<String>,
    seed: Option<u64>,
    model: Option<ModelUse>,
    readouts: Vec<Option<ReadoutEntry>>,
    probes: Vec<Option<ProbeEntry>>,
    measures: Vec<Option<MeasureEntry>>,
    gates: Vec<Option<Gate>>,
    waivers: Vec<Option<Waiver>>,
    quarantine: Option<Quarantine>,
    thumbnails: Option<Thumbnails>,
    system: Option<System>,
}

impl Draft {
    fn read(tree: &Node, problems: &mut Problems) -> Self {
        Self {
            name: single(tree, "name", problems),
            description: single(tree, "description", problems),
            seed: single(tree, "seed", problems),
            model: single(tree, "model", problems),
            readouts: list(tree, "readouts", problems),
            probes: list(tree, "probes", problems),
            measures: list(tree, "measures", problems),
            gates: list(tree, "gates", problems),
            waivers: list(tree, "waivers", problems),
            quarantine: single(tree, "quarantine", problems),
            thumbnails: single(tree, "thumbnails", problems),
            system: single(tree, "system", problems),
        }
    }
}

fn single<T: DeserializeOwned>(tree: &Node, section: &str, problems: &mut Problems) -> Option<T> {
    typed(tree, &[Step::Key(section.to_owned())], tree.get(section)?, problems)
}

fn list<T: DeserializeOwned>(tree: &Node, section: &str, problems: &mut Problems) -> Vec<Option<T>> {
    let trail = |index| [Step::Key(section.to_owned()), Step::Index(index)];
    let Some(node) = tree.get(section) else { return Vec::new() };
    let items = node.items();
    if items.len() > ENTRIES {
        let message = format!("has {} entries; a suite may have at most {ENTRIES} of each kind", items.len());
        problems.add(node.place, &[Step::Key(section.to_owned())], message);
        return Vec::new();
    }
    items.iter().enumerate().map(|(index, item)| typed(tree, &trail(index), item, problems)).collect()
}

/// Reads one entry by its type. Shape and characters were checked; what is left are the values a type refuses itself.
fn typed<T: DeserializeOwned>(tree: &Node, trail: &[Step], node: &Node, problems: &mut Problems) -> Option<T> {
    if problems.within(trail) {
        return None;
    }
    let mut track = serde_path_to_error::Track::new();
    // Kinds are mappings with one key here, not YAML tags.
    let value = serde_path_to_error::Deserializer::new(node.value(), &mut track);
    match serde_yaml::with::singleton_map_recursive::deserialize(value) {
        Ok(value) => Some(value),
        Err(error) => {
            let path = track.path();
            let inside = path.iter().map_while(|segment| match segment {
                serde_path_to_error::Segment::Seq { index } => Some(index.to_string()),
                serde_path_to_error::Segment::Map { key } => Some(key.clone()),
                serde_path_to_error::Segment::Enum { .. } | serde_path_to_error::Segment::Unknown => None,
            });
            let keys = trail.iter().map(Step::text).chain(inside);
            let (trail, place) = tree.follow(keys);
            problems.add(place, &trail, error.to_string());
            None
        }
    }
}
