//! Axes: where a number stands on a drawing, which range an axis shows, where its marks go.

use serde::Serialize;

use super::text;
use crate::types::{Bound, Estimate, Scale};

/// A linear map from numbers to positions.
pub(super) struct Ruler {
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) from: f64,
    pub(super) to: f64,
}

impl Ruler {
    pub(super) fn at(&self, value: f64) -> f64 {
        let share = (value - self.low) / (self.high - self.low);
        let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.5 };
        position(self.from + share * (self.to - self.from))
    }

    /// About so many marks, labelled as numbers of this scale.
    pub(super) fn ticks(&self, wanted: u32, scale: Scale) -> Vec<Tick> {
        let step = nice_step((self.high - self.low) / f64::from(wanted));
        let first = (self.low / step).ceil();
        (0..4 * wanted)
            .map(|index| (first + f64::from(index)) * step)
            .take_while(|value| *value <= self.high + step * 1e-6)
            .map(|value| Tick { at: self.at(value), label: tick_label(value, step, scale) })
            .collect()
    }
}

/// A tenth of a unit is finer than any screen, and keeps the file small and the same everywhere.
pub(super) fn position(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// The next of 1, 2, 5 times a power of ten.
pub(super) fn nice_step(span: f64) -> f64 {
    if !(span.is_finite() && span > 0.0) {
        return 1.0;
    }
    let power = 10_f64.powf(span.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= span * 0.999).unwrap_or(10.0);
    let step = factor * power;
    if step.is_finite() && step > 0.0 { step } else { 1.0 }
}

fn tick_label(value: f64, step: f64, scale: Scale) -> String {
    let value = if value.abs() < step * 1e-6 { 0.0 } else { value };
    let (value, step, unit) = match scale {
        Scale::Share => (value * 100.0, step * 100.0, "\u{a0}%"),
        Scale::Difference => (value * 100.0, step * 100.0, ""),
        Scale::Number => (value, step, ""),
    };
    let decimals = -step.log10().floor();
    if !(-5.0..=5.0).contains(&decimals) {
        return text::number(value) + unit;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 5")]
    let decimals = decimals.max(0.0) as usize;
    format!("{value:.decimals$}{unit}").replace('-', "−")
}

/// The range an axis shows: shares from zero to the next step (at most one), other numbers with zero where it is near.
pub(super) fn range(values: &[f64], ticks: u32) -> (f64, f64) {
    let bounded = |value: &f64| value.clamp(-1e300, 1e300);
    let low = values.iter().map(bounded).fold(f64::INFINITY, f64::min);
    let high = values.iter().map(bounded).fold(f64::NEG_INFINITY, f64::max);
    if low > high {
        return (0.0, 1.0);
    }
    if low >= 0.0 && high <= 1.0 && high > 0.0 {
        let step = nice_step(high / f64::from(ticks));
        return (0.0, ((high * 1.02 / step).ceil() * step).min(1.0));
    }
    let near_zero = |bound: f64, span: f64| bound.abs() < span;
    let span = (high - low).max(f64::MIN_POSITIVE);
    let low = if low > 0.0 && near_zero(low, span) { 0.0 } else { low };
    let high = if high < 0.0 && near_zero(high, span) { 0.0 } else { high };
    let step = nice_step((high - low) / f64::from(ticks));
    let (low, high) = ((low / step).floor() * step, (high / step).ceil() * step);
    if low < high { (low, high) } else { (low - step, high + step) }
}

/// A mark on an axis.
#[derive(Serialize)]
pub(super) struct Tick {
    pub(super) at: f64,
    pub(super) label: String,
}

/// The estimate of a finding against its limit, on a drawing area of 360 x 56.
#[derive(Serialize)]
pub(super) struct IntervalAxis {
    ticks: Vec<Tick>,
    low: f64,
    point: f64,
    high: f64,
    /// Left edge and width of the acceptable side.
    acceptable: Option<[f64; 2]>,
    limit: Option<f64>,
    limit_label: String,
    /// Which end of the limit's label stands at the limit.
    limit_anchor: &'static str,
}

impl IntervalAxis {
    pub(super) fn new(estimate: &Estimate, scale: Scale, limit: Option<f64>, bound: Option<Bound>) -> Self {
        let mut values = vec![estimate.low(), estimate.point(), estimate.high()];
        values.extend(limit);
        let (low, high) = range(&values, 5);
        let ruler = Ruler { low, high, from: 14.0, to: 346.0 };
        let limit_at = limit.map(|limit| ruler.at(limit));
        Self {
            ticks: ruler.ticks(5, scale),
            low: ruler.at(estimate.low()),
            point: ruler.at(estimate.point()),
            high: ruler.at(estimate.high()),
            acceptable: limit_at.zip(bound).map(|(at, bound)| match bound {
                Bound::AtMost => [14.0, position(at - 14.0)],
                Bound::AtLeast => [at, position(346.0 - at)],
            }),
            limit: limit_at,
            limit_label: limit.map(|limit| format!("limit {}", limit_of(limit, scale))).unwrap_or_default(),
            limit_anchor: match limit_at {
                Some(at) if at < 35.0 => "start",
                Some(at) if at > 325.0 => "end",
                _ => "middle",
            },
        }
    }
}

/// A limit with its unit: `10 %`, `5 points`, `0.5`.
fn limit_of(limit: f64, scale: Scale) -> String {
    match scale {
        Scale::Share | Scale::Difference => scale.format(limit, 4),
        Scale::Number => trimmed(limit),
    }
}

/// A number as the suite wrote it: no padding zeros.
pub(super) fn trimmed(value: f64) -> String {
    if (0.0001..1e6).contains(&value.abs()) || value == 0.0 { value.to_string() } else { text::number(value) }
}

/// The x axis spans its points with a little air, and starts at zero where that costs little.
pub(super) fn x_range(xs: &[f64]) -> (f64, f64) {
    let bounded = |value: &f64| value.clamp(-1e300, 1e300);
    let low = xs.iter().map(bounded).fold(f64::INFINITY, f64::min);
    let high = xs.iter().map(bounded).fold(f64::NEG_INFINITY, f64::max);
    if low > high {
        return (0.0, 1.0);
    }
    let air = if high > low { (high - low) * 0.06 } else { low.abs().max(1.0) * 0.1 };
    let from_zero = low >= 0.0 && low <= (high - low) * 0.5;
    (if from_zero { 0.0 } else { low - air }, high + air)
}
