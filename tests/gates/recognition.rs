//! Whether the model sees at all: what a readout that recognises nothing, little or most of the clean pictures comes to.

use clip_audit::gate::{Perception, overall, perception_finding};
use clip_audit::types::{Judgement, Origin, Severity, Value, Verdict};

use super::{estimate, finding};

fn seen(accuracy: Value) -> Perception {
    Perception { set: "clean".into(), readout: "zs".into(), accuracy, n: 48, clusters: 24, chance: 0.25 }
}

#[test]
fn a_model_that_does_not_see_cannot_pass_and_one_that_does_can() {
    use Verdict::{Inconclusive, NotMeasured, Pass, Warn};
    let passed = finding(Origin::Gate, Pass, Severity::High, "success-limit");
    for (accuracy, expected, judgement) in [
        (estimate(0.25, 0.10, 0.45, 0.95), Inconclusive, Judgement::Inconclusive),
        (estimate(0.02, 0.00, 0.10, 0.95), Inconclusive, Judgement::Inconclusive),
        // On the edge of chance nothing is shown yet.
        (estimate(0.40, 0.25, 0.55, 0.95), Inconclusive, Judgement::Inconclusive),
        (estimate(0.40, 0.2501, 0.55, 0.95), Warn, Judgement::Pass),
        (estimate(0.50, 0.35, 0.65, 0.95), Pass, Judgement::Pass),
        (estimate(1.00, 0.93, 1.00, 0.95), Pass, Judgement::Pass),
        (Value::NotMeasured { reason: "3 clusters".into() }, NotMeasured, Judgement::Inconclusive),
    ] {
        let found = perception_finding(&seen(accuracy.clone()));
        assert_eq!(found.verdict, expected, "{accuracy:?}");
        assert_eq!(overall(&[passed.clone(), found]).0, judgement, "{accuracy:?}");
    }
}

#[test]
fn the_finding_says_what_was_seen_and_what_chance_gives() {
    let found = perception_finding(&seen(estimate(0.25, 0.10, 0.45, 0.95)));
    assert_eq!(
        found.message,
        "25 % [10 %, 45 %] of 48 probes of `clean` in 24 clusters were given their own label by `zs`; answering without \
         looking gives 25 %; no recognition is shown, and a model that recognises nothing cannot be misled: gates on \
         attacks decide nothing here"
    );
    assert_eq!((found.title.as_str(), found.limit), ("recognition of clean by zs", Some(0.25)));
}
