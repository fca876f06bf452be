//! Reports: a record with strange texts is written in every format, or refused. Bytes that begin with `{` are a record;
//! of others the first two choose which texts of the sample record become the rest.
#![no_main]

#[path = "../../tests/reports/sample.rs"]
#[expect(dead_code, reason = "the record of the tests")]
mod sample;

use std::sync::LazyLock;

use clip_audit::report::{FORMATS, format, read_audit};
use clip_audit::types::Audit;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

static SAMPLE: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(&text("json", &sample::audit()).unwrap()).unwrap());
static TAGS: LazyLock<usize> =
    LazyLock::new(|| text("html", &sample::audit()).unwrap().matches("<script").count());

fn text(name: &str, audit: &Audit) -> Option<String> {
    let mut bytes = Vec::new();
    format(name).unwrap().write(audit, &mut bytes).ok()?;
    Some(String::from_utf8(bytes).unwrap())
}

/// Replaces every `step`-th text.
fn poison(value: &mut Value, text: &str, step: usize, count: &mut usize) {
    match value {
        Value::String(old) => {
            *count += 1;
            if count.is_multiple_of(step) && !old.starts_with("data:") {
                text.clone_into(old);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| poison(item, text, step, count)),
        Value::Object(object) => object.values_mut().for_each(|item| poison(item, text, step, count)),
        _ => {}
    }
}

fuzz_target!(|bytes: &[u8]| {
    if bytes.starts_with(b"{") {
        if let Ok(audit) = read_audit(bytes) {
            FORMATS.iter().for_each(|format| drop(format.write(&audit, &mut std::io::sink())));
        }
        return;
    }
    let [offset, step, rest @ ..] = bytes else { return };
    let mut record = SAMPLE.clone();
    poison(&mut record, &String::from_utf8_lossy(rest), usize::from(*step) + 1, &mut usize::from(*offset));
    // Words of the record's own vocabulary may not be replaced.
    let Ok(audit) = read_audit(record.to_string().as_bytes()) else { return };
    let page = text("html", &audit).unwrap();
    assert!(page.matches("<script").count() <= *TAGS, "a text became a script");
    roxmltree::Document::parse(&text("junit", &audit).unwrap()).unwrap();
    let again = text("json", &audit).unwrap();
    assert_eq!(text("json", &read_audit(again.as_bytes()).unwrap()).unwrap(), again);
    assert!(text("csv", &audit).is_some() && text("markdown", &audit).is_some());
});
