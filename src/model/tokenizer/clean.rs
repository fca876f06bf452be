//! What happens to a text before it is cut into tokens: ftfy's repairs, HTML references, white space, lower case.
//!
//! Follows `_clean_lower` of open_clip 3.3 with ftfy 6.3 at its defaults, which CLIP was trained with, except for text in a
//! wrong encoding (see `mojibake`). Unicode tables are those of this program's crates; the reference's are older, so
//! characters assigned since Unicode 14 may be lower-cased or composed here and not there, and those assigned since Unicode 16
//! be letters there and symbols here.

use std::sync::LazyLock;

use fancy_regex::Regex;
use unicode_normalization::UnicodeNormalization;

use super::entities::{unescape, unescape_unambiguous};
use super::mojibake::looks_wrong;

/// `ANSI_RE` of ftfy: terminal colours and the like. Python's `\d` is any decimal digit.
static TERMINAL: LazyLock<Result<Regex, fancy_regex::Error>> =
    LazyLock::new(|| Regex::new(r"\x1b\[(?:\p{Nd}|;)*[a-zA-Z]"));

/// The text that is cut into tokens: repaired, unescaped twice, in lower case, single spaces between words.
///
/// # Errors
/// A lower-case fragment when the text looks as if it had been decoded in a wrong encoding.
pub(super) fn clean(text: &str) -> Result<String, String> {
    let text = unescape(&unescape(&repair(text)?));
    let words: Vec<&str> = text.split(is_space).filter(|word| !word.is_empty()).collect();
    Ok(words.join(" ").to_lowercase())
}

/// Python's `str.isspace`: Unicode's white space and four separators of ASCII.
fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\x1c'..='\x1f')
}

/// `ftfy.fix_text`: line by line, since references are left alone from the first line on that holds a '<'.
fn repair(text: &str) -> Result<String, String> {
    let mut references = true;
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        references &= !line.contains('<');
        let mut line = line.to_owned();
        loop {
            let repaired = repair_once(&line, references)?;
            if repaired == line {
                break;
            }
            line = repaired;
        }
        out.push_str(&line);
    }
    Ok(out)
}

/// One round of ftfy's fixers in their order.
fn repair_once(text: &str, references: bool) -> Result<String, String> {
    let text = if references { unescape_unambiguous(text) } else { text.to_owned() };
    if looks_wrong(&text)? {
        return Err("looks as if it had been decoded in a wrong encoding (such as \"schÃ¶n\" for \"schön\"); \
                    write it in UTF-8"
            .into());
    }
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match ligature(c) {
            Some(letters) => plain.extend(letters.chars().flat_map(width).map(straight)),
            None => plain.extend(width(c).map(straight)),
        }
    }
    let plain = plain.replace("\r\n", "\n").replace(['\r', '\u{2028}', '\u{2029}', '\u{85}'], "\n");
    let terminal = TERMINAL.as_ref().map_err(ToString::to_string)?;
    let plain = terminal.try_replacen(&plain, 0, "").map_err(|error| error.to_string())?;
    Ok(plain.chars().filter(|c| !is_control(*c)).nfc().collect())
}

/// `LIGATURES` of ftfy: ligatures and digraphs of Latin letters.
fn ligature(c: char) -> Option<&'static str> {
    Some(match c {
        'Ĳ' => "IJ",
        'ĳ' => "ij",
        'ŉ' => "\u{2bc}n",
        'Ǳ' => "DZ",
        'ǲ' => "Dz",
        'ǳ' => "dz",
        'Ǆ' => "DŽ",
        'ǅ' => "Dž",
        'ǆ' => "dž",
        'Ǉ' => "LJ",
        'ǈ' => "Lj",
        'ǉ' => "lj",
        'Ǌ' => "NJ",
        'ǋ' => "Nj",
        'ǌ' => "nj",
        'ﬀ' => "ff",
        'ﬁ' => "fi",
        'ﬂ' => "fl",
        'ﬃ' => "ffi",
        'ﬄ' => "ffl",
        'ﬅ' => "ſt",
        'ﬆ' => "st",
        _ => return None,
    })
}

/// `WIDTH_MAP` of ftfy: half-width and full-width forms in their usual width.
fn width(c: char) -> impl Iterator<Item = char> {
    let usual = match c {
        '\u{3000}' => vec![' '],
        '\u{ff01}'..='\u{ffef}' => c.nfkc().collect(),
        _ => vec![c],
    };
    usual.into_iter()
}

/// Curly quotation marks made straight.
fn straight(c: char) -> char {
    match c {
        '\u{2bc}' | '\u{2018}'..='\u{201b}' => '\'',
        '\u{201c}'..='\u{201f}' => '"',
        _ => c,
    }
}

/// `CONTROL_CHARS` of ftfy.
fn is_control(c: char) -> bool {
    matches!(
        c,
        '\0'..='\x08' | '\x0b' | '\x0e'..='\x1f' | '\x7f' | '\u{206a}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffc}'
    )
}
