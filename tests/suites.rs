//! Suites that must be read, and those that must be refused with the place and the remedy. A test is added by adding a
//! file: `suites/good/NAME.yaml` is read without a problem; `suites/bad/NAME.yaml` is refused with the problems in the
//! snapshot beside it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clip_audit::probe::Files;
use clip_audit::suite::{PlanError, Suite, SuiteError, Thumbnails, plan, read, schema};
use proptest::prelude::*;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suites").join(name)
}

/// The suites of a folder: file name and contents, sorted. Never none.
fn suites(name: &str) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder(name)).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|one| one == "yaml")).collect();
    paths.sort();
    assert!(!paths.is_empty(), "no suites in {name}");
    let file_name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    paths.iter().map(|path| (file_name(path), fs::read(path).unwrap())).collect()
}

fn good(name: &str) -> Suite {
    read(name, &fs::read(folder("good").join(name)).unwrap()).unwrap()
}

fn refused(text: &str) -> SuiteError {
    read("suite.yaml", text.as_bytes()).unwrap_err()
}

#[test]
fn good_suites_are_read() {
    for (name, bytes) in suites("good") {
        if let Err(error) = read(&name, &bytes) {
            panic!("{}", error.render());
        }
    }
}

#[test]
fn bad_suites_are_refused() {
    insta::with_settings!({ snapshot_path => folder("bad"), prepend_module_to_snapshot => false, omit_expression => true }, {
        for (name, bytes) in suites("bad") {
            let error = read(&name, &bytes).expect_err(&name);
            insta::assert_snapshot!(name.trim_end_matches(".yaml"), error.render());
        }
    });
}

#[test]
fn problems_are_one_line_each_without_the_snippet() {
    let error = refused("schema: 1\nname: x\nmodel: { use: reference }\nprobes: 5\nseed: many\n");
    assert_eq!(
        error.to_string(),
        "suite.yaml:4:9: probes: expected a list, found the number 5; one value is a list in brackets: `[...]`\n\
         suite.yaml:5:7: seed: expected a whole number, found the text `many`"
    );
}

#[test]
fn values_left_out_have_their_defaults() {
    let suite = good("smallest.yaml");
    assert_eq!((suite.schema, suite.seed, suite.quarantine.max), (1, 0, 0.01));
    assert_eq!((suite.thumbnails, suite.system.facts()), (None, vec![]));
    assert!(suite.readouts.is_empty() && suite.measures.is_empty() && suite.gates.is_empty());
    let bytes = fs::read(folder("good").join("smallest.yaml")).unwrap();
    assert_eq!(suite.text.as_bytes(), bytes);
    let output = std::process::Command::new("sha256sum").arg(folder("good").join("smallest.yaml")).output().unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().starts_with(&suite.sha256));
}

#[test]
fn everything_given_is_read() {
    let suite = good("full.yaml");
    assert_eq!(suite.seed, u64::MAX);
    assert_eq!(suite.description.as_deref(), Some("More than one line\nis fine here.\n"));
    assert_eq!(suite.readouts[0].read.labels(), ["poodle", "dog", "money bag", "no", "1", "Übung", "象"]);
    let ids: Vec<&str> = suite.probes.iter().map(|entry| entry.id.as_str()).collect();
    assert_eq!(ids, ["from-labels", "attack", "clean"]);
    assert_eq!(suite.waivers[0].until.to_string(), "2030-12-31");
    assert_eq!((suite.quarantine.max, suite.thumbnails), (0.0, Some(Thumbnails::Blurred)));
    assert_eq!(suite.gates.len(), 2);
}

#[test]
fn line_ends_and_a_byte_order_mark_change_nothing() {
    let suite = good("windows.yaml");
    assert!(suite.text.starts_with("schema: 1\r\n"));
    assert_eq!(suite.gates[0].max, Some(0.1));
}

#[test]
fn groups_that_look_alike_are_noted() {
    let suite = |csv: &str| {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("list.csv"), csv).unwrap();
        let text = "schema: 1\nname: x\nmodel: { use: reference }\nprobes:\n  - { id: clean, generate: { manifest: { file: list.csv } } }\n  \
             - { id: attack, generate: { typographic: { base: clean, words: [{ text: iPod, target: iPod }] } } }\n";
        let suite = read("suite.yaml", text.as_bytes()).unwrap();
        let planned = plan(&suite, &Files::folder(folder.path()).unwrap(), 64).unwrap();
        planned.notes.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let place = "5:28: probes[0].generate: values of";
    let rule = "that differ only in case, spaces or Unicode form are counted apart:";
    let csv = "path,label,maker,cluster\na.png,dog,Noto,one\nb.png,dog,noto,One\nc.png,caf\u{e9},x  y,two\nd.png,cafe\u{301},x y,three\n";
    assert_eq!(
        suite(csv),
        [
            format!("{place} `cluster` {rule} `One` and `one`"),
            format!("{place} `label` {rule} `cafe\u{301}` and `caf\u{e9}`"),
            format!("{place} `maker` {rule} `Noto` and `noto` (and 1 more of this kind)"),
        ]
    );
    // Files are told apart by their system; a picture that is its own cluster has its path for a name.
    assert_eq!(suite("path,label,maker\na.png,dog,noto\nA.png,cat,no to\n"), Vec::<String>::new());
}

#[test]
fn what_has_no_effect_is_noted() {
    let notes: Vec<String> = good("notes.yaml").notes.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(notes.join("\n"), @r"
    9:11: probes[2].id: nothing measures the probe set `idle`
    14:69: gates[0].max: `accuracy` is worse when lower, and `max` lets that pass; is `min` meant?
    15:27: gates[1].measure: a model that recognises little cannot be misled, so passing would say little: add a gate `min` on the accuracy of `clean`
    16:20: quarantine.max: 50 % of a set may be unusable and the audit still passes
    ");
}

#[test]
fn bombs_are_refused_at_once() {
    let mut billion = String::from("a0: &a0 [x]\n");
    for level in 1..60 {
        let below = format!("*a{}, ", level - 1).repeat(10);
        billion += &format!("a{level}: &a{level} [{below}]\n");
    }
    let fill = |unit: &str| unit.repeat((1 << 20) / unit.len());
    let bombs = [
        ("alias amplification", billion),
        ("anchors", format!("a: &a {}\nb: [{}]", "x".repeat(1000), "*a,".repeat(340_000))),
        ("too large", "#".repeat((1 << 20) + 1)),
        ("flow lists", fill("[")),
        ("flow mappings", fill("{a: ")),
        ("block lists", fill("- ")),
        ("block mappings", (0..1400).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect()),
        ("explicit keys", fill("? ")),
        ("many values", format!("probes: [{}]", "1,".repeat(520_000))),
        ("many problems", format!("probes: [{}]", "&a 1,".repeat(200_000))),
        ("many keys", (0..90_000).map(|key| format!("k{key}: 1\n")).collect()),
        ("one key many times", fill("k: 1\n")),
        (
            "many entries",
            format!(
                "schema: 1\nname: x\nmodel: {{use: a}}\nprobes:\n{}",
                "  - {id: a, generate: {manifest: {file: a}}}\n".repeat(20_000)
            ),
        ),
        ("long plain text", format!("name: {}", fill("a ").trim())),
        ("long lines of text", format!("name: >\n{}", "  word\n".repeat(149_000))),
        ("long quoted text", format!("name: \"{}\"", "\\n".repeat(520_000))),
        ("comments", fill("# x\n")),
        ("blank lines", fill("\n")),
        ("invisible characters", fill("\u{202e}\n")),
        ("control characters", fill("\u{1}")),
        ("tabs", fill("\t\n")),
        ("quotes", fill("\"")),
        ("documents", fill("---\n")),
        ("colons", fill(": ")),
        ("digits", format!("seed: {}", fill("9"))),
    ];
    for (name, text) in bombs {
        let text = if name == "too large" { text } else { text.chars().take(1 << 20).collect() };
        let start = Instant::now();
        let error = refused(&text);
        let shown = error.render();
        let took = start.elapsed();
        assert!(took < Duration::from_secs(5), "{name} took {took:?}");
        assert!(error.problems.len() <= 100 && shown.len() < 100_000, "{name}: {} bytes", shown.len());
    }
}

/// Pieces that mean something to YAML, so that random texts get past the first line.
const PIECES: [&str; 40] = [
    "schema: 1\n",
    "name: x\n",
    "probes:\n",
    "  - ",
    "id: a",
    "{",
    "}",
    "[",
    "]",
    ",",
    ": ",
    ":",
    "\n",
    "\n  ",
    " ",
    "- ",
    "\"",
    "'",
    "|\n",
    ">-\n",
    "&a ",
    "*a",
    "!t ",
    "!!int ",
    "<<: ",
    "? ",
    "#",
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "~",
    ".nan",
    "0x1F",
    "-1e9",
    "\t",
    "\r\n",
    "\u{feff}",
    "é",
    "\\",
    "@`",
];

fn no_panic(bytes: &[u8]) {
    if let Err(error) = read("x", bytes) {
        assert!(!error.problems.is_empty());
        assert!(error.problems.iter().all(|problem| problem.line > 0 && problem.column > 0), "{error}");
        let shown = error.render() + &error.to_string();
        assert!(!shown.contains(|one: char| one.is_control() && one != '\n'), "{shown:?}");
    }
}

proptest! {
    // What fails is kept as a suite in `suites/bad`, not as a seed.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        no_panic(&bytes);
    }

    #[test]
    fn arbitrary_yaml_never_panics(pieces in proptest::collection::vec(0..PIECES.len(), 0..40)) {
        let text: String = pieces.into_iter().map(|piece| PIECES[piece]).collect();
        no_panic(text.as_bytes());
    }

    #[test]
    fn mutated_suites_never_panic(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), 0..12_usize, 0..PIECES.len()), 1..6),
    ) {
        let mut bytes = fs::read(folder("good").join("full.yaml")).unwrap();
        for (place, removed, piece) in edits {
            let start = place.index(bytes.len());
            let end = (start + removed).min(bytes.len());
            bytes.splice(start..end, PIECES[piece].bytes());
        }
        no_panic(&bytes);
    }
}

/// The suites the program ships.
fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("suites")
}

#[test]
fn the_shipped_suite_plans_every_probe_with_its_twins() {
    let bytes = fs::read(shipped().join("typographic.yaml")).unwrap();
    let suite = read("typographic.yaml", &bytes).unwrap_or_else(|error| panic!("{}", error.render()));
    assert_eq!(suite.notes, []);
    let files = Files::folder(&shipped()).unwrap();
    let planned = plan(&suite, &files, 80).unwrap_or_else(|error| panic!("{error}"));
    let counts: Vec<(&str, usize, usize)> =
        planned.sets.iter().map(|set| (set.id.as_str(), set.range.len(), set.controls)).collect();
    // 146 pictures; two words of other labels, and one that is no picture's label; 4 sizes; as many controls.
    let words = 146 * 2 * 4;
    let dollars = 146 * 4;
    assert_eq!(counts, [("clean", 146, 0), ("words", words * 2, words), ("dollars", dollars * 2, dollars)]);
    assert_eq!(planned.plans.len(), planned.sets.last().unwrap().range.end);
    let (again, other) = (plan(&suite, &files, 80).unwrap(), plan(&suite, &files, 224).unwrap());
    assert!(planned.plans == again.plans && planned.plans[0].id != other.plans[0].id);
}

/// Suites that are right on their own, and do not fit the files and probes they name: exit code 2 where the suite must
/// be mended, 3 where the files must.
#[test]
fn suites_that_do_not_fit_their_files_are_refused() {
    let files = Files::folder(&folder("unplannable")).unwrap();
    insta::with_settings!({ snapshot_path => folder("unplannable"), prepend_module_to_snapshot => false, omit_expression => true }, {
        for (name, bytes) in suites("unplannable") {
            let suite = read(&name, &bytes).unwrap_or_else(|error| panic!("{}", error.render()));
            let shown = match plan(&suite, &files, 80).expect_err(&name) {
                PlanError::Suite(error) => format!("exit code 2\n{}", error.render()),
                inputs @ PlanError::Inputs { .. } => format!("exit code 3\n{inputs}"),
            };
            insta::assert_snapshot!(name.trim_end_matches(".yaml"), shown);
        }
    });
}

/// The sets of `full.yaml` stand before the one they are made from.
#[test]
fn sets_are_planned_after_those_they_use() {
    let text = fs::read_to_string(folder("good").join("full.yaml")).unwrap();
    let text =
        text.replace("file: data/objects.csv", "file: objects.csv").replace("rendition: twemoji", "style: photo");
    let text = text
        .replace("{ label: class, cluster: subject }", "{}")
        .replace(", class: [", ", label: [")
        .replace(", 象", "");
    let suite = read("full.yaml", text.as_bytes()).unwrap_or_else(|error| panic!("{}", error.render()));
    let planned = plan(&suite, &Files::folder(&folder("unplannable")).unwrap(), 80).unwrap();
    let ids: Vec<&str> = planned.sets.iter().map(|set| set.id.as_str()).collect();
    assert_eq!(ids, ["clean", "from-labels", "attack"]);
    for set in &planned.sets {
        let plans = &planned.plans[set.range.clone()];
        assert!(plans.iter().all(|plan| *plan.set == *set.id || *plan.set == *format!("{}.control", set.id)));
        assert_eq!(plans.iter().filter(|plan| *plan.set != *set.id).count(), set.controls);
    }
}

/// What editors and other programs are told of the format is what this program holds to.
#[test]
fn the_schema_describes_and_closes_every_mapping() {
    fn walk(path: &str, schema: &serde_json::Value, faults: &mut Vec<String>) {
        let Some(object) = schema.as_object() else { return };
        if let Some(properties) = object.get("properties").and_then(|one| one.as_object()) {
            let closed = object.get("additionalProperties") == Some(&false.into());
            faults.extend((!closed).then(|| format!("{path} is open")));
            for (name, property) in properties {
                let kind = properties.len() == 1 && object.get("description").is_some();
                let described = property.get("description").is_some() || kind;
                faults.extend((!described).then(|| format!("{path}.{name} has no description")));
            }
        }
        if object.get("type").is_some_and(|kind| kind.is_array() || kind == "null") {
            faults.push(format!("{path} may be null"));
        }
        for (key, below) in object {
            match below {
                serde_json::Value::Array(items) => {
                    items.iter().for_each(|item| walk(&format!("{path}/{key}"), item, faults))
                }
                below => walk(&format!("{path}/{key}"), below, faults),
            }
        }
    }
    let mut faults = Vec::new();
    walk("", &schema(), &mut faults);
    assert_eq!(faults, Vec::<String>::new());
    let required: Vec<String> = serde_json::from_value(schema()["required"].clone()).unwrap();
    assert_eq!(required, ["schema", "name", "model", "probes"]);
}
