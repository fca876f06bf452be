//! Pictures that cannot be used: listed with the reason, counted against the suite's limit, never dropped in silence.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine;
use serde_json::Value;

use super::place::Place;

/// Files of tests/golden/pictures.json: name and bytes, and the reason where they are refused.
pub(super) fn golden(part: &str) -> Vec<(String, Vec<u8>, String)> {
    let golden: Value = serde_json::from_str(include_str!("../golden/pictures.json")).unwrap();
    let text = |one: &Value, key: &str| one[key].as_str().unwrap_or_default().to_owned();
    let decode = |one: &Value| base64::engine::general_purpose::STANDARD.decode(text(one, "file")).unwrap();
    let files: Vec<_> = golden[part]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (text(one, "name"), decode(one), text(one, "reason")))
        .collect();
    assert!(!files.is_empty());
    files
}

/// The reasons of the record by probe set and file.
fn quarantined(place: &Place, set: &str) -> Vec<(String, String)> {
    let record = place.audit_json("out");
    let ours = record["quarantined"].as_array().unwrap().iter().filter(|one| one["set"] == set);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    ours.map(|one| (text(&one["files"][0]), text(&one["reason"]))).collect()
}

fn findings(place: &Place) -> Vec<(String, String, String)> {
    let record = place.audit_json("out");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let found = record["findings"].as_array().unwrap().iter();
    found.map(|one| (text(&one["title"]), text(&one["verdict"]), text(&one["message"]))).collect()
}

fn notes(place: &Place) -> Vec<String> {
    let record = place.audit_json("out");
    record["notes"].as_array().unwrap().iter().map(|note| note.as_str().unwrap().to_owned()).collect()
}

#[test]
#[cfg(unix)]
fn every_bad_picture_is_listed_and_the_run_goes_on() {
    let place = Place::new();
    let mut expected = Vec::new();
    for (name, bytes, reason) in golden("refused") {
        fs::write(place.path("pictures").join(&name), bytes).unwrap();
        expected.push((format!("pictures/{name}"), reason));
    }
    let mut also = |name: &str, reason: &str| expected.push((format!("pictures/{name}"), reason.to_owned()));
    fs::create_dir(place.path("pictures/folder.png")).unwrap();
    also("folder.png", "is no regular file");
    assert!(Command::new("mkfifo").arg(place.path("pictures/pipe.png")).status().unwrap().success());
    also("pipe.png", "is no regular file");
    std::os::unix::fs::symlink("/etc/passwd", place.path("pictures/outside.png")).unwrap();
    also("outside.png", "lies outside the suite's folder");
    std::os::unix::fs::symlink("loop.png", place.path("pictures/loop.png")).unwrap();
    also("loop.png", "symbolic links");
    also("missing.png", "there is no such file");
    let rows: String = expected.iter().map(|(file, _)| format!("{file},dog,odd\n")).collect();
    place.append("pictures.csv", &rows);

    let begin = Instant::now();
    let said = place.audit("suite.yaml", "out", 4);
    assert!(begin.elapsed() < Duration::from_secs(120), "a pipe holds the run up");
    let lost = expected.len();
    assert_eq!(said.counted(), (42, 0), "what cannot be used is not computed");
    assert!(said.out.contains(&format!("  {} inputs could not be used; the reports list them", 3 * lost)), "{said:?}");

    let clean = quarantined(&place, "clean");
    assert_eq!(clean.len(), lost);
    for ((file, reason), (wanted_file, wanted)) in clean.iter().zip(&expected) {
        assert_eq!(file, wanted_file);
        assert!(reason.starts_with(&format!("{file}: ")) && reason.contains(wanted), "{file}: {reason}");
    }
    // What was to be painted on them is lost with them, for a reason that names theirs.
    for set in ["attack", "attack.control"] {
        let twins = quarantined(&place, set);
        assert_eq!(twins.len(), lost);
        for ((file, reason), (_, base)) in twins.iter().zip(&clean) {
            assert_eq!(*reason, format!("its clean twin cannot be used: {base}"), "{file}");
        }
        let note = format!("{lost} probes of `{set}` could not be used because their clean twins could not");
        assert!(notes(&place).contains(&note), "{:#?}", notes(&place));
    }
    let uneven = findings(&place).into_iter().find(|(title, ..)| title == "quarantine in clean: maker odd, uneven");
    let (_, verdict, message) = uneven.expect("a finding about the group");
    assert_eq!(verdict, "warn");
    assert!(message.starts_with(&format!("{lost} of {lost} probes (100 %) of `clean` with maker odd")), "{message}");
    // They are tried again, and nothing else is learnt from that.
    let record = place.record("out");
    place.audit("suite.yaml", "out", 4);
    assert_eq!(place.record("out"), record);
}

#[test]
fn odd_pictures_that_can_be_used_are_used_with_a_note() {
    let place = Place::new();
    let mut rows = String::new();
    for (name, bytes, _) in golden("files").into_iter().chain(golden("jpegs")) {
        // The bytes say what a file is, not its name.
        let name = format!("{}.gif", name.replace('.', "-"));
        fs::write(place.path("pictures").join(&name), bytes).unwrap();
        rows += &format!("pictures/{name},dog,odd\n");
    }
    place.append("pictures.csv", &rows);
    let said = place.run("suite.yaml", "out");
    assert_eq!(said.counted(), ((14 + rows.lines().count()) * 3, 0), "{said:?}");
    assert!(quarantined(&place, "clean").is_empty());
    let notes = notes(&place);
    for wanted in [
        "transparency dropped, the colour beneath is kept: ",
        "ICC colour profile not applied: ",
        "EXIF orientation 6 not applied: ",
    ] {
        assert!(
            notes.iter().any(|note| note.starts_with(wanted) && note.contains(", for example probe ")),
            "{notes:#?}"
        );
    }
}

/// Replaces a picture by no picture.
fn break_picture(place: &Place, name: &str) {
    fs::write(place.path("pictures").join(name), "no picture").unwrap();
}

#[test]
fn few_lost_pictures_are_a_notice_and_the_limit_is_the_suites() {
    let place = Place::new();
    break_picture(&place, "noto-dog.png");
    let quarantine = |max: &str| [("measures:", format!("quarantine: {{ max: {max} }}\nmeasures:"))];
    for (max, code, verdict) in [("0.5", 0, "warn"), ("0.01", 4, "inconclusive"), ("0", 4, "inconclusive")] {
        let changes = quarantine(max);
        place.suite("suite.yaml", &changes.each_ref().map(|(old, new)| (*old, new.as_str())));
        let said = place.audit("suite.yaml", "out", code);
        let found = findings(&place);
        let (_, found, message) = found.iter().find(|(title, ..)| title == "quarantine in clean").expect("a finding");
        assert_eq!(found, verdict, "max {max}");
        assert!(message.starts_with("1 of 14 probes (7.1 %) of `clean` could not be used"), "{message}");
        assert!(said.out.contains("quarantine in clean: 1 of 14 probes"), "{said:?}");
    }
}

/// One lost picture of 14 is 7 %, and yet the whole of a group: the group is not measured, and said to be so.
#[test]
fn a_group_that_is_lost_does_not_vanish() {
    let place = Place::new();
    place.edit("pictures.csv", "pictures/noto-dog.png,dog,noto", "pictures/noto-dog.png,dog,rare");
    place.suite("suite.yaml", &[("measures:", "quarantine: { max: 0.08 }\nmeasures:")]);
    break_picture(&place, "noto-dog.png");
    let said = place.audit("suite.yaml", "out", 4);
    assert!(said.out.contains("quarantine in clean: maker rare: 1 of 1 probes (100 %)"), "{said:?}");
    let record = place.audit_json("out");
    let rare = record["measurements"].as_array().unwrap().iter().find(|one| one["group"]["maker"] == "rare").unwrap();
    assert!(rare["value"].get("point").is_none(), "{rare}");
}

#[test]
fn a_mended_picture_is_used_at_the_next_run() {
    let place = Place::new();
    let whole = fs::read(place.path("pictures/noto-dog.png")).unwrap();
    break_picture(&place, "noto-dog.png");
    place.audit("suite.yaml", "out", 4);
    fs::write(place.path("pictures/noto-dog.png"), whole).unwrap();
    place.audit("suite.yaml", "out", 0);
    place.audit("suite.yaml", "other", 0);
    assert_eq!(place.record("out"), place.record("other"));
}

#[test]
fn embed_names_what_it_cannot_embed() {
    let place = Place::new();
    break_picture(&place, "noto-dog.png");
    fs::write(place.path("long.txt"), format!("a dog\n{}\n", "dog ".repeat(200))).unwrap();
    fs::write(place.path("bytes.txt"), b"a dog\n\xff\n").unwrap();
    fs::write(place.path("empty.txt"), "").unwrap();
    assert!(Command::new("mkfifo").arg(place.path("pipe.png")).status().unwrap().success());
    let good = "pictures/twemoji-dog.png";
    let rows: [(&[&str], &str); 7] = [
        (&["--images", good, "pictures/noto-dog.png"], "clip-audit: pictures/noto-dog.png: not a PNG, JPEG"),
        (&["--images", good, "absent.png"], "clip-audit: absent.png: No such file"),
        (&["--images", "pipe.png"], "clip-audit: pipe.png: is no regular file"),
        (&["--texts", "long.txt"], "clip-audit: text \"dog dog dog dog"),
        (&["--texts", "bytes.txt"], "clip-audit: bytes.txt: stream did not contain valid UTF-8"),
        (&["--texts", "empty.txt"], "clip-audit: empty.txt: is empty"),
        (
            &["--images", good, "--taps", "layer9.pre_relu:mean"],
            "clip-audit: tap `layer9.pre_relu:mean` names no place",
        ),
    ];
    for (arguments, message) in rows {
        let command =
            [&["embed", "--model", "reference", "--threads", "1", "--out", "out.safetensors"], arguments].concat();
        let said = place.say(&command);
        assert_eq!(said.code, Some(3), "{said:?}");
        assert!(said.first_error().starts_with(message), "{said:?}");
        assert!(!place.path("out.safetensors").exists());
    }
    assert!(
        place
            .say(&["embed", "--model", "reference", "--texts", "long.txt", "--out", "x"])
            .err
            .contains("the model takes 32")
    );
}
