//! Numbers in words: one wording for messages, reports and the terminal.

use super::{Estimate, Measurement, Quantity, Scale, Value, WaiverRecord};

impl Scale {
    /// A value as it is printed, with so many decimals (a trailing `.0` is left out): `25 %`, `12.5 points`, `0.31`.
    pub fn format(self, value: f64, decimals: usize) -> String {
        match self {
            Self::Share => format!("{} %", trimmed(value * 100.0, decimals)),
            Self::Difference => format!("{} points", trimmed(value * 100.0, decimals)),
            Self::Number => trimmed(value, decimals + 2),
        }
    }

    /// A value without its unit, for the inside of brackets where the unit stands before them.
    fn bare(self, value: f64, decimals: usize) -> String {
        match self {
            Self::Difference => trimmed(value * 100.0, decimals),
            _ => self.format(value, decimals),
        }
    }
}

/// Fixed decimals without trailing zeros, and never `-0`.
fn trimmed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// `1 cluster`, `2 clusters`.
fn clusters(count: usize) -> String {
    format!("{count} cluster{}", if count == 1 { "" } else { "s" })
}

impl Quantity {
    /// An estimate in words, with its interval, n and clusters.
    pub fn in_words(&self, estimate: &Estimate, n: usize, of: usize, decimals: usize) -> String {
        let point = self.scale.format(estimate.point(), decimals);
        let bound = |value| self.scale.bare(value, decimals);
        let interval = format!("{point} [{}, {}]", bound(estimate.low()), bound(estimate.high()));
        let (counted, about) = (&self.counted, &self.about);
        match self.scale {
            Scale::Share => format!("{interval} of {n} {counted} in {} {about}", clusters(of)),
            _ => format!("{about}: {interval} over {n} {counted} in {}", clusters(of)),
        }
    }
}

impl WaiverRecord {
    /// `accepted by A until 2027-01-31, approved by B, ticket C: why`.
    pub fn in_words(&self) -> String {
        let part = |before: &str, text: &str| if text.is_empty() { String::new() } else { format!("{before}{text}") };
        let Self { owner, until, reason, .. } = self;
        let since = part(" from ", &self.since);
        let more = part(", approved by ", &self.approver) + &part(", ticket ", &self.ticket);
        format!("accepted by {owner}{since} until {until}{more}: {reason}")
    }
}

impl Measurement {
    /// The number in words, one decimal: `25 % [21.2 %, 29.4 %] of 480 eligible pairs in 48 clusters changed to the
    /// written word`, or why there is none.
    pub fn in_words(&self) -> String {
        match &self.value {
            Value::Measured(estimate) => self.quantity.in_words(estimate, self.n, self.clusters, 1),
            Value::NotMeasured { reason } => format!("not measured: {reason}"),
        }
    }
}
