//! Text that tries to break out, and records that are none.

use std::fs;

use serde_json::Value;

use super::place::{Place, picture};

/// What a manifest may hold that a page, a table or a terminal could take for something else.
fn nasty() -> Vec<String> {
    let mut texts: Vec<String> = [
        "<script>alert(1)</script>",
        "</script><img src=x onerror=alert(2)>",
        "{{7*7}}",
        "javascript:alert(3)",
        "right\u{202E}tfel",
        "\u{1b}[31mred\u{1b}[0m",
        "=HYPERLINK(1)",
        "\" onmouseover=\"alert(4)",
        "]]> & <!--",
        "| `pipe` [link](http://example.org)",
        "nul-less \u{7} bell",
    ]
    .map(str::to_owned)
    .to_vec();
    texts.push("x".repeat(10_000));
    texts
}

/// Characters that move a cursor or reorder what is read.
fn active(text: &str) -> Option<char> {
    text.chars().find(|letter| {
        (letter.is_control() && !matches!(letter, '\n' | '\t'))
            || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    })
}

#[test]
fn text_of_a_manifest_is_inert_everywhere() {
    let place = Place::new();
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let mut rows = String::from("path,label,maker\n");
    for (number, text) in nasty().iter().enumerate() {
        // Every other picture is none, so that names and facts come by way of the quarantine too. Slashes are folders.
        let name = format!("pictures/{number}{}", text.replace('/', "_").chars().take(60).collect::<String>());
        match number % 2 {
            0 => drop(fs::copy(picture("noto", "dog"), place.path(&name)).unwrap()),
            _ => fs::write(place.path(&name), "no picture").unwrap(),
        }
        rows += &format!("{},dog,{}\n", quoted(&name), quoted(text));
    }
    fs::write(place.path("pictures.csv"), rows).unwrap();
    place.suite("suite.yaml", &[("measures:", "quarantine: { max: 0.6 }\nmeasures:")]);
    let formats = "html,json,csv,junit,markdown";
    let said = place.say(&["run", "suite.yaml", "--threads", "1", "--out", "out", "--format", formats]);
    assert_eq!(said.code, Some(4), "{said:?}");
    for text in [&said.out, &said.err] {
        assert_eq!(active(text), None, "{text:?}");
    }
    assert!(said.out.contains("maker <script>alert(1)</script>") || said.out.contains("maker </script>"), "{said:?}");
    for name in ["report.html", "audit.json", "measurements.csv", "junit.xml", "summary.md"] {
        let text = fs::read_to_string(place.path("out").join(name)).unwrap();
        assert_eq!(active(&text), None, "{name}");
        if !["measurements.csv", "audit.json"].contains(&name) {
            assert!(!text.contains("<script>alert") && !text.contains("<img src=x"), "{name}");
            assert!(!text.contains(&"x".repeat(5_000)), "{name}: a text of 10,000 characters is cut");
        }
    }
    let page = fs::read_to_string(place.path("out/report.html")).unwrap();
    assert!(page.contains("{{7*7}}") && !page.contains(">49<"));
    assert!(!page.contains("href=\"javascript"));
    let table = fs::read_to_string(place.path("out/measurements.csv")).unwrap();
    let mut cells = csv::Reader::from_reader(table.as_bytes());
    for row in cells.records() {
        assert!(row.unwrap().iter().all(|cell| !cell.starts_with(['=', '+', '@'])), "{table}");
    }
    let unit = fs::read_to_string(place.path("out/junit.xml")).unwrap();
    roxmltree::Document::parse(&unit).unwrap();
    // The record keeps the text as it was.
    let record = place.audit_json("out");
    let groups: Vec<&str> =
        record["measurements"].as_array().unwrap().iter().filter_map(|one| one["group"]["maker"].as_str()).collect();
    assert!(nasty().iter().all(|text| groups.contains(&text.as_str())), "{groups:?}");
}

#[test]
fn labels_and_words_are_inert_too() {
    let place = Place::new();
    place.suite(
        "suite.yaml",
        &[
            ("hamburger, money]", "hamburger, \"<script>alert(1)</script>\", \"{{7*7}}\", \"javascript:alert(1)\"]"),
            ("text: \"$$$\", target: money", "text: \"<script>{{7*7}}\", target: \"<script>alert(1)</script>\""),
        ],
    );
    place.audit("suite.yaml", "out", 0);
    let page = fs::read_to_string(place.path("out/report.html")).unwrap();
    assert!(!page.contains("<script>alert") && !page.contains("<script>{{") && !page.contains(">49<"));
    assert!(page.contains("&lt;script&gt;{{7*7}}") || page.contains("&lt;script&gt;alert(1)"));
    // What nobody can see is refused in a suite.
    place.suite("suite.yaml", &[("name: small", "name: \"small\\e[31m\"")]);
    let said = place.run("suite.yaml", "out");
    assert_eq!(
        (said.code, said.first_error()),
        (
            Some(2),
            "clip-audit: suite.yaml:2:7: name: U+001B, a control, direction or invisible character, is not allowed"
        )
    );
}

#[test]
fn what_was_typed_is_inert_in_messages() {
    let place = Place::new();
    let typed = "\u{1b}[31m\u{202E}x";
    for arguments in [
        &[typed][..],
        &["run", typed],
        &["run", "suite.yaml", typed],
        &["run", "suite.yaml", "--format", typed],
        &["inspect", typed],
        &["report", typed],
    ] {
        let said = place.say(arguments);
        assert!(matches!(said.code, Some(2 | 3)), "{said:?}");
        assert_eq!(active(&said.err), None, "{said:?}");
    }
    let said = place.say(&["run", "suite.yaml", "--threads", "1", "--out", "\u{1b}[31mout"]);
    assert_eq!((said.code, active(&said.out)), (Some(0), None), "{said:?}");
}

#[test]
fn report_says_the_same_again_and_refuses_what_is_no_record() {
    let place = Place::new();
    place.audit("suite.yaml", "out", 0);
    let said = place.say(&["report", "out/audit.json", "--out", "again", "--format", "json,html"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    for name in ["report.html", "audit.json"] {
        let read = |out: &str| fs::read(place.path(out).join(name)).unwrap();
        assert_eq!(read("out"), read("again"), "{name}");
    }
    let whole = fs::read_to_string(place.path("out/audit.json")).unwrap();
    let without = |key: &str| {
        let mut record: Value = serde_json::from_str(&whole).unwrap();
        record.as_object_mut().unwrap().remove(key).unwrap();
        record.to_string()
    };
    let records = [
        (whole[..whole.len() / 2].to_owned(), "not an audit record: EOF while parsing"),
        (String::new(), "not an audit record: EOF while parsing"),
        ("{}".to_owned(), "not an audit record: missing field `schema`"),
        ("[".repeat(200_000), "not an audit record: "),
        (
            whole.replacen("\"schema\": 2", "\"schema\": 99", 1),
            "the record has schema version 99, this program reads version 2",
        ),
        (without("judgement"), "not an audit record: missing field `judgement`"),
        (without("findings"), "not an audit record: missing field `findings`"),
        (whole.replacen("\"limit\": 0.2", "\"limit\": 1e999", 1), "not an audit record: number out of range"),
    ];
    for (text, message) in records {
        fs::write(place.path("broken.json"), text).unwrap();
        let said = place.say(&["report", "broken.json", "--out", "nothing"]);
        assert_eq!(said.code, Some(3), "{said:?}");
        assert!(said.first_error().starts_with(&format!("clip-audit: broken.json: {message}")), "{said:?}");
        assert!(!place.path("nothing").exists());
    }
    for (path, message) in [("out", "Is a directory"), ("absent.json", "No such file")] {
        let said = place.say(&["report", path, "--out", "nothing"]);
        assert_eq!(said.code, Some(3), "{said:?}");
        assert!(said.err.contains(message), "{said:?}");
    }
}
