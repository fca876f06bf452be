//! What an earlier run left: the chunks of a job that stand in its folder already.

use super::{Job, key, spans};
use crate::types::ProbePlan;

/// The chunks of a job, told apart by whether an earlier run finished them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Probes in finished chunks.
    pub finished: usize,
    /// Probes of each chunk that is still to be made.
    pub left: Vec<usize>,
    /// Whether the features of the prompts are there.
    pub texts: bool,
}

/// What is to be made of these probes where nothing is finished.
pub fn unfinished(plans: &[ProbePlan]) -> Found {
    Found { left: spans(plans).into_iter().map(|span| span.len()).collect(), ..Found::default() }
}

/// What of a job stands in its folder. The chunks are looked for, not read: one that turns out damaged is made anew when
/// observing.
pub fn found(job: &Job<'_>) -> Found {
    let there = |name: String| job.folder.join(name).is_file();
    let mut found = Found { texts: there(key::texts(job)), ..Found::default() };
    for span in spans(job.plans) {
        match there(key::chunk(job, &job.plans[span.clone()])) {
            true => found.finished += span.len(),
            false => found.left.push(span.len()),
        }
    }
    found
}
