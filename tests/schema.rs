//! The JSON Schema that editors are given, against the reader of suites: what the reader takes the schema takes, and what
//! it refuses the schema refuses, but for the rules listed here that a schema cannot tell.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clip_audit::suite::{read, schema};
use jsonschema::Validator;
use serde_json::Value as Json;

/// Bad suites that break a rule no JSON Schema can tell, each with that rule.
const BEYOND: &[(&str, &str)] = &[
    // The text of the file, before there are values.
    ("control-character", "no control characters"),
    ("duplicate-keys", "every key once"),
    ("flow-key", "keys are plain text"),
    ("keys-not-text", "keys are text, not numbers"),
    ("malformed", "YAML"),
    ("not-utf8", "UTF-8"),
    ("nul", "no NUL"),
    ("self-alias", "no anchors and aliases"),
    ("tab", "no tabs in the indentation"),
    ("two-documents", "one document"),
    ("unclosed-quote", "YAML"),
    ("unknown-alias", "no anchors and aliases"),
    // What entries say of each other.
    ("ambiguous-readout", "a gate names its readout where there are several"),
    ("circle", "sets are not made from each other in a circle"),
    ("itself", "a set is not made from itself"),
    ("no-readout", "a measure of predictions needs a readout"),
    ("references", "names refer to entries that exist"),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The suites directly in a folder by name, sorted; never none.
fn suites(folder: &str) -> BTreeMap<String, Vec<u8>> {
    let paths = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let yaml = paths.filter(|path| path.extension().is_some_and(|end| end == "yaml"));
    let name = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let found: BTreeMap<String, Vec<u8>> = yaml.map(|path| (name(&path), fs::read(&path).unwrap())).collect();
    assert!(!found.is_empty(), "no suites in {folder}");
    found
}

fn validator() -> Validator {
    jsonschema::options().should_validate_formats(true).build(&schema()).unwrap()
}

/// The values of a suite as an editor sees them: aliases resolved, tags ignored; none where the text gives no values.
fn values(bytes: &[u8]) -> Option<Json> {
    let text = std::str::from_utf8(bytes).ok()?.trim_start_matches('\u{feff}');
    let value: serde_yaml::Value = serde_yaml::from_str(text).ok()?;
    serde_json::to_value(value).ok()
}

fn faults(validator: &Validator, values: &Json) -> Vec<String> {
    validator.iter_errors(values).map(|fault| format!("{}: {fault}", fault.instance_path())).collect()
}

#[test]
fn what_the_reader_takes_the_schema_takes() {
    let validator = validator();
    for folder in ["suites", "src/cli/init", "tests/suites/good", "tests/suites/unplannable"] {
        for (name, bytes) in suites(folder) {
            read(&name, &bytes).unwrap_or_else(|error| panic!("{folder}/{name}: {}", error.render()));
            let values = values(&bytes).unwrap_or_else(|| panic!("{folder}/{name} has no values"));
            assert_eq!(faults(&validator, &values), Vec::<String>::new(), "{folder}/{name}");
        }
    }
}

#[test]
fn what_the_reader_refuses_the_schema_refuses() {
    let validator = validator();
    let mut taken = Vec::new();
    for (name, bytes) in suites("tests/suites/bad") {
        assert!(read(&name, &bytes).is_err(), "{name} is a good suite");
        if values(&bytes).is_none_or(|values| validator.is_valid(&values)) {
            taken.push(name);
        }
    }
    let mut listed: Vec<&str> = BEYOND.iter().map(|(name, _)| *name).collect();
    listed.sort_unstable();
    assert_eq!(taken, listed, "left: bad suites the schema does not refuse; right: those listed");
}

/// Rules that stand beside others in the bad suites, one by one: a change of a good suite, and where the schema minds it.
#[test]
fn each_rule_is_told_on_its_own() {
    let validator = validator();
    let good: Json = values(&suites("tests/suites/good")["full"]).unwrap();
    assert!(validator.is_valid(&good));
    let typographic = "/probes/1/generate/typographic";
    let rows: &[(&str, Json)] = &[
        ("/schema", 2.into()),
        ("/name", " ".into()),
        ("/seed", (-1).into()),
        ("/model/use", "".into()),
        ("/readouts/0/id", "ZS".into()),
        ("/readouts/0/read/zero-shot/labels", serde_json::json!(["one"])),
        ("/readouts/0/read/zero-shot/labels", serde_json::json!(["dog", "dog"])),
        ("/readouts/0/read/zero-shot/labels/0", " dog".into()),
        ("/readouts/0/read/zero-shot/templates/0", "a photo".into()),
        ("/readouts/0/read/zero-shot/templates/0", "{} and {}".into()),
        ("/readouts/0/read", serde_json::json!({})),
        ("/probes", serde_json::json!([])),
        ("/probes/0/generate/typographic/words/per-base", 0.into()),
        (&format!("{typographic}/size/0"), 0.0.into()),
        (&format!("{typographic}/size"), 2.into()),
        (&format!("{typographic}/size"), serde_json::json!([])),
        (&format!("{typographic}/size"), serde_json::json!([0.1, 0.1])),
        (&format!("{typographic}/opacity"), 0.into()),
        (&format!("{typographic}/rotation/1"), 181.into()),
        (&format!("{typographic}/rows"), 17.into()),
        (&format!("{typographic}/layout/0"), "seven".into()),
        (&format!("{typographic}/colour"), "purpel".into()),
        (&format!("{typographic}/words/0/text"), " dog".into()),
        (&format!("{typographic}/words/0/text"), "x".repeat(65).into()),
        ("/probes/2/generate/manifest/canvas", 2000.into()),
        ("/probes/2/generate/manifest/file", "".into()),
        ("/measures/0/compute/accuracy/by", serde_json::json!(["label", "label"])),
        ("/measures/0/compute", serde_json::json!({"harm-rate": {"set": "clean", "labels": []}})),
        ("/measures/0/compute", serde_json::json!({"harm-rate": {"set": "clean", "labels": ["dog", "dog"]}})),
        ("/gates/0/severity", "hgih".into()),
        ("/gates/0/min", 0.5.into()),
        ("/gates/0/id", "Limit".into()),
        ("/waivers/0/until", "2026-02-30".into()),
        ("/waivers/0/owner", " ".into()),
        ("/quarantine/max", 1.5.into()),
        ("/thumbnails", "ful".into()),
    ];
    for (pointer, value) in rows {
        let mut changed = good.clone();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        match changed.pointer_mut(parent).unwrap_or_else(|| panic!("{parent} is not there")) {
            Json::Object(object) => drop(object.insert(key.to_owned(), value.clone())),
            Json::Array(items) => items[key.parse::<usize>().unwrap()] = value.clone(),
            other => panic!("{parent} is {other}"),
        }
        let faults: Vec<String> =
            validator.iter_errors(&changed).map(|fault| fault.instance_path().to_string()).collect();
        let near = |fault: &String| pointer.starts_with(fault.as_str()) || fault.starts_with(parent);
        assert!(!faults.is_empty() && faults.iter().all(near), "{pointer} = {value}: {faults:?}");
        let text = serde_json::to_string(&changed).unwrap();
        assert!(read("changed", text.as_bytes()).is_err(), "{pointer} = {value} is read");
    }
}

/// The copy that the shipped suites name in their first line.
#[test]
fn the_copy_beside_the_suites_is_current_and_named_by_each() {
    let copy = fs::read_to_string(root().join("suites/suite.schema.json")).unwrap();
    let current = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    assert!(copy == current, "renew it: clip-audit schema --out suites/suite.schema.json");
    for (name, bytes) in suites("suites") {
        let first = String::from_utf8(bytes).unwrap().lines().next().unwrap().to_owned();
        assert_eq!(first, "# yaml-language-server: $schema=suite.schema.json", "{name}");
    }
}
