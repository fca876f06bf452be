//! The import rules of ARCHITECTURE.md, held against the sources.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Which rooms a room may use. ARCHITECTURE.md shows the same table.
const MAY_USE: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("stats", &["types"]),
    ("pixels", &["types"]),
    ("probe", &["types", "pixels"]),
    ("model", &["types", "pixels"]),
    ("observe", &["types", "probe", "model"]),
    ("measure", &["types", "stats"]),
    ("gate", &["types", "stats"]),
    ("suite", &["types", "probe", "model", "measure", "gate"]),
    ("audit", &["types", "stats", "pixels", "probe", "model", "observe", "measure", "gate", "suite"]),
    ("report", &["types"]),
    ("sheet", &["types", "pixels", "probe"]),
    (
        "cli",
        &[
            "types", "stats", "pixels", "probe", "model", "observe", "measure", "gate", "suite", "audit", "report",
            "sheet",
        ],
    ),
];

/// Crates that one room alone may name.
const NAMED_ONLY_IN: &[(&str, &str)] = &[
    ("tch", "model/"),
    ("rusttype", "probe/"),
    ("serde_yaml", "suite/"),
    ("minijinja", "report/"),
    ("statrs", "stats/"),
    ("arrow_array", "types/observations.rs"),
    ("arrow_schema", "types/observations.rs"),
    ("arrow_ipc", "types/observations.rs"),
    ("anyhow", "cli/"),
    ("indicatif", "cli/"),
    ("clap", "cli/"),
];

fn sources(folder: &Path, found: &mut BTreeMap<PathBuf, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.insert(path.clone(), fs::read_to_string(&path).unwrap());
        }
    }
}

fn house() -> BTreeMap<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeMap::new();
    sources(&root, &mut found);
    assert!(found.len() > 20, "the sources were not found below {}", root.display());
    found.into_iter().map(|(path, text)| (path.strip_prefix(&root).unwrap().to_owned(), text)).collect()
}

fn room(path: &Path) -> String {
    let first = path.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// Code without its comments, where a room may be spoken of freely.
fn code(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
}

/// The rooms a text imports: what follows `crate::`, alone or in braces.
fn uses(text: &str) -> Vec<String> {
    let code = code(text);
    let mut rooms = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let names: Vec<&str> = match rest.strip_prefix('{') {
            None => vec![rest],
            Some(list) => list.split('}').next().unwrap().split(',').map(str::trim).collect(),
        };
        for name in names {
            rooms.push(name.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap().to_owned());
        }
    }
    rooms
}

#[test]
fn no_import_runs_upward() {
    for (path, text) in house() {
        let room = room(&path);
        if room == "lib" || room == "main" {
            continue;
        }
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == room) else {
            panic!("{} stands in no room that the table knows", path.display());
        };
        for used in uses(&text) {
            let is_room = MAY_USE.iter().any(|(name, _)| *name == used);
            assert!(
                !is_room || used == room || allowed.contains(&used.as_str()),
                "{} uses {used}; {room} may use {allowed:?}",
                path.display()
            );
        }
    }
}

#[test]
fn crates_stay_in_their_rooms() {
    for (path, text) in house() {
        let code = code(&text);
        for (name, place) in NAMED_ONLY_IN {
            let mentioned = code.match_indices(name).any(|(at, _)| {
                let before = code[..at].chars().next_back();
                let after = code[at + name.len()..].starts_with("::");
                after
                    && before
                        .is_none_or(|character| !(character.is_alphanumeric() || character == '_' || character == ':'))
            });
            let here = path.to_str().unwrap();
            assert!(!mentioned || here.starts_with(place), "{here} names {name}, which belongs to {place}");
        }
    }
}

#[test]
fn only_the_command_line_prints_or_exits() {
    for (path, text) in house() {
        let here = path.to_str().unwrap();
        if here.starts_with("cli/") || here == "main.rs" {
            continue;
        }
        let code = code(&text);
        for word in ["println!", "eprintln!", "print!(", "process::exit", "env::var", "env::args"] {
            assert!(!code.contains(word), "{here} contains {word}; only cli/ prints, reads the environment or exits");
        }
    }
}

#[test]
fn the_architecture_document_shows_the_same_rooms() {
    let document = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md")).unwrap();
    assert!(document.lines().count() <= 200, "ARCHITECTURE.md has more than 200 lines");
    for (room, allowed) in MAY_USE {
        let row = document
            .lines()
            .find(|line| line.starts_with(&format!("| `{room}/` |")) || line.starts_with(&format!("| `{room}` |")));
        let row = row.unwrap_or_else(|| panic!("ARCHITECTURE.md has no row for {room}"));
        let last = row.trim_end_matches('|').rsplit('|').next().unwrap().trim().to_owned();
        let shown: Vec<&str> = if last == "nothing of ours" { vec![] } else { last.split_whitespace().collect() };
        let below: Vec<&str> = MAY_USE.iter().map(|(name, _)| *name).take_while(|name| name != room).collect();
        match last.as_str() {
            "all above" => assert!(below.iter().all(|name| allowed.contains(name) || *name == "report"), "{room}"),
            _ => assert_eq!(&shown, allowed, "{room}"),
        }
    }
}

#[test]
fn unsafe_code_stands_in_one_place() {
    let places: Vec<PathBuf> = house()
        .into_iter()
        .filter(|(_, text)| code(text).contains("unsafe {") || code(text).contains("unsafe fn"))
        .map(|(path, _)| path)
        .collect();
    assert_eq!(places, [PathBuf::from("model/device.rs")], "unsafe code stands where the CUDA library is opened, only");
}
