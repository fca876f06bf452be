//! Overlays from the command line: exit codes, and that neither a suite nor a repository of the hub leads out of its folder by
//! the base that an overlay names.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::hub::{self, COMMIT};
use super::place::Place;
use crate::overlays::{Pair, pair};

/// Moves an overlay and its base to places of their own.
fn moved(pair: &Pair, reference: &Path, sibling: &Path, base: &str) {
    let mut declared = pair.declared();
    declared["base"] = json!(base);
    pair.declare(&declared);
    fs::rename(pair.reference(), reference).unwrap();
    fs::rename(pair.sibling(), sibling).unwrap();
}

#[test]
fn an_overlay_over_other_weights_ends_with_3() {
    let (pair, place) = (pair(), Place::new());
    let mut declared = pair.declared();
    declared["base_fingerprint"] = json!("f".repeat(64));
    moved(&pair, &place.path("reference"), &place.path("sibling"), "../reference");
    assert_eq!(place.say(&["inspect", "sibling", "--device", "cpu"]).code, Some(0));
    fs::write(place.path("sibling/overlay.json"), declared.to_string()).unwrap();
    for command in [&["inspect", "sibling"][..], &["run", "suite.yaml", "--model", "sibling"]] {
        let said = place.say(&[command, &["--device", "cpu"]].concat());
        assert_eq!((said.code, said.out.as_str()), (Some(3), ""), "{said:?}");
        assert!(said.err.contains("sibling: the base ../reference has the fingerprint "), "{said:?}");
        assert!(said.err.contains("the overlay was made over other weights; put the checkpoint with"), "{said:?}");
    }
}

#[test]
fn a_suite_reads_a_base_inside_its_folder_only() {
    let check = &["check", "suite.yaml", "--device", "cpu"];
    let (inside, place) = (pair(), Place::new());
    moved(&inside, &place.path("base"), &place.path("sibling"), "../base");
    place.suite("suite.yaml", &[("use: reference", "use: sibling")]);
    let said = place.say(check);
    assert_eq!(said.code, Some(0), "{said:?}");

    let (outside, place) = (pair(), Place::new());
    let elsewhere = tempfile::tempdir().unwrap();
    let place_name = place.path("").canonicalize().unwrap();
    let base = format!("../../{}/base", elsewhere.path().file_name().unwrap().display());
    assert_eq!(place_name.parent(), elsewhere.path().canonicalize().unwrap().parent());
    moved(&outside, &elsewhere.path().join("base"), &place.path("sibling"), &base);
    place.suite("suite.yaml", &[("use: reference", "use: sibling")]);
    let said = place.say(check);
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(
        said.first_error().contains("lies outside the folder that a suite or a repository may read from"),
        "{said:?}"
    );
    // Who names the model may name any.
    let said = place.say(&[&check[..], &["--model", "sibling"]].concat());
    assert_eq!(said.code, Some(0), "{said:?}");
}

#[test]
fn a_repository_of_the_hub_reads_a_base_inside_its_snapshot_only() {
    let (pair, cache) = (pair(), hub::cache());
    let snapshot = cache.path().join("models--some--clip/snapshots").join(COMMIT);
    let base = snapshot.with_file_name("reference");
    moved(&pair, &base, &cache.path().join("sibling"), "../reference");
    for file in ["overlay.json", "overlay.safetensors"] {
        fs::rename(cache.path().join("sibling").join(file), snapshot.join(file)).unwrap();
    }
    let inspect =
        || hub::finish(hub::program(cache.path(), &["inspect", "hf://some/clip", "--device", "cpu", "--threads", "1"]));
    let (code, out, err) = inspect();
    assert!(code == Some(3) && out.is_empty() && err.contains("base: ../reference lies outside the folder"), "{err}");
    let text = fs::read_to_string(snapshot.join("overlay.json")).unwrap();
    fs::write(snapshot.join("overlay.json"), text.replace("../reference", "reference")).unwrap();
    fs::rename(base, snapshot.join("reference")).unwrap();
    let (code, out, err) = inspect();
    assert!(code == Some(0) && out.contains(&format!("{COMMIT} (overlay folder)")), "{code:?} {out} {err}");
}
