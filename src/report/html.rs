//! `report.html`: one file that asks for nothing. Text of the record reaches the page through one escape that no
//! template can forget; style and script are allowed by their hashes alone; nothing in it reads a clock.

use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, ValueKind};
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context};
use sha2::{Digest, Sha256};

use super::view::Page;
use super::{Format, ReportError, json, text};
use crate::types::Audit;

/// The templates inside the program, by file name. A folder given with `--templates` overrides any of them.
pub const TEMPLATES: &[(&str, &str)] = &[
    ("report.html.j2", include_str!("../../templates/report.html.j2")),
    ("macros.html.j2", include_str!("../../templates/macros.html.j2")),
    ("summary.html.j2", include_str!("../../templates/summary.html.j2")),
    ("changes.html.j2", include_str!("../../templates/changes.html.j2")),
    ("findings.html.j2", include_str!("../../templates/findings.html.j2")),
    ("charts.html.j2", include_str!("../../templates/charts.html.j2")),
    ("measurements.html.j2", include_str!("../../templates/measurements.html.j2")),
    ("audited.html.j2", include_str!("../../templates/audited.html.j2")),
    ("report.css", include_str!("../../templates/report.css")),
    ("report.js", include_str!("../../templates/report.js")),
];

/// Characters of a label, of a paragraph, and of a whole text that are printed.
const LABEL: usize = 240;
const PARAGRAPH: usize = 4_000;
const WHOLE: usize = 2 << 20;

/// The page for people.
pub struct Html {
    /// A folder whose files replace templates of the same name.
    pub templates: Option<PathBuf>,
}

impl Format for Html {
    fn name(&self) -> &'static str {
        "html"
    }
    fn file_name(&self) -> &'static str {
        "report.html"
    }
    fn about(&self) -> &'static str {
        "one self-contained page for people: verdict, findings with evidence, charts, what was audited"
    }
    fn write(&self, audit: &Audit, out: &mut dyn Write) -> Result<(), ReportError> {
        write_html(audit, self.templates.as_deref(), out)
    }
}

/// Writes the page, with templates from a folder in place of those inside the program.
///
/// # Errors
/// When the record holds a number that is none, a template is unknown, unreadable or broken, or the writer refuses.
pub fn write_html(audit: &Audit, templates: Option<&Path>, out: &mut dyn Write) -> Result<(), ReportError> {
    let sources = sources(templates)?;
    let environment = prepared(&sources)?;
    let embedded = |name: &str| sources.iter().find(|(other, _)| *other == name).map_or("", |(_, text)| text.as_str());
    let (style, script) = (embedded("report.css"), embedded("report.js"));
    let page = Page::new(audit, json::digest(audit)?);
    let template = environment.get_template("report.html.j2").map_err(|error| broken("report.html.j2", &error))?;
    let html = template
        .render(context! {
            audit => Value::from(Serde(audit)),
            page => Value::from(Serde(&page)),
            style => Value::from_safe_string(style.to_owned()),
            script => Value::from_safe_string(script.to_owned()),
            style_hash => source_hash(style),
            script_hash => source_hash(script),
        })
        .map_err(|error| broken("report.html.j2", &error))?;
    out.write_all(html.as_bytes())?;
    Ok(())
}

/// Finds out before a run whether its report could be written with these templates.
///
/// # Errors
/// When one is unknown, unreadable or no template.
pub fn check_templates(folder: &Path) -> Result<(), ReportError> {
    prepared(&sources(Some(folder))?).map(drop)
}

/// The templates, parsed.
fn prepared<'a>(sources: &'a [(&'static str, String)]) -> Result<Environment<'a>, ReportError> {
    for (name, text) in sources.iter().filter(|(name, _)| ["report.css", "report.js"].contains(name)) {
        if text.contains("</") || text.contains("<!--") {
            let message = "holds `</` or `<!--`, which would end its element".to_owned();
            return Err(ReportError::Template { name: (*name).to_owned(), message });
        }
    }
    let mut environment = environment()?;
    for (name, source) in sources {
        environment.add_template(name, source).map_err(|error| broken(name, &error))?;
    }
    Ok(environment)
}

/// The templates to use. A file that replaces nothing is refused: a misspelt name would be ignored in silence.
fn sources(folder: Option<&Path>) -> Result<Vec<(&'static str, String)>, ReportError> {
    let mut sources: Vec<(&'static str, String)> =
        TEMPLATES.iter().map(|(name, text)| (*name, (*text).to_owned())).collect();
    let Some(folder) = folder else { return Ok(sources) };
    let unusable = |name: String, message: String| ReportError::Template { name, message };
    let entries = std::fs::read_dir(folder)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unusable(folder.display().to_string(), format!("cannot read the folder: {error}")))?;
    let mut names: Vec<String> = entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    for name in names.into_iter().filter(|name| [".j2", ".css", ".js"].iter().any(|end| name.ends_with(end))) {
        let Some(slot) = sources.iter_mut().find(|(known, _)| *known == name) else {
            let known: Vec<&str> = TEMPLATES.iter().map(|(known, _)| *known).collect();
            return Err(unusable(name, format!("is no template of this program; there are {}", known.join(", "))));
        };
        let text = std::fs::read_to_string(folder.join(&name))
            .map_err(|error| unusable(name.clone(), format!("cannot read it: {error}")))?;
        // A browser hashes style and script after it has made every line end `\n`.
        slot.1 = text.replace("\r\n", "\n");
    }
    Ok(sources)
}

fn broken(name: &str, error: &minijinja::Error) -> ReportError {
    let mut message = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let _ = write!(message, ": {inner}");
        cause = inner.source();
    }
    ReportError::Template { name: error.name().unwrap_or(name).to_owned(), message }
}

fn environment() -> Result<Environment<'static>, ReportError> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.map_err(|error| broken("syntax", &error))?);
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_formatter(|out, _, value| Ok(out.write_str(&printed(value))?));
    environment.add_filter("paragraph", |value: &str| escaped(value, PARAGRAPH));
    environment.add_filter("whole", |value: &str| escaped(&value.replace("\r\n", "\n"), WHOLE));
    environment.add_filter("brief", |value: &str, limit: Option<usize>| text::line(value, limit.unwrap_or(40)));
    environment.add_filter("count", |value: u64| text::count(value));
    environment.add_filter("size", |value: u64| text::bytes(value));
    Ok(environment)
}

/// Every value a template prints comes through here: markup is escaped, what is invisible is shown, what is long is cut.
fn printed(value: &Value) -> String {
    match value.kind() {
        ValueKind::Number | ValueKind::Bool => value.to_string(),
        ValueKind::None | ValueKind::Undefined => String::new(),
        _ if value.is_safe() => value.to_string(),
        _ => escaped(&value.to_string(), LABEL).to_string(),
    }
}

fn escaped(text: &str, limit: usize) -> Value {
    let shown = text::shorten(text, limit);
    Value::from_safe_string(markup(&text::visible(&shown)))
}

/// Text for an element or a quoted attribute.
fn markup(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

/// What a content security policy calls a source: `sha256-` and the base64 digest of the element's text.
fn source_hash(text: &str) -> String {
    format!("sha256-{}", base64::engine::general_purpose::STANDARD.encode(Sha256::digest(text.as_bytes())))
}
