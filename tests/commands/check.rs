//! `check`: what it counts, and what it says an audit will cost.

use std::fs;

use super::place::{LARGE, Place};

/// The line of this name.
fn line<'a>(out: &'a str, name: &str) -> &'a str {
    out.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no `{name}`: {out}"))
}

/// `about 12.3 MB` in bytes.
fn bytes(text: &str) -> f64 {
    let mut words = text.trim().strip_prefix("about ").unwrap().split([' ', ';', ':']);
    let number: f64 = words.next().unwrap().parse().unwrap();
    let unit = words.next().unwrap();
    number * [("kB", 1e3), ("MB", 1e6), ("GB", 1e9)].iter().find(|(name, _)| *name == unit).unwrap().1
}

#[test]
fn what_an_audit_costs_is_told_with_its_basis() {
    let place = Place::new();
    let said = place.say(&["check", "suite.yaml", "--threads", "1"]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    assert!(said.out.starts_with("clean: 14 probes\nattack: 14 probes\nattack.control: 14 probes\n"), "{said:?}");
    let time = line(&said.out, "time: ");
    // Nothing takes no time.
    assert!(time.starts_with("about ") && !time.contains(" 0.00 ms"), "{time}");
    let basis = line(&said.out, "  measured on 42 probes and ");
    assert!(basis.contains(" of 32 pictures on cpu, f32, with 1 thread; "), "{basis}");
    assert!(bytes(line(&said.out, "memory: ")) > 50e6);
    assert!(said.out.ends_with("small: ok, 42 probes, 2 measures, 1 gates\n"), "{said:?}");
    // Nothing was written.
    let mut names: Vec<String> =
        fs::read_dir(place.path(".")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["pictures", "pictures.csv", "suite.yaml"]);
    let said = place.say(&["check", "suite.yaml", "--threads", "1", "--fast"]);
    assert!(said.code == Some(0) && !said.out.contains("time: ") && said.out.contains("disk: "), "{said:?}");
}

#[test]
fn disk_is_what_a_run_writes_and_what_is_finished_is_found() {
    let place = Place::new();
    let units = "  - { id: units, compute: { word-driven-units: { clean: clean, attacked: attack } } }\n";
    for (changes, code) in [(vec![], 0), (vec![("gates:\n", &*format!("{units}gates:\n")), LARGE], 0)] {
        place.suite("suite.yaml", &changes);
        let out = if changes.is_empty() { "small" } else { "large" };
        let checked = place.say(&["check", "suite.yaml", "--threads", "1", "--fast", "--out", out]);
        assert!(!checked.out.contains("finished: "), "{checked:?}");
        place.audit("suite.yaml", out, code);
        let chunks = fs::read_dir(place.path(out).join("observations")).unwrap();
        let sizes = chunks.map(|entry| entry.unwrap().metadata().unwrap().len());
        let written = sizes.sum::<u64>() + fs::metadata(place.path(out).join("probes.arrow")).unwrap().len();
        let share = bytes(line(&checked.out, "disk: ")) / written as f64;
        assert!((0.9..1.1).contains(&share), "{out}: {share} of {written} bytes: {checked:?}");
    }
    let said = place.say(&["check", "suite.yaml", "--threads", "1", "--out", "large"]);
    assert_eq!(line(&said.out, "finished: "), "574 of 574 probes, which are not computed again");
    assert!(line(&said.out, "time: ").starts_with("about 0 s "), "{said:?}");
    // An edit of one set leaves the chunks of the others.
    place.edit("suite.yaml", "opacity: [0.7, 1]", "opacity: [0.8, 1]");
    let said = place.say(&["check", "suite.yaml", "--threads", "1", "--fast", "--out", "large"]);
    assert_eq!(line(&said.out, "finished: "), "14 of 574 probes, which are not computed again");
    // Another number of threads is another numerics profile.
    let said = place.say(&["check", "suite.yaml", "--threads", "2", "--fast", "--out", "large"]);
    assert!(said.code == Some(0) && !said.out.contains("finished: "), "{said:?}");
}

#[test]
fn inputs_that_cannot_be_used_are_told_before_the_run() {
    let place = Place::new();
    fs::write(place.path("pictures/noto-dog.png"), "no picture").unwrap();
    let said = place.say(&["check", "suite.yaml", "--threads", "1"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let note = "note: 3 of 42 probes that were tried cannot be used: pictures/noto-dog.png: not a PNG";
    assert!(said.out.contains(note), "{said:?}");
    for file in fs::read_dir(place.path("pictures")).unwrap() {
        fs::write(file.unwrap().path(), "").unwrap();
    }
    let said = place.say(&["check", "suite.yaml", "--threads", "1"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(line(&said.out, "time: "), "unknown, because no probe that was tried can be used");
}
