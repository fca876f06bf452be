//! What the entries of a suite say of themselves and of each other: ids, references, circles, limits.

mod gates;

use std::collections::{BTreeMap, BTreeSet};

use super::Draft;
use super::marks::{Content, Node};
use super::problem::{Problems, Step, choices, hidden, nearest, quote};
use crate::gate::Gate;
use crate::model::sha256;
use crate::types::{Problem, Scale};

/// Longest id: ids become parts of file names, anchors and table headings.
const ID: usize = 64;
/// Longest name of a suite.
pub(super) const NAME: usize = 200;
/// A larger share of unusable inputs is worth a word.
const SOME: f64 = 0.2;

/// Reports everything found; returns the order in which probe sets are planned (indices, as in the file, but every set
/// after those it uses). Where problems were found, the order is of no use.
pub(super) fn check(draft: &Draft, tree: &Node, problems: &mut Problems, notes: &mut Problems) -> Vec<usize> {
    let mut check = Check {
        draft,
        tree,
        readouts: Ids::of(tree, "readouts"),
        probes: Ids::of(tree, "probes"),
        measures: Ids::of(tree, "measures"),
        gates: Ids::of(tree, "gates"),
        problems,
        notes,
    };
    check.texts();
    check.hashes();
    for section in ["readouts", "probes", "measures", "gates"] {
        check.ids(section);
    }
    check.kinds();
    check.references();
    check.gates();
    check.waivers();
    check.unused();
    check.order()
}

/// The ids of a section as they stand in the file, those of entries with other problems included: a reference to a
/// broken entry is not a second problem.
struct Ids {
    /// Per entry.
    all: Vec<Option<String>>,
}

impl Ids {
    fn of(tree: &Node, section: &str) -> Self {
        let items = tree.get(section).map_or(&[][..], Node::items);
        let id = |item: &Node| item.get("id").and_then(Node::text).filter(|id| !id.contains(hidden)).map(str::to_owned);
        let mut all: Vec<Option<String>> = items.iter().map(id).collect();
        // A section that is no list was reported; what it was to hold is unknown.
        if tree.get(section).is_some_and(|node| !matches!(node.content, Content::List(_))) {
            all.push(None);
        }
        Self { all }
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.all.iter().flatten().map(String::as_str)
    }

    fn find(&self, id: &str) -> Option<usize> {
        self.all.iter().position(|one| one.as_deref() == Some(id))
    }

    /// Whether an entry has no id that could be read, so that any reference may mean it.
    fn incomplete(&self) -> bool {
        self.all.iter().any(Option::is_none)
    }
}

struct Check<'a> {
    draft: &'a Draft,
    tree: &'a Node,
    readouts: Ids,
    probes: Ids,
    measures: Ids,
    gates: Ids,
    problems: &'a mut Problems,
    notes: &'a mut Problems,
}

impl<'a> Check<'a> {
    /// A problem at keys below an entry of a section.
    fn add(&mut self, section: &str, index: usize, below: &[String], message: impl Into<String>) {
        self.add_with_hint(section, index, below, message, None);
    }

    fn add_with_hint(
        &mut self,
        section: &str,
        index: usize,
        below: &[String],
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        let (trail, place) = self.tree.follow(way(section, index, below));
        self.problems.add_with_hint(place, &trail, message, hint);
    }

    fn note(&mut self, section: &str, index: usize, below: &[&str], message: impl Into<String>) {
        let below: Vec<String> = below.iter().map(|key| (*key).to_owned()).collect();
        let (trail, place) = self.tree.follow(way(section, index, &below));
        self.notes.add(place, &trail, message);
    }

    fn all(&mut self, section: &str, index: usize, below: &[&str], found: Vec<Problem>) {
        for Problem { path, message } in found {
            let below: Vec<String> = below.iter().map(|key| (*key).to_owned()).chain(path).collect();
            self.add(section, index, &below, message);
        }
    }

    /// The texts of the file that no kind looks at.
    fn texts(&mut self) {
        let texts = [
            ("name", self.draft.name.as_ref()),
            ("description", self.draft.description.as_ref()),
            ("use", self.draft.model.as_ref().map(|model| &model.name)),
        ];
        for (key, text) in texts {
            let keys: &[&str] = if key == "use" { &["model", "use"] } else { &[key] };
            let (trail, place) = self.tree.follow(keys);
            let Some(text) = text else { continue };
            if text.trim().is_empty() {
                self.problems.add(place, &trail, "expected some text");
            } else if key == "name" && text.chars().count() > NAME {
                self.problems.add(place, &trail, format!("expected at most {NAME} characters"));
            }
        }
    }

    /// Hashes that could be no file's.
    fn hashes(&mut self) {
        let hashes = self.draft.model.iter().flat_map(|model| model.expected()).collect::<Vec<String>>();
        for problem in hashes.iter().filter_map(|hash| sha256(hash).err()) {
            let (trail, place) = self.tree.follow(["model", "expect-sha256"]);
            self.problems.add(place, &trail, problem);
        }
    }

    fn ids(&mut self, section: &str) {
        let ids = match section {
            "readouts" => &self.readouts,
            "probes" => &self.probes,
            "measures" => &self.measures,
            _ => &self.gates,
        };
        let mut first: BTreeMap<String, usize> = BTreeMap::new();
        let below = ["id".to_owned()];
        for (index, id) in ids.all.clone().into_iter().enumerate() {
            let Some(id) = id else { continue };
            let (trail, _) = self.tree.follow(way(section, index, &below));
            if self.problems.within(&trail) {
                continue;
            }
            if !is_id(&id) {
                let message = format!(
                    "{} is no id: expected lower-case letters, digits, `-` and `_`, a letter or digit first, at most {ID}",
                    quote(&id)
                );
                self.add(section, index, &below, message);
            } else if let Some(other) = first.get(&id) {
                let (_, place) = self.tree.follow(way(section, *other, &below));
                let message = format!("the id {} is taken by the entry on line {}", quote(&id), place.line);
                self.add(section, index, &below, message);
            } else {
                first.insert(id, index);
            }
        }
    }

    /// What each kind says of its own specification.
    fn kinds(&mut self) {
        let draft = self.draft;
        for (index, entry) in draft.readouts.iter().enumerate() {
            if let Some(entry) = entry {
                self.all("readouts", index, &["read", entry.read.name()], entry.read.check());
            }
        }
        for (index, entry) in draft.probes.iter().enumerate() {
            if let Some(entry) = entry {
                self.all("probes", index, &["generate", entry.generate.name()], entry.generate.check());
            }
        }
        for (index, entry) in draft.measures.iter().enumerate() {
            if let Some(entry) = entry {
                self.all("measures", index, &["compute", entry.compute.name()], entry.compute.check());
            }
        }
        for (index, gate) in draft.gates.iter().enumerate() {
            if let Some(gate) = gate {
                self.all("gates", index, &[], gate.check());
            }
        }
        for (index, waiver) in draft.waivers.iter().enumerate() {
            if let Some(waiver) = waiver {
                self.all("waivers", index, &[], waiver.check());
            }
        }
    }

    /// Reports a name that no entry of a section has.
    fn refer(&mut self, from: (&str, usize), below: &[String], to: &str, name: &str) {
        let (ids, word) = match to {
            "probes" => (&self.probes, "probe set"),
            "readouts" => (&self.readouts, "readout"),
            "measures" => (&self.measures, "measure"),
            _ => (&self.gates, "gate"),
        };
        if ids.find(name).is_some() || ids.incomplete() {
            return;
        }
        let hint = nearest(name, ids.names());
        let message = if ids.all.is_empty() {
            format!("there is no {word} {}; the suite has none", quote(name))
        } else {
            format!("there is no {word} {}; the suite has {}", quote(name), choices(ids.names(), "and"))
        };
        self.add_with_hint(from.0, from.1, below, message, hint);
    }

    fn references(&mut self) {
        let draft = self.draft;
        for (index, entry) in draft.probes.iter().enumerate() {
            let Some(entry) = entry else { continue };
            let kind = entry.generate.name();
            for (path, set) in entry.generate.uses() {
                self.refer(("probes", index), &dotted("generate", kind, path), "probes", set);
            }
            for (path, readout) in entry.generate.reads() {
                self.refer(("probes", index), &dotted("generate", kind, path), "readouts", readout);
            }
        }
        for (index, entry) in draft.measures.iter().enumerate() {
            let Some(entry) = entry else { continue };
            let kind = entry.compute.name();
            let needs = entry.compute.needs();
            for (path, set) in &needs.sets {
                // Whether a set has control twins is known when it is planned.
                let set = set.strip_suffix(".control").unwrap_or(set);
                self.refer(("measures", index), &dotted("compute", kind, path), "probes", set);
            }
            let of_predictions = !(needs.truth.is_empty() && needs.targets.is_empty() && needs.answers.is_empty());
            if of_predictions && draft.readouts.is_empty() {
                let below = ["compute".to_owned(), kind.to_owned()];
                self.add("measures", index, &below, "needs predictions, and the suite has no readout; add `readouts:`");
            }
        }
    }

    /// Notes on what has no effect.
    fn unused(&mut self) {
        let draft = self.draft;
        let measured: BTreeSet<String> = draft
            .measures
            .iter()
            .flatten()
            .flat_map(|entry| entry.compute.needs().sets)
            .map(|(_, set)| set.strip_suffix(".control").map(str::to_owned).unwrap_or(set))
            .collect();
        let used: BTreeSet<String> = draft
            .probes
            .iter()
            .flatten()
            .flat_map(|entry| entry.generate.uses().into_iter().map(|(_, set)| set.to_owned()).collect::<Vec<_>>())
            .collect();
        for (index, entry) in draft.probes.iter().enumerate() {
            let Some(entry) = entry else { continue };
            if !measured.contains(&entry.id) {
                let besides = if used.contains(&entry.id) { " (other sets are made from it)" } else { "" };
                self.note(
                    "probes",
                    index,
                    &["id"],
                    format!("nothing measures the probe set {}{besides}", quote(&entry.id)),
                );
            }
        }
        self.presumed();
        if let Some(quarantine) = draft.quarantine.as_ref().filter(|quarantine| quarantine.max > SOME) {
            let (trail, place) = self.tree.follow(["quarantine", "max"]);
            let share = Scale::Share.format(quarantine.max, 1);
            let message = format!("{share} of a set may be unusable and the audit still passes");
            self.notes.add(place, &trail, message);
        }
        if draft.gates.is_empty() {
            let message = "the suite has no gates: the audit measures and judges nothing";
            self.notes.add(self.tree.place, &[], message);
        }
    }

    /// Gates on how far a model is misled, where no gate asks whether it recognises anything.
    fn presumed(&mut self) {
        let draft = self.draft;
        let measure_of = |gate: &Gate| {
            let place = self.measures.find(&gate.measure)?;
            Some(&draft.measures.get(place)?.as_ref()?.compute)
        };
        let recognised: BTreeSet<String> = draft
            .gates
            .iter()
            .flatten()
            .filter(|gate| gate.min.is_some())
            .flat_map(|gate| measure_of(gate).map_or(Vec::new(), |measure| measure.needs().truth))
            .collect();
        let mut told = BTreeSet::new();
        let missing: Vec<(usize, String)> = draft
            .gates
            .iter()
            .enumerate()
            .filter_map(|(index, gate)| Some((index, measure_of(gate.as_ref()?)?.presumes()?.to_owned())))
            .filter(|(_, set)| !recognised.contains(set) && told.insert(set.clone()))
            .collect();
        for (index, set) in missing {
            let message = format!(
                "a model that recognises little cannot be misled, so passing would say little: add a gate `min` on the accuracy of {}",
                quote(&set)
            );
            self.note("gates", index, &["measure"], message);
        }
    }

    /// Sets in the order of planning; reports sets that use each other in a circle.
    fn order(&mut self) -> Vec<usize> {
        let draft = self.draft;
        let uses: Vec<Vec<usize>> = draft
            .probes
            .iter()
            .map(|entry| {
                let names = entry.iter().flat_map(|entry| entry.generate.uses());
                names.filter_map(|(_, set)| self.probes.find(set)).collect()
            })
            .collect();
        let mut order: Vec<usize> = Vec::new();
        let mut open: BTreeSet<usize> = (0..uses.len()).collect();
        loop {
            let ready = |index: &usize| uses.get(*index).is_none_or(|uses| uses.iter().all(|one| !open.contains(one)));
            let Some(next) = open.iter().copied().find(ready) else { break };
            open.remove(&next);
            order.push(next);
        }
        // What is left depends on a circle. Following first uses from any of them leads into it.
        if let Some(start) = open.first().copied() {
            let next =
                |index: usize| uses.get(index).and_then(|uses| uses.iter().copied().find(|one| open.contains(one)));
            let mut walk = vec![start];
            while let Some(step) = walk.last().and_then(|last| next(*last)) {
                if let Some(begin) = walk.iter().position(|one| *one == step) {
                    walk.drain(..begin);
                    break;
                }
                walk.push(step);
            }
            let first = walk.iter().min().copied().unwrap_or(start);
            walk.push(walk.first().copied().unwrap_or(start));
            let name = |index: &usize| draft.probes.get(*index).and_then(Option::as_ref).map(|entry| entry.id.clone());
            let circle: Vec<String> = walk.iter().filter_map(name).collect();
            let message = format!("probe sets are made from each other in a circle: {}", circle.join(" from "));
            self.add("probes", first, &["generate".to_owned()], message);
        }
        order
    }
}

/// Texts of one line have no line breaks: they become table cells, terminal lines and test names.
pub(super) fn line_breaks(node: &Node, trail: &mut Vec<Step>, problems: &mut Problems) {
    match &node.content {
        Content::List(items) => {
            for (index, item) in items.iter().enumerate() {
                trail.push(Step::Index(index));
                line_breaks(item, trail, problems);
                trail.pop();
            }
        }
        Content::Map(entries) => {
            for entry in entries {
                trail.push(Step::Key(entry.key.clone()));
                line_breaks(&entry.value, trail, problems);
                trail.pop();
            }
        }
        Content::Scalar(_) | Content::Refused => {
            let prose = matches!(trail.last(), Some(Step::Key(key)) if key == "description" || key == "reason");
            if !prose && node.text().is_some_and(|text| text.contains('\n')) {
                problems.add(node.place, trail, "expected text on one line");
            }
        }
    }
}

fn is_id(text: &str) -> bool {
    let part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.len() <= ID
        && text.bytes().next().is_some_and(part)
        && text.bytes().all(|byte| part(byte) || byte == b'-' || byte == b'_')
}

/// Keys from the top to something below an entry.
pub(super) fn way(section: &str, index: usize, below: &[String]) -> Vec<String> {
    [section.to_owned(), index.to_string()].into_iter().chain(below.iter().cloned()).collect()
}

/// Keys below an entry to a field that a kind names as `words.from-labels`.
pub(super) fn dotted(key: &str, kind: &str, path: &str) -> Vec<String> {
    [key, kind].into_iter().chain(path.split('.')).map(str::to_owned).collect()
}
