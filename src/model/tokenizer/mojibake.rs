//! Tells text that was decoded in a wrong encoding ("schÃ¶n" for "schön").
//!
//! The reference tokenizer repairs such text by guessing among ten encodings (ftfy 6.3). This one refuses it instead: a
//! repaired label is not the label the author of a suite wrote, and a port of the guesses that differs once would give a
//! wrong number in silence. The test for "looks wrong" is ftfy's own (`badness.py`, Apache-2.0, Copyright Robyn Speer),
//! category by category, so nothing that the reference would repair passes. It is broader than the repair: some of what
//! is refused here the reference would have left alone.

use std::sync::LazyLock;

use fancy_regex::Regex;

// Members of character classes. `\x{..}` stands for what cannot be seen or would join its neighbour.

/// Occurs in many contexts.
const COMMON: &str = r"\x{a0}\x{ad}\x{b4}·–-―’…";
/// Control characters without use today.
const C1: &str = r"\x{80}-\x{9f}";
/// Nearly always wrong.
const BAD: &str = r"¤¦\x{a8}ª¬\x{af}\x{b8}ºƒ\x{2c6}\x{2c7}\x{2d8}\x{2db}\x{2dc}†‡‰⌐◊\x{fffd}";
const LAW: &str = "§¶";
const CURRENCY: &str = "¢£¥₧€";
const START: &str = r"¡©«¿\x{384}\x{385}‘‚“„•‹\x{f8ff}";
const END: &str = r"®»\x{2dd}”›™";
const NUMERIC: &str = "±-³µ¹¼-¾×÷⁄№∂∆∏∑√∞∩∫≈≠≡≤≥";
/// Letters of which faces are made.
const FACES: &str = "°Ò-ÖÙ-Üò-öø-üŌŐŪŲ";
const UPPER_ACCENTED: &str = "À-ÑØÜÝĀĂĄĆČĎĐĒĖĘĚĞĢĪİĶĹĻĽŁŃŅŇŒŘŚŞŠŢŤŮŰŸŹŻŽҐ";
const LOWER_ACCENTED: &str = "ß-ñüāăąćčďđēėęěğģīįķĺļľłœŕśşšťźżžґﬁﬂ";
const UPPER_COMMON: &str = "ÞΆΈ-ΊΌΎΏΑ-ΫЁ-Я";
const LOWER_COMMON: &str = "ά-ωа-џ";
const BOX: &str = "│┌┐┘├┤┬┼═-╬▀▄█▌▐-▓";

/// `BADNESS_RE` of ftfy 6.3, in its order.
static BADNESS: LazyLock<Result<Regex, fancy_regex::Error>> = LazyLock::new(|| {
    let accented = format!("{LOWER_ACCENTED}{UPPER_ACCENTED}");
    let unusual = format!("{accented}{BOX}{START}{END}{CURRENCY}{NUMERIC}{LAW}");
    let arabic = format!("[ØÙ][{COMMON}{CURRENCY}{BAD}{NUMERIC}{START}ŸŠ®°µ»]");
    let wrapped = format!("[{C1}{BAD}{START}{END}{CURRENCY}°µ]");
    let wrapped_greek = format!("[{C1}{BAD}{START}{END}{CURRENCY}°]");
    let sequences = [
        format!("[{C1}]"),
        format!("[{BAD}{unusual}][{BAD}]"),
        format!("[a-zA-Z][{LOWER_COMMON}{UPPER_COMMON}][{BAD}]"),
        format!("[{BAD}][{unusual}]"),
        format!("[{LOWER_ACCENTED}{LOWER_COMMON}{BOX}{END}{CURRENCY}{NUMERIC}][{UPPER_ACCENTED}]"),
        format!("[{BOX}{END}{CURRENCY}{NUMERIC}][{LOWER_ACCENTED}]"),
        format!("[{LOWER_ACCENTED}{BOX}{END}][{CURRENCY}]"),
        format!(r"[\s\x1c-\x1f][{UPPER_ACCENTED}][{CURRENCY}]"),
        format!("[{UPPER_ACCENTED}{BOX}][{NUMERIC}{LAW}]"),
        format!("[{accented}{BOX}{CURRENCY}{END}][{START}][{NUMERIC}]"),
        format!("[{accented}{CURRENCY}{NUMERIC}{BOX}{LAW}][{END}][{START}]"),
        format!("[{CURRENCY}{NUMERIC}{BOX}][{START}]"),
        format!("[a-z][{UPPER_ACCENTED}][{START}{CURRENCY}]"),
        format!("[{BOX}][{FACES}]"),
        format!("[{accented}{CURRENCY}{NUMERIC}{START}{END}{LAW}][{BOX}]"),
        format!("[{BOX}][{END}]"),
        format!(r"[{accented}][{START}{END}][\p{{L}}\p{{N}}_]"),
        "[Œœ][^A-Za-z]".into(),
        format!("[{UPPER_ACCENTED}]°"),
        format!(r"[ÂÃÎÐ][€œŠš¢£Ÿž\x{{a0}}\x{{ad}}®©°·»{START}{END}–—\x{{b4}}]"),
        "×[²³]".into(),
        arabic.repeat(2),
        "à[²µ¹¼½¾]".into(),
        "√[±∂†≠®™\\x{b4}≤≥¥µø]".into(),
        "≈[°¢]".into(),
        "‚Ä[ìîïòôúùû†°¢π]".into(),
        "‚[âó][àä°ê]".into(),
        "вЂ".into(),
        format!("[ВГРС]{wrapped}[ВГРС]"),
        "ГўВЂВ.[A-Za-z ]".into(),
        r"Ã[\x{a0}¡]".into(),
        r"[a-z][\s\x1c-\x1f]?[ÃÂ] ".into(),
        "^[ÃÂ] ".into(),
        format!("[a-z.,?!{END}]Â[ {START}{END}]"),
        r"β€[™\x{a0}Ά\x{ad}®°]".into(),
        format!("[ΒΓΞΟ]{wrapped_greek}[ΒΓΞΟ]"),
        "ā€".into(),
    ];
    Regex::new(&sequences.join("|"))
});

/// Whether `text` looks as if it had been decoded in a wrong encoding.
///
/// # Errors
/// When the pattern cannot be run, which no text should be able to cause.
pub(super) fn looks_wrong(text: &str) -> Result<bool, String> {
    if text.is_ascii() {
        return Ok(false);
    }
    BADNESS.as_ref().map_err(ToString::to_string)?.is_match(text).map_err(|error| error.to_string())
}
