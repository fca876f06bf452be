//! The CI jobs of `examples/ci`: their command runs as it stands there, and writes every file that the job keeps or shows.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_yaml::Value;

use super::place;

/// Every string of a YAML value.
fn strings(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Sequence(items) => items.iter().for_each(|item| strings(item, found)),
        Value::Mapping(entries) => entries.values().for_each(|entry| strings(entry, found)),
        _ => {}
    }
}

#[test]
fn the_jobs_run_as_they_stand() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in ["github.yml", "gitlab.yml"] {
        let text = fs::read_to_string(root.join("examples/ci").join(name)).unwrap();
        let mut found = Vec::new();
        strings(&serde_yaml::from_str(&text).unwrap(), &mut found);
        let command = found.iter().find_map(|text| text.split_once(" run audit/suite.yaml")).unwrap().1.trim();

        let folder = tempfile::tempdir().unwrap();
        let say = |arguments: &[&str]| place::finish(place::program(folder.path()).args(arguments).spawn().unwrap());
        assert_eq!(say(&["init", "audit/suite.yaml"]).code, Some(0));
        fs::create_dir(folder.path().join("models")).unwrap();
        symlink(root.join("models/reference"), folder.path().join("models/candidate")).unwrap();
        let mut arguments = vec!["run", "audit/suite.yaml", "--threads", "1"];
        arguments.extend(command.split_whitespace());
        let said = say(&arguments);
        // The model that ships is misled by words, so the job is red.
        assert_eq!(said.code, Some(1), "{name}: {said:?}");

        let mut files: Vec<&str> = text.match_indices("report/").map(|(at, _)| &text[at..]).collect();
        files = files.into_iter().filter_map(|rest| rest.split([' ', '\n', ',', ']', '\'', '}', ')']).next()).collect();
        assert!(files.len() >= 4, "{name} keeps {files:?}");
        for file in files {
            assert!(folder.path().join(file).is_file(), "{name} names {file}, which was not written");
        }
        assert!(folder.path().join("observations").read_dir().unwrap().next().is_some(), "{name}: nothing to cache");
    }
}
