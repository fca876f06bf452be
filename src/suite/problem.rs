//! What is wrong with a suite, where, and what was probably meant. Problems are collected, so that one reading of the
//! file reports everything that can be reached.

use std::fmt::{self, Write};

/// How many problems are kept; a file with more has one cause for most of them.
const KEPT: usize = 100;

/// Characters of a quoted text, and of a line in a snippet, that are shown.
const QUOTED: usize = 60;
const LINE: usize = 120;

/// One problem and its place in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// The way there in the document (`probes[1].generate.typographic.size`); empty for the file as a whole.
    pub path: String,
    /// A lower-case fragment naming what is wrong and what was expected.
    pub message: String,
    /// The valid name nearest to the one found.
    pub hint: Option<String>,
}

impl fmt::Display for Located {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: ", self.line, self.column)?;
        if !self.path.is_empty() {
            write!(formatter, "{}: ", self.path)?;
        }
        formatter.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(formatter, " (did you mean {}?)", quote(hint)),
            None => Ok(()),
        }
    }
}

/// Why a suite is refused: every problem found, in the order of the file. Exit code 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuiteError {
    /// The file as it was named.
    pub file: String,
    /// What is wrong, in the order of the file; never empty.
    pub problems: Vec<Located>,
    /// Problems beyond those kept.
    pub left_out: usize,
    /// The lines the problems stand in, each made harmless for a terminal; parallel to `problems`.
    lines: Vec<Snippet>,
}

/// A line of the file with a caret under the place of a problem.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Snippet {
    line: String,
    caret: usize,
}

impl fmt::Display for SuiteError {
    /// `FILE:LINE:COLUMN: PATH: message (did you mean ...?)`, one line for each problem.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = shown(&self.file, usize::MAX);
        for (place, problem) in self.problems.iter().enumerate() {
            let separator = if place == 0 { "" } else { "\n" };
            write!(formatter, "{separator}{file}:{problem}")?;
        }
        match self.left_out {
            0 => Ok(()),
            more => write!(formatter, "\n{file}: and {more} more"),
        }
    }
}

impl std::error::Error for SuiteError {}

impl SuiteError {
    pub(super) fn new(file: &str, text: &str, found: Problems) -> Self {
        let Problems { mut list, left_out } = found;
        list.sort_by_key(|(_, problem)| (problem.line, problem.column));
        let problems: Vec<Located> = list.into_iter().map(|(_, problem)| problem).collect();
        let lines: Vec<&str> = text.split('\n').collect();
        let snippets = problems.iter().map(|problem| {
            Snippet::new(
                lines.get(problem.line.saturating_sub(1)).unwrap_or(&"").trim_end_matches('\r'),
                problem.column,
            )
        });
        Self { file: file.to_owned(), lines: snippets.collect(), problems, left_out }
    }

    /// The problems for a person at a terminal: each with its line of the file and a caret under the place.
    pub fn render(&self) -> String {
        let mut out = String::new();
        for (problem, snippet) in self.problems.iter().zip(&self.lines) {
            let number = problem.line.to_string();
            let margin = " ".repeat(number.len());
            let caret = " ".repeat(snippet.caret);
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{}:{problem}", shown(&self.file, usize::MAX));
            let _ = writeln!(out, " {number} | {}", snippet.line);
            let _ = writeln!(out, " {margin} | {caret}^");
        }
        if self.left_out > 0 {
            let _ = writeln!(out, "and {} more problems", self.left_out);
        }
        out
    }
}

impl Snippet {
    /// The part of a line around a column, hidden characters made visible.
    fn new(line: &str, column: usize) -> Self {
        let column = column.saturating_sub(1);
        let from = column.saturating_sub(LINE / 2);
        let mut shown = String::from(if from > 0 { "..." } else { "" });
        let mut caret = shown.chars().count();
        for (place, character) in line.chars().enumerate().skip(from).take(LINE) {
            if place == column {
                caret = shown.chars().count();
            }
            push(&mut shown, character);
        }
        if line.chars().nth(from.saturating_add(LINE)).is_some() {
            shown.push_str("...");
        }
        if line.chars().nth(column).is_none() {
            caret = shown.chars().count();
        }
        Self { line: shown, caret }
    }
}

/// One step from the top of the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Into a mapping.
    Key(String),
    /// Into a list, counted from 0.
    Index(usize),
}

impl Step {
    /// The key, or the index in digits.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Key(key) => key.clone(),
            Self::Index(index) => index.to_string(),
        }
    }
}

/// A way from the top of the document.
pub(super) type Trail = Vec<Step>;

/// A trail as a person writes it: `probes[1].generate`.
pub(super) fn written(trail: &[Step]) -> String {
    let plain = |key: &str| !key.is_empty() && key.chars().all(|one| one.is_alphanumeric() || "-_".contains(one));
    let mut text = String::new();
    for step in trail {
        // Writing to a String cannot fail.
        let _ = match step {
            Step::Index(index) => write!(text, "[{index}]"),
            Step::Key(key) if !plain(key) => write!(text, "[{}]", quote(key)),
            Step::Key(key) if text.is_empty() => text.write_str(&shown(key, QUOTED)),
            Step::Key(key) => write!(text, ".{}", shown(key, QUOTED)),
        };
    }
    text
}

/// A position in the file: line and column in characters, both counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// The problems found so far.
#[derive(Debug, Default)]
pub(super) struct Problems {
    list: Vec<(Trail, Located)>,
    left_out: usize,
}

impl Problems {
    pub(super) fn add(&mut self, place: Place, trail: &[Step], message: impl Into<String>) {
        self.add_with_hint(place, trail, message, None);
    }

    pub(super) fn add_with_hint(
        &mut self,
        place: Place,
        trail: &[Step],
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        if self.full() {
            return self.leave_out();
        }
        let Place { line, column } = place;
        let located = Located { line, column, path: written(trail), message: message.into(), hint };
        self.list.push((trail.to_vec(), located));
    }

    /// Whether one more problem would only be counted: its words need not be found then.
    pub(super) fn full(&self) -> bool {
        self.list.len() >= KEPT
    }

    /// Counts a problem without keeping it.
    pub(super) fn leave_out(&mut self) {
        self.left_out += 1;
    }

    /// Whether something at or below this trail is known to be wrong (everything counts as wrong once problems were
    /// left out).
    pub(super) fn within(&self, trail: &[Step]) -> bool {
        self.left_out > 0 || self.list.iter().any(|(at, _)| at.starts_with(trail))
    }

    pub(super) fn on_line(&self, line: usize) -> bool {
        self.left_out > 0 || self.list.iter().any(|(_, problem)| problem.line == line)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The problems as notes, in the order of the file.
    pub(super) fn into_notes(self) -> Vec<Located> {
        let mut notes: Vec<Located> = self.list.into_iter().map(|(_, note)| note).collect();
        notes.sort_by_key(|note| (note.line, note.column));
        notes
    }
}

/// The candidate that a misspelt name probably stands for: at most a third of its letters differ. Case and the choice
/// between `-`, `_` and a space do not count.
pub(super) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    // A long text is no misspelt name, and the distance is quadratic in its length.
    if name.chars().count() > 100 {
        return None;
    }
    let folded = |text: &str| text.to_lowercase().replace(['_', ' '], "-");
    let name = folded(name);
    let distance = |candidate: &str| strsim::damerau_levenshtein(&name, &folded(candidate));
    let letters = name.chars().count();
    let allowed = if letters > 1 { (letters / 3).max(1) } else { 0 };
    let measured = candidates.into_iter().filter(|one| one.len() <= 400).map(|one| (distance(one), one));
    measured.filter(|(far, _)| *far <= allowed).min_by_key(|(far, _)| *far).map(|(_, one)| one.to_owned())
}

/// A text of the user between backticks: cut to a readable length, hidden characters made visible.
pub(super) fn quote(text: &str) -> String {
    format!("`{}`", shown(text, QUOTED))
}

/// Names in a row: `a`, `b` or `c`; at most sixteen.
pub(super) fn choices<'a>(names: impl IntoIterator<Item = &'a str>, joint: &str) -> String {
    const LISTED: usize = 16;
    let names: Vec<String> = names.into_iter().map(quote).collect();
    match names.as_slice() {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [all @ .., last] if names.len() <= LISTED => format!("{} {joint} {last}", all.join(", ")),
        many => format!("{} and {} more", many.get(..LISTED).unwrap_or(many).join(", "), many.len() - LISTED),
    }
}

fn shown(text: &str, most: usize) -> String {
    let mut out = String::new();
    text.chars().take(most).for_each(|character| push(&mut out, character));
    if text.chars().nth(most).is_some() {
        out.push_str("...");
    }
    out
}

fn push(out: &mut String, character: char) {
    if character.is_control() || hidden(character) {
        out.extend(character.escape_unicode());
    } else {
        out.push(character);
    }
}

/// Characters a reader cannot see, or that change the direction of those around them (UAX #9; "Trojan Source",
/// CVE-2021-42574).
pub(super) fn hidden(character: char) -> bool {
    matches!(character,
        '\u{AD}' | '\u{61C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
        | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}
