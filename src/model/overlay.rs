//! The overlay: a folder that holds only the tensors in which a model differs from another checkpoint, its base.
//! `overlay.safetensors` holds them by their canonical (open_clip's) names, whatever the base's files call them;
//! `overlay.json` names the base and binds the overlay to it: over other weights it would be a model that nobody made.
//!
//! ```json
//! {"format": "clip-audit-overlay", "version": 1, "base": "../reference", "base_fingerprint": "SHA-256, as `inspect` prints it"}
//! ```

use std::fs;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use serde_json::Value;

use super::blob::Blob;
use super::checkpoint::{self, CheckpointOptions, FORMATS, Format, Merges, Parts};
use super::settings::{Settings, equal};
use super::tensors::Tensors;
use super::weights::{self, of_file};
use crate::types::Kind;

const DECLARATION: &str = "overlay.json";
const WEIGHTS: &str = "overlay.safetensors";
/// Bytes of a declaration; one has two hundred.
const LIMIT: u64 = 1 << 20;
/// The keys of a declaration. Another one would be a wish that is not followed.
const KEYS: [&str; 4] = ["format", "version", "base", "base_fingerprint"];
/// Parts of a model that a fact names.
const NAMED: usize = 8;

/// The line in the list of formats.
pub(super) const FORMAT: Format = Format {
    kind: Kind {
        name: "overlay folder",
        about: "overlay.json beside overlay.safetensors: the tensors in which a model differs from a base in another folder",
    },
    // One of both is enough: an overlay that lost a file must not be audited as the checkpoint that stands beside it.
    detects: |path| path.join(DECLARATION).exists() || path.join(WEIGHTS).exists(),
    read,
};

fn read(path: &Path, options: &CheckpointOptions) -> Result<Parts, Vec<String>> {
    let (declaration, weights) = match (Blob::open(path, DECLARATION), Blob::open(path, WEIGHTS)) {
        (Ok(declaration), Ok(weights)) => (declaration, weights),
        (declaration, weights) => return Err(declaration.err().into_iter().chain(weights.err()).collect()),
    };
    let own = |hash: &String| *hash == weights.record().sha256;
    expecting(options, own).check(std::slice::from_ref(&weights))?;
    let (bound, changed) = match (declare(&declaration), load(&weights)) {
        (Ok(bound), Ok(changed)) => (bound, changed),
        (bound, changed) => return Err(bound.err().into_iter().chain(changed.err()).flatten().collect()),
    };
    weights.unchanged().map_err(one)?;
    let base = Base::find(path, &bound.base, options.inside.as_deref())
        .map_err(|problem| of_file(DECLARATION, vec![problem]))?;

    let of_base = |problems| of_file(&format!("base {}", bound.base), problems);
    let parts = (base.format.read)(&base.folder, &expecting(options, |hash| !own(hash))).map_err(of_base)?;
    let mut facts = vec![("base".to_owned(), format!("{}, fingerprint {}", base.about, bound.fingerprint))];
    let tensors = parts.tensors.map_err(of_base).and_then(|tensors| {
        let (tensors, fact) = merge(tensors, changed, &bound)?;
        facts.push(("overlay".to_owned(), fact));
        Ok(tensors)
    });
    let beside = FORMATS.iter().filter(|format| format.kind.name != FORMAT.kind.name && (format.detects)(path));
    facts.extend(beside.map(|format| {
        let fact =
            format!("files of another checkpoint ({}) stand in the overlay's folder; not read", format.kind.name);
        ("beside the overlay".to_owned(), fact)
    }));
    facts.extend(parts.facts);
    let mut files = parts.files;
    files.iter_mut().for_each(|file| file.name = format!("{}/{}", bound.base, file.name));
    files.extend([declaration.record().clone(), weights.record().clone()]);
    let configuration = parts.configuration.map_err(of_base);
    let merges = parts.merges.map(|merges| Merges { file: format!("base {}: {}", bound.base, merges.file), ..merges });
    Ok(Parts { format: FORMAT.kind.name, files, configuration, tensors, facts, merges })
}

fn one(problem: String) -> Vec<String> {
    vec![problem]
}

/// The options with those of the expected hashes that overlay or base must account for. Where none is left for one of
/// them, all stay, so that its weights are refused by their hash instead of not being compared.
fn expecting(options: &CheckpointOptions, of_part: impl Fn(&String) -> bool) -> CheckpointOptions {
    let mut options = options.clone();
    if options.expect_sha256.iter().any(&of_part) {
        options.expect_sha256.retain(of_part);
    }
    options
}

/// What an overlay says it lies over.
struct Bound {
    /// The base's folder as it was written, relative to the overlay's.
    base: String,
    fingerprint: String,
}

/// Reads the declaration; all its problems together.
fn declare(blob: &Rc<Blob>) -> Result<Bound, Vec<String>> {
    let bytes = blob.whole(LIMIT).map_err(one)?;
    let settings = Settings::parse(&bytes).map_err(|problem| of_file(DECLARATION, vec![problem]))?;
    bind(settings).map_err(|problems| of_file(DECLARATION, problems))
}

fn bind(mut settings: Settings) -> Result<Bound, Vec<String>> {
    let Value::Object(root) = settings.root().clone() else {
        return Err(vec!["is not an object".to_owned()]);
    };
    let said = |key: &str| settings.get(key).map_or_else(|| "missing".to_owned(), Value::to_string);
    // What another format or version means by its keys is unknown.
    for (key, expected) in [("format", "\"clip-audit-overlay\""), ("version", "1")] {
        if !settings.get(key).is_some_and(|value| equal(value, expected)) {
            return Err(vec![format!("{key} is {}, this program reads {expected}", said(key))]);
        }
    }
    let unknown = root.keys().filter(|key| !KEYS.contains(&key.as_str()));
    let mut problems: Vec<String> =
        unknown.map(|key| format!("{key:?} is no key of an overlay; its keys are {}", KEYS.join(", "))).collect();
    let base = match settings.get("base").and_then(Value::as_str).map(|base| (base, misplaced(base))) {
        Some((base, None)) => base.trim_end_matches('/').to_owned(),
        Some((_, Some(problem))) => {
            problems.push(format!("base is {}: {problem}", said("base")));
            String::new()
        }
        None => {
            problems.push(format!("base is {}, expected the path of the base's folder", said("base")));
            String::new()
        }
    };
    let fingerprint = settings.get("base_fingerprint").and_then(Value::as_str).map(checkpoint::sha256);
    let fingerprint = match fingerprint {
        Some(Ok(fingerprint)) => fingerprint,
        _ => {
            let found = said("base_fingerprint");
            problems
                .push(format!("base_fingerprint is {found}, expected the 64 digits that `inspect` prints of the base"));
            String::new()
        }
    };
    settings.problems.extend(problems);
    if settings.problems.is_empty() { Ok(Bound { base, fingerprint }) } else { Err(settings.problems) }
}

/// Why a base cannot stand where an overlay says.
fn misplaced(base: &str) -> Option<&'static str> {
    if base.trim().is_empty() {
        Some("it is empty; expected the path of the base's folder")
    } else if base.contains("://") {
        Some("a base stands on this machine; expected a path relative to the overlay's folder")
    } else if Path::new(base).has_root() {
        Some("it is absolute; expected a path relative to the overlay's folder")
    } else {
        None
    }
}

/// The changed tensors.
fn load(weights: &Rc<Blob>) -> Result<Tensors, Vec<String>> {
    let saved = weights::read(weights)?;
    let changed = Tensors::load(&saved.entries).map_err(|problems| of_file(WEIGHTS, problems))?;
    match changed.count() {
        (0, _) => {
            Err(vec![format!("{WEIGHTS}: holds no tensors of weights, so there is nothing to lay over the base")])
        }
        _ => Ok(changed),
    }
}

/// A checkpoint of another format.
struct Base {
    folder: PathBuf,
    format: &'static Format,
    /// Where it stands and what it is.
    about: String,
}

impl Base {
    /// # Errors
    /// When there is none, it lies outside the folder that must not be left, or it is an overlay.
    fn find(overlay: &Path, base: &str, inside: Option<&Path>) -> Result<Self, String> {
        let folder = overlay.join(base);
        let failed = |error: std::io::Error| format!("base: {}: {error}", folder.display());
        let place = fs::canonicalize(&folder).map_err(failed)?;
        if let Some(inside) = inside
            && !place.starts_with(fs::canonicalize(inside).map_err(failed)?)
        {
            return Err(format!(
                "base: {base} lies outside the folder that a suite or a repository may read from; copy it inside, or give \
                 the overlay's folder with --model"
            ));
        }
        if !place.is_dir() {
            return Err(format!("base: {} is a file, expected the folder of a checkpoint", folder.display()));
        }
        let Some(format) = FORMATS.iter().find(|format| (format.detects)(&folder)) else {
            return Err(format!("base: {}: {}", folder.display(), checkpoint::unknown(&folder)));
        };
        if format.kind.name == FORMAT.kind.name {
            let folder = folder.display();
            return Err(format!("base: {folder} is an overlay itself: an overlay lies over a whole checkpoint only"));
        }
        // Links lead elsewhere than the names say; what was read must still be found.
        let said = std::path::absolute(overlay).map_err(failed)?.join(base);
        let led = if plain(&said) == place { String::new() } else { format!(", by its links {}", place.display()) };
        let about = format!("{base}{led} ({})", format.kind.name);
        Ok(Self { folder, format, about })
    }
}

/// An absolute path without `.` and `..`, by its names alone.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(plain.pop()),
            other => plain.push(other),
        }
    }
    plain
}

/// Lays the changed tensors over the base's, if the base is the one that is meant; with a line about what changed.
fn merge(base: Tensors, changed: Tensors, bound: &Bound) -> Result<(Tensors, String), Vec<String>> {
    let found = base.fingerprint().map_err(|error| one(error.to_string()))?.0;
    let meant = &bound.fingerprint;
    if found != *meant {
        return Err(vec![format!(
            "the base {} has the fingerprint {found}, {DECLARATION} is bound to {meant}: the overlay was made over other \
             weights; put the checkpoint with that fingerprint there, or make the overlay anew over this one",
            bound.base
        )]);
    }
    let given = changed.count().0;
    let (tensors, differing) = base.overlaid(changed).map_err(|problems| of_file(WEIGHTS, problems))?;
    let mut fact = format!("{} of {} tensors differ from the base", differing.len(), tensors.count().0);
    if !differing.is_empty() {
        fact += &format!(": {}", briefly(&differing));
    }
    if given > differing.len() {
        fact += &format!("; {} more given, equal to the base's", given - differing.len());
    }
    Ok((tensors, fact))
}

/// Names of tensors by the part of the model they stand in (`visual.layer4 (12)`), in their order.
fn briefly(names: &[String]) -> String {
    let mut parts: Vec<(&str, &str, usize)> = Vec::new();
    for name in names {
        match parts.last_mut().filter(|(part, ..)| *part == part_of(name)) {
            Some((.., count)) => *count += 1,
            None => parts.push((part_of(name), name, 1)),
        }
    }
    let more = parts.len().saturating_sub(NAMED);
    let shown = parts.iter().take(NAMED).map(|(part, name, count)| match count {
        1 => (*name).to_owned(),
        count => format!("{part} ({count})"),
    });
    let mut shown: Vec<String> = shown.collect();
    if more > 0 {
        shown.push(format!("and {more} more parts"));
    }
    shown.join(", ")
}

/// A block of a transformer, otherwise the first two parts of a name.
fn part_of(name: &str) -> &str {
    let start = name.find("resblocks.").map_or(0, |place| place + "resblocks.".len());
    let count = if start > 0 { 1 } else { 2 };
    let end = name[start..].match_indices('.').nth(count - 1).map_or(name.len(), |(place, _)| start + place);
    &name[..end]
}
