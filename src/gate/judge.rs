//! One finding for every number a gate ranges over.

use jiff::civil::Date;

use super::{COUNTED_AS_PASSED, Gate, On, Undecided, Waiver, finding_id};
use crate::stats::{Bounds, POWER, detectable_number, detectable_rate, effective_trials};
use crate::types::{
    Bound, Detectable, Direction, Estimate, Finding, Measurement, Origin, Scale, Severity, Value, Verdict, WaiverRecord,
};

/// The side of its limit a number has to be on.
#[derive(Clone, Copy)]
enum Limit {
    Max(f64),
    Min(f64),
}

impl Limit {
    fn of(gate: &Gate) -> Option<Self> {
        gate.max.map(Self::Max).or(gate.min.map(Self::Min))
    }

    fn value(self) -> f64 {
        match self {
            Self::Max(limit) | Self::Min(limit) => limit,
        }
    }

    fn bound(self) -> Bound {
        match self {
            Self::Max(_) => Bound::AtMost,
            Self::Min(_) => Bound::AtLeast,
        }
    }

    fn words(self, scale: Scale, decimals: usize) -> String {
        let (side, limit) = match self {
            Self::Max(limit) => ("at most", limit),
            Self::Min(limit) => ("at least", limit),
        };
        format!("{side} {}", scale.format(limit, decimals))
    }

    /// The rule of the whole interval: it passes where no value in it breaks the limit, fails where every value does.
    fn verdict(self, estimate: &Estimate) -> Verdict {
        let (best, point, worst, limit) = match self {
            Self::Max(limit) => (estimate.low(), estimate.point(), estimate.high(), limit),
            Self::Min(limit) => (-estimate.high(), -estimate.point(), -estimate.low(), -limit),
        };
        if best > limit {
            Verdict::Fail
        } else if worst <= limit {
            Verdict::Pass
        } else if point > limit {
            Verdict::Warn
        } else {
            Verdict::Inconclusive
        }
    }

    /// What a reader must know of a gate that looks the other way: what is worse passes it.
    fn lets_worse_pass(self, worse: Direction) -> &'static str {
        match (self, worse) {
            (Self::Min(_), Direction::Higher) => ", although a higher number is worse",
            (Self::Max(_), Direction::Lower) => ", although a lower number is worse",
            _ => "",
        }
    }

    /// How many times the data at hand would decide, if the point stays: the interval narrows with the square root of
    /// n, so the half width towards the limit has to shrink to the distance of the point. `None` when the point is on
    /// the limit.
    fn times(self, estimate: &Estimate) -> Option<f64> {
        let distance = self.value() - estimate.point();
        let half = if distance > 0.0 { estimate.high() - estimate.point() } else { estimate.point() - estimate.low() };
        (distance != 0.0).then(|| (half / distance).powi(2)).filter(|times| times.is_finite())
    }
}

/// Judges every gate, in the order of the gates and, within a gate, of the measurements. `today` decides which waivers
/// still hold. A gate that selects nothing and a number that could not be estimated are findings, never a pass.
pub fn judge(gates: &[Gate], waivers: &[Waiver], measurements: &[Measurement], today: Date) -> Vec<Finding> {
    let mut findings = Vec::new();
    for gate in gates {
        let before = findings.len();
        for measurement in measurements.iter().filter(|measurement| selects(gate, measurement)) {
            findings.push(judge_one(gate, measurement));
        }
        if findings.len() == before {
            let message = format!(
                "nothing was measured: no number `{}` of `{}` {}",
                gate.statistic,
                gate.measure,
                if gate.on == On::Each { "by group" } else { "over everything" }
            );
            findings.push(blank(gate, Verdict::NotMeasured, message, None));
        }
    }
    for finding in findings.iter_mut().filter(|finding| finding.verdict == Verdict::Fail) {
        let waiver = waivers.iter().find(|waiver| waiver.gate == finding.gate && waiver.holds(today));
        if let Some(waiver) = waiver {
            finding.verdict = Verdict::Waived;
            finding.waiver = Some(waiver.record("waives this finding".to_owned()));
        }
    }
    findings.extend(waivers.iter().filter_map(|waiver| idle(waiver, gates, today)));
    findings
}

/// Every waiver of a suite with what it did to the findings.
pub fn waivers(waivers: &[Waiver], findings: &[Finding], today: Date) -> Vec<WaiverRecord> {
    let record = |waiver: &Waiver| {
        let waived = |finding: &&Finding| finding.verdict == Verdict::Waived && finding.gate == waiver.gate;
        let effect = match findings.iter().filter(waived).count() {
            0 if waiver.until < today => "waives nothing: it has ended".to_owned(),
            0 if !waiver.holds(today) => "waives nothing: it has not begun".to_owned(),
            0 => "waives nothing: its gate did not fail".to_owned(),
            1 => "waives 1 finding".to_owned(),
            many => format!("waives {many} findings"),
        };
        waiver.record(effect)
    };
    waivers.iter().map(record).collect()
}

fn selects(gate: &Gate, measurement: &Measurement) -> bool {
    measurement.measure == gate.measure
        && measurement.statistic == gate.statistic
        && gate.readout.as_ref().is_none_or(|readout| *readout == measurement.readout)
        && match gate.on {
            // One unit is not everything: its number is no answer to a limit on the whole.
            On::Overall => measurement.group.is_empty() && measurement.unit.is_none(),
            On::Each => measurement.simultaneous.is_some(),
        }
}

fn judge_one(gate: &Gate, measurement: &Measurement) -> Finding {
    let rows = measurement.simultaneous.as_ref().filter(|_| gate.on == On::Each);
    let value = rows.map_or(&measurement.value, |rows| &rows.value);
    let (estimate, limit) = match (value, Limit::of(gate)) {
        (Value::Measured(estimate), Some(limit)) => (estimate, limit),
        (Value::NotMeasured { reason }, _) => {
            let message = format!("{}could not be measured: {reason}", in_group(measurement));
            return blank(gate, Verdict::NotMeasured, message, Some(measurement));
        }
        (_, None) => return blank(gate, Verdict::NotMeasured, "the gate has no limit".to_owned(), Some(measurement)),
    };
    let scale = measurement.quantity.scale;
    let decimals = decimals(estimate, limit.value(), scale);
    let level = format!("{} interval", percent(estimate.level()));
    let family = rows.map_or(level.clone(), |rows| format!("{level}, {} rows together", rows.rows));
    let mut verdict = limit.verdict(estimate);
    let numbers = measurement.quantity.in_words(estimate, measurement.n, measurement.clusters, decimals);
    let mut message = format!("{}{numbers}; the gate asks for {}", in_group(measurement), limit.words(scale, decimals));
    if let Some(rows) = rows {
        message.push_str(&format!(" ({}, for {} rows together)", level, rows.rows));
    }
    message.push_str(limit.lets_worse_pass(measurement.worse));
    if matches!(verdict, Verdict::Warn | Verdict::Inconclusive) {
        message.push_str(&format!("; undecided: {}", needed(limit, estimate, measurement)));
        match gate.undecided {
            Some(Undecided::Fail) => {
                verdict = Verdict::Fail;
                message.push_str("; the gate counts undecided as failed");
            }
            Some(Undecided::Pass) => {
                verdict = Verdict::Pass;
                message.push_str(COUNTED_AS_PASSED);
            }
            None => {}
        }
    }
    let settled = match gate.undecided {
        Some(Undecided::Fail) => "; undecided counts as failed",
        Some(Undecided::Pass) => "; undecided counts as passed",
        None => "",
    };
    Finding {
        rule: format!("{} ({family}{settled})", limit.words(scale, decimals)),
        judged: Some(value.clone()),
        detectable: detectable(limit, estimate, scale),
        ..blank(gate, verdict, message, Some(measurement))
    }
}

/// The smallest break of the limit these data would have found.
fn detectable(limit: Limit, estimate: &Estimate, scale: Scale) -> Option<Detectable> {
    let (above, half) = match limit {
        Limit::Max(_) => (true, estimate.point() - estimate.low()),
        Limit::Min(_) => (false, estimate.high() - estimate.point()),
    };
    let (limit, level) = (limit.value(), estimate.level());
    let value = match scale {
        Scale::Share => {
            let bounds = Bounds { low: estimate.low(), high: estimate.high() };
            let trials = effective_trials(estimate.point(), bounds, level);
            detectable_rate(limit, above, trials, level, POWER)?
        }
        Scale::Difference => {
            Some(detectable_number(limit, above, half, level, POWER)).filter(|one| one.abs() <= 1.0)?
        }
        Scale::Number => detectable_number(limit, above, half, level, POWER),
    };
    value.is_finite().then_some(Detectable { value, power: POWER })
}

/// A finding about a gate, without a rule of numbers.
fn blank(gate: &Gate, verdict: Verdict, message: String, measurement: Option<&Measurement>) -> Finding {
    let group = measurement.map(group).filter(|group| !group.is_empty());
    let limit = Limit::of(gate);
    let scale = measurement.map_or(Scale::Number, |one| one.quantity.scale);
    Finding {
        id: finding_id(Origin::Gate, &gate.id, measurement.map_or("", |one| &one.id)),
        origin: Origin::Gate,
        verdict,
        severity: gate.severity,
        title: group.map_or(gate.id.clone(), |group| format!("{}: {group}", gate.id)),
        message,
        gate: gate.id.clone(),
        rule: limit.map_or(String::new(), |limit| limit.words(scale, 1)),
        scale,
        limit: limit.map(Limit::value),
        bound: limit.map(Limit::bound),
        measurement: measurement.map(|one| one.id.clone()),
        judged: None,
        evidence: measurement.map_or(Vec::new(), |one| one.evidence.clone()),
        waiver: None,
        detectable: None,
    }
}

/// What a waiver that waives nothing because of its date or name has to say. It changes no verdict.
fn idle(waiver: &Waiver, gates: &[Gate], today: Date) -> Option<Finding> {
    let message = if !gates.iter().any(|gate| gate.id == waiver.gate) {
        format!("the waiver of {} names the gate `{}`, which does not exist", waiver.owner, waiver.gate)
    } else if waiver.until < today {
        format!("the waiver of {} for `{}` ended on {} and waives nothing", waiver.owner, waiver.gate, waiver.until)
    } else if let Some(since) = waiver.since.filter(|since| *since > today) {
        format!("the waiver of {} for `{}` begins on {since} and waives nothing yet", waiver.owner, waiver.gate)
    } else {
        return None;
    };
    let subject = format!("waiver {} {}", waiver.owner, waiver.until);
    Some(Finding {
        id: finding_id(Origin::Control, &waiver.gate, &subject),
        origin: Origin::Control,
        verdict: Verdict::Warn,
        severity: Severity::Low,
        title: format!("waiver for {}", waiver.gate),
        message,
        gate: waiver.gate.clone(),
        rule: "a waiver names a gate and has not ended".to_owned(),
        scale: Scale::Number,
        limit: None,
        bound: None,
        measurement: None,
        judged: None,
        evidence: Vec::new(),
        waiver: None,
        detectable: None,
    })
}

fn group(measurement: &Measurement) -> String {
    measurement.group.iter().map(|(label, value)| format!("{label} {value}")).collect::<Vec<_>>().join(", ")
}

fn in_group(measurement: &Measurement) -> String {
    let group = group(measurement);
    if group.is_empty() { group } else { format!("{group}: ") }
}

/// What would decide.
fn needed(limit: Limit, estimate: &Estimate, measurement: &Measurement) -> String {
    let Some(times) = limit.times(estimate) else {
        return "the number is on the limit, and no amount of data would decide".to_owned();
    };
    let more = |count: usize| two_digits(count as f64 * (times - 1.0));
    let (clusters, n) = (more(measurement.clusters), more(measurement.n));
    if clusters > 1e6 {
        return "the number is so close to the limit that no realistic amount of data would decide".to_owned();
    }
    format!(
        "about {clusters} more independent cluster{} (about {n} more {}) would decide if the number stays where it is",
        if clusters > 1.0 { "s" } else { "" },
        measurement.quantity.counted
    )
}

/// Rounded up to two significant digits: an estimate of a need should look like one.
fn two_digits(count: f64) -> f64 {
    let unit = 10.0_f64.powf((count.max(1.0).log10().floor() - 1.0).max(0.0));
    // The small part that rounding left over is no need of its own.
    ((count / unit - 1e-9).ceil() * unit).max(1.0)
}

/// As many decimals as it takes to see on which side of the limit a bound is, 1 to 6.
fn decimals(estimate: &Estimate, limit: f64, scale: Scale) -> usize {
    let differs = |decimals: usize| {
        [estimate.low(), estimate.point(), estimate.high()]
            .iter()
            .all(|value| *value == limit || scale.format(*value, decimals) != scale.format(limit, decimals))
    };
    (1..=6).find(|decimals| differs(*decimals)).unwrap_or(6)
}

/// A level as it is printed: `95 %`, `99.17 %`.
fn percent(level: f64) -> String {
    Scale::Share.format(level, 2)
}
