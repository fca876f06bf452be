//! `clip-audit bench`: what it prints adds up, and weights that are random are said to be.

use serde_json::Value;

use super::place::Place;

fn measured(place: &Place, arguments: &[&str]) -> Value {
    let said = place.say(arguments);
    assert_eq!(said.code, Some(0), "{said:?}");
    serde_json::from_str(&said.out).unwrap()
}

#[test]
fn the_encoder_alone_is_measured_without_an_audit() {
    let place = Place::new();
    let arguments = ["bench", "--encoder-only", "--model", "reference", "--seconds", "0", "--threads", "1", "--json"];
    let found = measured(&place, &arguments);
    assert!(found["encoder_images_per_second"].as_f64().unwrap() > 0.0);
    assert!(found["peak_memory_bytes"].as_u64().unwrap() > 1 << 20);
    assert_eq!((&found["random_weights"], &found["numerics"]["dtype"]), (&Value::Bool(false), &Value::from("f32")));
    assert!(found.get("probes").is_none());
}

#[test]
fn the_parts_of_an_audit_add_up_to_its_time() {
    let place = Place::new();
    let arguments = ["bench", "suite.yaml", "--seconds", "0", "--threads", "1", "--json"];
    let found = measured(&place, &arguments);
    assert_eq!(found["probes"], 42);
    let (wall, rate) = (&found["end_to_end_seconds"], &found["end_to_end_images_per_second"]);
    assert!((wall.as_f64().unwrap() * rate.as_f64().unwrap() - 42.0).abs() < 1e-6);
    let shares: Vec<f64> =
        found["share_of_wall"].as_object().unwrap().values().map(|share| share.as_f64().unwrap()).collect();
    assert!(shares.iter().all(|share| *share >= 0.0) && shares.iter().sum::<f64>() <= 1.0, "{shares:?}");
    assert!(found["share_of_wall"]["encode_images"].as_f64().unwrap() > 0.0);
    assert!(found["thread_seconds"]["render"].as_f64().unwrap() > 0.0);
    // Nothing stays behind.
    assert!(!place.path("reports").exists());
}

#[test]
fn random_weights_are_asked_for_by_name_and_never_audited() {
    let place = Place::new();
    for (arguments, code, message) in [
        (&["bench", "--encoder-only"][..], 2, "clip-audit: no model to measure: give --model, or --random-weights"),
        (&["bench", "--arch", "RN50x4"], 2, "error: the following required arguments were not provided"),
        (
            &["bench", "--arch", "RN51", "--random-weights"],
            3,
            "clip-audit: there is no architecture `RN51`: expected RN50",
        ),
        (&["bench", "--arch", "RN50", "--random-weights", "--model", "reference"], 2, "error: the argument '--arch"),
        (&["bench", "--encoder-only", "--seconds", "-1", "--model", "reference"], 2, "error: "),
        (&["run", "suite.yaml", "--model", "RN50"], 3, "clip-audit: RN50: No such file or directory"),
    ] {
        let said = place.say(arguments);
        assert!(said.code == Some(code) && said.first_error().starts_with(message), "{arguments:?}: {said:?}");
    }
}
