//! How text and numbers are printed, whatever the format: control, bidirectional and invisible characters as visible
//! escapes, long strings shortened with their length, numbers with the digits they need.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::types::{Estimate, Scale};

/// Whether a character would be invisible, reorder the text around it, or be illegal in HTML or XML.
pub(super) fn needs_escape(character: char) -> bool {
    let code = u32::from(character);
    (character.is_control() && !matches!(character, '\n' | '\t'))
        || matches!(code,
            0x00AD | 0x034F | 0x061C | 0x115F..=0x1160 | 0x17B4..=0x17B5 | 0x180B..=0x180E // soft hyphen, joiners, fillers
            | 0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x206F // zero width, separators, bidirectional controls
            | 0x3164 | 0xFEFF | 0xFFA0 | 0xFFF0..=0xFFFB // fillers, byte order mark, annotations
            | 0xE000..=0xF8FF | 0xF_0000..=0x10_FFFF // private use: every font shows something else
            | 0xFDD0..=0xFDEF | 0xE_0000..=0xE_0FFF) // no characters; tags
        || code & 0xFFFE == 0xFFFE
}

/// The text with such characters as `⟨U+202E⟩`. Line breaks and tabs stay.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(needs_escape) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if needs_escape(character) {
            let _ = write!(shown, "⟨U+{:04X}⟩", u32::from(character));
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

/// The first `limit` characters, and how many there were.
pub(super) fn shorten(text: &str, limit: usize) -> Cow<'_, str> {
    match text.char_indices().nth(limit) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}… ({} characters)", &text[..end], text.chars().count())),
    }
}

/// Visible, on one line, and at most `limit` characters of the original.
pub(super) fn line(text: &str, limit: usize) -> String {
    visible(&shorten(text, limit)).replace(['\n', '\t'], " ")
}

/// A count, with separators from ten thousand on.
pub(super) fn count(number: u64) -> String {
    if number < 10_000 { number.to_string() } else { grouped(&number.to_string()) }
}

fn grouped(digits: &str) -> String {
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with up to three decimals: `0.613`, `12.5`, `4.20e−5`, `12,000`.
pub(super) fn number(value: f64) -> String {
    let size = value.abs();
    if value.fract() == 0.0 && size < 1e15 {
        let digits = format!("{size:.0}");
        let digits = if size >= 10_000.0 { grouped(&digits) } else { digits };
        return if value < 0.0 { format!("−{digits}") } else { digits };
    }
    if !(0.0005..1e6).contains(&size) {
        return format!("{value:.2e}").replace('-', "−");
    }
    let text = fixed(value, decimals_for(size));
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn decimals_for(size: f64) -> usize {
    match size {
        size if size >= 1000.0 => 0,
        size if size >= 100.0 => 1,
        size if size >= 10.0 => 2,
        _ => 3,
    }
}

fn fixed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.strip_prefix('-') {
        Some(digits) if digits.bytes().all(|byte| matches!(byte, b'0' | b'.')) => digits.to_owned(),
        Some(digits) => format!("−{digits}"),
        None => text,
    }
}

/// Point, low and high in the unit of their scale, with the same number of decimals: enough that rounding moves no bound
/// onto the limit, and that a small number does not read as zero. `61.3 %`, `53.9 %`, `68.1 %`; `12.0 points`, `8.1`, `15.4`.
pub(super) fn estimate(estimate: &Estimate, scale: Scale, limit: Option<f64>) -> [String; 3] {
    let (factor, units) = match scale {
        Scale::Share => (100.0, ["\u{a0}%"; 3]),
        Scale::Difference => (100.0, ["\u{a0}points", "", ""]),
        Scale::Number => (1.0, [""; 3]),
    };
    let values = [estimate.point(), estimate.low(), estimate.high()].map(|value| value * factor);
    let limit = limit.map(|limit| limit * factor);
    let size = values.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
    let texts = if size >= 1e6 || (size > 0.0 && size < 1e-7) {
        values.map(number)
    } else {
        let misread = |decimals: usize| {
            values.iter().any(|value| {
                let shown = fixed(*value, decimals);
                let on_limit = limit.is_some_and(|limit| limit != *value && fixed(limit, decimals) == shown);
                on_limit || (*value != 0.0 && value.abs() > 0.01 * size && fixed(0.0, decimals) == shown)
            })
        };
        let least = if scale == Scale::Number { decimals_for(size) } else { 1 };
        let decimals = (least..9).find(|decimals| !misread(*decimals)).unwrap_or(9);
        values.map(|value| fixed(value, decimals))
    };
    let mut units = units.iter();
    texts.map(|text| text + units.next().unwrap_or(&""))
}

/// A p-value: `0.013`, `< 0.0001`.
pub(super) fn p_value(p: f64) -> String {
    if p < 0.0001 { "< 0.0001".to_owned() } else { format!("{p:.4}") }
}

/// The words for a level of confidence: `95 %`.
pub(super) fn percent(share: f64) -> String {
    let text = format!("{:.2}", share * 100.0);
    format!("{}\u{a0}%", text.trim_end_matches('0').trim_end_matches('.'))
}

/// A size in bytes as people read it: `38.7 MB`.
pub(super) fn bytes(size: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let size_f64 = size as f64;
    match size {
        0..1_000 => format!("{size} B"),
        1_000..1_000_000 => format!("{:.1} kB", size_f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", size_f64 / 1e6),
        _ => format!("{:.2} GB", size_f64 / 1e9),
    }
}

/// A group by its labels: `size 0.14, word pizza`; overall when it has none.
pub(super) fn group(labels: &std::collections::BTreeMap<String, String>) -> String {
    if labels.is_empty() {
        return "overall".to_owned();
    }
    labels.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(point: f64, low: f64, high: f64, limit: f64) -> [String; 3] {
        estimate(&Estimate::new(point, low, high, 0.95, "test").unwrap(), Scale::Number, Some(limit))
    }

    #[test]
    fn shares_are_printed_in_per_cent_and_differences_in_points() {
        let shown = |scale, limit| {
            estimate(&Estimate::new(0.08, -0.06, 0.100_04, 0.95, "test").unwrap(), scale, Some(limit)).join(" ")
        };
        assert_eq!(shown(Scale::Share, 0.2), "8.0\u{a0}% −6.0\u{a0}% 10.0\u{a0}%");
        assert_eq!(shown(Scale::Share, 0.1), "8.000\u{a0}% −6.000\u{a0}% 10.004\u{a0}%");
        assert_eq!(shown(Scale::Difference, 0.2), "8.0\u{a0}points −6.0 10.0");
    }

    #[test]
    fn rounding_never_moves_a_bound_onto_the_limit() {
        assert_eq!(shown(0.08, 0.06, 0.1, 0.1), ["0.080", "0.060", "0.100"]);
        assert_eq!(shown(0.08, 0.06, 0.100_04, 0.1), ["0.08000", "0.06000", "0.10004"]);
        assert_eq!(shown(0.5, 0.099_999_6, 0.9, 0.1), ["0.5000000", "0.0999996", "0.9000000"]);
    }

    #[test]
    fn small_numbers_do_not_read_as_zero() {
        assert_eq!(shown(0.0002, 0.0001, 0.0004, 0.01), ["0.0002", "0.0001", "0.0004"]);
        assert_eq!(number(0.000_04), "4.00e−5");
        assert_eq!(p_value(1e-9), "< 0.0001");
    }

    #[test]
    fn numbers_keep_the_digits_they_need() {
        let cases = [
            (0.0, "0"),
            (-0.0, "0"),
            (0.613, "0.613"),
            (-0.31, "−0.31"),
            (-0.0006, "−0.001"),
            (12_000.0, "12,000"),
            (1e300, "1.00e300"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
        assert_eq!(percent(0.95), "95\u{a0}%");
        assert_eq!(percent(1.0 - 0.05 / 12.0), "99.58\u{a0}%");
    }

    #[test]
    fn hidden_characters_are_shown_and_long_text_says_how_long() {
        assert_eq!(visible("a\u{202E}b\u{0}\tc\n"), "a⟨U+202E⟩b⟨U+0000⟩\tc\n");
        assert_eq!(visible("plain 🐩 é 中"), "plain 🐩 é 中");
        assert_eq!(shorten(&"é".repeat(10_000), 3), "ééé… (10000 characters)");
    }
}
