//! Suites: whatever the bytes are, a suite or a list of problems that says something; and what was read can be planned.
#![no_main]

use clip_audit::probe::Files;
use clip_audit::suite::{plan, read};
use libfuzzer_sys::fuzz_target;

/// A manifest under the names that the seeds use. There are no pictures: planning reads none.
const LIST: &[u8] = b"path,label,maker\na.png,dog,noto\nb.png,apple,twemoji\nc.png,dog,twemoji\n";
const FILES: &[(&str, &[u8])] = &[("data/objects/manifest.csv", LIST), ("p.csv", LIST), ("pictures.csv", LIST)];

fuzz_target!(|bytes: &[u8]| {
    match read("suite.yaml", bytes) {
        Err(problems) => assert!(problems.to_string().starts_with("suite.yaml:")),
        Ok(suite) => match plan(&suite, &Files::Embedded(FILES), 64) {
            Err(problems) => assert!(!problems.to_string().is_empty()),
            Ok(planned) => assert!(!planned.plans.is_empty()),
        },
    }
});
