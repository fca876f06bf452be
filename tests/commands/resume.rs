//! Finished work is never done again, and never trusted where something changed.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use super::place::{LARGE, Place, finish, picture};

#[test]
fn the_second_run_computes_nothing_and_says_the_same() {
    let place = Place::new();
    assert_eq!(place.audit("suite.yaml", "out", 0).counted(), (42, 0));
    let first = place.record("out");
    assert_eq!(place.audit("suite.yaml", "out", 0).counted(), (0, 42));
    assert_eq!(place.record("out"), first);
    // Elsewhere, from nothing: the same bytes.
    place.audit("suite.yaml", "other", 0);
    assert_eq!(place.record("other"), first);
    assert_eq!(names(&place, "other"), names(&place, "out"));
    // Elsewhere, from the first run's chunks.
    let said = place.say(&["run", "suite.yaml", "--threads", "1", "--out", "third", "--cache", "out/observations"]);
    assert_eq!((said.code, said.counted()), (Some(0), (0, 42)));
    assert_eq!(place.record("third"), first);
}

fn names(place: &Place, out: &str) -> Vec<String> {
    place.chunks(out).iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
}

/// Waits until the run has finished a chunk of pictures.
fn a_chunk_is_there(place: &Place, out: &str) {
    let begin = Instant::now();
    while names(place, out).iter().filter(|name| !name.ends_with(".texts.arrow")).count() == 0 {
        assert!(begin.elapsed() < Duration::from_secs(120), "no chunk was written");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
#[cfg(unix)]
fn an_interrupt_ends_with_130_and_the_same_command_goes_on() {
    let place = Place::new();
    place.suite("suite.yaml", &[LARGE]);
    let child = place.start("suite.yaml", "out");
    a_chunk_is_there(&place, "out");
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let said = finish(child);
    assert_eq!(said.code, Some(130), "{said:?}");
    let last = said.err.lines().last().unwrap();
    assert!(last.starts_with("clip-audit: interrupted after "), "{said:?}");
    assert!(last.ends_with(" of 574 probes; run the same command again to go on"), "{said:?}");
    assert!(!place.path("out/audit.json").exists());
    let (computed, reused) = place.audit("suite.yaml", "out", 0).counted();
    assert_eq!(computed + reused, 574);
    assert!(reused >= 14, "{reused} reused");
    place.audit("suite.yaml", "whole", 0);
    assert_eq!(place.record("out"), place.record("whole"));
}

#[test]
fn a_killed_run_leaves_nothing_wrong_behind() {
    let place = Place::new();
    place.suite("suite.yaml", &[LARGE]);
    let begin = Instant::now();
    place.audit("suite.yaml", "whole", 0);
    let whole = begin.elapsed();
    // What a kill in the middle of writing leaves.
    fs::create_dir_all(place.path("out/observations")).unwrap();
    fs::write(place.path("out/.write-abc123.tmp"), "half").unwrap();
    fs::write(place.path("out/observations/.chunk-abc123.tmp"), "half").unwrap();
    fs::write(place.path("out/notes.tmp"), "somebody else's").unwrap();
    for part in [0.15, 0.4, 0.3, 0.25, 0.35] {
        let mut child = place.start("suite.yaml", "out");
        std::thread::sleep(whole.mul_f64(part));
        let _ = child.kill();
        child.wait().unwrap();
    }
    place.audit("suite.yaml", "out", 0);
    assert_eq!(place.record("out"), place.record("whole"));
    assert_eq!(names(&place, "out"), names(&place, "whole"));
    assert_eq!(place.temporary("out"), [place.path("out/notes.tmp")]);
}

#[test]
fn a_shared_cache_keeps_what_another_run_is_writing() {
    let place = Place::new();
    fs::create_dir(place.path("cache")).unwrap();
    let (fresh, old) = (place.path("cache/.chunk-fresh.tmp"), place.path("cache/.chunk-old.tmp"));
    for path in [&fresh, &old] {
        fs::write(path, "half").unwrap();
    }
    let file = fs::File::options().write(true).open(&old).unwrap();
    file.set_modified(std::time::SystemTime::now() - Duration::from_secs(2 * 60 * 60)).unwrap();
    let said = place.say(&["run", "suite.yaml", "--threads", "1", "--out", "out", "--cache", "cache"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!((fresh.exists(), old.exists()), (true, false));
}

/// The pictures of one maker in a set of their own, and so in a chunk of their own.
const APART: (&str, &str) = (
    "measures:",
    "  - { id: apart, generate: { manifest: { file: pictures.csv, where: { maker: noto } } } }\nmeasures:",
);

#[test]
fn an_edited_picture_is_noticed() {
    let place = Place::new();
    place.suite("suite.yaml", &[APART]);
    assert_eq!(place.audit("suite.yaml", "out", 0).counted(), (49, 0));
    let (before, chunks) = (place.record("out"), names(&place, "out"));
    fs::copy(picture("twemoji", "violin"), place.path("pictures/twemoji-dog.png")).unwrap();
    // The chunks of `clean` and `attack` have it, that of `apart` does not.
    assert_eq!(place.audit("suite.yaml", "out", 0).counted(), (42, 7));
    assert_ne!(place.record("out"), before);
    let accuracy = &place.audit_json("out")["measurements"][0];
    assert_eq!(accuracy["id"], "accuracy/zs/accuracy");
    assert_eq!(accuracy["value"]["measured"]["point"], 13.0 / 14.0, "{accuracy}");
    // As it was again: everything is there still.
    fs::copy(picture("twemoji", "dog"), place.path("pictures/twemoji-dog.png")).unwrap();
    assert_eq!(place.audit("suite.yaml", "out", 0).counted(), (0, 49));
    assert_eq!(place.record("out"), before);
    assert!(names(&place, "out").len() > chunks.len());
}

#[test]
fn an_edited_font_is_noticed() {
    let fonts = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/probe/fonts");
    let place = Place::new();
    place.suite("suite.yaml", &[("size: 0.2", "size: 0.2, font: letters.ttf")]);
    fs::copy(fonts.join("dejavu-sans.ttf"), place.path("letters.ttf")).unwrap();
    place.audit("suite.yaml", "out", 0);
    let before = place.record("out");
    fs::copy(fonts.join("patrick-hand.ttf"), place.path("letters.ttf")).unwrap();
    assert_eq!(place.audit("suite.yaml", "out", 0).counted(), (28, 14));
    assert_ne!(place.record("out"), before);
}

#[test]
fn an_edited_label_changes_numbers_and_computes_nothing() {
    let place = Place::new();
    place.audit("suite.yaml", "out", 0);
    assert_eq!(place.audit_json("out")["measurements"][0]["value"]["measured"]["point"], 1.0);
    place.edit("pictures.csv", "pictures/noto-dog.png,dog", "pictures/noto-dog.png,fish");
    assert_eq!(place.audit("suite.yaml", "out", 0).counted(), (0, 42));
    assert_eq!(place.audit_json("out")["measurements"][0]["value"]["measured"]["point"], 13.0 / 14.0);
}

#[test]
fn a_damaged_chunk_is_made_anew() {
    let place = Place::new();
    place.audit("suite.yaml", "out", 0);
    let record = place.record("out");
    let chunks = place.chunks("out");
    assert_eq!(chunks.len(), 3, "the texts, `clean`, and `attack` with its controls");
    for chunk in &chunks {
        let whole = fs::read(chunk).unwrap();
        let flipped = |at: usize| {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            bytes
        };
        // Bytes of the embeddings, of the ids or of the schema; half a file; an empty one.
        let damages =
            [flipped(whole.len() / 2), flipped(whole.len() / 9), whole[..whole.len() / 2].to_vec(), Vec::new()];
        for (number, damage) in damages.into_iter().enumerate() {
            fs::write(chunk, damage).unwrap();
            let said = place.run("suite.yaml", "out");
            assert_eq!(said.code, Some(0), "damage {number} of {}: {said:?}", chunk.display());
            assert_eq!(place.record("out"), record, "damage {number} of {}", chunk.display());
        }
        assert_eq!(place.audit("suite.yaml", "out", 0).counted(), (0, 42));
        fs::remove_file(chunk).unwrap();
        place.audit("suite.yaml", "out", 0);
        assert_eq!(place.record("out"), record);
    }
}

/// Which precision is faster is the machine's to say; that the run that goes on takes the same one is not.
#[test]
fn a_chosen_precision_stays_chosen() {
    let place = Place::new();
    let command = ["run", "suite.yaml", "--threads", "1", "--dtype", "auto", "--out", "out"];
    assert_eq!(place.say(&command).code, Some(0));
    let record = place.audit_json("out");
    let precision = &record["provenance"]["precision"];
    assert_eq!((&precision["sample"], precision["trials"].as_array().unwrap().len()), (&42.into(), 2), "{precision}");
    assert_eq!(record["numerics"]["dtype"], precision["chosen"]);
    let bf16 = &precision["trials"][1];
    assert!(bf16["cosine"].as_f64().unwrap() > 0.99, "{bf16}");
    let before = place.record("out");
    let said = place.say(&command);
    assert_eq!((said.code, said.counted()), (Some(0), (0, 42)), "{said:?}");
    assert_eq!(place.record("out"), before);
    assert!(place.temporary("out").is_empty());
    // Where there is no suite, there is nothing to compare on.
    let said = place.say(&["inspect", "reference", "--dtype", "auto"]);
    assert!(said.code == Some(2) && said.err.contains("give f32, bf16 or f16"), "{said:?}");
}
