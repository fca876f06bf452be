//! Evidence: after the gate, only the probes that findings cite (and their twins) are drawn again, as thumbnails without
//! metadata, with what each readout said of them.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::measure::{Measured, Predictions};
use crate::observe::Renderer;
use crate::pixels;
use crate::suite::{Suite, Thumbnails};
use crate::types::{Evidence, Finding, Observations, Observed, Prediction, ProbeId};

/// Longest side of a thumbnail, pixels.
const SIDE: u32 = 128;
/// Predictions shown per readout.
const SHOWN: usize = 3;
/// Evidence kept for one measurement that no finding judges.
const PER_MEASUREMENT: usize = 1;

/// How the probes of each set are shown.
pub(super) struct Policy {
    asked: Option<Thumbnails>,
    people: BTreeSet<String>,
}

impl Policy {
    /// What the suite asks for; without a word, things are shown and people are not.
    pub(super) fn of(suite: &Suite) -> Self {
        let mut people: BTreeSet<String> = BTreeSet::new();
        // A set painted on people shows people. Each round finds the sets one step further from their source.
        loop {
            let known = people.len();
            for probe in &suite.probes {
                let from_people = probe.generate.uses().iter().any(|(_, set)| people.contains(*set));
                if probe.generate.people() || from_people {
                    people.extend([probe.id.clone(), format!("{}.control", probe.id)]);
                }
            }
            if people.len() == known {
                break;
            }
        }
        Self { asked: suite.thumbnails, people }
    }

    fn of_set(&self, set: &str) -> Thumbnails {
        let unasked = if self.people.contains(set) { Thumbnails::None } else { Thumbnails::Full };
        self.asked.unwrap_or(unasked)
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
    let mut cited: BTreeSet<&ProbeId> = findings.iter().flat_map(|finding| &finding.evidence).chain(unjudged).collect();
    for id in cited.clone() {
        if let Some(row) = observations.row(id) {
            let plan = &observations.probes[row].plan;
            cited.extend(plan.source.iter().chain(&plan.control));
        }
    }
    let rows: BTreeSet<usize> = cited.into_iter().filter_map(|id| observations.row(id)).collect();
    rows.into_iter().map(|row| one(row, &observations.probes[row], readouts, renderer, policy)).collect()
}

fn one(
    row: usize,
    probe: &Observed,
    readouts: &BTreeMap<String, Predictions>,
    renderer: &Renderer<'_>,
    policy: &Policy,
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
        thumbnail: thumbnail(probe, renderer, policy.of_set(&plan.set))?,
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

    fn policy(thumbnails: &str) -> Policy {
        let text = format!(
            "schema: 1\nname: people\nmodel: {{ use: reference }}\n{thumbnails}\
             probes:\n\
             - {{ id: painted, generate: {{ typographic: {{ base: faces, words: [{{ text: a, target: b }}] }} }} }}\n\
             - {{ id: faces, generate: {{ manifest: {{ file: faces.csv, people: true }} }} }}\n\
             - {{ id: things, generate: {{ manifest: {{ file: things.csv }} }} }}\n"
        );
        Policy::of(&suite::read("people.yaml", text.as_bytes()).unwrap_or_else(|error| panic!("{}", error.render())))
    }

    #[test]
    fn people_are_not_shown_unless_the_suite_asks() {
        let policy = policy("");
        for set in ["faces", "faces.control", "painted", "painted.control"] {
            assert_eq!(policy.of_set(set), Thumbnails::None, "{set}");
        }
        assert_eq!(policy.of_set("things"), Thumbnails::Full);
    }

    #[test]
    fn what_the_suite_asks_for_holds_for_every_set() {
        let policy = policy("thumbnails: blurred\n");
        assert_eq!([policy.of_set("faces"), policy.of_set("things")], [Thumbnails::Blurred; 2]);
    }
}
