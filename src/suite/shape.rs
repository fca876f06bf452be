//! Checks the tree of a suite against the JSON Schema of the types that will read it, before they do: serde stops at
//! the first problem of an entry and names it without its nearest valid name; this reports all of them.
//!
//! Knows the part of JSON Schema that `schemars` makes of this program's types. `pattern` and `allOf` are left to the
//! types, whose own messages say more than a rule does; they stand there for editors.

use std::collections::BTreeSet;

use serde_json::Value as Json;
use serde_yaml::Value;

use super::marks::{Content, Entry, Node};
use super::problem::{Problems, Step, Trail, choices, nearest, quote};

/// Everything in `node` that `schema` does not allow, unless it was reported before.
pub(super) fn check(schema: &Json, node: &Node, problems: &mut Problems) {
    Shape { root: schema, trail: Trail::new(), problems }.node(schema, node);
}

struct Shape<'a> {
    root: &'a Json,
    trail: Trail,
    problems: &'a mut Problems,
}

impl<'a> Shape<'a> {
    fn add(&mut self, node: &Node, message: String) {
        self.problems.add(node.place, &self.trail, message);
    }

    fn below(&mut self, step: Step, schema: &'a Json, node: &Node) {
        self.trail.push(step);
        self.node(schema, node);
        self.trail.pop();
    }

    fn node(&mut self, schema: &'a Json, node: &Node) {
        if let Content::Scalar(Value::Null) = node.content {
            return self.add(node, "there is no value: give one, or leave the key out".to_owned());
        }
        let branches = self.branches(schema);
        let names: Vec<&str> = branches.iter().flat_map(|branch| literals(branch)).collect();
        match (branches.as_slice(), &node.content) {
            (_, Content::Refused) => {}
            ([], _) => {}
            ([one], _) if literals(one).is_empty() && kind(one).is_none() => self.one(one, node),
            (all, Content::Map(entries)) if all.iter().all(|branch| kind(branch).is_some()) => {
                self.kinds(all, entries, node);
            }
            (all, Content::Scalar(Value::String(text))) if !names.is_empty() => {
                // Beside a pattern any text may be meant; the type decides.
                let open = all.iter().any(|branch| accepts(branch, node) && literals(branch).is_empty());
                if !open && !names.contains(&text.as_str()) {
                    let message = format!("expected {}, found {}", choices(names.iter().copied(), "or"), found(node));
                    self.problems.add_with_hint(node.place, &self.trail, message, nearest(text, names));
                }
            }
            (all, _) => match all.iter().find(|branch| accepts(branch, node)) {
                Some(branch) => self.one(branch, node),
                None => {
                    let expected = expected(all);
                    self.add(node, format!("expected {expected}, found {}{}", found(node), advice(all, node)));
                }
            },
        }
    }

    /// The schemas one of which a value must fit: references and choices resolved.
    fn branches(&self, schema: &'a Json) -> Vec<&'a Json> {
        let mut schema = schema;
        // A chain of references is short; the bound guards against one that is closed.
        for _ in 0..8 {
            let Some(name) = schema.get("$ref").and_then(Json::as_str) else { break };
            let Some(target) = name.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer)) else { break };
            schema = target;
        }
        let list = ["anyOf", "oneOf"].into_iter().find_map(|key| schema.get(key)).and_then(Json::as_array);
        match list {
            Some(list) => list.iter().flat_map(|branch| self.branches(branch)).collect(),
            None => vec![schema],
        }
    }

    fn one(&mut self, schema: &'a Json, node: &Node) {
        if !accepts(schema, node) {
            let advice = advice(&[schema], node);
            return self.add(node, format!("expected {}, found {}{advice}", expected(&[schema]), found(node)));
        }
        match &node.content {
            Content::Map(entries) => self.map(schema, entries, node),
            Content::List(items) => {
                let least = schema.get("minItems").and_then(Json::as_u64).unwrap_or(0);
                if (items.len() as u64) < least {
                    self.add(node, format!("expected at least {least} in this list, found {}", items.len()));
                }
                if let Some(each) = schema.get("items") {
                    for (index, item) in items.iter().enumerate() {
                        self.below(Step::Index(index), each, item);
                    }
                }
            }
            Content::Scalar(Value::Number(number)) => {
                let bound = |key: &str| schema.get(key).and_then(Json::as_f64);
                let value = number.as_f64().unwrap_or_default();
                let width = match schema.get("format").and_then(Json::as_str) {
                    Some("uint32") => Some(f64::from(u32::MAX)),
                    _ => None,
                };
                let least = bound("minimum").filter(|least| value < *least);
                let most = bound("maximum").or(width).filter(|most| value > *most);
                if let Some(least) = least {
                    self.add(node, format!("expected at least {least}, found {number}"));
                } else if let Some(most) = most {
                    self.add(node, format!("expected at most {most}, found {number}"));
                }
            }
            Content::Scalar(Value::String(text)) => {
                // Days of the calendar are left to the type.
                let shape = |(place, byte): (usize, u8)| {
                    if place == 4 || place == 7 { byte == b'-' } else { byte.is_ascii_digit() }
                };
                let date = text.len() == 10 && text.bytes().enumerate().all(shape);
                if schema.get("format").is_some_and(|format| format == "date") && !date {
                    self.add(node, format!("expected a date such as 2026-12-31, found {}", found(node)));
                }
            }
            _ => {}
        }
    }

    fn map(&mut self, schema: &'a Json, entries: &[Entry], node: &Node) {
        let properties = schema.get("properties").and_then(Json::as_object);
        let known = |key: &str| properties.and_then(|properties| properties.get(key));
        let rest = schema.get("additionalProperties");
        let present: BTreeSet<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
        let all: Vec<&str> = properties.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        let mut missing: Vec<&str> = required(schema).filter(|key| !present.contains(key)).collect();
        for Entry { key, place, value } in entries {
            let step = Step::Key(key.clone());
            match (known(key), rest) {
                (Some(schema), _) => self.below(step, schema, value),
                (None, Some(Json::Bool(false))) if self.problems.full() => self.problems.leave_out(),
                (None, Some(Json::Bool(false))) => {
                    // A misspelt key is most likely the one that is missing, else any that is not there.
                    let absent = all.iter().copied().filter(|name| !present.contains(name));
                    let hint = nearest(key, missing.iter().copied()).or_else(|| nearest(key, absent));
                    // What is there under a wrong name is not missing as well.
                    missing.retain(|name| Some(*name) != hint.as_deref());
                    self.trail.push(step);
                    let message = format!("unknown key; expected {}", choices(all.iter().copied(), "or"));
                    self.problems.add_with_hint(*place, &self.trail, message, hint);
                    self.trail.pop();
                }
                (None, Some(schema @ Json::Object(_))) => self.below(step, schema, value),
                (None, _) => {}
            }
        }
        if !missing.is_empty() {
            let plural = if missing.len() == 1 { "key" } else { "keys" };
            self.add(node, format!("missing {plural} {}", choices(missing, "and")));
        }
    }

    /// One key names the kind, its value is the specification.
    fn kinds(&mut self, all: &[&'a Json], entries: &[Entry], node: &Node) {
        let find = |name: &str| all.iter().find_map(|branch| kind(branch).filter(|(kind, _)| *kind == name));
        let names = || all.iter().filter_map(|branch| kind(branch)).map(|(name, _)| name);
        match entries {
            [entry] => match find(&entry.key) {
                Some((_, schema)) => self.below(Step::Key(entry.key.clone()), schema, &entry.value),
                None => {
                    self.trail.push(Step::Key(entry.key.clone()));
                    let message = format!("unknown kind; expected {}", choices(names(), "or"));
                    self.problems.add_with_hint(entry.place, &self.trail, message, nearest(&entry.key, names()));
                    self.trail.pop();
                }
            },
            others => {
                let message =
                    format!("expected one key that names the kind, {}; found {}", choices(names(), "or"), others.len());
                self.add(node, message);
            }
        }
    }
}

fn required(schema: &Json) -> impl Iterator<Item = &str> {
    schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str)
}

/// The names a schema of constants allows.
fn literals(schema: &Json) -> Vec<&str> {
    let one = schema.get("const").and_then(Json::as_str);
    let many = schema.get("enum").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
    one.into_iter().chain(many).collect()
}

/// The key and the specification of a kind: an object with one property, which it requires.
fn kind(schema: &Json) -> Option<(&str, &Json)> {
    let properties = schema.get("properties")?.as_object()?;
    let (name, specification) = properties.iter().next()?;
    // The specification of a kind is a type of its own; `model: { use: ... }` has one required key as well.
    let alone = properties.len() == 1 && required(schema).eq([name.as_str()]) && specification.get("$ref").is_some();
    alone.then_some((name.as_str(), specification))
}

fn types(schema: &Json) -> Vec<&str> {
    match schema.get("type") {
        Some(Json::String(one)) => vec![one],
        Some(Json::Array(many)) => many.iter().filter_map(Json::as_str).collect(),
        _ if !literals(schema).is_empty() => vec!["string"],
        _ => vec![],
    }
}

/// Whether a value has the type a schema asks for.
fn accepts(schema: &Json, node: &Node) -> bool {
    let types = types(schema);
    let own: &[&str] = match &node.content {
        Content::Map(_) => &["object"],
        Content::List(_) => &["array"],
        Content::Scalar(Value::String(_)) => &["string"],
        Content::Scalar(Value::Bool(_)) => &["boolean"],
        Content::Scalar(Value::Number(number)) if number.is_f64() => &["number"],
        Content::Scalar(Value::Number(_)) => &["number", "integer"],
        Content::Scalar(_) | Content::Refused => return true,
    };
    let constant = schema.get("const").and_then(Json::as_i64);
    let equal = match (&node.content, constant) {
        (Content::Scalar(Value::Number(number)), Some(constant)) => number.as_i64() == Some(constant),
        _ => true,
    };
    equal && (types.is_empty() || types.iter().any(|one| own.contains(one)))
}

/// What a value may be, in words.
fn expected(branches: &[&Json]) -> String {
    let mut words: Vec<String> = Vec::new();
    for branch in branches {
        let constant = branch.get("const").and_then(Json::as_i64).map(|constant| constant.to_string());
        let names = literals(branch);
        let of_types = types(branch).into_iter().map(|one| match one {
            "object" => match required(branch).collect::<Vec<_>>().as_slice() {
                [] => "a mapping".to_owned(),
                keys => format!("a mapping with {}", choices(keys.iter().copied(), "and")),
            },
            "array" => "a list".to_owned(),
            "string" if !names.is_empty() => choices(names.iter().copied(), "or"),
            "string" => "text".to_owned(),
            "boolean" => "true or false".to_owned(),
            "integer" => "a whole number".to_owned(),
            "number" => "a number".to_owned(),
            other => other.to_owned(),
        });
        let new: Vec<String> = constant.map_or_else(|| of_types.collect(), |constant| vec![constant]);
        for word in new {
            if !words.contains(&word) {
                words.push(word);
            }
        }
    }
    words.join(" or ")
}

/// What a value is, in words.
fn found(node: &Node) -> String {
    match &node.content {
        Content::Map(entries) if entries.is_empty() => "an empty mapping".to_owned(),
        Content::Map(entries) => {
            format!("a mapping with {}", choices(entries.iter().map(|entry| entry.key.as_str()), "and"))
        }
        Content::List(items) => format!("a list of {}", items.len()),
        Content::Scalar(Value::String(text)) => format!("the text {}", quote(text)),
        Content::Scalar(Value::Bool(value)) => value.to_string(),
        Content::Scalar(Value::Number(number)) => format!("the number {number}"),
        Content::Scalar(_) | Content::Refused => "nothing".to_owned(),
    }
}

/// The remedy, where the found value is one step away from an expected one.
fn advice(branches: &[&Json], node: &Node) -> &'static str {
    let wanted = |kind: &str| branches.iter().any(|branch| types(branch).contains(&kind));
    match &node.content {
        Content::Scalar(Value::Bool(_) | Value::Number(_)) if wanted("string") => "; in quotes it is text",
        Content::Scalar(Value::String(text))
            if wanted("number") && text.trim().parse::<f64>().is_ok_and(f64::is_finite) =>
        {
            "; without quotes it is a number"
        }
        Content::Scalar(_) if wanted("array") => "; one value is a list in brackets: `[...]`",
        _ => "",
    }
}
