//! Evidence: after the gate, only the probes that findings cite (and their twins) are drawn again, as thumbnails without
//! metadata, with what each readout said of them.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::measure::{Measured, Predictions};
use crate::observe::Renderer;
use crate::pixels;
use crate::suite::{Suite, Thumbnails};
use crate::types::{Evidence, Finding, Observations, Observed, Prediction, ProbeId, Verdict};

/// Longest side of a thumbnail, pixels.
const SIDE: u32 = 128;
/// Predictions shown per readout.
const SHOWN: usize = 3;
/// Evidence kept for one measurement that no finding judges.
const PER_MEASUREMENT: usize = 1;
/// Probes of one finding that are shown as pictures; the rest are listed with what the model said.
const PICTURED: usize = 8;
/// Findings, worst first, whose probes are all listed; others keep those that are pictured.
const LISTED: usize = 40;

/// How the probes of each set are shown.
pub(super) struct Policy {
    asked: Option<Thumbnails>,
    people: BTreeSet<String>,
    most: Thumbnails,
}

impl Policy {
    /// What the suite asks for, and never more than `most`; without a word, things are shown and people are not.
    pub(super) fn of(suite: &Suite, most: Thumbnails) -> Self {
        Self { asked: suite.thumbnails, people: suite.people(), most }
    }

    pub(super) fn of_set(&self, set: &str) -> Thumbnails {
        let unasked = if self.people.contains(set) { Thumbnails::None } else { Thumbnails::Full };
        self.asked.unwrap_or(unasked).min(self.most)
    }
}

/// Keeps of every finding the probes that a report shows or lists. Passed gates and a long tail need few of them.
pub(super) fn shorten(findings: &mut [Finding]) {
    for (place, finding) in findings.iter_mut().enumerate() {
        if finding.verdict == Verdict::Pass || place >= LISTED {
            finding.evidence.truncate(PICTURED);
        }
    }
}

/// The probes that findings cite, with their twins, in the order of the observations.
///
/// # Errors
/// When a picture that was drawn before cannot be drawn any more.
pub(super) fn collect(
    findings: &[Finding],
    measured: &Measured,
    observations: &Observations,
    readouts: &BTreeMap<String, Predictions>,
    renderer: &Renderer<'_>,
    policy: &Policy,
) -> Result<Vec<Evidence>, String> {
    let unjudged =
        measured.measurements.iter().flat_map(|measurement| measurement.evidence.iter().take(PER_MEASUREMENT));
    let first = findings.iter().flat_map(|finding| finding.evidence.iter().take(PICTURED));
    let pictured = with_twins(first.chain(unjudged), observations);
    let cited = with_twins(findings.iter().flat_map(|finding| &finding.evidence), observations);
    let of = |row: usize| if pictured.contains(&row) { Some(policy) } else { None };
    pictured.union(&cited).map(|row| one(*row, &observations.probes[*row], readouts, renderer, of(*row))).collect()
}

/// The rows of probes and of their clean and control twins.
fn with_twins<'a>(probes: impl Iterator<Item = &'a ProbeId>, observations: &Observations) -> BTreeSet<usize> {
    let mut rows = BTreeSet::new();
    for row in probes.filter_map(|id| observations.row(id)) {
        let plan = &observations.probes[row].plan;
        rows.insert(row);
        rows.extend(plan.source.iter().chain(&plan.control).filter_map(|twin| observations.row(twin)));
    }
    rows
}

fn one(
    row: usize,
    probe: &Observed,
    readouts: &BTreeMap<String, Predictions>,
    renderer: &Renderer<'_>,
    policy: Option<&Policy>,
) -> Result<Evidence, String> {
    let plan = &probe.plan;
    let predictions = readouts
        .iter()
        .map(|(id, predictions)| {
            let ranked = predictions.top[row].iter().take(SHOWN).map(|ranked| Prediction {
                label: predictions.labels[ranked.label as usize].clone(),
                probability: f64::from(ranked.probability),
                cosine: f64::from(ranked.cosine),
            });
            (id.clone(), ranked.collect())
        })
        .collect();
    Ok(Evidence {
        probe: plan.id.clone(),
        set: plan.set.to_string(),
        labels: plan.labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
        cluster: plan.cluster.to_string(),
        source: plan.source.clone(),
        control: plan.control.clone(),
        cover: probe.cover.map(f64::from),
        predictions,
        thumbnail: thumbnail(probe, renderer, policy.map_or(Thumbnails::None, |policy| policy.of_set(&plan.set)))?,
        notes: probe.notes.clone(),
    })
}

fn thumbnail(probe: &Observed, renderer: &Renderer<'_>, policy: Thumbnails) -> Result<Option<String>, String> {
    if policy == Thumbnails::None {
        return Ok(None);
    }
    let failed = |reason: String| format!("probe {} was drawn for the model but not again: {reason}", probe.plan.id);
    let mut image = renderer.render(&probe.plan).map_err(|error| failed(error.to_string()))?.image;
    let longest = image.width().max(image.height());
    if longest > SIDE {
        let scale = |side: u32| (u64::from(side) * u64::from(SIDE) / u64::from(longest)).max(1) as u32;
        image = pixels::resize(&image, scale(image.width()), scale(image.height()));
    }
    if policy == Thumbnails::Blurred {
        // Twelve cells a side: enough to tell a scene from a portrait, too little to know a face.
        let (width, height) = image.dimensions();
        image = pixels::resize(&pixels::resize(&image, 12, 12), width, height);
    }
    let bytes = pixels::encode_png(&image).map_err(|error| failed(error.to_string()))?;
    Ok(Some(STANDARD.encode(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite;

    fn policy(thumbnails: &str, most: Thumbnails) -> Policy {
        let text = format!(
            "schema: 1\nname: people\nmodel: {{ use: reference }}\n{thumbnails}\
             probes:\n\
             - {{ id: painted, generate: {{ typographic: {{ base: faces, words: [{{ text: a, target: b }}] }} }} }}\n\
             - {{ id: faces, generate: {{ manifest: {{ file: faces.csv, people: true }} }} }}\n\
             - {{ id: things, generate: {{ manifest: {{ file: things.csv }} }} }}\n"
        );
        let suite = suite::read("people.yaml", text.as_bytes()).unwrap_or_else(|error| panic!("{}", error.render()));
        Policy::of(&suite, most)
    }

    #[test]
    fn people_are_not_shown_unless_the_suite_asks() {
        let policy = policy("", Thumbnails::Full);
        for set in ["faces", "faces.control", "painted", "painted.control"] {
            assert_eq!(policy.of_set(set), Thumbnails::None, "{set}");
        }
        assert_eq!(policy.of_set("things"), Thumbnails::Full);
    }

    #[test]
    fn what_the_suite_asks_for_holds_for_every_set() {
        let policy = policy("thumbnails: blurred\n", Thumbnails::Full);
        assert_eq!([policy.of_set("faces"), policy.of_set("things")], [Thumbnails::Blurred; 2]);
    }

    #[test]
    fn who_runs_the_audit_can_show_less_and_never_more() {
        let shown = |suite, most| ["faces", "things"].map(|set| policy(suite, most).of_set(set));
        use Thumbnails::{Blurred, Full, None};
        assert_eq!(shown("", Blurred), [None, Blurred]);
        assert_eq!(shown("", None), [None, None]);
        assert_eq!(shown("thumbnails: none\n", Full), [None, None]);
        assert_eq!(shown("thumbnails: full\n", Blurred), [Blurred, Blurred]);
    }
}
