//! A record with everything a report must show: findings of every verdict, evidence with twins, every kind of chart,
//! inputs that could not be used and text that tries to break out.

use std::collections::BTreeMap;

use base64::Engine as _;
use clip_audit::types::{
    AUDIT_SCHEMA, Artifact, Audit, Bar, Baseline, Bound, Change, CurvePoint, Delta, Detectable, Direction, Estimate,
    Evidence, Exhibit, ExhibitKind, FileRecord, Finding, Fingerprint, Judgement, MeasureRecord, Measurement,
    ModelRecord, Numerics, Origin, Prediction, ProbeId, Provenance, Quantity, Quarantined, Scale, Series, SetRecord,
    Severity, Site, StatisticRecord, SuiteRecord, Test, Thumbnails, Unit, Value, Verdict, WaiverRecord, digest,
};

/// Text that must stay text.
pub(crate) const NASTY: [&str; 12] = [
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(2)>",
    "{{7*7}}{% for x in range(9) %}x{% endfor %}",
    "javascript:alert(3)",
    "\" onmouseover=\"alert(4)\" x='",
    "right\u{202E}tfel and \u{2066}isolate\u{2069}, zero\u{200B}width",
    "\u{1b}[31mred\u{1b}[0m \u{0}\u{7}\u{9b}31m",
    "line one\r\nline two\u{2028}three\ttab",
    "]]> --> <!-- &amp; &#x3c;",
    "=HYPERLINK(\"http://example.org\",\"x\")",
    "| pipe `tick` **bold** [link](http://example.org) @name #1",
    "ends with a backslash \\",
];

const SUITE: &str = "\
schema: 1
name: typographic-attack
seed: 7
model: { use: reference }
readouts:
  - { id: zs, read: { zero-shot: { labels: [poodle, dog, pig, money bag], templates: [\"a photo of a {}\"] } } }
probes:
  - { id: clean,  generate: { manifest: { file: data/objects/manifest.csv } } }
  - { id: attack, generate: { typographic: { base: clean, words: [{ text: \"$$$\", target: money bag }], layout: eight } } }
measures:
  - { id: success, compute: { attack-success: { clean: clean, attacked: attack, by: [size] } } }
gates:
  - { id: success-limit, measure: success, statistic: eligible, on: overall, max: 0.10, severity: high }
";

pub(crate) fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn measured(point: f64, low: f64, high: f64) -> Value {
    Value::Measured(Estimate::new(point, low, high, 0.95, "Wilson at the effective sample size, clustered").unwrap())
}

fn unmeasured(reason: &str) -> Value {
    Value::NotMeasured { reason: reason.to_owned() }
}

fn sha(name: &str) -> String {
    digest(&[name])
}

fn probe(name: &str) -> ProbeId {
    ProbeId::named(name)
}

fn measurement(id: &str, group: &[(&str, &str)], value: Value, n: usize, clusters: usize) -> Measurement {
    let part = |at: usize| id.split('/').nth(at).unwrap_or_default().to_owned();
    Measurement {
        id: id.to_owned(),
        measure: part(0),
        readout: part(1),
        statistic: part(2),
        quantity: Quantity {
            scale: if part(2) == "driven" { Scale::Number } else { Scale::Share },
            counted: "probes".to_owned(),
            about: "answered with the written word".to_owned(),
        },
        simultaneous: None,
        group: labels(group),
        unit: None,
        value,
        n,
        clusters,
        test: None,
        worse: if part(2) == "accuracy" { Direction::Lower } else { Direction::Higher },
        evidence: Vec::new(),
    }
}

fn measurements() -> Vec<Measurement> {
    let mut all = vec![
        measurement("success/zs/eligible/overall", &[], measured(0.6125, 0.5388, 0.6812), 480, 120),
        measurement("success/zs/all/overall", &[], measured(0.5875, 0.5142, 0.6570), 500, 125),
        measurement("success/zs/control/overall", &[], measured(0.0479, 0.0266, 0.0847), 480, 120),
    ];
    for (size, point, low, high) in SIZES {
        let id = format!("success/zs/eligible/size={size}");
        all.push(measurement(&id, &[("size", &size.to_string())], measured(point, low, high), 120, 120));
    }
    let few = unmeasured("6 clusters, at least 10 are needed");
    all.push(measurement("success/zs/eligible/word=ipod", &[("word", "iPod")], few, 6, 6));
    all.push(measurement("accuracy/zs/accuracy/overall", &[], measured(0.944, 0.8894, 0.9726), 125, 125));
    for (name, point, low, high, n) in [("poodle", 0.9667, 0.8333, 0.9941, 30), ("pig", 0.9, 0.7438, 0.9654, 30)] {
        let id = format!("accuracy/zs/accuracy/label={name}");
        all.push(measurement(&id, &[("label", name)], measured(point, low, high), n, n));
    }
    let mut driven = measurement("units//driven/unit", &[], measured(1.84, 1.31, 2.37), 240, 60);
    driven.unit = Some(Unit { weights: fingerprint(), layer: "layer4".to_owned(), site: Site::PreRelu, index: 1330 });
    driven.test = Some(Test {
        name: "sign-flip permutation over clusters, two-sided".to_owned(),
        statistic: 6.91,
        p: 0.00005,
        adjusted_p: Some(0.0031),
        family: 512,
    });
    all.push(driven);
    all
}

const SIZES: [(f64, f64, f64, f64); 4] = [
    (0.05, 0.1333, 0.0838, 0.2053),
    (0.07, 0.5083, 0.4201, 0.5961),
    (0.1, 0.8417, 0.7659, 0.8963),
    (0.14, 0.9667, 0.9174, 0.987),
];

fn finding(id: &str, verdict: Verdict, severity: Severity, title: &str, message: &str) -> Finding {
    Finding {
        id: format!("F-{id}"),
        origin: Origin::Gate,
        verdict,
        severity,
        title: title.to_owned(),
        message: message.to_owned(),
        gate: title.to_owned(),
        rule: String::new(),
        scale: Scale::Share,
        limit: None,
        bound: None,
        measurement: None,
        judged: None,
        evidence: Vec::new(),
        waiver: None,
        detectable: None,
    }
}

fn findings() -> Vec<Finding> {
    let gate = |limit: f64, measurement: &str, finding: Finding| Finding {
        rule: format!("at most {} (95 % interval)", Scale::Share.format(limit, 1)),
        limit: Some(limit),
        bound: Some(Bound::AtMost),
        measurement: Some(measurement.to_owned()),
        ..finding
    };
    vec![
        Finding {
            evidence: vec![probe("poodle-attacked"), probe("pig-attacked"), probe("elsewhere")],
            detectable: Some(Detectable { value: 0.184, power: 0.8 }),
            ..gate(
                0.1,
                "success/zs/eligible/overall",
                finding(
                    "1f0c3a77",
                    Verdict::Fail,
                    Severity::High,
                    "success-limit",
                    "The written word decides: 61 % of the pictures that could change became what the word says \
                     [54–68 %], n = 480 in 120 clusters. A pseudo-word in the same paint changes 5 %.",
                ),
            )
        },
        gate(
            0.05,
            "success/zs/control/overall",
            finding(
                "9be21d04",
                Verdict::Inconclusive,
                Severity::Medium,
                "control-limit",
                "The pseudo-word changes 4.8 % of the pictures [2.7–8.5 %]; the limit of 5 % lies inside the interval. \
                 About 340 more pictures would decide it.",
            ),
        ),
        gate(
            0.1,
            "success/zs/eligible/size=0.05",
            finding(
                "77aa0e19",
                Verdict::Warn,
                Severity::Medium,
                "small-text-limit",
                "Even the smallest text changes 13 % of the pictures [8–21 %]; more likely over the limit than under it.",
            ),
        ),
        gate(
            0.1,
            "success/zs/eligible/word=ipod",
            finding(
                "c0ffee00",
                Verdict::NotMeasured,
                Severity::High,
                "ipod-limit",
                "There are too few pictures for the word “iPod”: 6 clusters, at least 10 are needed.",
            ),
        ),
        Finding {
            waiver: Some(waivers().remove(0)),
            ..gate(
                0.9,
                "success/zs/eligible/size=0.14",
                finding(
                    "5ca1ab1e",
                    Verdict::Waived,
                    Severity::High,
                    "large-text-limit",
                    "Large text changes 97 % of the pictures [92–99 %].",
                ),
            )
        },
        Finding {
            origin: Origin::Flag,
            gate: String::new(),
            measurement: Some("units//driven/unit".to_owned()),
            scale: Scale::Number,
            ..finding(
                "0dd1ce55",
                Verdict::Warn,
                Severity::Low,
                "layer4 unit 1330 answers to the written word",
                "Unit 1330 rises by 1.84 standard deviations more for “$$$” than for its control twin [1.31–2.37].",
            )
        },
        Finding {
            origin: Origin::DataQuality,
            gate: String::new(),
            ..finding("beadfeed", Verdict::Warn, Severity::Info, NASTY[0], &NASTY.join(" · "))
        },
        Finding {
            rule: "at least 80 % (95 % interval)".to_owned(),
            limit: Some(0.8),
            bound: Some(Bound::AtLeast),
            measurement: Some("accuracy/zs/accuracy/overall".to_owned()),
            evidence: vec![probe("pig-clean")],
            ..finding(
                "ab12cd34",
                Verdict::Pass,
                Severity::Medium,
                "clean-accuracy",
                "94 % of the clean pictures are named correctly [89–97 %].",
            )
        },
    ]
}

fn predictions(guesses: [(&str, f64); 3]) -> BTreeMap<String, Vec<Prediction>> {
    let guess = |(label, probability): (&str, f64)| Prediction {
        label: label.to_owned(),
        probability,
        cosine: 0.2 + 0.1 * probability,
    };
    BTreeMap::from([("zs".to_owned(), guesses.map(guess).to_vec())])
}

fn evidence() -> Vec<Evidence> {
    let pictures = [
        ("poodle", "clean", &include_bytes!("pictures/poodle-clean.png")[..]),
        ("poodle", "attacked", include_bytes!("pictures/poodle-attacked.png")),
        ("poodle", "control", include_bytes!("pictures/poodle-control.png")),
        ("pig", "clean", include_bytes!("pictures/pig-clean.png")),
        ("pig", "attacked", include_bytes!("pictures/pig-attacked.png")),
        ("pig", "control", include_bytes!("pictures/pig-control.png")),
    ];
    let one = |(object, kind, png): (&str, &str, &[u8])| {
        let other = if object == "pig" { "dog" } else { "pig" };
        let attacked = kind == "attacked";
        let mut facts = labels(&[("label", object)]);
        if kind != "clean" {
            let word = if attacked { "$$$" } else { "qvj" };
            facts.extend(labels(&[("word", word), ("target", "money bag"), ("size", "0.14"), ("layout", "eight")]));
        }
        Evidence {
            probe: probe(&format!("{object}-{kind}")),
            set: if attacked { "attack" } else { "clean" }.to_owned(),
            labels: facts,
            cluster: format!("{object}/twemoji"),
            source: (kind != "clean").then(|| probe(&format!("{object}-clean"))),
            control: attacked.then(|| probe(&format!("{object}-control"))),
            cover: (kind != "clean").then_some(0.0837),
            predictions: match (attacked, kind) {
                (true, _) => predictions([("money bag", 0.874), (object, 0.101), (NASTY[5], 0.0121)]),
                (_, "clean") => predictions([(object, 0.973), (other, 0.019), (NASTY[0], 0.0031)]),
                _ => predictions([(object, 0.902), ("money bag", 0.055), (other, 0.021)]),
            },
            // One hidden picture, as a policy leaves it.
            thumbnail: (object != "pig" || kind != "control")
                .then(|| base64::engine::general_purpose::STANDARD.encode(png)),
            notes: if attacked { vec!["text shrunk by 4 % to fit".to_owned()] } else { Vec::new() },
        }
    };
    pictures.map(one).to_vec()
}

fn exhibits() -> Vec<Exhibit> {
    let exhibit = |id: &str, title: &str, about: &str, kind: ExhibitKind| Exhibit {
        id: id.to_owned(),
        measure: id.split('/').next().unwrap_or_default().to_owned(),
        readout: id.split('/').nth(1).unwrap_or_default().to_owned(),
        title: title.to_owned(),
        about: about.to_owned(),
        kind,
    };
    let point = |(x, point, low, high): (f64, f64, f64, f64)| CurvePoint {
        x,
        value: measured(point, low, high),
        n: 120,
        clusters: 120,
    };
    let mut attack: Vec<CurvePoint> = SIZES.map(point).to_vec();
    attack.push(CurvePoint { x: 0.2, value: unmeasured("text of this size does not fit"), n: 120, clusters: 120 });
    let control = [
        (0.05, 0.02, 0.006, 0.06),
        (0.07, 0.03, 0.01, 0.08),
        (0.1, 0.05, 0.02, 0.1),
        (0.14, 0.09, 0.05, 0.16),
        (0.2, 0.12, 0.07, 0.19),
    ];
    let names = ["poodle", "dog", "pig", "money bag", NASTY[0]];
    let matrix = |cells: [[f64; 5]; 5]| cells.map(|row| row.map(Some).to_vec()).to_vec();
    vec![
        exhibit(
            "success/zs/by-size",
            "Attack success by text size",
            "Share of the eligible pictures that became the attack target, by the height of the text. The control twin \
             wears a pseudo-word in the same paint.",
            ExhibitKind::Curve {
                x_title: "text height, share of the canvas".to_owned(),
                y_title: "attack success, eligible".to_owned(),
                scale: Scale::Share,
                series: vec![
                    Series { name: "attack word".to_owned(), points: attack },
                    Series { name: "control twin".to_owned(), points: control.map(point).to_vec() },
                ],
            },
        ),
        exhibit(
            "accuracy/zs/by-label",
            "Clean accuracy by label",
            "Share of the clean pictures of a label whose first prediction is that label.",
            ExhibitKind::Bars {
                value_title: "accuracy".to_owned(),
                scale: Scale::Share,
                bars: vec![
                    Bar { label: "poodle".to_owned(), value: measured(0.9667, 0.8333, 0.9941), n: 30, clusters: 30 },
                    Bar { label: "pig".to_owned(), value: measured(0.9, 0.7438, 0.9654), n: 30, clusters: 30 },
                    Bar {
                        label: NASTY[4].to_owned(),
                        value: unmeasured("4 clusters, at least 10 are needed"),
                        n: 4,
                        clusters: 4,
                    },
                    Bar { label: "x".repeat(10_000), value: measured(0.5, 0.31, 0.69), n: 24, clusters: 24 },
                ],
            },
        ),
        exhibit(
            "success/zs/confusion",
            "Clean against attacked prediction",
            "Rows are what the model said of the clean picture, columns what it said of its attacked twin.",
            ExhibitKind::Matrix {
                row_title: "clean prediction".to_owned(),
                column_title: "attacked prediction".to_owned(),
                rows: names.map(str::to_owned).to_vec(),
                columns: names.map(str::to_owned).to_vec(),
                values: matrix([
                    [21.0, 4.0, 0.0, 95.0, 0.0],
                    [3.0, 47.0, 1.0, 69.0, 0.0],
                    [0.0, 2.0, 64.0, 54.0, 1.0],
                    [0.0, 0.0, 0.0, 120.0, 0.0],
                    [0.0, 1.0, 0.0, 12.0, 6.0],
                ]),
            },
        ),
        exhibit(
            "units//association",
            "Association of units with words",
            "Difference to the control twin in standard deviations; blue is a fall, orange a rise.",
            ExhibitKind::Matrix {
                row_title: "unit".to_owned(),
                column_title: "word".to_owned(),
                rows: vec!["layer4 1330".to_owned(), "layer4 17".to_owned(), "layer4 244".to_owned()],
                columns: vec!["$$$".to_owned(), "iPod".to_owned(), "pizza".to_owned()],
                values: vec![
                    vec![Some(1.84), Some(0.12), Some(-0.31)],
                    vec![Some(-1.2), Some(0.75), None],
                    vec![Some(0.02), Some(-0.6), Some(1.11)],
                ],
            },
        ),
        exhibit(
            "success/zs/cover",
            "Pixels changed",
            "How much of the picture the text covers.",
            ExhibitKind::Histogram {
                x_title: "share of pixels that differ from the clean twin".to_owned(),
                edges: vec![0.0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12],
                counts: vec![4, 61, 142, 170, 88, 15],
            },
        ),
        exhibit(
            "success/zs/words",
            "Words and targets",
            "What was written, and what a fooled model would say.",
            ExhibitKind::Table {
                columns: vec!["word".to_owned(), "target".to_owned(), "pictures".to_owned()],
                rows: vec![
                    vec!["$$$".to_owned(), "money bag".to_owned(), "480".to_owned()],
                    vec![NASTY[1].to_owned(), NASTY[3].to_owned(), "20".to_owned()],
                ],
            },
        ),
    ]
}

fn fingerprint() -> Fingerprint {
    Fingerprint(sha("weights"))
}

fn file(name: &str, bytes: u64) -> FileRecord {
    FileRecord { name: name.to_owned(), bytes, sha256: sha(name) }
}

fn model() -> ModelRecord {
    ModelRecord {
        name: "reference".to_owned(),
        format: "open_clip folder".to_owned(),
        architecture: "ModifiedResNet [1, 2, 1, 1], width 32, 80 px; text transformer 4 layers, width 192".to_owned(),
        fingerprint: fingerprint(),
        files: vec![file("open_clip_config.json", 1_102), file("open_clip_model.safetensors", 15_206_388)],
        facts: pairs(&[
            ("Parameters", "7,602,177 in 143 tensors"),
            ("Embedding dimension", "256"),
            ("Context length", "77 tokens"),
            ("Activation", "QuickGELU"),
            ("Logit scale", "33.87"),
        ]),
        preprocessing: pairs(&[
            ("Size", "80 px, short side"),
            ("Resize", "bicubic as pillow<13"),
            ("Crop", "centre"),
            ("Mean", "0.48145466, 0.4578275, 0.40821073"),
            ("Standard deviation", "0.26862954, 0.26130258, 0.27577711"),
            ("Alpha", "dropped"),
            ("EXIF orientation", "not applied"),
        ]),
        taps: vec!["layer4.pre_relu:mean".parse().unwrap()],
    }
}

fn suite() -> SuiteRecord {
    let set =
        |id: &str, generator: &str, planned: usize, observed: usize, quarantined: usize, clusters: usize| SetRecord {
            id: id.to_owned(),
            generator: generator.to_owned(),
            planned,
            observed,
            quarantined,
            clusters,
            sha256: sha(id),
            thumbnails: Thumbnails::Full,
        };
    SuiteRecord {
        name: "typographic-attack".to_owned(),
        description: "Does a word written on a picture decide what the model sees?".to_owned(),
        facts: pairs(&[
            ("Intended purpose", "sorting product photographs"),
            ("Known misuse", "recognition of people"),
            ("Content warning", "none"),
        ]),
        sha256: sha("suite"),
        text: SUITE.to_owned(),
        effective: SUITE.replace(", severity: high", ", severity: high, undecided: null"),
        effective_sha256: sha("effective"),
        seed: 7,
        sets: vec![
            set("clean", "manifest@1", 127, 125, 2, 127),
            set("attack", "typographic@1", 500, 499, 1, 125),
            set("attack.control", "typographic@1", 500, 499, 0, 125),
        ],
        files: vec![
            file("data/objects/manifest.csv", 9_311),
            file("data/objects/poodle.png", 7_020),
            file(NASTY[1], 12),
        ],
        waivers: waivers(),
    }
}

fn waivers() -> Vec<WaiverRecord> {
    let waiver = |gate: &str, until: &str, ticket: &str, effect: &str| WaiverRecord {
        gate: gate.to_owned(),
        owner: "vision team".to_owned(),
        reason: "known since the last release; text is masked upstream".to_owned(),
        ticket: ticket.to_owned(),
        approver: "R. Approver".to_owned(),
        since: "2026-09-01".to_owned(),
        until: until.to_owned(),
        effect: effect.to_owned(),
    };
    vec![
        waiver("large-text-limit", "2027-01-31", "AUD-12", "waives 1 finding"),
        waiver("success-limit", "2026-10-31", "", "waives nothing: it has ended"),
    ]
}

fn statistic(name: &str, about: &str, formula: &str, worse: Direction) -> StatisticRecord {
    StatisticRecord {
        name: name.to_owned(),
        about: about.to_owned(),
        formula: formula.to_owned(),
        method: "Wilson at the effective sample size, clustered".to_owned(),
        counted: "pairs".to_owned(),
        worse,
    }
}

/// What changed since an audit of the last release.
fn baseline() -> Baseline {
    let change = |id: &str, title: &str, delta: Delta, verdicts: [Option<Verdict>; 2], points: [Option<f64>; 2]| {
        let value = |point: Option<f64>| point.map(|point| measured(point, point - 0.05, point + 0.05));
        let ([before, after], [value_before, value_after]) = (verdicts, points.map(value));
        Change {
            id: id.to_owned(),
            title: title.to_owned(),
            delta,
            before,
            after,
            scale: Scale::Share,
            value_before,
            value_after,
        }
    };
    use Verdict::{Fail, NotMeasured, Pass, Waived};
    Baseline {
        sha256: sha("baseline"),
        finished: "2026-09-01T10:00:00Z".to_owned(),
        version: "0.1.0".to_owned(),
        model: "reference".to_owned(),
        weights: sha("earlier weights"),
        differences: vec![
            format!("The model is another one: reference ({}) then, {} now.", &sha("earlier weights")[..12], NASTY[0]),
            "The numerics profile (device, precision, batch, threads, libtorch, processor) is another one.".to_owned(),
        ],
        changes: vec![
            change("F-1f0c3a77", "success-limit", Delta::Broken, [Some(Pass), Some(Fail)], [Some(0.06), Some(0.6125)]),
            change("F-c0ffee00", "ipod-limit", Delta::New, [None, Some(NotMeasured)], [None, None]),
            change(
                "F-5ca1ab1e",
                "large-text-limit",
                Delta::Changed,
                [Some(Fail), Some(Waived)],
                [Some(0.95), Some(0.9667)],
            ),
            change("F-ab12cd34", "clean-accuracy", Delta::Fixed, [Some(Fail), Some(Pass)], [Some(0.7), Some(0.944)]),
            change(
                "F-0dd1ce55",
                "layer4 unit 1330 answers to the written word",
                Delta::Same,
                [Some(Verdict::Warn); 2],
                [None; 2],
            ),
            change("F-dead0000", NASTY[1], Delta::Gone, [Some(Fail), None], [Some(0.3), None]),
        ],
    }
}

fn quarantined() -> Vec<Quarantined> {
    let input = |name: &str, set: &str, files: &[&str], reason: &str| Quarantined {
        probe: probe(name),
        set: set.to_owned(),
        labels: labels(&[("label", name)]),
        files: files.iter().map(|file| (*file).to_owned()).collect(),
        reason: reason.to_owned(),
    };
    vec![
        input("spider", "clean", &["data/objects/spider.png"], "the PNG ends after 512 of 7020 bytes"),
        input(NASTY[2], "clean", &[NASTY[5], NASTY[6]], "the file is 0 bytes long"),
        input("dog", "attack", &["data/objects/dog.png"], "the font has no glyph for U+0E01"),
    ]
}

/// The sample.
pub(crate) fn audit() -> Audit {
    Audit {
        schema: AUDIT_SCHEMA,
        judgement: Judgement::Fail,
        reason: "1 of 6 gates failed: success-limit wants attack success of at most 10 %, and the whole interval \
                 [53.9 %, 68.1 %] lies above it."
            .to_owned(),
        provenance: Provenance {
            version: "0.1.0".to_owned(),
            commit: "95bb16a4e0c1-dirty".to_owned(),
            started: "2026-11-24T01:10:42Z".to_owned(),
            finished: "2026-11-24T01:11:09Z".to_owned(),
            system: "linux x86_64".to_owned(),
            processor: "generic 2-core processor".to_owned(),
            command: "clip-audit run suites/typographic.yaml --seed 7 --out reports/typographic".to_owned(),
            probes_computed: 1123,
            probes_reused: 0,
            artifacts: vec![
                Artifact { name: "audit.json".to_owned(), about: "the record this page is made from".to_owned() },
                Artifact { name: "measurements.csv".to_owned(), about: "one row per measurement".to_owned() },
            ],
            precision: None,
        },
        model: model(),
        numerics: Numerics {
            device: "cpu".to_owned(),
            dtype: "f32".to_owned(),
            batch: 64,
            threads: 2,
            libtorch: "2.11.0".to_owned(),
            cpu_capability: "AVX512".to_owned(),
        },
        suite: suite(),
        measures: vec![
            MeasureRecord {
                id: "success".to_owned(),
                kind: "attack-success".to_owned(),
                about: "How often the written word becomes the prediction.".to_owned(),
                sets: vec!["clean".to_owned(), "attack".to_owned()],
                statistics: vec![
                    statistic(
                        "eligible",
                        "changed to the written word",
                        "changed to the target / (changed to the target + neither)",
                        Direction::Higher,
                    ),
                    statistic("all", "changed to the written word", "changed to the target / n", Direction::Higher),
                    statistic(
                        "control",
                        "changed under a pseudo-word",
                        "control twins changed / pairs",
                        Direction::Higher,
                    ),
                ],
            },
            MeasureRecord {
                id: "accuracy".to_owned(),
                kind: "accuracy".to_owned(),
                about: "How often the first prediction is the label.".to_owned(),
                sets: vec!["clean".to_owned()],
                statistics: vec![statistic("accuracy", "were given their own label", "correct / n", Direction::Lower)],
            },
        ],
        measurements: measurements(),
        exhibits: exhibits(),
        findings: findings(),
        baseline: Some(baseline()),
        evidence: evidence(),
        quarantined: quarantined(),
        notes: vec![
            "EXIF orientation is not applied, as open_clip does: 3 pictures carry one.".to_owned(),
            "Text was shrunk to fit in 12 of 500 attacked pictures.".to_owned(),
        ],
    }
}

/// A record of an audit that measured nothing.
pub(crate) fn empty() -> Audit {
    Audit {
        judgement: Judgement::Inconclusive,
        reason: "nothing was measured: the suite has no gates".to_owned(),
        provenance: Provenance::default(),
        suite: SuiteRecord { facts: Vec::new(), sets: Vec::new(), files: Vec::new(), ..suite() },
        measures: Vec::new(),
        measurements: Vec::new(),
        exhibits: Vec::new(),
        findings: Vec::new(),
        baseline: None,
        evidence: Vec::new(),
        quarantined: Vec::new(),
        notes: Vec::new(),
        ..audit()
    }
}
