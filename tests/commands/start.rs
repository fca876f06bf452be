//! The commands somebody meets first: `init`, `list`, `schema`, `completions`.

use std::fs;
use std::process::Command;

use serde_json::Value as Json;

use super::place::{self, Place, Said};

/// The program in an empty folder.
fn say(folder: &tempfile::TempDir, arguments: &[&str]) -> Said {
    place::finish(place::program(folder.path()).args(arguments).spawn().unwrap())
}

fn names(folder: &std::path::Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_init_writes_is_right_at_once() {
    for (template, file, probes) in
        [("typographic", "audit/mine.yaml", 24 + 2 * 2 * (12 * 3 - 2) * 2), ("manifest", "mine.yaml", 24)]
    {
        let folder = tempfile::tempdir().unwrap();
        let said = say(&folder, &["init", file, "--template", template]);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
        let path = folder.path().join(file);
        assert_eq!(names(path.parent().unwrap()), ["mine.yaml", "pictures", "pictures.csv", "suite.schema.json"]);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# yaml-language-server: $schema=suite.schema.json\n"), "{text}");
        assert!(text.contains("clip-audit run     mine.yaml") && !text.contains("NAME.yaml"), "{text}");
        // No picture of the list is missing from the program.
        for name in names(&path.parent().unwrap().join("pictures")) {
            assert!(fs::metadata(path.parent().unwrap().join("pictures").join(&name)).unwrap().len() > 100, "{name}");
        }
        let said = say(&folder, &["check", file, "--threads", "1"]);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
        assert!(!said.out.contains("note: ") && said.out.contains(&format!("{probes} probes")), "{said:?}");
    }
}

#[test]
fn what_init_writes_can_be_run() {
    let folder = tempfile::tempdir().unwrap();
    say(&folder, &["init"]);
    let said = say(&folder, &["run", "suite.yaml", "--threads", "1", "--out", "out"]);
    // The reference model sees the drawings and is misled by words.
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.contains("pass         recognises-enough"), "{said:?}");
    assert!(said.out.contains("FAIL         not-misled"), "{said:?}");
}

#[test]
fn init_overwrites_nothing() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("pictures.csv"), "mine").unwrap();
    let said = say(&folder, &["init"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.first_error().starts_with("clip-audit: pictures.csv: exists, and nothing is overwritten"), "{said:?}");
    assert_eq!(names(folder.path()), ["pictures.csv"]);
    // What is advised works, also where the first advice was taken already.
    for advised in ["audit/suite.yaml", "audit-2/suite.yaml"] {
        let said = say(&folder, &["init"]);
        assert!(said.first_error().ends_with(&format!("another folder: clip-audit init {advised}")), "{said:?}");
        assert_eq!(say(&folder, &["init", advised]).code, Some(0));
        let said = say(&folder, &["init", "audit/suite.yaml"]);
        assert!(said.first_error().ends_with("another folder: clip-audit init audit/audit/suite.yaml"), "{said:?}");
    }
    fs::remove_file(folder.path().join("pictures.csv")).unwrap();
    assert_eq!(say(&folder, &["init"]).code, Some(0));
    let before = fs::read(folder.path().join("suite.yaml")).unwrap();
    let said = say(&folder, &["init", "--template", "manifest"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert_eq!(fs::read(folder.path().join("suite.yaml")).unwrap(), before);
    for name in ["/", ".", "a/.."] {
        assert_eq!(say(&folder, &["init", name]).code, Some(2), "{name}");
    }
    fs::write(folder.path().join("file"), "in the way").unwrap();
    let said = say(&folder, &["init", "file/suite.yaml"]);
    assert_eq!(said.code, Some(5), "{said:?}");
}

#[test]
fn lists_name_everything_that_can_be_named() {
    let place = Place::new();
    let said = place.say(&["list", "--json"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let lists: Json = serde_json::from_str(&said.out).unwrap();
    let names = |list: &str| -> Vec<String> {
        let entries = lists[list].as_array().unwrap_or_else(|| panic!("no list {list}"));
        assert!(entries.iter().all(|entry| entry["about"].as_str().is_some_and(|about| !about.is_empty())), "{list}");
        entries.iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
    };
    let has = |list: &str, wanted: &[&str]| {
        let names = names(list);
        assert!(wanted.iter().all(|name| names.iter().any(|one| one == name)), "{list}: {names:?}");
    };
    has("suites", &["typographic"]);
    has("models", &["reference"]);
    has("probes", &["manifest", "typographic"]);
    has("readouts", &["zero-shot"]);
    has("measures", &["accuracy", "attack-success", "accuracy-drop", "dose-response", "word-driven-units"]);
    has("formats", &["html", "json", "csv", "junit", "markdown"]);
    assert!(!names("checkpoints").is_empty());
    let text = place.say(&["list"]).out;
    for list in lists.as_object().unwrap().keys() {
        assert!(names(list).iter().all(|name| text.contains(&format!("  {name} "))), "{list}: {text}");
    }
}

#[test]
fn the_schema_is_the_library_s() {
    let folder = tempfile::tempdir().unwrap();
    let printed: Json = serde_json::from_str(&say(&folder, &["schema"]).out).unwrap();
    assert_eq!(printed, clip_audit::suite::schema());
    let said = say(&folder, &["schema", "--out", "suite.schema.json"]);
    assert_eq!((said.code, said.out.as_str()), (Some(0), "suite.schema.json\n"));
    let written: Json = serde_json::from_slice(&fs::read(folder.path().join("suite.schema.json")).unwrap()).unwrap();
    assert_eq!(written, printed);
    assert_eq!(say(&folder, &["schema", "--out", "nowhere/x"]).code, Some(5));
}

#[test]
fn completions_are_scripts_of_their_shells() {
    let folder = tempfile::tempdir().unwrap();
    for (shell, mark) in
        [("bash", "complete -F _clip__audit"), ("zsh", "#compdef clip-audit"), ("fish", "complete -c clip-audit")]
    {
        let said = say(&folder, &["completions", shell]);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{shell}");
        assert!(said.out.contains(mark), "{shell}: {}", said.out);
        for word in ["run", "check", "init", "model"] {
            assert!(said.out.contains(word), "{shell} does not know {word}");
        }
    }
    // bash reads its own, and completes with it.
    let script = say(&folder, &["completions", "bash"]).out;
    let line = "COMP_WORDS=(clip-audit inspe); COMP_CWORD=1; _clip__audit clip-audit inspe clip-audit; echo \"${COMPREPLY[@]}\"";
    let output = Command::new("bash").args(["-c", &format!("{script}\n{line}")]).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), "inspect");
    assert_eq!(say(&folder, &["completions", "tcsh"]).code, Some(2));
}
