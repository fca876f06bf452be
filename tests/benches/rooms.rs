//! How fast the rooms of `src/` are without the model: `cargo bench`. Where there is something to compare with, both run
//! side by side in one process, since only ratios of one run mean anything.
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on must stop")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use clip_audit::audit::generators;
use clip_audit::measure::{AnyMeasure, Predictions, Ranked, Seen};
use clip_audit::model::Tokenizer;
use clip_audit::observe::Renderer;
use clip_audit::pixels;
use clip_audit::probe::Files;
use clip_audit::suite;
use clip_audit::types::{
    Chunk, Labels, Matrix, Observations, Pool, ProbeId, ProbePlan, Recipe, Site, Tap, read_chunk, write_chunk,
};
use divan::{Bencher, black_box, counter::ItemsCount};
use image::RgbImage;
use image::imageops::{self, FilterType};

fn main() {
    divan::main();
}

/// A picture with edges and texture.
fn picture(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let wave = |step: u32| (127.0 + 120.0 * (f64::from(x * step) / 17.0 + f64::from(y) / 5.0).sin()) as u8;
        image::Rgb([wave(1), wave(2), wave(3)])
    })
}

const SIDES: [(u32, u32); 3] = [(320, 240), (1024, 768), (4000, 3000)];

#[divan::bench(args = SIDES)]
fn preprocess(bencher: Bencher<'_, '_>, (width, height): (u32, u32)) {
    let picture = picture(width, height);
    bencher.bench(|| pixels::fit(black_box(&picture), 224).unwrap());
}

/// A bicubic resize of the `image` crate, which is not the one CLIP was published with.
#[divan::bench(args = SIDES)]
fn preprocess_beside_image_crate(bencher: Bencher<'_, '_>, (width, height): (u32, u32)) {
    let picture = picture(width, height);
    let long = 224 * width / height;
    bencher.bench(|| {
        let resized = imageops::resize(black_box(&picture), long, 224, FilterType::CatmullRom);
        imageops::crop_imm(&resized, (long - 224) / 2, 0, 224, 224).to_image()
    });
}

#[divan::bench]
fn tokenise(bencher: Bencher<'_, '_>) {
    let tokenizer = Tokenizer::new(49_408, 77).unwrap();
    let texts: Vec<String> =
        (0..1000).map(|n| format!("a photo of number {n}, a 'quoted' poodle's caf\u{e9}")).collect();
    bencher
        .counter(ItemsCount::new(texts.len()))
        .bench(|| texts.iter().map(|text| tokenizer.encode(black_box(text)).unwrap().len()).sum::<usize>());
}

/// The shipped pictures with one word in one layout, on a canvas of RN50x4's size.
#[divan::bench(args = ["eight", "label", "banner", "grid"])]
fn render(bencher: Bencher<'_, '_>, layout: &str) {
    let text = format!(
        "schema: 1\nname: bench\nseed: 7\nmodel: {{ use: reference }}\n\
         readouts:\n  - {{ id: zs, read: {{ zero-shot: {{ labels: [dog, money], templates: [\"{{}}\"] }} }} }}\n\
         probes:\n  - {{ id: clean, generate: {{ manifest: {{ file: data/objects/manifest.csv, where: {{ label: dog }} }} }} }}\n  \
         - {{ id: attack, generate: {{ typographic: {{ base: clean, words: [{{ text: money, target: money }}], layout: {layout}, size: 0.1 }} }} }}\n\
         measures:\n  - {{ id: success, compute: {{ attack-success: {{ clean: clean, attacked: attack }} }} }}\n"
    );
    let suite = suite::read("bench.yaml", text.as_bytes()).unwrap();
    let files = Files::folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("suites")).unwrap();
    let plans = suite::plan(&suite, &files, 288).unwrap().plans;
    let generators = generators(&suite);
    let renderer = Renderer::new(&plans, &generators, &files);
    let attacks: Vec<&ProbePlan> = plans.iter().filter(|plan| plan.source.is_some()).collect();
    bencher
        .counter(ItemsCount::new(attacks.len()))
        .bench(|| attacks.iter().map(|plan| renderer.render(black_box(plan)).unwrap().image.width()).sum::<u32>());
}

/// A chunk as an RN50x4 gives it: 256 embeddings and the last block's channels.
fn chunk() -> Chunk {
    let rows = |width: usize| {
        let values = (0..256 * width).map(|place| (place as f32 * 0.37).sin()).collect();
        Matrix::new(256, width, values).unwrap()
    };
    let tap = Tap { layer: "layer4".to_owned(), site: Site::PreRelu, pool: Pool::Mean };
    Chunk {
        ids: (0..256).map(|row| ProbeId::named(&row.to_string())).collect(),
        covers: vec![Some(0.08); 256],
        notes: vec![Vec::new(); 256],
        embeddings: rows(640),
        taps: BTreeMap::from([(tap, rows(2560))]),
    }
}

#[divan::bench]
fn chunk_write(bencher: Bencher<'_, '_>) {
    let (folder, chunk) = (tempfile::tempdir().unwrap(), chunk());
    let path = folder.path().join("chunk.arrow");
    bencher.counter(ItemsCount::new(256_usize)).bench(|| write_chunk(&path, black_box(&chunk)).unwrap());
}

#[divan::bench]
fn chunk_read(bencher: Bencher<'_, '_>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chunk.arrow");
    write_chunk(&path, &chunk()).unwrap();
    bencher.counter(ItemsCount::new(256_usize)).bench(|| read_chunk(black_box(&path)).unwrap());
}

/// A million probes: clean ones, attacks of four sizes over each, and their control twins; and what a readout says of them.
static MILLION: LazyLock<(Observations, BTreeMap<String, Predictions>)> = LazyLock::new(|| {
    const BASES: usize = 111_112;
    let sizes: Vec<Arc<str>> = ["0.1", "0.2", "0.3", "0.4"].map(Arc::from).to_vec();
    let shared: Labels = [(Arc::from("label"), Arc::from("dog")), (Arc::from("target"), Arc::from("money"))].into();
    let shared = Arc::new(shared);
    let mut plans = Vec::with_capacity(BASES * 9);
    let mut add = |name: String, set: &str, cluster: &Arc<str>, size: Option<&Arc<str>>, twins: [Option<String>; 2]| {
        let own: Labels = size.map(|size| (Arc::from("size"), Arc::clone(size))).into_iter().collect();
        let [source, control] = twins.map(|name| name.map(|name| ProbeId::named(&name)));
        plans.push(ProbePlan {
            id: ProbeId::named(&name),
            set: set.into(),
            labels: Labels::over(&shared, &own),
            source,
            control,
            cluster: Arc::clone(cluster),
            recipe: Recipe { generator: "bench@1", parameters: "{}".into(), files: [].into(), seed: 0 },
        });
    };
    for base in 0..BASES {
        let cluster: Arc<str> = format!("picture {base}").into();
        let clean = format!("{base}");
        add(clean.clone(), "clean", &cluster, None, [None, None]);
        for size in &sizes {
            let (attack, control) = (format!("{base} {size}"), format!("{base} {size} control"));
            add(attack, "attack", &cluster, Some(size), [Some(clean.clone()), Some(control.clone())]);
            add(control, "attack.control", &cluster, Some(size), [Some(clean.clone()), None]);
        }
    }
    let plans = Arc::new(plans);
    let mut observations = Observations::default();
    let count = plans.len();
    let chunk = Chunk {
        ids: plans.iter().map(|plan| plan.id.clone()).collect(),
        covers: vec![None; count],
        notes: vec![Vec::new(); count],
        embeddings: Matrix::new(count, 1, vec![1.0; count]).unwrap(),
        taps: BTreeMap::new(),
    };
    observations.push(&plans, 0..count, chunk, None);
    // One attack in five and one control in ten turns the label.
    let said = |row: usize| {
        u32::from(match row % 9 {
            0 => false,
            place if place % 2 == 1 => row.is_multiple_of(5),
            _ => row.is_multiple_of(10),
        })
    };
    let top = (0..count).map(|row| vec![Ranked { label: said(row), probability: 0.9, cosine: 0.3 }]).collect();
    let predictions = Predictions { labels: vec!["dog".to_owned(), "money".to_owned()], top };
    (observations, BTreeMap::from([("zs".to_owned(), predictions)]))
});

const MEASURES: [&str; 4] = ["accuracy", "attack-success", "accuracy-drop", "dose-response"];

#[divan::bench(args = MEASURES, sample_count = 3, sample_size = 1)]
fn measure_a_million_rows(bencher: Bencher<'_, '_>, name: &str) {
    let pair = serde_json::json!({ "clean": "clean", "attacked": "attack", "by": ["size"] });
    let specification = match name {
        "accuracy" => serde_json::json!({ "set": "attack", "by": ["size"] }),
        "dose-response" => serde_json::json!({ "clean": "clean", "attacked": "attack", "along": "size" }),
        _ => pair,
    };
    let measure: AnyMeasure = serde_json::from_value(serde_json::json!({ name: specification })).unwrap();
    let (observations, readouts) = &*MILLION;
    bencher
        .counter(ItemsCount::new(observations.probes.len()))
        .bench(|| measure.measure(&Seen { id: "m", observations, readouts, seed: 7 }).unwrap().measurements.len());
}
