//! The strict first pass over a suite: which YAML is allowed at all, and where everything stands.
//!
//! The file is read as events with positions, so that what the typed reading could not see is refused by name: anchors,
//! aliases, tags, merge keys, duplicate keys, several documents. What comes out is a small tree in which every key and
//! value knows its line and column. There is one grammar: the typed reading takes this tree, never the text again.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use serde_yaml::Value;

use super::problem::{Place, Problems, Step, Trail, hidden, quote};

/// Limits that no suite written for people reaches; they keep a hostile one cheap to refuse.
const BYTES: usize = 1 << 20;
const DEPTH: usize = 64;
const NODES: usize = 100_000;

/// A value of the document and where it begins.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) content: Content,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// A null, truth value, number or text.
    Scalar(Value),
    List(Vec<Node>),
    Map(Vec<Entry>),
    /// Something refused and reported already, such as an alias.
    Refused,
}

/// A key of a mapping with its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) place: Place,
    pub(super) value: Node,
}

impl Node {
    /// The value under a key of a mapping.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.content {
            Content::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// The items of a list; of anything else none.
    pub(super) fn items(&self) -> &[Node] {
        match &self.content {
            Content::List(items) => items,
            _ => &[],
        }
    }

    /// The text of a scalar.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// Goes down keys and indices. Where the way ends before they do (a key that was left out), the place is that of
    /// the last value there was.
    pub(super) fn follow<K: AsRef<str>>(&self, keys: impl IntoIterator<Item = K>) -> (Trail, Place) {
        let (mut trail, mut place, mut node) = (Trail::new(), self.place, Some(self));
        for key in keys {
            let key = key.as_ref();
            let index =
                key.parse::<usize>().ok().filter(|_| !matches!(node, Some(Node { content: Content::Map(_), .. })));
            // `size: 0.1` stands for a list of one: its first item is the value itself.
            if index.is_some() && matches!(node, Some(Node { content: Content::Scalar(_), .. })) {
                continue;
            }
            trail.push(index.map_or_else(|| Step::Key(key.to_owned()), Step::Index));
            node = node.and_then(|node| match index {
                Some(index) => node.items().get(index),
                None => node.get(key),
            });
            place = node.map_or(place, |node| node.place);
        }
        (trail, place)
    }

    /// The value as `serde_yaml` hands it to a typed reading.
    pub(super) fn value(&self) -> Value {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::List(items) => Value::Sequence(items.iter().map(Self::value).collect()),
            Content::Map(entries) => {
                let pairs = entries.iter().map(|entry| (Value::String(entry.key.clone()), entry.value.value()));
                Value::Mapping(pairs.collect())
            }
            Content::Refused => Value::Null,
        }
    }
}

/// Reads the text of a suite and its tree. The tree is `None` where the file could not be read to its end; everything
/// found until there stands in `problems`.
pub(super) fn read<'a>(bytes: &'a [u8], problems: &mut Problems) -> (&'a str, Option<Node>) {
    let start = Place { line: 1, column: 1 };
    if bytes.len() > BYTES {
        let message = format!("the file has {} bytes; a suite may have at most {BYTES}", bytes.len());
        problems.add(start, &[], message);
        return ("", None);
    }
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let valid = std::str::from_utf8(bytes.get(..error.valid_up_to()).unwrap_or_default()).unwrap_or_default();
            let line = valid.split('\n').count();
            let column = valid.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            problems.add(Place { line, column }, &[], "the file is not UTF-8 from here; save it as UTF-8");
            return (valid, None);
        }
    };
    if !characters(text, problems) {
        return (text, None);
    }
    let clean = problems.is_empty();
    let mut builder = Builder { problems, frames: Vec::new(), root: None, nodes: 0 };
    let whole = builder.run(text, clean);
    let root = builder.root.filter(|_| whole);
    invisible(text, problems);
    if let Some(Node { content: Content::Scalar(Value::Null), .. }) | None = root {
        if whole {
            problems.add(start, &[], "the file is empty; a suite begins with `schema: 1` and `name:`");
        }
        return (text, None);
    }
    (text, root)
}

/// Looks for tabs and control characters. Returns whether the text can be parsed all the same.
fn characters(text: &str, problems: &mut Problems) -> bool {
    let mut usable = true;
    for (line, content) in text.split('\n').enumerate() {
        let content = content.strip_suffix('\r').unwrap_or(content);
        let place = |column: usize| Place { line: line + 1, column: column + 1 };
        if let Some(column) = content.chars().position(|character| character == '\t') {
            problems.add(place(column), &[], "a tab; YAML is indented with spaces");
        }
        let control = |character: char| character.is_control() && character != '\t';
        for (column, character) in content.chars().enumerate().filter(|(_, character)| control(*character)) {
            problems.add(place(column), &[], named(character));
            usable = false;
        }
    }
    usable
}

/// Looks for invisible characters outside of the values and keys that were reported with their path: in comments.
fn invisible(text: &str, problems: &mut Problems) {
    for (line, content) in text.split('\n').enumerate() {
        let found = content.chars().enumerate().find(|(_, character)| hidden(*character));
        if let Some((column, character)) = found.filter(|_| !problems.on_line(line + 1)) {
            problems.add(Place { line: line + 1, column: column + 1 }, &[], named(character));
        }
    }
}

fn named(character: char) -> String {
    format!("U+{:04X}, a control, direction or invisible character, is not allowed", u32::from(character))
}

/// A list or mapping that is still open.
struct Frame {
    place: Place,
    /// It bears a tag, so that what it means is unknown.
    tagged: bool,
    open: Open,
}

enum Open {
    List(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        /// The line of every key so far.
        lines: BTreeMap<String, usize>,
        /// The key whose value is awaited.
        key: Option<Key>,
    },
}

struct Key {
    text: String,
    place: Place,
    /// It was refused and reported: its value is left out.
    refused: bool,
}

struct Builder<'p> {
    problems: &'p mut Problems,
    frames: Vec<Frame>,
    root: Option<Node>,
    nodes: usize,
}

impl Builder<'_> {
    /// Feeds every event of the text; returns whether the end was reached. A syntax error is reported only in a text
    /// without suspect characters, because those are its likely cause.
    fn run(&mut self, text: &str, report_syntax: bool) -> bool {
        let mut parser = Parser::new_from_str(text);
        let mut documents = 0;
        while let Some(event) = parser.next_event() {
            let (event, span) = match event {
                Ok(event) => event,
                Err(error) => {
                    if report_syntax {
                        let trail = self.trail();
                        let marker = error.marker();
                        let place = Place { line: marker.line().max(1), column: marker.col() + 1 };
                        // The parser knows no alias before its anchor; the remedy is the same.
                        let message = if error.info().contains("unknown anchor") {
                            ALIAS.to_owned()
                        } else if error.info().contains("recursion limit") {
                            deep()
                        } else {
                            let advice = if error.info().contains("inside a block") || error.info().contains("flow") {
                                "; is a `{`, `[` or quote left open above?"
                            } else {
                                ""
                            };
                            format!("this is not YAML: {}{advice}", error.info())
                        };
                        self.problems.add(place, &trail, message);
                    }
                    return false;
                }
            };
            let place = Place { line: span.start.line().max(1), column: span.start.col() + 1 };
            if let Event::DocumentStart(_) = event {
                documents += 1;
                if documents > 1 {
                    self.problems.add(place, &[], "a second document begins here; a suite is one document");
                    return false;
                }
            }
            if !self.event(event, span, place) {
                return false;
            }
        }
        true
    }

    /// Takes one event; returns whether reading may go on.
    fn event(&mut self, event: Event<'_>, span: Span, place: Place) -> bool {
        match event {
            Event::Alias(_) => {
                self.refuse(place, ALIAS);
                self.node(Node { place, content: Content::Refused })
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.decorations(place, anchor, tag.is_some());
                let tagged = tag.is_some();
                // What is left out (`key:`) has its place where the next token stands: the key is the better place.
                let missing = text.is_empty() && style == ScalarStyle::Plain && span.is_empty();
                let place = if missing { self.open_place().unwrap_or(place) } else { place };
                self.scalar(text.into_owned(), style, place, tagged)
            }
            Event::SequenceStart(anchor, tag) => {
                self.decorations(place, anchor, tag.is_some());
                self.open(Frame { place, tagged: tag.is_some(), open: Open::List(Vec::new()) })
            }
            Event::MappingStart(anchor, tag) => {
                self.decorations(place, anchor, tag.is_some());
                let open = Open::Map { entries: Vec::new(), lines: BTreeMap::new(), key: None };
                self.open(Frame { place, tagged: tag.is_some(), open })
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Frame { place, tagged, open }) = self.frames.pop() else { return false };
                let content = match open {
                    _ if tagged => Content::Refused,
                    Open::List(items) => Content::List(items),
                    Open::Map { entries, .. } => Content::Map(entries),
                };
                self.node(Node { place, content })
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                true
            }
        }
    }

    fn decorations(&mut self, place: Place, anchor: usize, tagged: bool) {
        if anchor > 0 {
            self.refuse(place, "an anchor (`&name`) is not allowed here; write the value where it is used");
        }
        if tagged {
            self.refuse(
                place,
                "a tag (`!name`) is not allowed here; a kind is named by a key, as in `generate: { manifest: ... }`",
            );
        }
    }

    fn refuse(&mut self, place: Place, message: &str) {
        let trail = self.trail();
        self.problems.add(place, &trail, message);
    }

    /// The place of the key whose value is awaited.
    fn open_place(&self) -> Option<Place> {
        match self.frames.last().map(|frame| &frame.open) {
            Some(Open::Map { key: Some(key), .. }) => Some(key.place),
            _ => None,
        }
    }

    /// The way to the value awaited.
    fn trail(&self) -> Trail {
        let step = |frame: &Frame| match &frame.open {
            Open::List(items) => Some(Step::Index(items.len())),
            Open::Map { key, .. } => key.as_ref().map(|key| Step::Key(key.text.clone())),
        };
        self.frames.iter().filter_map(step).collect()
    }

    fn open(&mut self, frame: Frame) -> bool {
        if let Some(Frame { open: Open::Map { key: None, .. }, .. }) = self.frames.last() {
            self.refuse(frame.place, "a list or mapping cannot be a key; keys are text");
            return false;
        }
        if self.frames.len() >= DEPTH {
            let trail: Trail = self.trail().into_iter().take(3).collect();
            self.problems.add(frame.place, &trail, deep());
            return false;
        }
        self.frames.push(frame);
        true
    }

    fn scalar(&mut self, text: String, style: ScalarStyle, place: Place, tagged: bool) -> bool {
        let value = resolve(&text, style == ScalarStyle::Plain);
        if let Some(Frame { open: Open::Map { key: None, .. }, .. }) = self.frames.last() {
            return self.key(text, &value, place, tagged);
        }
        if let Some(character) = unreadable(&text) {
            self.refuse(place, &named(character));
        }
        let infinite = matches!(&value, Value::Number(number) if !number.is_finite());
        if infinite {
            self.refuse(place, &format!("{} is not a finite number", quote(&text)));
        }
        let content = if infinite || tagged { Content::Refused } else { Content::Scalar(value) };
        self.node(Node { place, content })
    }

    /// Takes the key of the innermost mapping.
    fn key(&mut self, text: String, value: &Value, place: Place, tagged: bool) -> bool {
        let unreadable = unreadable(&text);
        let problem = match value {
            _ if unreadable.is_some() => unreadable.map(named),
            Value::String(text) if text == "<<" => {
                Some("a merge key (`<<`) is not allowed; write the keys where they are used".to_owned())
            }
            Value::String(text) if text.contains('\n') => Some("a key has no line breaks".to_owned()),
            Value::String(_) => None,
            _ => Some("this key is not text; put it in quotes".to_owned()),
        };
        let refused = tagged || problem.is_some();
        let mut first = None;
        if let Some(Frame { open: Open::Map { key, lines, .. }, .. }) = self.frames.last_mut() {
            first = lines.insert(text.clone(), place.line);
            *key = Some(Key { text, place, refused });
        }
        if let Some(problem) = problem {
            self.refuse(place, &problem);
        }
        match first {
            Some(line) if line == place.line => self.refuse(place, &format!("duplicate key, twice on line {line}")),
            Some(line) => self.refuse(place, &format!("duplicate key, on lines {line} and {}", place.line)),
            None => {}
        }
        true
    }

    /// Puts a finished value where it was awaited.
    fn node(&mut self, node: Node) -> bool {
        self.nodes += 1;
        if self.nodes > NODES {
            let message =
                format!("the file holds more than {NODES} values; lists of that size belong in a file of their own");
            self.problems.add(node.place, &[], message);
            return false;
        }
        match self.frames.last_mut().map(|frame| &mut frame.open) {
            None => self.root = Some(node),
            Some(Open::List(items)) => items.push(node),
            Some(Open::Map { entries, key, .. }) => match key.take() {
                Some(Key { refused: true, .. }) => {}
                Some(Key { text, place, .. }) => entries.push(Entry { key: text, place, value: node }),
                None => {
                    self.refuse(node.place, "a key must be text");
                    return false;
                }
            },
        }
        true
    }
}

fn deep() -> String {
    format!("lists and mappings are nested more than {DEPTH} deep")
}

fn unreadable(text: &str) -> Option<char> {
    text.chars().find(|one| (one.is_control() && *one != '\n') || hidden(*one))
}

const ALIAS: &str = "an alias (`*name`) is not allowed here; write the value where it is used";

/// The value of a scalar by the rules of `serde_yaml`; a quoted or block scalar is always text.
fn resolve(text: &str, plain: bool) -> Value {
    let own = |text: &str| Value::String(text.to_owned());
    if !plain {
        return own(text);
    }
    // Nulls, truth values and numbers are short and begin with one of these; the rest need no second look.
    let special = |first: char| first.is_ascii_digit() || "+-.~nNtTfF".contains(first);
    if text.is_empty() {
        return Value::Null;
    }
    if text.len() > 400 || !text.starts_with(special) || text.contains('\n') {
        return own(text);
    }
    match serde_yaml::from_str::<Value>(text) {
        Ok(value @ (Value::Null | Value::Bool(_) | Value::Number(_))) => value,
        _ => own(text),
    }
}
