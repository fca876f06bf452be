//! `manifest`: pictures listed in a CSV file, one row a picture.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::fonts::PICTURE_LIMIT_BYTES;
use super::intern::Interner;
use super::table::Table;
use super::{Files, Generate, OneOrMany, PlanContext, ProbeError, RenderContext, canvas_of};
use crate::pixels;
use crate::types::{Labels, Parameters, ProbeId, ProbePlan, Problem, Recipe, Rendered};

/// The largest CSV file read: some two million rows.
const CSV_LIMIT_BYTES: u64 = 256 << 20;
/// The columns with a meaning of their own.
const PATH: &str = "path";
const LABEL: &str = "label";
const CLUSTER: &str = "cluster";
/// What a group is called where a row leaves it blank: such rows are counted, never dropped.
const MISSING: &str = "missing";

/// Pictures listed in a CSV file with a header: a path, a label, groups, and a cluster of pictures that are not
/// independent. Paths are relative to the folder of the CSV file and stay inside the suite's folder. A blank group is
/// the group `missing`; a blank path, label or cluster is an error.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Manifest {
    /// The CSV file, relative to the suite: UTF-8, commas, a header line.
    #[schemars(extend("allOf" = [{ "pattern": r"\S" }]))]
    pub file: String,
    /// Which column holds what: `path`, `label`, `cluster`, or a group's name, each with the column's name in the file.
    /// Without an entry `path`, `label` and `cluster` are looked for under their own names, and a file without a
    /// cluster column makes every picture its own cluster. Every other column becomes a fact of the probe.
    #[schemars(extend("allOf" = [{ "propertyNames": { "pattern": r"\S" }, "additionalProperties": { "pattern": r"\S" } }]))]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, String>,
    /// Keeps the rows whose value is one of those listed, by the names the facts have after `columns`.
    #[serde(default, rename = "where", skip_serializing_if = "BTreeMap::is_empty")]
    pub rows: BTreeMap<String, OneOrMany<String>>,
    /// Side of the square canvas in pixels; the model's input unless given.
    #[schemars(extend("allOf" = [{ "minimum": 16, "maximum": 1024 }]))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canvas: Option<u32>,
    /// Whether the pictures show people: then reports carry no thumbnails of them, or of anything painted on them, unless
    /// the suite asks for thumbnails by name.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub people: bool,
}

/// What a column of the file is to a probe, by its index in a row.
struct Roles {
    path: usize,
    label: usize,
    cluster: Option<usize>,
    /// Columns that become facts, by the names of the facts; `label` is one of them.
    facts: BTreeMap<String, usize>,
}

impl Generate for Manifest {
    fn version(&self) -> &'static str {
        "manifest@1"
    }

    fn people(&self) -> bool {
        self.people
    }

    fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.file.trim().is_empty() {
            problems.push(Problem::new(["file"], "is empty: name a CSV file"));
        }
        if let Some(canvas) = self.canvas.filter(|canvas| !(16..=1024).contains(canvas)) {
            problems.push(Problem::new(["canvas"], format!("is {canvas}: expected 16 to 1024 pixels")));
        }
        for (name, column) in &self.columns {
            if name.trim().is_empty() || column.trim().is_empty() {
                problems.push(Problem::new(["columns", name], "maps an empty name: give both names"));
            }
        }
        for (name, values) in &self.rows {
            if values.is_empty() {
                problems.push(Problem::new(["where", name], "is an empty list: no row would be kept"));
            }
        }
        problems
    }

    fn plan(&self, context: &PlanContext<'_>) -> Result<Vec<ProbePlan>, ProbeError> {
        let bytes = context.files.read(&self.file, CSV_LIMIT_BYTES)?;
        let table = Table::parse(&bytes).map_err(|fault| self.fault(Some(fault.line), fault.message))?;
        let roles = self.roles(&table.header)?;
        let folder = self.file.rsplit_once('/').map_or("", |(folder, _)| folder);
        let parameters = Parameters::from(format!("{{\"canvas\":{}}}", self.canvas.unwrap_or(context.canvas)));
        let set: Arc<str> = context.set.into();

        let names: Vec<Arc<str>> = roles.facts.keys().map(|name| name.as_str().into()).collect();
        let mut known: HashMap<Vec<Arc<str>>, Labels> = HashMap::new();
        let mut interned = Interner::default();
        let mut lines = BTreeMap::new();
        let mut matched: BTreeMap<&str, Vec<bool>> =
            self.rows.iter().map(|(name, values)| (name.as_str(), vec![false; values.len()])).collect();
        let mut plans = Vec::new();
        for row in table.rows() {
            let row = row.map_err(|fault| self.fault(Some(fault.line), fault.message))?;
            let at = |message: String| self.fault(Some(row.line), message);
            let needed = |name: &str, index: usize| match row.field(index) {
                "" => Err(at(format!("the {name} is empty; give one, or take the row out"))),
                value => Ok(value),
            };
            let path = needed(PATH, roles.path)?;
            needed(LABEL, roles.label)?;
            let cluster = roles.cluster.map(|index| needed(CLUSTER, index)).transpose()?;
            let inside =
                Files::clean(path).map(|path| if folder.is_empty() { path } else { format!("{folder}/{path}") });
            let path = inside
                .and_then(|path| Files::clean(&path))
                .ok_or_else(|| at(format!("{path}: lies outside the suite's folder; copy it inside")))?;
            if let Some(earlier) = lines.insert(path.clone(), row.line) {
                return Err(at(format!("{path} stands in line {earlier} already; take one of the rows out")));
            }

            let fact = |name: &str, index: usize| match row.field(index) {
                "" if name != LABEL => MISSING,
                value => value,
            };
            let mut kept = true;
            for (name, values) in &self.rows {
                let value = match name.as_str() {
                    PATH => row.field(roles.path),
                    CLUSTER => cluster.unwrap_or_else(|| row.field(roles.path)),
                    name => roles.facts.get(name).map_or("", |index| fact(name, *index)),
                };
                let hit = values.iter().position(|wanted| wanted == value);
                kept &= hit.is_some();
                let flag = hit.and_then(|hit| matched.get_mut(name.as_str())?.get_mut(hit));
                flag.into_iter().for_each(|flag| *flag = true);
            }
            if !kept {
                continue;
            }
            // Pictures with the same facts share them: often there are few classes and groups, and many pictures.
            let values: Vec<Arc<str>> =
                roles.facts.iter().map(|(name, index)| interned.get(fact(name, *index))).collect();
            let labels = known
                .entry(values)
                .or_insert_with_key(|values| names.iter().cloned().zip(values.iter().cloned()).collect());
            let labels = Labels::clone(labels);
            let path: Arc<str> = path.into();
            let cluster = cluster.map_or_else(|| path.clone(), |cluster| interned.get(cluster));
            let (parameters, files) = (parameters.clone(), [path].into());
            let recipe = Recipe { generator: self.version(), parameters, files, seed: 0 };
            let id = ProbeId::of(context.set, &recipe);
            plans.push(ProbePlan { id, set: set.clone(), labels, source: None, control: None, cluster, recipe });
        }
        self.check_matches(&matched)?;
        if plans.is_empty() {
            let message = if lines.is_empty() {
                "lists no pictures: below the header there is no row"
            } else {
                "no row is left by `where`: no picture has all of the values asked for"
            };
            return Err(self.fault(None, message.to_owned()));
        }
        Ok(plans)
    }

    fn render(&self, plan: &ProbePlan, context: &RenderContext<'_>) -> Result<Rendered, ProbeError> {
        let [path] = &*plan.recipe.files else {
            return Err(ProbeError::Picture("its recipe names no file".to_owned()));
        };
        let canvas =
            canvas_of(&plan.recipe).ok_or_else(|| ProbeError::Picture("its recipe has no canvas".to_owned()))?;
        let named = |problem: pixels::PixelError| ProbeError::Picture(format!("{path}: {problem}"));
        let decoded = pixels::decode(&context.files.read(path, PICTURE_LIMIT_BYTES)?).map_err(named)?;
        let image = decoded.fit(canvas).map_err(named)?;
        Ok(Rendered { image, cover: None, notes: decoded.notes })
    }
}

impl Manifest {
    fn fault(&self, line: Option<u64>, message: String) -> ProbeError {
        ProbeError::Source { file: self.file.clone(), line, message }
    }

    /// Finds the columns by the header.
    fn roles(&self, header: &[String]) -> Result<Roles, ProbeError> {
        let column = |name: &str| header.iter().position(|column| column == name);
        let mapped = |name: &'static str| self.columns.get(name).map_or(name, String::as_str);
        let found = || header.join(", ");
        for (name, wanted) in &self.columns {
            if column(wanted).is_none() {
                let message = format!("has no column `{wanted}` for `{name}`; its columns are {}", found());
                return Err(self.fault(Some(1), message + &near(wanted, header)));
            }
        }
        let needed = |name: &'static str| {
            let missing = || {
                let message = format!("has no column `{}`; its columns are {}", mapped(name), found());
                let remedy = format!("; name the right one under `columns: {{{name}: ...}}`");
                self.fault(Some(1), message + &near(mapped(name), header) + &remedy)
            };
            column(mapped(name)).ok_or_else(missing)
        };
        let (path, label) = (needed(PATH)?, needed(LABEL)?);
        let cluster = column(mapped(CLUSTER));
        let mut facts = BTreeMap::new();
        let renamed = |index: usize| self.columns.values().any(|column| header.get(index) == Some(column));
        for (name, column) in &self.columns {
            let index = header.iter().position(|other| other == column).filter(|_| name != PATH && name != CLUSTER);
            facts.extend(index.map(|index| (name.clone(), index)));
        }
        for (index, name) in header.iter().enumerate() {
            let taken = index == path || Some(index) == cluster || renamed(index);
            if !taken && (facts.insert(name.clone(), index).is_some() || name == PATH || name == CLUSTER) {
                let message = format!(
                    "has a column `{name}` beside the one that `columns` calls `{name}`; map it to another name"
                );
                return Err(self.fault(Some(1), message));
            }
        }
        facts.insert(LABEL.to_owned(), label);
        let unknown = |name: &&String| *name != PATH && *name != CLUSTER && !facts.contains_key(*name);
        if let Some(name) = self.rows.keys().find(unknown) {
            let names: Vec<String> = facts.keys().cloned().collect();
            let message =
                format!("there is no fact `{name}`; the pictures have {}{}", names.join(", "), near(name, &names));
            return Err(ProbeError::Specification { path: vec!["where".to_owned(), name.clone()], message });
        }
        Ok(Roles { path, label, cluster, facts })
    }

    /// A value that no row has is more likely misspelled than meant.
    fn check_matches(&self, matched: &BTreeMap<&str, Vec<bool>>) -> Result<(), ProbeError> {
        for (name, values) in &self.rows {
            let hits = matched.get(name.as_str()).map(Vec::as_slice).unwrap_or_default();
            if let Some((index, (value, _))) = values.iter().zip(hits).enumerate().find(|(_, (_, hit))| !**hit) {
                let message = format!("no row of {} has `{value}` there", self.file);
                let path = vec!["where".to_owned(), name.clone(), index.to_string()];
                return Err(ProbeError::Specification { path, message });
            }
        }
        Ok(())
    }
}

/// `; did you mean ...` where a name comes close.
fn near(name: &str, names: &[String]) -> String {
    let distance = |other: &String| strsim::damerau_levenshtein(&name.to_lowercase(), &other.to_lowercase());
    let best = names.iter().min_by_key(|other| distance(other)).filter(|other| distance(other) <= 2);
    best.map(|best| format!("; did you mean `{best}`?")).unwrap_or_default()
}
