//! Evidence: after the gate, only the probes that findings cite (and their twins) are drawn again, as thumbnails without
//! metadata, with what each readout said of them.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::measure::{Measured, Predictions};
use crate::observe::Renderer;
use crate::pixels;
use crate::suite::Thumbnails;
use crate::types::{Evidence, Finding, Observations, Observed, Prediction, ProbeId};

/// Longest side of a thumbnail, pixels.
const SIDE: u32 = 128;
/// Predictions shown per readout.
const SHOWN: usize = 3;
/// Evidence kept for one measurement that no finding judges.
const PER_MEASUREMENT: usize = 1;

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
    thumbnails: Thumbnails,
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
    rows.into_iter().map(|row| one(row, &observations.probes[row], readouts, renderer, thumbnails)).collect()
}

fn one(
    row: usize,
    probe: &Observed,
    readouts: &BTreeMap<String, Predictions>,
    renderer: &Renderer<'_>,
    thumbnails: Thumbnails,
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
        thumbnail: thumbnail(probe, renderer, thumbnails)?,
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
