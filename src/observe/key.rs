//! The name of a chunk: a SHA-256 over everything its contents depend on. Labels and groups are not in it: they join from
//! the plan when the chunk is read.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::Job;
use crate::probe::{FileError, Files, source_bytes};
use crate::types::{ProbePlan, digest};

/// Changes when the columns of a chunk or their meaning change, or the order of the sums in the forward pass.
const CHUNK_FORMAT: &str = "clip-audit chunk 5";

/// Size and SHA-256 of every file a plan depends on, or why it cannot be read; by name.
pub type Sources = BTreeMap<String, Result<(u64, String), String>>;

/// Hashes every file the plans depend on, once.
///
/// # Errors
/// Never for a missing or unreadable file: that is recorded, and its probes are quarantined when drawn.
pub fn sources(plans: &[ProbePlan], files: &Files) -> Sources {
    let names: BTreeMap<&str, ()> =
        plans.iter().flat_map(|plan| plan.recipe.files.iter().map(|name| (&**name, ()))).collect();
    names
        .into_par_iter()
        .map(|(name, ())| {
            let hashed = source_bytes(files, name)
                .map(|bytes| (bytes.len() as u64, hexadecimal(&bytes)))
                .map_err(|error: FileError| error.to_string());
            (name.to_owned(), hashed)
        })
        .collect()
}

/// The files of these plans that no longer hold what they held when they were hashed. A chunk is named by the first
/// contents, so it may not keep what was drawn from others. Looked at after drawing.
pub(super) fn changed<'a>(job: &Job<'_>, plans: &'a [ProbePlan]) -> BTreeSet<&'a str> {
    let names: BTreeSet<&str> = plans.iter().flat_map(|plan| plan.recipe.files.iter().map(|name| &**name)).collect();
    let holds = |name: &&str| match job.sources.get(*name) {
        Some(Ok((_, sha256))) => source_bytes(job.files, name).is_ok_and(|bytes| hexadecimal(&bytes) == *sha256),
        _ => false,
    };
    names.into_par_iter().filter(|name| !holds(name)).collect()
}

fn hexadecimal(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What every key of a run shares.
fn common(job: &Job<'_>, kind: &str) -> Vec<String> {
    let info = job.encoder.info();
    let numerics = job.encoder.numerics();
    let mut parts = vec![
        kind.to_owned(),
        CHUNK_FORMAT.to_owned(),
        env!("CARGO_PKG_VERSION").to_owned(),
        info.record.fingerprint.to_string(),
        format!("{numerics:?}"),
    ];
    parts.extend(info.record.facts.iter().map(|(name, value)| format!("{name}={value}")));
    parts
}

/// File name of a chunk of probes.
pub(super) fn chunk(job: &Job<'_>, plans: &[ProbePlan]) -> String {
    let mut parts = common(job, "images");
    parts.extend(job.encoder.info().record.preprocessing.iter().map(|(name, value)| format!("{name}={value}")));
    parts.extend(job.taps.iter().map(ToString::to_string));
    parts.push(format!("{:?}", job.interventions));
    for plan in plans {
        // The id covers set, generator version, parameters, file names and seed, and through the clean twin's id in the
        // parameters those of the twin; the contents of files are added here.
        parts.push(plan.id.to_string());
        parts.extend(plan.source.iter().map(ToString::to_string));
        for name in plan.recipe.files.iter() {
            parts.push(match job.sources.get(&**name) {
                Some(Ok((_, sha256))) => sha256.clone(),
                Some(Err(reason)) => reason.clone(),
                None => "not hashed".to_owned(),
            });
        }
    }
    format!("{}.arrow", &digest(&parts)[..32])
}

/// File name of the prompts' features.
pub(super) fn texts(job: &Job<'_>) -> String {
    let mut parts = common(job, "texts");
    parts.extend(job.prompts.iter().cloned());
    format!("{}.texts.arrow", &digest(&parts)[..32])
}
