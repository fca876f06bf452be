//! HTML character references, decoded as Python's `html.unescape` does and as ftfy does.
//!
//! Both differ from the HTML standard's algorithm in corners (numbers of control characters, names in capitals), so the
//! table of names comes from a crate and the rules from their sources: `html/__init__.py` of CPython, `fixes.py` of ftfy.

use std::collections::HashMap;
use std::sync::LazyLock;

/// From "&name;" or, for the old ones, "&name" to what it stands for.
static NAMES: LazyLock<HashMap<&'static str, &'static str>> =
    LazyLock::new(|| entities::ENTITIES.iter().map(|entity| (entity.entity, entity.characters)).collect());

/// What numbers 0x80 to 0x9f stand for: windows-1252, and themselves where that has no character.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’',
    '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// Python's `html.unescape`.
pub(super) fn unescape(text: &str) -> String {
    replace(text, |reference| {
        if let Some(number) = reference.strip_prefix("&#") {
            let (digits, radix) = match number.strip_prefix(['x', 'X']) {
                Some(digits) => (digits, 16),
                None => (number, 10),
            };
            let length = digits.find(|c: char| !c.is_digit(radix)).unwrap_or(digits.len());
            if length == 0 {
                return None;
            }
            let end = reference.len() - digits.len() + length;
            let semicolon = usize::from(reference[end..].starts_with(';'));
            // Too many digits for a u32 are no character either.
            let number = u32::from_str_radix(&digits[..length], radix).unwrap_or(u32::MAX);
            return Some((numbered(number), end + semicolon));
        }
        let is_end = |c: char| matches!(c, '\t' | '\n' | '\x0c' | ' ' | '<' | '&' | '#' | ';');
        let body = &reference[1..];
        let length = body.char_indices().take(32).take_while(|(_, c)| !is_end(*c)).map(|(at, c)| at + c.len_utf8());
        let length = length.last()?;
        let semicolon = usize::from(body[length..].starts_with(';'));
        let whole = &reference[..1 + length + semicolon];
        // The longest name that begins the reference; of names without a semicolon none has one letter alone.
        let mut ends: Vec<usize> = whole.char_indices().map(|(at, _)| at).skip(3).collect();
        ends.push(whole.len());
        let (end, name) = ends.into_iter().rev().find_map(|end| Some((end, NAMES.get(&whole[..end])?)))?;
        Some((format!("{name}{}", &whole[end..]), whole.len()))
    })
}

/// The character of a numeric reference.
fn numbered(number: u32) -> String {
    match number {
        0 => "\u{fffd}".into(),
        0x0d => "\r".into(),
        0x80..=0x9f => WINDOWS_1252.iter().skip(number as usize - 0x80).take(1).collect(),
        0x01..=0x08 | 0x0b | 0x0e..=0x1f | 0x7f | 0xfdd0..=0xfdef => String::new(),
        0x11_0000.. | 0xd800..=0xdfff => "\u{fffd}".into(),
        _ if number & 0xfffe == 0xfffe => String::new(),
        _ => char::from_u32(number).unwrap_or('\u{fffd}').into(),
    }
}

/// ftfy's `unescape_html`: only what ends in a semicolon, and names of lower-case letters written in capitals.
pub(super) fn unescape_unambiguous(text: &str) -> String {
    replace(text, |reference| {
        let body = reference.strip_prefix("&#").or_else(|| reference.strip_prefix('&'))?;
        let length = body.find(|c: char| !c.is_ascii_alphanumeric())?;
        if !(1..=24).contains(&length) || !body[length..].starts_with(';') {
            return None;
        }
        let whole = &reference[..reference.len() - body.len() + length + 1];
        if let Some(characters) = NAMES.get(whole) {
            return Some(((*characters).into(), whole.len()));
        }
        let plain = unescape(whole);
        if whole.starts_with("&#") {
            return (!plain.contains(';')).then_some((plain, whole.len()));
        }
        let lower = whole.to_ascii_lowercase();
        let capitals = whole == lower.to_ascii_uppercase() && plain == whole;
        let characters = NAMES.get(lower.as_str()).filter(|_| capitals)?;
        Some((characters.to_uppercase(), whole.len()))
    })
}

/// Rewrites `text` from left to right: `decode` is given the text from each '&' on and says what stands for how many
/// bytes of it. What was put in is not read again.
fn replace(text: &str, decode: impl Fn(&str) -> Option<(String, usize)>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        let (decoded, length) = decode(&rest[at..]).unwrap_or_else(|| ("&".into(), 1));
        out.push_str(&decoded);
        rest = &rest[at + length..];
    }
    out.push_str(rest);
    out
}
