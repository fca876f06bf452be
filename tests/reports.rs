//! Every report format, from one small audit record.

pub(crate) mod sample;

use std::path::Path;

use base64::Engine as _;
use clip_audit::report::{self, FORMATS, Format, Html, Json, MAX_RECORD_BYTES, read_audit};
use clip_audit::types::{Audit, Estimate, ExhibitKind, Finding, Judgement, Origin, ProbeId, Value, Verdict};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

fn text(format: &dyn Format, audit: &Audit) -> String {
    let mut bytes = Vec::new();
    format.write(audit, &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn named(name: &str, audit: &Audit) -> String {
    text(report::format(name).unwrap(), audit)
}

/// The pages `scripts/browser-check` looks at.
#[test]
fn pages_for_the_browser_check() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("reports");
    std::fs::create_dir_all(&folder).unwrap();
    let pages =
        [("sample", sample::audit()), ("empty", sample::empty()), ("nasty", poisoned(&sample::NASTY.join(" ")))];
    for (name, audit) in pages {
        for format in FORMATS {
            std::fs::write(folder.join(format!("{name}.{}", format.file_name())), text(*format, &audit)).unwrap();
        }
    }
}

mod snapshots {
    use super::*;

    #[test]
    fn csv() {
        insta::assert_snapshot!(named("csv", &sample::audit()));
    }

    #[test]
    fn junit() {
        insta::assert_snapshot!(named("junit", &sample::audit()));
    }

    #[test]
    fn markdown() {
        insta::assert_snapshot!(named("markdown", &sample::audit()));
    }

    /// The page without what stands in files of its own: style, script, pictures, and the hashes of the first two.
    #[test]
    fn html() {
        let mut page = named("html", &sample::audit());
        for (from, to) in [("<style>", "</style>"), ("<script>", "</script>"), ("style-src '", "'; base-uri")] {
            page = without(&page, from, to);
        }
        insta::assert_snapshot!(without(&page, "data:image/png;base64,", "\""));
    }

    fn without(text: &str, from: &str, to: &str) -> String {
        let mut parts = text.split(from);
        let mut rest = parts.next().unwrap().to_owned();
        for part in parts {
            let (_, after) = part.split_once(to).unwrap();
            rest += &format!("{from}…{to}{after}");
        }
        rest
    }
}

#[test]
fn the_record_on_disk_is_the_sample() {
    let written = named("json", &sample::audit());
    let renewed = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sample_audit.json");
    std::fs::write(&renewed, &written).unwrap();
    let stored =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reports/sample_audit.json")).unwrap();
    assert!(stored == written, "tests/reports/sample_audit.json differs: look at {} and copy it", renewed.display());
}

#[test]
fn a_record_read_again_gives_the_same_bytes_in_every_format() {
    for audit in [sample::audit(), sample::empty(), poisoned(sample::NASTY[6])] {
        let json = named("json", &audit);
        assert!(json.ends_with("}\n"));
        let again = read_audit(json.as_bytes()).unwrap();
        assert!(again == audit, "reading changed the record");
        for format in FORMATS {
            assert!(text(*format, &audit) == text(*format, &again), "{} differs", format.name());
        }
    }
}

#[test]
fn the_printed_digest_is_that_of_the_json_file() {
    let audit = sample::audit();
    let digest: String = Sha256::digest(named("json", &audit)).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(report::digest(&audit).unwrap(), digest);
    assert!(named("html", &audit).contains(&format!(r#"<code class="hash">{digest}</code>"#)));
    assert!(named("markdown", &audit).contains(&digest));
}

#[test]
fn records_of_other_versions_and_broken_ones_are_refused() {
    let json = named("json", &sample::audit());
    let message = |bytes: &[u8]| read_audit(bytes).unwrap_err().to_string();
    insta::assert_snapshot!(
        [
            message(json.replacen("\"schema\": 2", "\"schema\": 3", 1).as_bytes()),
            message(json.replacen("\"schema\": 2,", "", 1).as_bytes()),
            message(&json.as_bytes()[..json.len() / 2]),
            message(json.replacen("\"low\": 0.5388", "\"low\": 0.9", 1).as_bytes()),
            message(b"\xff\xfe"),
            message(b""),
            message(&vec![b' '; MAX_RECORD_BYTES + 1]),
        ]
        .join("\n")
    );
}

#[test]
fn a_number_that_is_none_is_refused_by_place() {
    type Break = fn(&mut Audit);
    let breaks: [(Break, &str); 6] = [
        (|audit| audit.findings[0].limit = Some(f64::NAN), "limit of finding F-1f0c3a77"),
        (|audit| audit.evidence[0].cover = Some(f64::INFINITY), "cover of probe"),
        (|audit| audit.evidence[0].predictions.get_mut("zs").unwrap()[0].cosine = f64::NAN, "predictions of probe"),
        (
            |audit| audit.measurements.last_mut().unwrap().test.as_mut().unwrap().p = f64::NAN,
            "test of measurement units",
        ),
        (
            |audit| match &mut audit.exhibits[2].kind {
                ExhibitKind::Matrix { values, .. } => values[1][1] = Some(f64::NEG_INFINITY),
                _ => unreachable!(),
            },
            "exhibit success/zs/confusion",
        ),
        (
            |audit| match &mut audit.exhibits[0].kind {
                ExhibitKind::Curve { series, .. } => series[0].points[0].x = f64::NAN,
                _ => unreachable!(),
            },
            "exhibit success/zs/by-size",
        ),
    ];
    for (spoil, place) in breaks {
        let mut audit = sample::audit();
        spoil(&mut audit);
        for format in FORMATS {
            let error = format.write(&audit, &mut Vec::new()).unwrap_err().to_string();
            assert!(error.contains(place), "{}: {error}", format.name());
        }
    }
}

#[test]
fn formats_have_names_of_their_own() {
    let mut names: Vec<&str> = FORMATS.iter().flat_map(|format| [format.name(), format.file_name()]).collect();
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all);
    assert!(report::format("pdf").is_none());
}

/// The sample with every piece of free text replaced. Ids of probes are none: a record with another text there is refused.
fn poisoned(poison: &str) -> Audit {
    /// Words of the schema, ids of taps, and pictures.
    const KEPT: [&str; 14] = [
        "judgement",
        "verdict",
        "severity",
        "origin",
        "worse",
        "site",
        "bound",
        "taps",
        "thumbnail",
        "scale",
        "thumbnails",
        "delta",
        "before",
        "after",
    ];
    fn walk(value: &mut serde_json::Value, poison: &str) {
        match value {
            serde_json::Value::String(text) if text.parse::<ProbeId>().is_ok() => {}
            serde_json::Value::String(text) => *text = poison.to_owned(),
            serde_json::Value::Array(items) => items.iter_mut().for_each(|item| walk(item, poison)),
            serde_json::Value::Object(fields) => {
                for (key, field) in fields.iter_mut().filter(|(key, _)| !KEPT.contains(&key.as_str())) {
                    walk(field, poison);
                    if key == "labels" || key == "group" {
                        field.as_object_mut().unwrap().insert(poison.to_owned(), poison.into());
                    }
                }
            }
            _ => {}
        }
    }
    let mut value = serde_json::to_value(sample::audit()).unwrap();
    walk(&mut value, poison);
    serde_json::from_value(value).unwrap()
}

/// Names of tags and attributes in order: what text must never change. Attribute values must be quoted.
fn skeleton(html: &str) -> Vec<String> {
    let body = html.split_once("</style>").unwrap().1.split_once("<script>").unwrap().0;
    let mut names = Vec::new();
    for tag in body.split('<').skip(1) {
        let (inside, _) = tag.split_once('>').expect("a tag that does not end");
        for (at, part) in inside.split('"').enumerate() {
            if at % 2 == 0 {
                names.push(part.trim().to_owned());
            }
        }
    }
    names
}

/// Characters no output may hold as such.
fn is_hostile(character: char) -> bool {
    (character.is_control() && !matches!(character, '\n' | '\t'))
        || matches!(character, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
}

fn assert_inert(poison: &str) {
    let audit = poisoned(poison);
    for format in FORMATS {
        let written = text(*format, &audit);
        let hostile = written.chars().find(|character| is_hostile(*character) && *character != '\r');
        assert_eq!(hostile, None, "{} lets a character through", format.name());
    }
    let html = named("html", &audit);
    assert_eq!(skeleton(&html), skeleton(&named("html", &poisoned("plain"))), "markup follows the text {poison:?}");
    assert_page(&html);
    let junit = named("junit", &audit);
    let document = roxmltree::Document::parse(&junit).unwrap();
    let cases = document.descendants().filter(|node| node.has_tag_name("testcase")).count();
    assert_eq!(cases, audit.findings.iter().filter(|finding| finding.origin == Origin::Gate).count());
    assert_table(&named("csv", &audit), audit.measurements.len());
    assert_summary(&named("markdown", &audit), audit.findings.len());
}

/// One script and one style, allowed by their hashes; no inline style or handler; links stay on the page.
fn assert_page(html: &str) {
    for (tag, directive) in [("style", "style-src"), ("script", "script-src")] {
        assert_eq!(html.matches(&format!("<{tag}")).count(), 1);
        assert_eq!(html.matches(&format!("</{tag}")).count(), 1);
        let content = html.split_once(&format!("<{tag}>")).unwrap().1.split_once(&format!("</{tag}>")).unwrap().0;
        let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(content));
        assert!(html.contains(&format!("{directive} 'sha256-{hash}'")), "{tag} is not the one the policy allows");
    }
    assert!(html.contains("content=\"default-src 'none'; img-src data:; style-src 'sha256-"));
    assert!(!html.contains("unsafe-inline"));
    for name in skeleton(html) {
        let attribute = name.split_whitespace().last().unwrap_or_default().trim_end_matches('=');
        assert!(!attribute.starts_with("on") && attribute != "style", "attribute {attribute}");
    }
    for link in html.split("href=\"").skip(1) {
        assert!(link.starts_with('#'), "a link off the page: {}", link.split('"').next().unwrap());
    }
    for source in html.split("src=\"").skip(1) {
        assert!(source.starts_with("data:image/png;base64,"), "{}", source.split('"').next().unwrap());
    }
    let mut ids: Vec<&str> = html.split(" id=\"").skip(1).map(|part| part.split('"').next().unwrap()).collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all, "an id stands twice on the page");
}

fn assert_table(table: &str, rows: usize) {
    let mut reader = csv::Reader::from_reader(table.as_bytes());
    let numbers = ["point", "low", "high", "level", "n", "clusters", "test_statistic", "p", "adjusted_p", "family"];
    let header = reader.headers().unwrap().clone();
    let records: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().unwrap();
    assert_eq!(records.len(), rows);
    for (name, cell) in records.iter().flat_map(|record| header.iter().zip(record)) {
        if numbers.contains(&name) {
            assert!(cell.is_empty() || cell.parse::<f64>().is_ok(), "{name}: {cell}");
        } else {
            assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']), "{name}: {cell}");
        }
    }
}

fn assert_summary(summary: &str, findings: usize) {
    assert!(summary.len() < 64_000, "{} bytes", summary.len());
    let rows: Vec<&str> = summary.lines().filter(|line| line.starts_with('|')).collect();
    assert_eq!(rows.len(), findings + 2);
    for row in rows {
        assert_eq!(row.matches('|').count(), 8, "{row}");
        assert!(!row.contains(['<', '`', '[', '@', '$']) || row.contains(" ["), "{row}");
    }
}

#[test]
fn hostile_text_is_inert_in_every_format() {
    for poison in sample::NASTY {
        assert_inert(poison);
    }
    assert_inert(&sample::NASTY.join("\n"));
    assert_inert(&"<b>|`\u{202E}".repeat(2_500));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_inert_in_every_format(poison in "\\PC{1,40}|[\\x00-\\x7f]{1,40}|[<>&\"'/={}%|`\u{202a}-\u{202e}\u{0}]{1,30}") {
        assert_inert(&poison);
    }

    #[test]
    fn any_numbers_can_be_drawn(values in prop::collection::vec(prop::num::f64::NORMAL | prop::num::f64::ZERO, 3), x in prop::num::f64::NORMAL) {
        let mut values = values;
        values.sort_by(f64::total_cmp);
        let value = Value::Measured(Estimate::new(values[1], values[0], values[2], 0.95, "any").unwrap());
        let mut audit = sample::audit();
        for measurement in &mut audit.measurements {
            measurement.value = value.clone();
        }
        for finding in &mut audit.findings {
            finding.limit = Some(x);
        }
        for exhibit in &mut audit.exhibits {
            match &mut exhibit.kind {
                ExhibitKind::Curve { series, .. } => for point in series.iter_mut().flat_map(|line| &mut line.points) {
                    point.x *= x.clamp(-1e200, 1e200);
                    point.value = value.clone();
                },
                ExhibitKind::Bars { bars, .. } => for bar in bars { bar.value = value.clone() },
                ExhibitKind::Matrix { values: cells, .. } => for cell in cells.iter_mut().flatten() { *cell = Some(values[1]) },
                ExhibitKind::Histogram { edges, counts, .. } => { edges.push(x); counts.push(u64::MAX); }
                ExhibitKind::Table { .. } => {}
            }
        }
        let page = named("html", &audit);
        let drawn = page.split_once("</style>").unwrap().1.split_once("<script>").unwrap().0;
        for attribute in [" d=\"", " x=\"", " width=\"", " points=\"", " cx=\""] {
            for value in drawn.split(attribute).skip(1).map(|part| part.split('"').next().unwrap()) {
                prop_assert!(!value.contains("NaN") && !value.contains("inf"), "{attribute}{value}");
            }
        }
        for format in FORMATS {
            text(*format, &audit);
        }
    }
}

#[test]
fn long_labels_are_cut_visibly() {
    let page = named("html", &sample::audit());
    assert!(page.contains("… (10000 characters)"));
    assert!(!page.contains(&"x".repeat(300)));
}

#[test]
fn only_a_png_becomes_a_picture() {
    let mut audit = sample::audit();
    for evidence in &mut audit.evidence {
        evidence.thumbnail = Some("\" onerror=\"alert(1)".to_owned());
    }
    audit.evidence[1].thumbnail = Some(base64::engine::general_purpose::STANDARD.encode("<svg onload=alert(1)>"));
    let page = named("html", &audit);
    assert!(!page.contains("<img"));
    assert!(page.contains("the thumbnail in the record is no PNG"));
}

#[test]
fn junit_is_green_only_when_every_gate_passed() {
    let count = |audit: &Audit| {
        let xml = named("junit", audit);
        let document = roxmltree::Document::parse(&xml).unwrap();
        let suite = document.descendants().find(|node| node.has_tag_name("testsuite")).unwrap();
        let counts = ["tests", "failures", "errors", "skipped"].map(|name| suite.attribute(name).unwrap().to_owned());
        for (outcome, count) in ["failure", "error", "skipped"].into_iter().zip(&counts[1..]) {
            let found = document.descendants().filter(|node| node.has_tag_name(outcome)).count();
            assert_eq!(found.to_string(), *count, "{outcome}");
        }
        counts.join(" ")
    };
    assert_eq!(count(&sample::audit()), "6 1 3 1");
    assert_eq!(count(&sample::empty()), "1 0 1 0");
    let verdicts = |judgement: Judgement, verdict: Verdict| Audit {
        judgement,
        findings: sample::audit().findings.into_iter().map(|finding| Finding { verdict, ..finding }).collect(),
        ..sample::audit()
    };
    assert_eq!(count(&verdicts(Judgement::Pass, Verdict::Pass)), "6 0 0 0");
    assert_eq!(count(&verdicts(Judgement::Pass, Verdict::Waived)), "6 0 0 6");
    assert_eq!(count(&verdicts(Judgement::Fail, Verdict::Pass)), "7 1 0 0");
    assert_eq!(count(&verdicts(Judgement::Inconclusive, Verdict::Waived)), "7 0 1 6");
}

#[test]
fn a_summary_of_ten_thousand_findings_fits_and_says_what_it_leaves_out() {
    let mut audit = poisoned(&"|<\u{202E}".repeat(200));
    let finding = audit.findings[0].clone();
    audit.findings = vec![finding; 10_000];
    let summary = named("markdown", &audit);
    assert!(summary.len() < 64_000, "{} bytes", summary.len());
    let listed = summary.lines().filter(|line| line.starts_with("| **")).count();
    assert!(listed > 3);
    assert!(summary.contains(&format!("{} more findings are not listed here", 10_000 - listed)));
}

mod templates {
    use super::*;

    fn render(files: &[(&str, &str)]) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        let mut bytes = Vec::new();
        let html = Html { templates: Some(folder.path().to_owned()) };
        html.write(&sample::audit(), &mut bytes).map_err(|error| error.to_string())?;
        Ok(String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn replace_those_of_the_program_by_name() {
        let page =
            render(&[("report.css", "body {\r\n  color: black;\r\n}\r\n"), ("README.md", "not a template")]).unwrap();
        assert!(page.contains("<style>body {\n  color: black;\n}\n</style>"));
        assert_page(&page);
        let page =
            render(&[("report.html.j2", "{{ style }}<script>{{ script }}</script>{{ audit.suite.name }}")]).unwrap();
        assert!(page.ends_with("</script>typographic-attack"));
    }

    #[test]
    fn are_refused_by_name_when_broken_or_unknown() {
        let message = |name: &str, content: &str| render(&[(name, content)]).unwrap_err();
        insta::assert_snapshot!(
            [
                message("reprot.css", ""),
                message("report.css", "a { } </style><b>"),
                message("report.html.j2", "line one\n{% if %}"),
                message("report.html.j2", "{{ audit.nothing.there }}"),
                message("summary.html.j2", "{{ page.verdict_word }}"),
            ]
            .join("\n")
        );
        let missing = Html { templates: Some("/no/such/folder".into()) };
        let error = missing.write(&sample::audit(), &mut Vec::new()).unwrap_err().to_string();
        assert!(error.starts_with("template /no/such/folder: cannot read the folder"), "{error}");
    }
}

/// A writer that refuses is an error, never a panic.
#[test]
fn a_full_disk_is_an_error() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::Error::from(std::io::ErrorKind::StorageFull))
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    for format in FORMATS {
        let error = format.write(&sample::audit(), &mut Full).unwrap_err().to_string();
        assert!(error.starts_with("cannot write the report"), "{}: {error}", format.name());
    }
    assert!(Json.write(&sample::empty(), &mut Full).is_err());
}
