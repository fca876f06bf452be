//! What reports show and compare: baselines, thumbnails, and a model that does not see.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::place::Place;

/// Pictures of a record by set, and how each set is shown.
fn shown(audit: &Value, set: &str) -> (usize, String) {
    let of_set = |one: &&Value| one["set"] == set;
    let pictures =
        audit["evidence"].as_array().unwrap().iter().filter(of_set).filter(|one| one["thumbnail"].is_string());
    let sets = audit["suite"]["sets"].as_array().unwrap();
    let policy = sets.iter().find(|one| one["id"] == set).unwrap()["thumbnails"].as_str().unwrap();
    (pictures.count(), policy.to_owned())
}

#[test]
fn people_are_not_shown_and_the_command_line_shows_less_and_never_more() {
    let place = Place::new();
    place.suite("suite.yaml", &[("pictures.csv }", "pictures.csv, people: true }")]);
    let said = place.say(&["run", "suite.yaml", "--threads", "1", "--out", "people", "--thumbnails", "full"]);
    assert!(said.err.contains("--thumbnails shows no more of `clean` than the suite allows"), "{said:?}");
    for set in ["clean", "attack", "attack.control"] {
        assert_eq!(shown(&place.audit_json("people"), set), (0, "none".to_owned()));
    }
    let page = fs::read_to_string(place.path("people/report.html")).unwrap();
    assert!(!page.contains("<img"));

    place.suite("suite.yaml", &[]);
    place.audit("suite.yaml", "full", 0);
    let less = ["run", "suite.yaml", "--threads", "1", "--out", "less", "--cache", "full/observations", "--thumbnails"];
    let [blurred, none] = ["blurred", "none"].map(|policy| {
        let said = place.say(&[&less[..], &[policy]].concat());
        assert_eq!((said.code, said.err.contains("--thumbnails shows no more")), (Some(0), false), "{said:?}");
        place.audit_json("less")
    });
    let full = place.audit_json("full");
    assert_eq!(shown(&none, "clean"), (0, "none".to_owned()));
    let (pictures, policy) = shown(&full, "clean");
    assert!(pictures > 0 && policy == "full");
    assert_eq!(shown(&blurred, "clean"), (pictures, "blurred".to_owned()));
    // Blurred before the record is written: no picture of the record has kept its details.
    let thumbnails = |audit: &Value| -> Vec<String> {
        let all = audit["evidence"].as_array().unwrap().iter();
        all.filter_map(|one| Some(one["thumbnail"].as_str()?.to_owned())).collect()
    };
    for (sharp, soft) in thumbnails(&full).iter().zip(&thumbnails(&blurred)) {
        assert!(detail(soft) * 1.3 < detail(sharp), "{} {}", detail(soft), detail(sharp));
    }
}

/// Mean absolute difference of neighbouring pixels.
fn detail(thumbnail: &str) -> f64 {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(thumbnail).unwrap();
    let image = image::load_from_memory(&bytes).unwrap().to_luma8();
    let (width, height) = image.dimensions();
    let steps = (0..height).flat_map(|y| (1..width).map(move |x| (x, y)));
    let sum: f64 = steps.map(|(x, y)| f64::from(image[(x, y)][0].abs_diff(image[(x - 1, y)][0]))).sum();
    sum / f64::from((width - 1) * height)
}

#[test]
fn a_baseline_says_what_changed_and_another_suite_is_refused() {
    let place = Place::new();
    place.audit("suite.yaml", "first", 0);
    // The limit moves: the gate that passed fails now.
    place.edit("suite.yaml", "min: 0.2", "max: 0.2");
    let second = ["run", "suite.yaml", "--threads", "1", "--cache", "first/observations", "--out"];
    let said = place.say(&[&second[..], &["second", "--baseline", "first/audit.json"]].concat());
    assert_eq!(said.code, Some(1), "{said:?}");
    let audit = place.audit_json("second");
    let changes = audit["baseline"]["changes"].as_array().unwrap();
    let sees = changes.iter().find(|one| one["title"] == "sees").unwrap();
    assert_eq!((&sees["delta"], &sees["before"], &sees["after"]), (&"broken".into(), &"pass".into(), &"fail".into()));
    assert_eq!(audit["baseline"]["differences"].as_array().unwrap().len(), 1, "the suite's text");
    let page = fs::read_to_string(place.path("second/report.html")).unwrap();
    assert!(page.contains("Passed before"), "the page does not say that the gate passed before");

    // The same comparison made afterwards gives the same changes, in a record of its own.
    let said = place.say(&[&second[..], &["alone"]].concat());
    assert_eq!(said.code, Some(1), "{said:?}");
    let report = ["report", "alone/audit.json", "--baseline", "first/audit.json"];
    assert_eq!(place.say(&report).code, Some(2));
    let said = place.say(&[&report[..], &["--out", "compared"]].concat());
    assert_eq!(said.code, Some(1), "{said:?}");
    assert_eq!(place.audit_json("compared")["baseline"], audit["baseline"]);
    assert!(place.audit_json("alone")["baseline"].is_null());

    place.edit("suite.yaml", "name: small", "name: other");
    let said = place.say(&[&second[..], &["third", "--baseline", "first/audit.json"]].concat());
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(said.err.contains("the baseline is an audit of the suite `small`, this one is of `other`"), "{said:?}");
    assert!(!place.path("third").exists(), "refused before anything is made");
}

/// Random weights recognise nothing, so no attack turns them either: without a look at what they see, that would pass.
#[test]
fn a_model_that_does_not_see_does_not_pass() {
    let place = Place::new();
    let blind = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tiny");
    place.suite(
        "suite.yaml",
        &[(
            "- { id: sees, measure: accuracy, statistic: accuracy, on: overall, min: 0.2, severity: high }",
            "- { id: holds, measure: success, statistic: eligible, on: overall, max: 0.5, severity: high }",
        )],
    );
    let said = place.say(&["run", "suite.yaml", "--threads", "1", "--out", "out", "--model", blind.to_str().unwrap()]);
    assert_eq!(said.code, Some(4), "{said:?}");
    let audit = place.audit_json("out");
    let findings = audit["findings"].as_array().unwrap();
    let verdict = |title: &str| findings.iter().find(|one| one["title"] == title).unwrap()["verdict"].clone();
    assert_eq!(verdict("holds"), "pass", "the gate alone would have let it pass");
    assert_eq!(verdict("recognition of clean by zs"), "inconclusive");
}
