//! Findings about inputs that could not be used: too many of them, or unevenly many in one group.

use std::collections::{BTreeMap, BTreeSet};

use super::finding_id;
use crate::types::{Bound, Finding, Origin, ProbeId, ProbePlan, Quarantined, Scale, Severity, Verdict};

/// From this many lost probes on, a group can count as unevenly hit: one or two are chance.
const UNEVEN_FROM: usize = 3;

/// How many times the share lost elsewhere a group's share has to be.
const UNEVEN_TIMES: f64 = 2.0;

/// How the probes of a set could be used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetUse {
    /// Id of the set.
    pub set: String,
    /// Planned probes.
    pub planned: usize,
    /// Probes that could not be used, by id.
    pub quarantined: Vec<ProbeId>,
    /// Planned and quarantined probes by group: label and value.
    pub groups: BTreeMap<(String, String), (usize, usize)>,
}

/// Counts the use of every set, in the order of the plans; groups are the values of the labels in `by`.
pub fn count_use(plans: &[ProbePlan], quarantined: &[Quarantined], by: &BTreeSet<String>) -> Vec<SetUse> {
    let lost: BTreeSet<&ProbeId> = quarantined.iter().map(|one| &one.probe).collect();
    let mut sets: Vec<SetUse> = Vec::new();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for plan in plans {
        let place = *places.entry(&plan.set).or_insert_with(|| {
            sets.push(SetUse { set: plan.set.to_string(), ..SetUse::default() });
            sets.len() - 1
        });
        let Some(set) = sets.get_mut(place) else { continue };
        let gone = lost.contains(&plan.id);
        set.planned += 1;
        if gone {
            set.quarantined.push(plan.id.clone());
        }
        for (label, value) in plan.labels.iter().filter(|(label, _)| by.contains(&***label)) {
            let group = set.groups.entry((label.to_string(), value.to_string())).or_default();
            group.0 += 1;
            group.1 += usize::from(gone);
        }
    }
    sets
}

/// What the quarantine says of the data. More than the share `max` of a set or of one of its groups leaves the audit
/// undecided; fewer are a notice. A group that lost at least 3 probes and at least twice the share of the rest of its set
/// is a warning: what is left of it may not stand for it.
pub fn quarantine_findings(sets: &[SetUse], max: f64) -> Vec<Finding> {
    let mut findings = Vec::new();
    for set in sets.iter().filter(|set| !set.quarantined.is_empty()) {
        let lost = set.quarantined.len();
        let over = share(lost, set.planned) > max;
        let of_set = format!("{} of `{}` could not be used", part(lost, set.planned), set.set);
        findings.push(match over {
            true => finding(set, "", Verdict::Inconclusive, Severity::High, format!("{of_set}; {}", allowed(max)), max),
            false => finding(set, "", Verdict::Warn, Severity::Info, of_set, max),
        });
        for ((label, value), (planned, gone)) in &set.groups {
            let group = format!("{label} {value}");
            let of_group = format!("{} of `{}` with {group} could not be used", part(*gone, *planned), set.set);
            if share(*gone, *planned) > max && !over {
                let message = format!("{of_group}; {}", allowed(max));
                findings.push(finding(set, &group, Verdict::Inconclusive, Severity::High, message, max));
            }
            let rest = (lost - gone, set.planned - planned);
            let uneven =
                rest.1 > 0 && *gone >= UNEVEN_FROM && share(*gone, *planned) >= UNEVEN_TIMES * share(rest.0, rest.1);
            if uneven {
                let message =
                    format!("{of_group}, {} elsewhere: what is left may not stand for it", part(rest.0, rest.1));
                let group = format!("{group}, uneven");
                findings.push(finding(set, &group, Verdict::Warn, Severity::Medium, message, max));
            }
        }
    }
    findings
}

fn share(lost: usize, planned: usize) -> f64 {
    lost as f64 / planned.max(1) as f64
}

fn part(lost: usize, planned: usize) -> String {
    format!("{lost} of {planned} probes ({})", Scale::Share.format(share(lost, planned), 1))
}

fn allowed(max: f64) -> String {
    format!("at most {} allowed", Scale::Share.format(max, 2))
}

fn finding(set: &SetUse, group: &str, verdict: Verdict, severity: Severity, message: String, max: f64) -> Finding {
    let rule = format!("{} of a set or group", allowed(max));
    data_quality("quarantine", &set.set, group, (verdict, severity), message, rule, max)
}

/// A finding about the inputs of a set: `about` is what is wrong with them.
pub(super) fn data_quality(
    about: &str,
    set: &str,
    group: &str,
    (verdict, severity): (Verdict, Severity),
    message: String,
    rule: String,
    max: f64,
) -> Finding {
    let subject = format!("{about} {set} {group}");
    Finding {
        id: finding_id(Origin::DataQuality, "", &subject),
        origin: Origin::DataQuality,
        verdict,
        severity,
        title: if group.is_empty() { format!("{about} in {set}") } else { format!("{about} in {set}: {group}") },
        message,
        gate: String::new(),
        rule,
        scale: Scale::Share,
        limit: Some(max),
        bound: Some(Bound::AtMost),
        measurement: None,
        judged: None,
        evidence: Vec::new(),
        waiver: None,
        detectable: None,
    }
}
