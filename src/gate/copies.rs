//! Findings about pictures that stand in a set more than once: copies that count as independent would make every interval
//! narrower than it is.

use std::collections::{BTreeMap, BTreeSet};

use super::quarantine::data_quality;
use crate::types::{Finding, Parameters, ProbePlan, Severity, Verdict};

/// The largest share of a set's clusters that may be copies of others: beyond it, intervals are visibly too narrow.
const COPIES_MAX: f64 = 0.01;

/// The clusters of a set and those among them that only repeat a picture of another.
#[derive(Default)]
struct Repeated<'a> {
    clusters: BTreeSet<&'a str>,
    /// Clusters by what is drawn: parameters, seed and the contents of the files.
    drawn: BTreeMap<(&'a Parameters, u64, Vec<&'a str>), BTreeSet<&'a str>>,
}

/// Sets whose pictures are the same bytes in several clusters. `contents` gives the SHA-256 of a file by its name; a file that
/// could not be read is nobody's copy. More than 1 % of a set's clusters leave the audit undecided, fewer are a notice.
pub fn copy_findings(plans: &[ProbePlan], contents: &BTreeMap<&str, &str>) -> Vec<Finding> {
    let mut sets: BTreeMap<&str, Repeated<'_>> = BTreeMap::new();
    for plan in plans {
        // What is painted over a copy repeats with its clean twin, and is told of there.
        if plan.source.is_some() {
            continue;
        }
        let set = sets.entry(&plan.set).or_default();
        set.clusters.insert(&plan.cluster);
        let files: Option<Vec<&str>> = plan.recipe.files.iter().map(|name| contents.get(&**name).copied()).collect();
        if let Some(files) = files.filter(|files| !files.is_empty()) {
            let drawn = (&plan.recipe.parameters, plan.recipe.seed, files);
            set.drawn.entry(drawn).or_default().insert(&plan.cluster);
        }
    }
    sets.into_iter().filter_map(|(name, set)| finding(name, &set)).collect()
}

fn finding(name: &str, set: &Repeated<'_>) -> Option<Finding> {
    let repeated: Vec<&BTreeSet<&str>> = set.drawn.values().filter(|clusters| clusters.len() > 1).collect();
    let copies: usize = repeated.iter().map(|clusters| clusters.len() - 1).sum();
    let mut example = repeated.first()?.iter();
    let (first, second) = (example.next()?, example.next()?);
    let share = copies as f64 / set.clusters.len() as f64;
    let message = format!(
        "{copies} of {} clusters of `{name}` repeat a picture of another cluster byte for byte, for example `{first}` and \
         `{second}`: copies are no independent evidence; take them out, or give them one cluster",
        set.clusters.len()
    );
    let (verdict, severity) = match share > COPIES_MAX {
        true => (Verdict::Inconclusive, Severity::High),
        false => (Verdict::Warn, Severity::Info),
    };
    let rule = "at most 1 % of the clusters of a set are copies of others".to_owned();
    Some(data_quality("copies", name, "", (verdict, severity), message, rule, COPIES_MAX))
}
