//! Files of torch.save and torch.jit.save: a pickle that describes, and the values beside it. Both containers are read,
//! the zip file and the row of pickles that torch wrote before 1.6. Nothing of a file is run: see `pickle`.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::archive::Archive;
use super::blob::Blob;
use super::entry::{Element, Entry};
use super::pickle::{Id, Node, Pickle};

/// Bytes of a pickle; that of a model with the state of its optimiser has some megabytes.
const PICKLE: u64 = 64 << 20;
/// What the row of pickles begins with.
const MAGIC: i128 = 0x1950_a86a_20f9_469c_fc6c;
/// The version of that container.
const VERSION: i128 = 1001;
/// Modules and attributes of a TorchScript model, shared ones counted as often as they are met.
const ATTRIBUTES: usize = 200_000;
/// What wrappers put before every name: data-parallel training, compilation.
const WRAPPERS: [&str; 2] = ["module.", "_orig_mod."];

/// What a file holds.
#[derive(Default)]
pub(super) struct Saved {
    pub(super) entries: Vec<Entry>,
    /// Facts about the file, for the record.
    pub(super) facts: Vec<(String, String)>,
    /// What only TorchScript has.
    pub(super) script: Option<Script>,
}

/// A TorchScript model, beside its tensors.
#[derive(Default)]
pub(super) struct Script {
    /// Class of every module by its path; mere names.
    pub(super) classes: BTreeMap<String, String>,
    /// Whole numbers among the attributes, by path.
    pub(super) numbers: BTreeMap<String, i128>,
}

/// Where values of one type stand in a row.
struct Place {
    element: Element,
    values: usize,
    offset: u64,
}

/// Reads a file.
///
/// # Errors
/// Every problem, without the file's name.
pub(super) fn read(blob: &Rc<Blob>) -> Result<Saved, Vec<String>> {
    if Archive::detects(blob) {
        return read_archive(blob);
    }
    read_row(blob)
}

fn read_archive(blob: &Rc<Blob>) -> Result<Saved, Vec<String>> {
    let archive = Archive::open(blob).map_err(one)?;
    let mut roots =
        archive.names().filter_map(|name| name.strip_suffix("/data.pkl")).filter(|root| !root.contains('/'));
    let (Some(root), None) = (roots.next(), roots.next()) else {
        return Err(one("is a zip file without one `data.pkl`: torch did not write it".to_owned()));
    };
    let has = |name: &str| archive.names().any(|found| found == format!("{root}/{name}"));
    if has("byteorder") && archive.read(&format!("{root}/byteorder"), 16).map_err(one)? != b"little" {
        return Err(one("holds values whose bytes are not in little-endian order".to_owned()));
    }
    // torch.jit.save always writes the constants of its code, torch.save never.
    let script = has("constants.pkl");
    let bytes = archive.read(&format!("{root}/data.pkl"), PICKLE).map_err(one)?;
    let pickle = Pickle::read(&bytes, script).map_err(one)?;
    let find = |key: &str, element: Element, values: usize| {
        let found = archive.find(&format!("{root}/data/{key}"))?;
        match values.checked_mul(element.size()) {
            Some(size) if size as u64 == found.bytes => Ok(Place { element, values, offset: found.offset }),
            _ => Err(format!("has {values} values of {} in a storage of {} bytes", element.name(), found.bytes)),
        }
    };
    let collect = Collect { blob, pickle: &pickle, find: &find };
    if script { collect.modules() } else { collect.state_dict() }
}

fn read_row(blob: &Rc<Blob>) -> Result<Saved, Vec<String>> {
    let bytes = blob.read(0, blob.len().min(PICKLE)).map_err(one)?;
    let mut at = 0;
    let mut next = || {
        let pickle = Pickle::read(&bytes[at..], false).map_err(one)?;
        at += pickle.length;
        Ok::<_, Vec<String>>((pickle, at))
    };
    let unlike = |what: &str| one(format!("is a pickle that torch.save did not write ({what})"));
    if *next()?.0.only() != Node::Int(MAGIC) {
        return Err(unlike("it does not begin with torch's number"));
    }
    if *next()?.0.only() != Node::Int(VERSION) {
        return Err(unlike("another version of the container"));
    }
    let (system, _) = next()?;
    let little = match system.only() {
        Node::Dict(entries) => entries.iter().any(|&(key, value)| {
            *system.node(key) == Node::Text("little_endian") && *system.node(value) == Node::Bool(true)
        }),
        _ => false,
    };
    if !little {
        return Err(one("holds values whose bytes are not in little-endian order".to_owned()));
    }
    let (pickle, _) = next()?;
    let (keys, end) = next()?;
    let Node::List(keys_in_order) = keys.only() else { return Err(unlike("no list of storages")) };

    // The storages follow one after the other, each with its number of values before it.
    let described: BTreeMap<&str, (Element, usize)> =
        pickle.storages().map(|storage| (storage.key, (storage.element, storage.values))).collect();
    let mut places: BTreeMap<&str, Place> = BTreeMap::new();
    let mut at = end as u64;
    for &key in keys_in_order {
        let Node::Text(key) = *keys.node(key) else { return Err(unlike("no list of storages")) };
        let Some(&(element, values)) = described.get(key) else { return Err(unlike("a storage of no tensor")) };
        let count = blob.read(at, 8).map_err(one)?;
        if count != (values as u64).to_le_bytes() {
            return Err(one(format!("has a storage `{key}` of another length than its description's {values} values")));
        }
        let offset = at + 8;
        at = (values.checked_mul(element.size()).and_then(|size| offset.checked_add(size as u64)))
            .filter(|&end| end <= blob.len())
            .ok_or_else(|| one(format!("ends within storage `{key}` of {values} values (cut short)")))?;
        if places.insert(key, Place { element, values, offset }).is_some() {
            return Err(one(format!("has two storages `{key}`")));
        }
    }
    if at != blob.len() {
        return Err(one(format!("has {} bytes after its last storage", blob.len() - at)));
    }
    let find = |key: &str, element: Element, values: usize| match places.get(key) {
        Some(place) if place.element == element && place.values == values => {
            Ok(Place { offset: place.offset, ..*place })
        }
        _ => Err(format!("has a storage `{key}` that the file lacks")),
    };
    Collect { blob, pickle: &pickle, find: &find }.state_dict()
}

fn one(problem: String) -> Vec<String> {
    vec![problem]
}

/// Gathers tensors from a pickle.
struct Collect<'a> {
    blob: &'a Rc<Blob>,
    pickle: &'a Pickle<'a>,
    /// The place of a storage, by its name, type and number of values.
    find: &'a dyn Fn(&str, Element, usize) -> Result<Place, String>,
}

impl Collect<'_> {
    /// A dictionary of tensors, or a training checkpoint with one.
    fn state_dict(&self) -> Result<Saved, Vec<String>> {
        let mut facts = Vec::new();
        let mut state = self.named(self.pickle.root()).map_err(one)?;
        if let Some(&(_, inner)) = state.iter().find(|(name, _)| *name == "state_dict") {
            let beside: Vec<&str> = state.iter().map(|(name, _)| *name).filter(|name| *name != "state_dict").collect();
            facts.push(("training checkpoint", format!("only its `state_dict` is read; left: {}", beside.join(", "))));
            state = self.named(inner).map_err(one)?;
        }
        let mut prefix = 0;
        while let Some(wrapper) = WRAPPERS
            .iter()
            .find(|wrapper| !state.is_empty() && state.iter().all(|(name, _)| name[prefix..].starts_with(*wrapper)))
        {
            prefix += wrapper.len();
            facts.push(("names", format!("every tensor's name began with `{wrapper}`, which was taken off")));
        }
        let (mut entries, mut problems) = (Vec::new(), Vec::new());
        for (name, id) in state {
            match self.entry(&name[prefix..], id) {
                Ok(entry) => entries.push(entry),
                Err(problem) => problems.push(problem),
            }
        }
        if entries.is_empty() && problems.is_empty() {
            problems.push("holds no tensors".to_owned());
        }
        let facts = facts.into_iter().map(|(name, fact)| (name.to_owned(), fact)).collect();
        if problems.is_empty() { Ok(Saved { entries, facts, script: None }) } else { Err(problems) }
    }

    /// The tensors of TorchScript modules, by their paths.
    fn modules(&self) -> Result<Saved, Vec<String>> {
        let (mut entries, mut problems, mut script) = (Vec::new(), Vec::new(), Script::default());
        let mut todo = vec![(String::new(), self.pickle.root())];
        let mut met = 0usize;
        while let Some((path, id)) = todo.pop() {
            let Node::Object { state: Some(state), .. } = self.pickle.node(id) else {
                return Err(one(format!("holds no module of TorchScript at `{path}`")));
            };
            script.classes.insert(path.clone(), self.pickle.class(id).unwrap_or_default().to_owned());
            for (name, value) in self.named(*state).map_err(one)? {
                met += 1;
                if met > ATTRIBUTES {
                    return Err(one(format!("holds modules with more than {ATTRIBUTES} attributes")));
                }
                let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
                match self.pickle.node(value) {
                    Node::Object { .. } => todo.push((path, value)),
                    Node::Tensor { .. } => match self.entry(&path, value) {
                        Ok(entry) => entries.push(entry),
                        Err(problem) => problems.push(problem),
                    },
                    Node::Int(number) => drop(script.numbers.insert(path, *number)),
                    // Flags and the like: what a forward pass reads of them stands in code, which is not run.
                    _ => {}
                }
            }
        }
        let facts = vec![("TorchScript".to_owned(), "its tensors are read, its code is not run".to_owned())];
        if problems.is_empty() { Ok(Saved { entries, facts, script: Some(script) }) } else { Err(problems) }
    }

    /// A dictionary with texts as keys.
    fn named(&self, id: Id) -> Result<Vec<(&str, Id)>, String> {
        let Node::Dict(entries) = self.pickle.node(id) else {
            return Err("holds no dictionary of tensors".to_owned());
        };
        let text = |&(key, value): &(Id, Id)| match self.pickle.node(key) {
            Node::Text(text) => Ok((*text, value)),
            _ => Err("holds a dictionary whose keys are not all texts, so no weights".to_owned()),
        };
        let named: Vec<(&str, Id)> = entries.iter().map(text).collect::<Result<_, _>>()?;
        let mut names: Vec<&str> = named.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(format!("holds a dictionary in which `{}` stands twice", pair[0])),
            None => Ok(named),
        }
    }

    fn entry(&self, name: &str, id: Id) -> Result<Entry, String> {
        let problem = |text: String| format!("tensor `{name}` {text}");
        let (storage, offset, shape, strides) = match self.pickle.node(id) {
            Node::Tensor { storage, offset, shape, strides } => (*storage, *offset, shape, strides),
            Node::Opaque(what) => return Err(problem(format!("is a {what}, which is not read"))),
            _ => return Err(problem("is no tensor".to_owned())),
        };
        let Node::Storage(storage) = self.pickle.node(storage) else {
            return Err(problem("has no storage".to_owned()));
        };
        let place = (self.find)(storage.key, storage.element, storage.values).map_err(problem)?;
        let size = place.element.size();
        let mut entry = Entry {
            name: name.to_owned(),
            element: place.element,
            shape: shape.clone(),
            strides: (!in_rows(shape, strides)).then(|| strides.clone()),
            blob: Rc::clone(self.blob),
            offset: 0,
        };
        let end = entry.span().and_then(|span| offset.checked_add(span));
        if end.is_none_or(|end| end > place.values) {
            let wants = format!("{shape:?} from value {offset} on with strides {strides:?}");
            return Err(problem(format!("reaches beyond its storage of {} values: {wants}", place.values)));
        }
        entry.offset = place.offset + (offset * size) as u64;
        Ok(entry)
    }
}

/// Whether values stand in row-major order without a gap; the step along a side of 1 is never taken.
fn in_rows(shape: &[usize], strides: &[usize]) -> bool {
    let mut expected = Some(1usize);
    shape.iter().zip(strides).rev().all(|(&side, &stride)| {
        let fits = side == 1 || expected == Some(stride);
        expected = expected.and_then(|step| step.checked_mul(side));
        fits
    })
}
