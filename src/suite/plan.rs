//! From a suite to its probes: generators plan in the order of what they use, then everything is checked that only the
//! probes can tell. Still no pixels.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Range;

use unicode_normalization::UnicodeNormalization;

use super::check::{dotted, way};
use super::problem::{Problems, choices, nearest, quote};
use super::{Located, Suite, SuiteError};
use crate::measure::Needs;
use crate::probe::{Files, PlanContext, ProbeError};
use crate::types::{ProbeId, ProbePlan};

/// The probes of a suite.
#[derive(Clone, Debug, Default)]
pub struct Planned {
    /// Every probe, set after set.
    pub plans: Vec<ProbePlan>,
    /// The sets of the suite, every set after those it is made from.
    pub sets: Vec<PlannedSet>,
    /// What a reader should know although nothing is wrong.
    pub notes: Vec<Located>,
}

/// A probe set of the suite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedSet {
    /// Its id.
    pub id: String,
    /// Kind and version of the generator (`typographic@1`).
    pub generator: &'static str,
    /// Where its probes stand in `plans`, control twins included.
    pub range: Range<usize>,
    /// How many of them belong to `ID.control`.
    pub controls: usize,
}

/// Why a suite gives no probes.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The suite does not fit what it names. Exit code 2.
    #[error(transparent)]
    Suite(#[from] SuiteError),
    /// Lists or files of inputs cannot be used. Exit code 3.
    #[error("{}", inputs.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Inputs {
        /// One for each probe set that could not be planned.
        inputs: Vec<InputError>,
    },
}

/// Inputs of a probe set that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{error} (probe set `{set}`)")]
pub struct InputError {
    /// Id of the set.
    pub set: String,
    /// File, line and what is wrong.
    pub error: ProbeError,
}

/// Plans every probe of a suite on a canvas of `canvas` pixels (the model's input), unless a set says otherwise.
///
/// # Errors
/// Every problem that can be reached, each with its place in the suite; problems of input files when there is no other.
pub fn plan(suite: &Suite, files: &Files, canvas: u32) -> Result<Planned, PlanError> {
    let mut problems = Problems::default();
    let mut inputs = Vec::new();
    let labels: BTreeMap<String, Vec<String>> =
        suite.readouts.iter().map(|readout| (readout.id.clone(), readout.read.labels().to_vec())).collect();
    let mut planned: BTreeMap<String, Vec<ProbePlan>> = BTreeMap::new();
    for index in &suite.order {
        let Some(entry) = suite.probes.get(*index) else { continue };
        if entry.generate.uses().iter().any(|(_, set)| !planned.contains_key(*set)) {
            // The set it is made from has failed; that is reported.
            continue;
        }
        let seed = suite.seed;
        let context = PlanContext { set: &entry.id, seed, canvas, files, planned: &planned, labels: &labels };
        let kind = entry.generate.name();
        match entry.generate.plan(&context) {
            Ok(plans) if plans.is_empty() => {
                let keys = way("probes", *index, &["generate".to_owned(), kind.to_owned()]);
                let (trail, place) = suite.tree.follow(keys);
                problems.add(place, &trail, "gives no probe; a probe set needs at least one");
            }
            Ok(plans) => {
                planned.insert(entry.id.clone(), plans);
            }
            Err(ProbeError::Specification { path, message }) => {
                let below: Vec<String> = ["generate", kind].into_iter().map(str::to_owned).chain(path).collect();
                let (trail, place) = suite.tree.follow(way("probes", *index, &below));
                problems.add(place, &trail, message);
            }
            Err(error) => inputs.push(InputError { set: entry.id.clone(), error }),
        }
    }
    let whole = planned.len() == suite.probes.len();
    let mut all = Planned::default();
    for index in &suite.order {
        let Some(entry) = suite.probes.get(*index) else { continue };
        let Some(mut plans) = planned.remove(&entry.id) else { continue };
        let start = all.plans.len();
        let controls = plans.iter().filter(|plan| *plan.set != *entry.id).count();
        all.plans.append(&mut plans);
        let range = start..all.plans.len();
        all.sets.push(PlannedSet { id: entry.id.clone(), generator: entry.generate.version(), range, controls });
    }
    let mut check = Check { suite, sets: Facts::of_sets(&all.plans), problems: &mut problems };
    check.ids(&all);
    if whole {
        check.measures(&all.plans);
    }
    all.notes = lookalikes(suite, &all);
    match (problems.is_empty(), inputs.is_empty()) {
        (true, true) => Ok(all),
        (true, false) => Err(PlanError::Inputs { inputs }),
        (false, _) => Err(SuiteError::new(&suite.file, &suite.text, problems).into()),
    }
}

/// Notes on groups or clusters that are counted apart although their names look alike. Painted probes have the facts of
/// their clean twins, so they are not looked at again.
fn lookalikes(suite: &Suite, all: &Planned) -> Vec<Located> {
    let mut notes = Problems::default();
    for set in &all.sets {
        let plans = all.plans.get(set.range.clone()).unwrap_or_default();
        let Some(index) = suite.probes.iter().position(|entry| entry.id == set.id) else { continue };
        let mut values: BTreeSet<(&str, &str)> = BTreeSet::new();
        for plan in plans.iter().filter(|plan| plan.source.is_none()) {
            values.extend(plan.labels.iter().map(|(name, value)| (&**name, &**value)));
            // A picture that is its own cluster has its path for a name.
            let own = plan.recipe.files.first() == Some(&plan.cluster);
            values.extend((!own).then_some(("cluster", &*plan.cluster)));
        }
        let mut alike: BTreeMap<(&str, String), BTreeSet<&str>> = BTreeMap::new();
        for (name, value) in values {
            alike.entry((name, folded(value))).or_default().insert(value);
        }
        alike.retain(|_, values| values.len() > 1);
        let mut told: BTreeMap<&str, Vec<&BTreeSet<&str>>> = BTreeMap::new();
        for ((name, _), values) in &alike {
            told.entry(name).or_default().push(values);
        }
        for (name, groups) in told {
            let Some(first) = groups.first() else { continue };
            let more = match groups.len() - 1 {
                0 => String::new(),
                more => format!(" (and {more} more of this kind)"),
            };
            let message = format!(
                "values of {} that differ only in case, spaces or Unicode form are counted apart: {}{more}",
                quote(name),
                choices(first.iter().copied(), "and"),
            );
            let (trail, place) = suite.tree.follow(way("probes", index, &["generate".to_owned()]));
            notes.add(place, &trail, message);
        }
    }
    notes.into_notes()
}

/// A value without what the eye passes over: case, repeated spaces, and the form its letters are composed in.
fn folded(value: &str) -> String {
    let words: Vec<String> =
        value.split_whitespace().map(|word| word.nfkc().collect::<String>().to_lowercase()).collect();
    words.join(" ")
}

/// What is known of the labels of a set's probes.
#[derive(Default)]
struct Facts<'a> {
    probes: usize,
    /// Probes that carry a label.
    carried: BTreeMap<&'a str, usize>,
    /// Classes and targets with how many probes carry them.
    values: BTreeMap<(&'a str, &'a str), usize>,
}

/// The labels whose values are compared with label sets.
const COMPARED: [&str; 2] = ["label", "target"];

impl<'a> Facts<'a> {
    fn of_sets(plans: &'a [ProbePlan]) -> BTreeMap<&'a str, Self> {
        let mut sets: BTreeMap<&str, Facts<'_>> = BTreeMap::new();
        for plan in plans {
            let facts = sets.entry(&*plan.set).or_default();
            facts.probes += 1;
            for (name, value) in &plan.labels {
                *facts.carried.entry(&**name).or_default() += 1;
                if COMPARED.contains(&&**name) {
                    *facts.values.entry((&**name, &**value)).or_default() += 1;
                }
            }
        }
        sets
    }
}

struct Check<'a> {
    suite: &'a Suite,
    sets: BTreeMap<&'a str, Facts<'a>>,
    problems: &'a mut Problems,
}

impl Check<'_> {
    fn add(&mut self, section: &str, index: usize, below: &[String], message: String, hint: Option<String>) {
        let (trail, place) = self.suite.tree.follow(way(section, index, below));
        self.problems.add_with_hint(place, &trail, message, hint);
    }

    /// A probe that is planned twice would be counted twice.
    fn ids(&mut self, all: &Planned) {
        let mut seen: HashSet<&ProbeId> = HashSet::with_capacity(all.plans.len());
        for set in &all.sets {
            let plans = all.plans.get(set.range.clone()).unwrap_or_default();
            let twice: Vec<&ProbePlan> = plans.iter().filter(|plan| !seen.insert(&plan.id)).collect();
            let Some(first) = twice.first() else { continue };
            let Some(index) = self.suite.probes.iter().position(|entry| entry.id == set.id) else { continue };
            let facts: Vec<String> =
                first.labels.iter().map(|(name, value)| format!("{name} {}", quote(value))).collect();
            let message = format!(
                "plans the same probe more than once ({} times; the first has {}): is a value listed twice?",
                twice.len(),
                facts.join(", ")
            );
            self.add("probes", index, &["generate".to_owned()], message, None);
        }
    }

    fn measures(&mut self, plans: &[ProbePlan]) {
        let suite = self.suite;
        for (index, entry) in suite.measures.iter().enumerate() {
            let kind = entry.compute.name();
            let needs = entry.compute.needs();
            for (field, set) in &needs.sets {
                if !self.sets.contains_key(set.as_str()) {
                    // `ID.control`: the id was checked when reading.
                    let message = format!("the probe set has no control twins, so there is no {}", quote(set));
                    self.add("measures", index, &dotted("compute", kind, field), message, None);
                }
            }
            for (path, set, label) in &needs.labels {
                let Some(facts) = self.sets.get(set.as_str()) else { continue };
                if !facts.carried.contains_key(label.as_str()) {
                    let names = || facts.carried.keys().copied();
                    let message = format!(
                        "no probe of {} has the label {}; they have {}",
                        quote(set),
                        quote(label),
                        choices(names(), "and")
                    );
                    let hint = nearest(label, names());
                    let below: Vec<String> =
                        ["compute", kind].into_iter().map(str::to_owned).chain(path.iter().cloned()).collect();
                    self.add("measures", index, &below, message, hint);
                }
            }
            for (path, set, wanted) in &needs.selections {
                let below: Vec<String> =
                    ["compute", kind].into_iter().map(str::to_owned).chain(path.iter().cloned()).collect();
                self.selection(index, &below, plans.iter().filter(|plan| *plan.set == **set), set, wanted);
            }
            self.answerable(index, kind, &needs);
            for set in &needs.truth {
                self.compared(index, kind, &needs, set, "label");
            }
            for set in &needs.targets {
                self.compared(index, kind, &needs, set, "target");
            }
        }
    }

    /// At least one probe must have all the values wanted.
    fn selection<'p>(
        &mut self,
        index: usize,
        below: &[String],
        probes: impl Iterator<Item = &'p ProbePlan> + Clone,
        set: &str,
        wanted: &BTreeMap<String, String>,
    ) {
        let value_of = |plan: &'p ProbePlan, label: &str| plan.labels.get(label).map(|value| &**value);
        let fits = |plan| wanted.iter().all(|(label, value)| value_of(plan, label) == Some(value.as_str()));
        if probes.clone().any(fits) {
            return;
        }
        let mut blamed = false;
        for (label, value) in wanted {
            let values: BTreeSet<&str> = probes.clone().filter_map(|plan| value_of(plan, label)).collect();
            // A label that no probe has was reported as such.
            blamed |= values.is_empty();
            if !values.is_empty() && !values.contains(value.as_str()) {
                blamed = true;
                let message = format!(
                    "no probe of {} has the {label} {}; there is {}",
                    quote(set),
                    quote(value),
                    choices(values.iter().copied(), "and")
                );
                let below = [below, std::slice::from_ref(label)].concat();
                self.add("measures", index, &below, message, nearest(value, values));
            }
        }
        if !blamed {
            let message = format!("no probe of {} has all of these together", quote(set));
            self.add("measures", index, below, message, None);
        }
    }

    /// A label that a readout does not know is never answered, so a low share of it would say nothing of the model. A readout
    /// that knows none of them is not measured; one that knows some would miss the others in silence.
    fn answerable(&mut self, index: usize, kind: &str, needs: &Needs) {
        let suite = self.suite;
        let below = |path: &[String]| -> Vec<String> {
            ["compute", kind].into_iter().map(str::to_owned).chain(path.iter().cloned()).collect()
        };
        let mut known_at_all = BTreeSet::new();
        for readout in &suite.readouts {
            let known: BTreeSet<&str> = readout.read.labels().iter().map(String::as_str).collect();
            if !needs.answers.iter().any(|(_, label)| known.contains(label.as_str())) {
                continue;
            }
            for (path, label) in &needs.answers {
                if known.contains(label.as_str()) {
                    known_at_all.insert(label.as_str());
                } else {
                    let message = format!(
                        "the readout {} knows others of these labels and can never answer {}; add it to its labels",
                        quote(&readout.id),
                        quote(label)
                    );
                    self.add("measures", index, &below(path), message, nearest(label, known.iter().copied()));
                }
            }
        }
        if known_at_all.is_empty() {
            for (path, label) in &needs.answers {
                let message = format!("no readout can ever answer {}; add it to the labels of one", quote(label));
                self.add("measures", index, &below(path), message, None);
            }
        }
    }

    /// Every value of a probe's `label` or `target` must be one that each readout can answer, or its error rate says
    /// nothing of the model.
    fn compared(&mut self, index: usize, kind: &str, needs: &Needs, set: &str, name: &str) {
        let suite = self.suite;
        let field = needs.sets.iter().find(|(_, one)| one == set).map_or("", |(field, _)| *field);
        let below = dotted("compute", kind, field);
        let Some(facts) = self.sets.get(set) else { return };
        let without = facts.probes - facts.carried.get(name).copied().unwrap_or_default();
        let values: Vec<(String, usize)> = facts
            .values
            .iter()
            .filter(|((one, _), _)| *one == name)
            .map(|((_, value), n)| ((*value).to_owned(), *n))
            .collect();
        if without > 0 {
            let message = format!("{without} of {} probes of {} have no {}", facts.probes, quote(set), quote(name));
            self.add("measures", index, &below, message, None);
        }
        for readout in &suite.readouts {
            let known: BTreeSet<&str> = readout.read.labels().iter().map(String::as_str).collect();
            let unknown: Vec<&(String, usize)> =
                values.iter().filter(|(value, _)| !known.contains(value.as_str())).collect();
            let Some((first, _)) = unknown.first() else { continue };
            let probes: usize = unknown.iter().map(|(_, n)| n).sum();
            let message = format!(
                "the readout {} can never answer {}, the {name} of {probes} {} of {}; add it to its labels or leave them out",
                quote(&readout.id),
                choices(unknown.iter().map(|(value, _)| value.as_str()), "or"),
                if probes == 1 { "probe" } else { "probes" },
                quote(set),
            );
            let hint = nearest(first, known).filter(|_| unknown.len() == 1);
            self.add("measures", index, &below, message, hint);
        }
    }
}
