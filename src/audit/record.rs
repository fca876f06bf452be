//! The parts of the record that say what was audited: model, suite, probe sets, files, and notes with their counts.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::evidence::Policy;
use crate::measure::AnyMeasure;
use crate::model::Encoder;
use crate::observe::{Sources, file_records};
use crate::suite::Suite;
use crate::types::{
    MeasureRecord, ModelRecord, Observations, ProbeId, ProbePlan, SetRecord, StatisticRecord, SuiteRecord, Tap,
    WaiverRecord, digest,
};

pub(super) fn model(encoder: &dyn Encoder, taps: &[Tap]) -> ModelRecord {
    ModelRecord { taps: taps.to_vec(), ..encoder.info().record.clone() }
}

pub(super) fn suite(suite: &Suite, sets: Vec<SetRecord>, sources: &Sources, waivers: Vec<WaiverRecord>) -> SuiteRecord {
    let effective = suite.effective();
    SuiteRecord {
        name: suite.name.clone(),
        description: suite.description.clone().unwrap_or_default(),
        sha256: suite.sha256.clone(),
        text: suite.text.clone(),
        effective_sha256: sha256(effective.as_bytes()),
        effective,
        facts: suite.system.facts(),
        seed: suite.seed,
        sets,
        files: file_records(sources),
        waivers,
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 of the files that could be read, by name.
pub(super) fn contents(sources: &Sources) -> BTreeMap<&str, &str> {
    sources.iter().filter_map(|(name, file)| Some((name.as_str(), file.as_ref().ok()?.1.as_str()))).collect()
}

/// What the numbers of every measure mean.
pub(super) fn measures(suite: &Suite) -> Vec<MeasureRecord> {
    let about = |name: &str| AnyMeasure::KINDS.iter().find(|kind| kind.name == name).map_or("", |kind| kind.about);
    suite
        .measures
        .iter()
        .map(|entry| MeasureRecord {
            id: entry.id.clone(),
            kind: entry.compute.name().to_owned(),
            about: about(entry.compute.name()).to_owned(),
            sets: entry.compute.needs().sets.into_iter().map(|(_, set)| set).collect(),
            statistics: entry
                .compute
                .statistics()
                .iter()
                .map(|statistic| StatisticRecord {
                    name: statistic.name.to_owned(),
                    about: statistic.about.to_owned(),
                    formula: statistic.formula.to_owned(),
                    method: statistic.method.to_owned(),
                    counted: statistic.counted.to_owned(),
                    worse: statistic.worse,
                })
                .collect(),
        })
        .collect()
}

/// One record per set, control sets included, in the order of the plan.
pub(super) fn sets(
    suite: &Suite,
    plans: &[ProbePlan],
    observations: &Observations,
    sources: &Sources,
    policy: &Policy,
) -> Vec<SetRecord> {
    let generators = super::generators(suite);
    let mut observed: BTreeMap<&str, usize> = BTreeMap::new();
    for probe in &observations.probes {
        *observed.entry(&probe.plan.set).or_default() += 1;
    }
    super::sizes(plans)
        .into_iter()
        .map(|(id, planned)| {
            let of_set = || plans.iter().filter(|plan| *plan.set == *id);
            let observed = observed.get(&*id).copied().unwrap_or_default();
            let mut parts: Vec<String> = of_set().map(|plan| plan.id.to_string()).collect();
            let files: BTreeSet<&str> =
                of_set().flat_map(|plan| plan.recipe.files.iter().map(|name| &**name)).collect();
            parts.extend(files.iter().map(|name| match sources.get(*name) {
                Some(Ok((_, sha256))) => format!("{name} {sha256}"),
                _ => format!("{name} unreadable"),
            }));
            SetRecord {
                generator: generators.get(&id).map(|generate| generate.version().to_owned()).unwrap_or_default(),
                planned,
                observed,
                quarantined: planned - observed,
                clusters: of_set().map(|plan| &plan.cluster).collect::<BTreeSet<_>>().len(),
                sha256: digest(&parts),
                thumbnails: policy.of_set(&id),
                id,
            }
        })
        .collect()
}

/// Probes lost because their clean twins were, and what the renderer noted, each note once with its count and one example.
pub(super) fn notes(plans: &[ProbePlan], observations: &Observations) -> Vec<String> {
    let lost: BTreeSet<&ProbeId> = observations.quarantined.iter().map(|one| &one.probe).collect();
    let gone = |id: &ProbeId| lost.contains(id);
    let with_twin = plans.iter().filter(|plan| gone(&plan.id) && plan.source.as_ref().is_some_and(gone));
    let mut twins: BTreeMap<&str, usize> = BTreeMap::new();
    with_twin.for_each(|plan| *twins.entry(&plan.set).or_default() += 1);
    let twins = twins.into_iter().map(|(set, count)| {
        format!("{} of `{set}` could not be used because their clean twins could not", probes(count))
    });
    let mut counted: BTreeMap<&str, (usize, String)> = BTreeMap::new();
    for probe in &observations.probes {
        for note in &probe.notes {
            let files = || probe.plan.recipe.files.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            counted.entry(note).or_insert_with(|| (0, format!("probe {} ({})", probe.plan.id, files()))).0 += 1;
        }
    }
    let noted =
        counted.into_iter().map(|(note, (count, example))| format!("{note}: {}, for example {example}", probes(count)));
    twins.chain(noted).collect()
}

/// `1 probe`, `2 probes`.
pub fn probes(count: usize) -> String {
    format!("{count} probe{}", if count == 1 { "" } else { "s" })
}
