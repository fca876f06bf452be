//! Planning and drawing of every kind of probe.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use clip_audit::probe::{AnyGenerate, FONTS, Files, PlanContext, ProbeError, RenderContext, source_bytes};
use clip_audit::types::{ProbeId, ProbePlan, Rendered, digest};
use image::RgbImage;
use proptest::prelude::*;

const SEED: u64 = 7;

fn spec(yaml: &str) -> AnyGenerate {
    serde_yaml::with::singleton_map_recursive::deserialize(serde_yaml::Deserializer::from_str(yaml)).unwrap()
}

/// A small suite: sets planned one after another.
struct Suite {
    files: Files,
    canvas: u32,
    planned: BTreeMap<String, Vec<ProbePlan>>,
    specs: BTreeMap<String, AnyGenerate>,
    labels: BTreeMap<String, Vec<String>>,
}

impl Suite {
    fn new(canvas: u32) -> Self {
        Self::at(&Path::new(env!("CARGO_MANIFEST_DIR")).join("suites"), canvas)
    }

    fn at(folder: &Path, canvas: u32) -> Self {
        let files = Files::folder(folder).unwrap();
        let labels = ["poodle", "dog", "pig", "money bag", "spider"].map(str::to_owned).to_vec();
        let labels = BTreeMap::from([("zs".to_owned(), labels)]);
        Self { files, canvas, planned: BTreeMap::new(), specs: BTreeMap::new(), labels }
    }

    /// With the pictures of the five labels in one rendition as the set `clean`.
    fn with_objects(canvas: u32) -> Self {
        let mut suite = Self::new(canvas);
        let yaml = "manifest: {file: data/objects/manifest.csv, where: {rendition: noto, label: [poodle, dog, pig, money bag, spider]}}";
        suite.add("clean", yaml).unwrap();
        suite
    }

    fn plan(&self, set: &str, spec: &AnyGenerate) -> Result<Vec<ProbePlan>, ProbeError> {
        assert_eq!(spec.check(), []);
        let (planned, labels) = (&self.planned, &self.labels);
        spec.plan(&PlanContext { set, seed: SEED, canvas: self.canvas, files: &self.files, planned, labels })
    }

    fn add(&mut self, set: &str, yaml: &str) -> Result<&[ProbePlan], ProbeError> {
        let spec = spec(yaml);
        let plans = self.plan(set, &spec)?;
        self.specs.insert(set.to_owned(), spec);
        self.planned.insert(set.to_owned(), plans);
        Ok(&self.planned[set])
    }

    fn render(&self, plan: &ProbePlan) -> Result<Rendered, ProbeError> {
        let set = plan.set.strip_suffix(".control").unwrap_or(&plan.set);
        let base = |id: &ProbeId| -> Result<Arc<RgbImage>, ProbeError> {
            let plan = self.planned.values().flatten().find(|plan| plan.id == *id).unwrap();
            Ok(Arc::new(self.render(plan)?.image))
        };
        self.specs[set].render(plan, &RenderContext { files: &self.files, base: &base })
    }
}

/// A folder with one flat picture, listed as a poodle.
fn flat(canvas: u32, value: u8) -> (tempfile::TempDir, Suite) {
    let folder = tempfile::tempdir().unwrap();
    RgbImage::from_pixel(canvas, canvas, image::Rgb([value; 3])).save(folder.path().join("flat.png")).unwrap();
    std::fs::write(folder.path().join("list.csv"), "path,label\nflat.png,poodle\n").unwrap();
    let mut suite = Suite::at(folder.path(), canvas);
    suite.add("clean", "manifest: {file: list.csv}").unwrap();
    (folder, suite)
}

fn manifest_of(csv: &[u8], yaml: &str) -> Result<Vec<ProbePlan>, ProbeError> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    std::fs::write(folder.path().join("data/list.csv"), csv).unwrap();
    Suite::at(folder.path(), 80).plan("clean", &spec(yaml))
}

const LIST: &str = "manifest: {file: data/list.csv}";

/// A fact of a probe, which has to be there.
fn fact<'a>(plan: &'a ProbePlan, name: &str) -> &'a Arc<str> {
    plan.labels.get(name).unwrap()
}

#[test]
fn a_manifest_makes_one_probe_a_row_with_every_column_as_a_fact() {
    let csv = "\u{feff}file,class,who,light\r\na.png,dog,Rex,\r\n\r\n\"b, c.png\",pig,Ann,day\r\n";
    let yaml = "manifest: {file: data/list.csv, columns: {path: file, label: class, cluster: who}}";
    let plans = manifest_of(csv.as_bytes(), yaml).unwrap();
    let facts: Vec<String> = plans
        .iter()
        .map(|plan| format!("{:?} {:?} {} {}", plan.recipe.files, plan.labels, plan.cluster, plan.recipe.parameters))
        .collect();
    assert_eq!(
        facts,
        [
            r#"["data/a.png"] {"label": "dog", "light": "missing"} Rex {"canvas":80}"#,
            r#"["data/b, c.png"] {"label": "pig", "light": "day"} Ann {"canvas":80}"#,
        ]
    );
    // Ids name the recipe, not the row: they are the same in another order, and are not to change between releases.
    assert_eq!(plans[0].id.to_string(), "e92d07999929fa0b");
    let turned = manifest_of(b"class,who,light,file\npig,Ann,day,./a.png\n", yaml).unwrap();
    assert_eq!(turned[0].id, plans[0].id);
}

#[test]
fn a_manifest_without_clusters_makes_every_picture_its_own() {
    let plans = manifest_of(b"path,label\na.png,dog\nb.png,dog\n", LIST).unwrap();
    assert_eq!(plans.iter().map(|plan| &*plan.cluster).collect::<Vec<_>>(), ["data/a.png", "data/b.png"]);
}

#[test]
fn faults_of_a_manifest_are_named_with_their_line() {
    let cases: &[(&[u8], &str)] = &[
        (b"", "data/list.csv:1: is empty: expected a header line"),
        (b"path,label\n", "data/list.csv: lists no pictures: below the header there is no row"),
        (
            b"path,class\na,b\n",
            "data/list.csv:1: has no column `label`; its columns are path, class; name the right one under `columns: {label: ...}`",
        ),
        (
            b"Path,label\na,b\n",
            "data/list.csv:1: has no column `path`; its columns are Path, label; did you mean `Path`?; name the right one under `columns: {path: ...}`",
        ),
        (b"path,label,path\na,b,c\n", "data/list.csv:1: has two columns `path`; rename one"),
        (b"path,label,\na,b,c\n", "data/list.csv:1: column 3 has no name"),
        (b"path;label\na;b\n", "data/list.csv:1: seems to be separated by semicolons; save it with commas"),
        (b"path\tlabel\na\tb\n", "data/list.csv:1: seems to be separated by tabs; save it with commas"),
        (b"path,label\r\na,b\r\n\r\nc\r\n", "data/list.csv:4: has 1 fields where the header has 2"),
        (
            b"path,label\na,b\nc,d,e\n",
            "data/list.csv:3: has 3 fields where the header has 2; quote fields that hold commas",
        ),
        (b"path,label\na,b\n,d\n", "data/list.csv:3: the path is empty; give one, or take the row out"),
        (b"path,label\na,\n", "data/list.csv:2: the label is empty; give one, or take the row out"),
        (b"path,label,cluster\na,b,\n", "data/list.csv:2: the cluster is empty; give one, or take the row out"),
        (
            b"path,label\na,b\nc,d\n./a,b\n",
            "data/list.csv:4: data/a stands in line 2 already; take one of the rows out",
        ),
        (
            b"path,label\na,b\n../../etc/passwd,d\n",
            "data/list.csv:3: ../../etc/passwd: lies outside the suite's folder; copy it inside",
        ),
        (b"path,label\nc:\\a.png,d\n", "data/list.csv:2: c:\\a.png: lies outside the suite's folder; copy it inside"),
        (
            b"path,label\r\na,b\r\nc\0,d\r\n",
            "data/list.csv:3: holds a NUL character; the file may be damaged or no CSV",
        ),
        (b"path,label\na,b\nc,\xe9t\xe9\n", "data/list.csv:3: is not UTF-8; save the file as UTF-8"),
        (b"\xff\xfep\0a\0", "data/list.csv:1: is UTF-16; save it as UTF-8"),
        (
            b"path,label\r\na,b\r\n\"c\r\nd\",e\r\n",
            "data/list.csv:3: a field goes over the end of the line; is a quote left open?",
        ),
        (b"path,label\na,\"b\nc,d\n", "data/list.csv:2: a field goes over the end of the line; is a quote left open?"),
        (
            b"path,label\na,5\" disk\n",
            "data/list.csv:2: has a quote in the middle of a field; quote the whole field and double the quotes inside",
        ),
        (
            b"path,label\na,\"x\"y\n",
            "data/list.csv:2: has a quote in the middle of a field; quote the whole field and double the quotes inside",
        ),
        (b"path,label\na, b\n", "data/list.csv:2: ` b` has white space around it; remove it"),
        (b"path,label\ra,b\rc\r", "data/list.csv:3: has 1 fields where the header has 2"),
    ];
    for (csv, expected) in cases {
        let message = manifest_of(csv, LIST).unwrap_err().to_string();
        assert_eq!(message, *expected, "{}", String::from_utf8_lossy(csv));
    }
}

#[test]
fn faults_of_a_column_map_and_a_filter_are_named() {
    let csv = b"path,label,group\na,dog,x\nb,pig,y\n";
    let cases = [
        (
            "columns: {group: race}",
            "data/list.csv:1: has no column `race` for `group`; its columns are path, label, group",
        ),
        (
            "columns: {label: group, group: path}",
            "data/list.csv:1: has a column `label` beside the one that `columns` calls `label`; map it to another name",
        ),
        ("where: {grop: x}", "there is no fact `grop`; the pictures have group, label; did you mean `group`?"),
        ("where: {group: [x, z]}", "no row of data/list.csv has `z` there"),
        (
            "where: {group: x, label: pig}",
            "data/list.csv: no row is left by `where`: no picture has all of the values asked for",
        ),
    ];
    for (fields, expected) in cases {
        let yaml = format!("manifest: {{file: data/list.csv, {fields}}}");
        assert_eq!(manifest_of(csv, &yaml).unwrap_err().to_string(), expected);
    }
    let kept = manifest_of(csv, "manifest: {file: data/list.csv, where: {group: y}}").unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!(&**fact(&kept[0], "label"), "pig");
}

#[test]
fn the_shipped_pictures_are_what_their_manifest_says() {
    let mut suite = Suite::new(80);
    let plans = suite.add("all", "manifest: {file: data/objects/manifest.csv}").unwrap().to_vec();
    let count = |name: &str| plans.iter().map(|plan| fact(plan, name)).collect::<BTreeSet<_>>().len();
    assert_eq!((plans.len(), count("label"), count("rendition"), count("seen")), (365, 73, 5, 2));
    let mut contents = BTreeSet::new();
    for plan in &plans {
        let rendered = suite.render(plan).unwrap();
        assert_eq!((rendered.image.dimensions(), rendered.cover, rendered.notes.len()), ((80, 80), None, 0));
        assert!(contents.insert(digest(&[rendered.image.as_raw()])), "{:?} is a picture twice", plan.recipe.files);
        assert_eq!(&plan.cluster, fact(plan, "label"));
    }
}

#[test]
fn a_picture_that_cannot_be_used_says_which_and_why() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bad.png"), b"no picture").unwrap();
    std::fs::write(folder.path().join("list.csv"), "path,label\nbad.png,dog\ngone.png,dog\n").unwrap();
    let mut suite = Suite::at(folder.path(), 80);
    let plans = suite.add("clean", "manifest: {file: list.csv}").unwrap().to_vec();
    let messages: Vec<String> = plans.iter().map(|plan| suite.render(plan).unwrap_err().to_string()).collect();
    assert!(messages[0].starts_with("bad.png: not a PNG"), "{}", messages[0]);
    assert_eq!(messages[1], "gone.png: there is no such file");
}

const ATTACK: &str = "typographic: {base: clean, words: [{text: '$$$', target: money bag}, {text: Spider, target: spider}], layout: [eight, label], size: [0.07, 0.14]}";

#[test]
fn an_attack_has_every_combination_and_its_twins() {
    let mut suite = Suite::with_objects(80);
    let plans = suite.add("attack", ATTACK).unwrap().to_vec();
    // 5 pictures x 2 words x 2 layouts x 2 sizes, less the money bag's and the spider's own; and as many controls.
    let (attacked, controls): (Vec<_>, Vec<_>) = plans.iter().partition(|plan| &*plan.set == "attack");
    assert_eq!((attacked.len(), controls.len()), (32, 32));
    assert!(controls.iter().all(|plan| &*plan.set == "attack.control"));
    let by_id: BTreeMap<&ProbeId, &ProbePlan> = plans.iter().map(|plan| (&plan.id, plan)).collect();
    assert_eq!(by_id.len(), plans.len(), "ids are unique");
    let bases: BTreeMap<&ProbeId, &ProbePlan> = suite.planned["clean"].iter().map(|plan| (&plan.id, plan)).collect();
    for plan in &attacked {
        let base = bases[plan.source.as_ref().unwrap()];
        let control = by_id[plan.control.as_ref().unwrap()];
        assert_eq!((&plan.cluster, &control.cluster), (&base.cluster, &base.cluster));
        assert_eq!((&control.source, &control.control), (&plan.source, &None));
        assert_ne!(fact(plan, "target"), fact(plan, "label"));
        assert!(base.labels.iter().all(|(name, value)| plan.labels.get(name) == Some(value)));
        // The control differs in what it says, and says what it stands for.
        let mut expected = plan.labels.clone();
        expected.insert("attack-word".into(), fact(plan, "word").clone());
        expected.insert("word".into(), fact(control, "word").clone());
        assert_eq!(control.labels, expected);
        assert_eq!(plan.recipe.files[..], [&base.recipe.files[..], &["font:dejavu-sans".into()]].concat());
    }
    // Picture by picture, in the order of the base set.
    let sources: Vec<_> = plans.iter().filter_map(|plan| plan.source.clone()).collect();
    let mut runs = sources.clone();
    runs.dedup();
    assert_eq!(runs, suite.planned["clean"].iter().map(|plan| plan.id.clone()).collect::<Vec<_>>());
    let first = attacked[0];
    assert_eq!(first.id.to_string(), "62228589c0592e18");
    insta::assert_snapshot!(first.recipe.parameters);
    insta::assert_snapshot!(format!("{:?}", first.labels));
}

#[test]
fn words_from_labels_are_other_labels_chosen_by_the_seed() {
    let mut suite = Suite::with_objects(80);
    let yaml = "typographic: {base: clean, words: {from-labels: zs, per-base: 2}, control: none}";
    let plans = suite.add("attack", yaml).unwrap().to_vec();
    assert_eq!(plans.len(), 10);
    assert!(plans.iter().all(|plan| fact(plan, "target") != fact(plan, "label") && plan.control.is_none()));
    assert!(plans.iter().all(|plan| fact(plan, "target") == fact(plan, "word")));
    let chosen: BTreeSet<_> = plans.iter().map(|plan| (&plan.source, fact(plan, "word"))).collect();
    assert_eq!(chosen.len(), 10);
    let again: Vec<_> = suite.plan("attack", &spec(yaml)).unwrap();
    assert_eq!(again, plans);
    let too_many = spec("typographic: {base: clean, words: {from-labels: zs, per-base: 5}}");
    let message = suite.plan("attack", &too_many).unwrap_err().to_string();
    assert_eq!(message, "asks for 5 words, but the readout has only 4 other labels");
}

#[test]
fn a_control_word_says_nothing_the_suite_knows() {
    let mut suite = Suite::with_objects(80);
    let words =
        ["Poodle", "dog", "T-shirt", "money", "$$$", "!!!", "???", "100", "Köln", "a", "Ёж", "ΛΟΓΟΣ", "<3", "iPod"];
    let list: Vec<String> = words.iter().map(|word| format!("{{text: '{word}', target: nothing}}")).collect();
    let yaml = format!("typographic: {{base: clean, words: [{}]}}", list.join(", "));
    let plans = suite.add("attack", &yaml).unwrap();
    let pairs: BTreeSet<(String, String)> = plans
        .iter()
        .filter(|plan| &*plan.set == "attack.control")
        .map(|plan| (fact(plan, "attack-word").to_string(), fact(plan, "word").to_string()))
        .collect();
    assert_eq!(pairs.len(), words.len());
    for (word, pseudo) in &pairs {
        assert_eq!(word.chars().count(), pseudo.chars().count(), "{word} {pseudo}");
        let same = word.chars().zip(pseudo.chars()).filter(|(a, b)| a == b && a.is_alphanumeric()).count();
        assert_eq!(same, 0, "{word} {pseudo}");
        let cases = word.chars().zip(pseudo.chars()).all(|(a, b)| a.is_uppercase() == b.is_uppercase());
        assert!(cases, "{word} {pseudo}");
    }
    let pseudo_words: BTreeSet<_> = pairs.iter().map(|(_, pseudo)| pseudo).collect();
    assert_eq!(pseudo_words.len(), words.len(), "a pseudo-word stands for one word");
    insta::assert_snapshot!(
        pairs.iter().map(|(word, pseudo)| format!("{word} {pseudo}")).collect::<Vec<_>>().join("\n")
    );
}

#[test]
fn a_control_covers_as_much_as_its_attack() {
    let mut suite = Suite::with_objects(224);
    let list: Vec<String> = ["$$$", "spider", "money bag", "WOLF", "iPod", "telephone", "illicit"]
        .iter()
        .map(|word| format!("{{text: {word}, target: nothing}}"))
        .collect();
    let yaml = format!(
        "typographic: {{base: clean, words: [{}], layout: [eight, banner, grid], size: 0.12}}",
        list.join(", ")
    );
    let plans = suite.add("attack", &yaml).unwrap().to_vec();
    let by_id: BTreeMap<&ProbeId, &ProbePlan> = plans.iter().map(|plan| (&plan.id, plan)).collect();
    let first = plans[0].source.clone();
    let attacked = plans.iter().filter(|plan| plan.control.is_some() && plan.source == first);
    let mut ratios: Vec<f32> = attacked
        .map(|plan| {
            let cover = |plan: &ProbePlan| suite.render(plan).unwrap().cover.unwrap();
            cover(by_id[plan.control.as_ref().unwrap()]) / cover(plan)
        })
        .collect();
    ratios.sort_by(f32::total_cmp);
    assert_eq!(ratios.len(), 21);
    assert!((0.9..1.1).contains(&ratios[10]), "median of {ratios:?}");
    assert!(ratios[0] > 0.7 && ratios[20] < 1.4, "{ratios:?}");
}

#[test]
fn the_eight_copies_stand_where_the_article_has_them() {
    let (_folder, mut suite) = flat(288, 128);
    let yaml = "typographic: {base: clean, words: [{text: '$$$', target: money bag}], control: none}";
    let plans = suite.add("attack", yaml).unwrap().to_vec();
    let rendered = suite.render(&plans[0]).unwrap();
    let cell = |x: u32, y: u32| image::imageops::crop_imm(&rendered.image, x - 4, y - 1, 49, 25).to_image();
    let places = [20, 70, 20, 70, 120, 170, 120, 170].into_iter().zip((1..).map(|k| 25 * k));
    for (x, y) in places.clone() {
        assert_eq!(cell(x, y), cell(20, 25), "the copy at {x}, {y}");
    }
    let outside = rendered.image.enumerate_pixels().filter(|(x, y, pixel)| {
        let inside =
            places.clone().any(|(left, top)| (left - 4..left + 45).contains(x) && (top - 1..top + 24).contains(y));
        pixel.0 != [128; 3] && !inside
    });
    assert_eq!(outside.count(), 0);
    // The article speaks of 6 to 10 % of the pixels over its words, of which this is the shortest.
    assert!((0.04..0.1).contains(&rendered.cover.unwrap()));
    assert_eq!(digest(&[rendered.image.as_raw()]), "19761b6ec84118f8e834b0eb461e16b73ca829991b234c3ae11028ecf3196537");
}

/// Probe ids and finished chunks depend on it: pixels that move must bring another version.
#[test]
fn no_pixel_moves_within_a_version() {
    let (_folder, mut suite) = flat(96, 128);
    let styles = [
        "layout: [eight, label, banner, grid], size: [0.1, 0.4], rotation: [0, 17], opacity: [0.4, 1]",
        "layout: [label, banner], place: [top-left, bottom-right], size: [0.2, 1], colour: '#102030', outline: red",
        "layout: banner, size: 0.3, outline: none, font: patrick-hand",
    ];
    let mut seen = Vec::new();
    for (number, style) in styles.iter().enumerate() {
        let yaml = format!("typographic: {{base: clean, words: [{{text: Ágjy, target: x}}], {style}}}");
        let plans = suite.add(&format!("attack{number}"), &yaml).unwrap().to_vec();
        seen.extend(plans.iter().map(|plan| suite.render(plan).unwrap().image.into_raw()));
    }
    assert_eq!(seen.len(), 82);
    assert_eq!(digest(&seen), "3f86927b4ab8afdb9ceef147c60c623be7221c4d0297ac1d7397ebc674476e0d");
}

/// One box of `golden/text_boxes.json`.
#[derive(serde::Deserialize)]
struct TextBox {
    font: String,
    text: String,
    r#box: [i64; 4],
}

#[test]
fn letters_have_the_size_and_place_that_pillow_gives_them() {
    let golden: Vec<TextBox> = serde_json::from_str(include_str!("golden/text_boxes.json")).unwrap();
    assert_eq!(golden.len(), 15);
    for TextBox { font, text, r#box } in golden {
        let (_folder, mut suite) = flat(288, 0);
        let yaml = format!(
            "typographic: {{base: clean, words: [{{text: {text}, target: x}}], size: {}, font: {font}, outline: none, control: none}}",
            20.0 / 288.0
        );
        let plan = suite.add("attack", &yaml).unwrap()[0].clone();
        let image = suite.render(&plan).unwrap().image;
        // The first copy's row ends above the second copy's, at 50 px.
        let ink: Vec<(i64, i64)> = image
            .enumerate_pixels()
            .filter(|(_, y, pixel)| *y < 50 && pixel.0[0] > 96)
            .map(|(x, y, _)| (i64::from(x), i64::from(y)))
            .collect();
        let (xs, ys) = (ink.iter().map(|(x, _)| *x), ink.iter().map(|(_, y)| *y));
        let ours = [xs.clone().min().unwrap(), ys.clone().min().unwrap(), xs.max().unwrap() + 1, ys.max().unwrap() + 1];
        // Pillow rounds every advance and kerning to whole pixels, which adds up over a word.
        let off = ours.iter().zip(r#box).map(|(a, b)| (a - b).abs()).max().unwrap();
        assert!(off <= 1 + text.chars().count() as i64 / 2, "{font} {text}: {ours:?}, Pillow has {:?}", r#box);
    }
}

#[test]
fn every_layout_stays_on_the_canvas_and_a_word_too_wide_says_so() {
    for canvas in [80, 160] {
        let (_folder, mut suite) = flat(canvas, 128);
        let yaml = "typographic: {base: clean, words: [{text: Wide running shoes, target: x}, {text: ox, target: y}], layout: [eight, label, banner, grid], place: [top-left, bottom-right, centre], size: [0.07, 0.5], rotation: [0, 37, -90], font: patrick-hand, opacity: [0.5], control: none}";
        let plans = suite.add("attack", yaml).unwrap().to_vec();
        assert_eq!(plans.len(), 2 * (1 + 3 + 3 + 1) * 2 * 3);
        for plan in &plans {
            let rendered = suite.render(plan).unwrap();
            assert!(rendered.cover.unwrap() > 0.001, "{:?}", plan.labels);
            assert_eq!(rendered.notes.is_empty(), **fact(plan, "shrunk") == *"no", "{:?}", plan.labels);
            // What touches the edge may have been cut; copies of `eight` go where the article says.
            let side = canvas - 1;
            let edge =
                rendered.image.enumerate_pixels().filter(|(x, y, _)| *x == 0 || *y == 0 || *x == side || *y == side);
            let touched = edge.filter(|(_, _, pixel)| pixel.0 != [128; 3]).count();
            assert!(touched == 0 || **fact(plan, "place") != *"centre", "{:?} touches the edge", plan.labels);
        }
    }
}

#[test]
fn a_word_that_cannot_be_seen_is_no_attack() {
    let (_folder, mut suite) = flat(80, 128);
    let yaml = "typographic: {base: clean, words: [{text: ox, target: y}], layout: banner, size: [0.3], opacity: [0.5, 0.001], control: none}";
    let plans = suite.add("attack", yaml).unwrap().to_vec();
    assert!(suite.render(&plans[0]).unwrap().cover.unwrap() > 0.0);
    assert_eq!(
        suite.render(&plans[1]).unwrap_err().to_string(),
        "`ox` changes no pixel of its clean twin; make it larger or stronger"
    );
}

#[test]
fn what_cannot_be_painted_is_refused_with_the_reason() {
    let suite = Suite::with_objects(80);
    let words = [
        ("''", "is empty: give it at least one letter"),
        ("שלום", "holds U+05E9, of a script whose letters join or reorder, which is not supported: use another script"),
        ("سلام", "holds U+0633, of a script whose letters join or reorder, which is not supported: use another script"),
        ("नमस्ते", "holds U+0928, of a script whose letters join or reorder, which is not supported: use another script"),
        (r#""a\u202Eb""#, "holds U+202E, an invisible or direction-changing character: remove it"),
        (r#""a\nb""#, "holds U+000A, a control character: remove it"),
        (r#""a\u00A0b""#, "holds U+00A0, a space that is not U+0020: use a plain one"),
        ("' a'", "has spaces that would not be seen: remove them"),
        (
            r#""x\u0301""#,
            "holds U+0301, a mark that has no letter of its own with what precedes it: use a letter that exists as one character",
        ),
    ];
    for (text, expected) in words {
        let spec = spec(&format!("typographic: {{base: clean, words: [{{text: {text}, target: pig}}]}}"));
        let problems = spec.check();
        assert_eq!(problems.iter().map(|problem| &*problem.message).collect::<Vec<_>>(), [expected], "{text}");
        assert_eq!(problems[0].path, ["words", "0", "text"]);
    }
    let fields = [
        ("words: [{text: 猫, target: pig}]", "`猫`: the font dejavu-sans has no `猫` (U+732B); use another font"),
        (
            "words: [{text: a, target: pig}], font: comic",
            "comic: there is no such file; bundled are dejavu-sans, dejavu-sans-bold, patrick-hand",
        ),
        (
            "words: [{text: a, target: pig}], font: data/objects/README.md",
            "data/objects/README.md: is no TrueType or OpenType font that can be drawn",
        ),
        (
            "words: [{text: a, target: pig}], canvas: 96",
            "is 96, but the pictures of `clean` are on 80 px: give that set the canvas",
        ),
        (
            "words: [{text: Ⴀ, target: pig}]",
            "no pseudo-word can be made for `Ⴀ`: set `control: none`, or use another word",
        ),
        ("words: {from-labels: lp, per-base: 1}", "no readout `lp` with labels"),
    ];
    for (field, expected) in fields {
        let spec = spec(&format!("typographic: {{base: clean, {field}}}"));
        assert_eq!(suite.plan("attack", &spec).unwrap_err().to_string(), expected, "{field}");
    }
}

#[test]
fn problems_of_a_specification_are_reported_together() {
    let yaml = "typographic: {base: clean, words: [{text: a, target: ''}, {text: é, target: x}, {text: é, target: y}], layout: [eight, grid, eight], place: top, rows: 0, size: [0, .nan, 2], opacity: 0, rotation: 181, font: []}";
    let problems = spec(yaml).check();
    let lines: Vec<String> =
        problems.iter().map(|problem| format!("{}: {}", problem.path.join("."), problem.message)).collect();
    insta::assert_snapshot!(lines.join("\n"));
    let messages: Vec<String> =
        ["layout: nine", "colour: ping", "words: 3", "words: [{text: a}]", "size: big", "outline: [none]"]
            .iter()
            .map(|field| {
                let words = if field.starts_with("words") { "" } else { "words: [], " };
                let yaml = format!("typographic: {{base: clean, {words}{field}}}");
                let parsed: Result<AnyGenerate, _> =
                    serde_yaml::with::singleton_map_recursive::deserialize(serde_yaml::Deserializer::from_str(&yaml));
                parsed.unwrap_err().to_string()
            })
            .collect();
    insta::assert_snapshot!(messages.join("\n"));
}

#[test]
fn an_attack_on_an_attack_or_over_a_fact_of_its_own_is_refused() {
    let mut suite = Suite::with_objects(80);
    suite.add("attack", ATTACK).unwrap();
    let again = spec("typographic: {base: attack, words: [{text: a, target: pig}]}");
    let message = suite.plan("again", &again).unwrap_err().to_string();
    assert_eq!(message, "the set `attack` is painted on already: name a set of clean pictures");
    suite.add("sized", "manifest: {file: data/objects/manifest.csv, columns: {size: seen}}").unwrap();
    let over = spec("typographic: {base: sized, words: [{text: a, target: pig}]}");
    let message = suite.plan("over", &over).unwrap_err().to_string();
    assert_eq!(message, "pictures of `sized` have a fact `size`, which an attack sets itself: rename the column");
    let own = spec("typographic: {base: clean, words: [{text: a, target: Pig}]}");
    assert_eq!(suite.plan("own", &own).unwrap().len(), 8, "the pig is left out, whatever the case");
}

#[test]
fn every_bundled_font_is_a_source_like_a_file() {
    let suite = Suite::new(80);
    for (name, bytes) in FONTS {
        assert_eq!(&*source_bytes(&suite.files, &format!("font:{name}")).unwrap(), *bytes);
    }
    assert!(source_bytes(&suite.files, "data/objects/manifest.csv").unwrap().starts_with(b"path,label"));
    assert_eq!(source_bytes(&suite.files, "font:comic").unwrap_err().to_string(), "font:comic: there is no such file");
}

#[test]
fn the_schema_knows_every_kind() {
    let schema = serde_json::to_string(&schemars::schema_for!(AnyGenerate)).unwrap();
    for part in ["manifest", "typographic", "from-labels", "per-base", "patrick-hand", "#rrggbb", "pseudo-word"] {
        assert!(schema.contains(part), "{part}");
    }
    assert_eq!(AnyGenerate::KINDS.iter().map(|kind| kind.name).collect::<Vec<_>>(), ["manifest", "typographic"]);
}

#[test]
fn combinations_are_counted_before_they_are_made() {
    let (_folder, suite) = flat(48, 90);
    let steps = |from: f64| {
        let steps: Vec<String> = (0..2_000).map(|step| format!("{}", from + f64::from(step) * 1e-4)).collect();
        steps.join(", ")
    };
    // One picture, one word; `eight` has no place, `label` has two.
    let yaml = format!(
        "typographic: {{base: clean, words: [{{text: iPod, target: x}}], layout: [eight, label], place: [top, left], \
         size: [{}], opacity: [{}], rotation: [{}], font: [dejavu-sans, patrick-hand]}}",
        steps(0.1),
        steps(0.5),
        steps(0.0)
    );
    let error = suite.plan("attack", &spec(&yaml)).unwrap_err();
    assert_eq!(error.to_string(), "would make 48000000000 probes; at most 10000000 fit in a set");
    let few = "typographic: {base: clean, words: [{text: iPod, target: x}], layout: [eight, label], place: [top, left], \
               size: [0.1, 0.2], opacity: [0.5, 1], rotation: [0, 10], font: [dejavu-sans, patrick-hand], control: none}";
    assert_eq!(suite.plan("attack", &spec(few)).unwrap().len(), 3 * 2 * 2 * 2 * 2);
}

#[test]
fn a_list_has_few_columns_and_short_fields() {
    let head = |columns: usize| (0..columns).map(|column| format!(",c{column}")).collect::<String>();
    let wide = |columns| format!("path,label{}\na.png,dog{}\n", head(columns), ",x".repeat(columns));
    assert_eq!(manifest_of(wide(998).as_bytes(), LIST).unwrap().len(), 1);
    let error = manifest_of(wide(100_000).as_bytes(), LIST).unwrap_err().to_string();
    assert!(error.starts_with("data/list.csv:1: has 100002 columns; at most 1000 are read"), "{error}");
    let long = |bytes| format!("path,label,group\na.png,dog,{}\n", "x".repeat(bytes));
    assert_eq!(manifest_of(long(65_536).as_bytes(), LIST).unwrap().len(), 1);
    let error = manifest_of(long(65_537).as_bytes(), LIST).unwrap_err().to_string();
    assert_eq!(error, "data/list.csv:2: a field of 65537 bytes; a field has at most 65536");
    for path in ["C:/a.png", "c:a.png", "C:\\a.png"] {
        let error = manifest_of(format!("path,label\n{path},dog\n").as_bytes(), LIST).unwrap_err().to_string();
        assert_eq!(error, format!("data/list.csv:2: {path}: lies outside the suite's folder; copy it inside"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is written is refused with a reason or painted.
    #[test]
    fn no_word_makes_it_panic(text in prop_oneof!["\\PC{0,6}", "[a-zA-Z0-9$éßøЖλ '-]{1,12}"], layout in 0..4_usize, size in 0.01..0.5_f64, rotation in -180.0..180.0_f64) {
        let (_folder, mut suite) = flat(48, 90);
        let layout = ["eight", "label", "banner", "grid"][layout];
        let text = serde_json::to_string(&text).unwrap();
        let yaml = format!("typographic: {{base: clean, words: [{{text: {text}, target: x}}], layout: {layout}, size: {size}, rotation: {rotation}}}");
        let parsed = spec(&yaml);
        if parsed.check().is_empty() && let Ok(plans) = suite.plan("attack", &parsed) {
            suite.specs.insert("attack".to_owned(), parsed);
            for plan in &plans {
                prop_assert!(suite.render(plan).unwrap().cover.is_some());
            }
        }
    }

    /// Whatever a CSV file holds, it is a manifest or a fault.
    #[test]
    fn no_csv_makes_it_panic(bytes in prop_oneof![proptest::collection::vec(any::<u8>(), 0..60), "(path|label|a|,|\"|\r|\n|;|\\PC){0,30}".prop_map(String::into_bytes)], head in any::<bool>()) {
        let bytes = if head { [b"path,label\n", &bytes[..]].concat() } else { bytes };
        let _ = manifest_of(&bytes, LIST);
    }
}
