//! Observing at the level of the library: chunks, resuming, quarantine, determinism. A model made here says what the
//! test wants, and counts what it is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use clip_audit::audit::generators;
use clip_audit::model::{Encoded, Encoder, ModelError, ModelInfo};
use clip_audit::observe::{Job, ObserveError, Observed, observe, sources};
use clip_audit::probe::Files;
use clip_audit::suite::{self, Suite};
use clip_audit::types::{
    Fingerprint, Intervention, Matrix, ModelRecord, Numerics, ProbePlan, Tap, read_chunk, write_chunk,
};
use image::{Rgb, RgbImage};
use tempfile::TempDir;

/// Pictures: more than a chunk of 256 holds with their attacks.
const PICTURES: usize = 40;

/// Says of a picture its mean colour. Pictures of one colour can be made to break it.
pub(super) struct Model {
    pub(super) info: ModelInfo,
    pub(super) numerics: Numerics,
    shown: AtomicUsize,
    texts: AtomicUsize,
    /// What is said of pictures whose red is 255 in the upper left corner.
    of_red: Option<[f32; 3]>,
    tap_of_red: Option<f32>,
}

impl Model {
    pub(super) fn new() -> Self {
        let record = ModelRecord {
            name: "means".to_owned(),
            format: "none".to_owned(),
            architecture: "the mean of every colour".to_owned(),
            fingerprint: Fingerprint("0".repeat(64)),
            files: Vec::new(),
            facts: Vec::new(),
            preprocessing: Vec::new(),
            taps: Vec::new(),
        };
        let info = ModelInfo {
            record,
            image_size: 32,
            dimension: 3,
            logit_scale: 100.0,
            logit_bias: 0.0,
            context_length: 77,
            sites: Vec::new(),
            neurons: "colours.output:mean".parse().unwrap(),
        };
        let numerics = Numerics {
            device: "cpu".to_owned(),
            dtype: "f32".to_owned(),
            batch: 32,
            threads: 1,
            libtorch: "none".to_owned(),
            cpu_capability: "none".to_owned(),
        };
        Self { info, numerics, shown: 0.into(), texts: 0.into(), of_red: None, tap_of_red: None }
    }
}

impl Encoder for Model {
    fn info(&self) -> &ModelInfo {
        &self.info
    }
    fn numerics(&self) -> &Numerics {
        &self.numerics
    }
    fn encode_texts(&self, texts: &[String]) -> Result<Matrix, ModelError> {
        self.texts.fetch_add(texts.len(), Ordering::Relaxed);
        let row = |text: &String| match text.as_str() {
            "nothing" => [0.0; 3],
            "nowhere" => [f32::NAN, 0.0, 0.0],
            text => [text.len() as f32, 1.0, 0.0],
        };
        let rows: Vec<[f32; 3]> = texts.iter().map(row).collect();
        Ok(Matrix::from_rows(3, &rows).unwrap())
    }
    fn preprocess(&self, image: &RgbImage) -> Result<RgbImage, ModelError> {
        Ok(image.clone())
    }
    fn encode_images(&self, images: &[RgbImage], taps: &[Tap], _: &[Intervention]) -> Result<Encoded, ModelError> {
        self.shown.fetch_add(images.len(), Ordering::Relaxed);
        let red = |image: &RgbImage| image.get_pixel(0, 0)[0] == 255;
        let mean = |image: &RgbImage| match self.of_red.filter(|_| red(image)) {
            Some(said) => said,
            None => [0, 1, 2].map(|colour| image.pixels().map(|pixel| f32::from(pixel[colour])).sum::<f32>() + 1.0),
        };
        let tap = |image: &RgbImage| [self.tap_of_red.filter(|_| red(image)).unwrap_or(1.0)];
        let features: Vec<[f32; 3]> = images.iter().map(mean).collect();
        let activations: Vec<[f32; 1]> = images.iter().map(tap).collect();
        Ok(Encoded {
            features: Matrix::from_rows(3, &features).unwrap(),
            taps: taps.iter().map(|_| Matrix::from_rows(1, &activations).unwrap()).collect(),
        })
    }
}

/// A suite of 40 clean, 320 attacked and 320 control probes: chunks of 40, 256, 256 and 128.
struct World {
    folder: TempDir,
    suite: Suite,
    files: Files,
    plans: Arc<Vec<ProbePlan>>,
    prompts: Vec<String>,
    taps: Vec<Tap>,
}

const SUITE: &str = r#"schema: 1
name: observing
model: { use: reference }
probes:
  - { id: clean, generate: { manifest: { file: pictures.csv } } }
  - { id: attack, generate: { typographic: { base: clean, words: [{ text: one, target: "1" }, { text: two, target: "2" }], layout: banner, size: [0.2, 0.3], opacity: [0.5, 1] } } }
"#;

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("chunks")).unwrap();
        let mut rows = String::from("path,label\n");
        for number in 0..PICTURES {
            picture(&folder.path().join(format!("{number}.png")), number as u8);
            rows += &format!("{number}.png,picture\n");
        }
        fs::write(folder.path().join("pictures.csv"), rows).unwrap();
        let files = Files::folder(folder.path()).unwrap();
        let suite = suite::read("suite.yaml", SUITE.as_bytes()).unwrap();
        let plans = Arc::new(suite::plan(&suite, &files, 32).unwrap().plans);
        let prompts = vec!["a text".to_owned(), "another".to_owned()];
        Self { folder, suite, files, plans, prompts, taps: Vec::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Observes in `chunks/`.
    fn observe(&self, model: &Model) -> Result<Observed, ObserveError> {
        self.observe_in("chunks", model, &AtomicBool::new(false), &|_, _| {})
    }

    fn observe_in(
        &self,
        folder: &str,
        model: &Model,
        stop: &AtomicBool,
        progress: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<Observed, ObserveError> {
        fs::create_dir_all(self.path(folder)).unwrap();
        observe(&Job {
            plans: &self.plans,
            generators: &generators(&self.suite),
            files: &self.files,
            sources: &sources(&self.plans, &self.files),
            encoder: model,
            taps: &self.taps,
            interventions: &[],
            prompts: &self.prompts,
            folder: self.path(folder),
            progress,
            stop,
        })
    }

    /// Names and contents of a folder of chunks.
    fn chunks(&self, folder: &str) -> BTreeMap<String, Vec<u8>> {
        let entries = fs::read_dir(self.path(folder)).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap())).collect()
    }
}

fn picture(path: &Path, red: u8) {
    RgbImage::from_fn(32, 32, |x, y| Rgb([red, x as u8, y as u8])).save(path).unwrap();
}

fn counts(observed: &Observed) -> (usize, usize, usize) {
    (observed.computed, observed.reused, observed.observations.quarantined.len())
}

#[test]
fn what_is_finished_is_not_shown_again() {
    let (world, model) = (World::new(), Model::new());
    let first = world.observe(&model).unwrap();
    // One file of prompts and four chunks of probes.
    assert_eq!((counts(&first), first.chunks.len()), ((680, 0, 0), 5));
    assert_eq!((model.shown.load(Ordering::Relaxed), model.texts.load(Ordering::Relaxed)), (680, 2));
    let second = world.observe(&model).unwrap();
    assert_eq!(counts(&second), (0, 680, 0));
    assert_eq!((model.shown.load(Ordering::Relaxed), model.texts.load(Ordering::Relaxed)), (680, 2));
    assert_eq!(first.chunks, second.chunks);
    let ids: Vec<_> = second.observations.probes.iter().map(|probe| &probe.plan.id).collect();
    assert!(ids.into_iter().eq(world.plans.iter().map(|plan| &plan.id)), "in the order of the plan");
    assert!(second.observations.probes.iter().all(|probe| probe.cover.is_some() == probe.plan.source.is_some()));
}

#[test]
fn the_same_bytes_whatever_the_threads_and_interruptions() {
    let world = World::new();
    world.observe(&Model::new()).unwrap();
    let whole = world.chunks("chunks");
    assert_eq!(whole.len(), 5);
    for threads in [1, 5] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let folder = format!("threads-{threads}");
        pool.install(|| world.observe_in(&folder, &Model::new(), &AtomicBool::new(false), &|_, _| {})).unwrap();
        assert_eq!(world.chunks(&folder), whole, "{threads} threads");
    }
    // Interrupted after every chunk, as often as it takes.
    let mut rounds = 0;
    let last = loop {
        let stop = AtomicBool::new(false);
        let told = std::sync::Mutex::new(Vec::new());
        let result = world.observe_in("interrupted", &Model::new(), &stop, &|done, computed| {
            told.lock().unwrap().push(done);
            stop.store(computed > 0, Ordering::Relaxed);
        });
        rounds += 1;
        let told = told.into_inner().unwrap();
        assert!(told.is_sorted());
        match result {
            Ok(observed) => break observed,
            Err(ObserveError::Interrupted { done, planned }) => assert_eq!((Some(&done), planned), (told.last(), 680)),
            Err(error) => panic!("{error}"),
        }
        assert!(rounds < 10, "an interrupted run keeps its chunks");
    };
    assert_eq!(rounds, 4, "one chunk a round");
    assert_eq!(counts(&last), (128, 552, 0));
    assert_eq!(world.chunks("interrupted"), whole);
}

#[test]
fn a_chunk_depends_on_all_that_decides_its_contents_and_on_nothing_else() {
    let mut world = World::new();
    world.observe(&Model::new()).unwrap();
    let names = |world: &World| -> BTreeSet<String> { world.chunks("chunks").into_keys().collect() };
    let before = names(&world);
    // Labels and clusters join from the plan.
    for plan in Arc::make_mut(&mut world.plans) {
        plan.labels.insert("label".into(), "renamed".into());
        plan.cluster = "one".into();
    }
    let observed = world.observe(&Model::new()).unwrap();
    assert_eq!(counts(&observed), (0, 680, 0));
    assert_eq!(names(&world), before);
    assert!(observed.observations.probes.iter().all(|probe| &**probe.plan.labels.get("label").unwrap() == "renamed"));

    let mut models: Vec<(&str, Model)> = Vec::new();
    let mut other = |about, change: fn(&mut Model)| {
        let mut model = Model::new();
        change(&mut model);
        models.push((about, model));
    };
    other("weights", |model| model.info.record.fingerprint = Fingerprint("1".repeat(64)));
    other("facts", |model| model.info.record.facts.push(("activation".to_owned(), "gelu".to_owned())));
    other("preprocessing", |model| model.info.record.preprocessing.push(("crop".to_owned(), "none".to_owned())));
    other("device", |model| model.numerics.device = "cuda".to_owned());
    other("dtype", |model| model.numerics.dtype = "bf16".to_owned());
    other("batch", |model| model.numerics.batch = 16);
    other("threads", |model| model.numerics.threads = 2);
    other("libtorch", |model| model.numerics.libtorch = "another".to_owned());
    for (about, model) in &models {
        assert_eq!(counts(&world.observe(model).unwrap()), (680, 0, 0), "{about}");
    }
    world.taps = vec!["layer.output:mean".parse().unwrap()];
    assert_eq!(counts(&world.observe(&Model::new()).unwrap()), (680, 0, 0), "taps");
    // Texts have a file of their own.
    let model = Model::new();
    world.prompts.push("a third".to_owned());
    assert_eq!(counts(&world.observe(&model).unwrap()), (0, 680, 0));
    assert_eq!(model.texts.load(Ordering::Relaxed), 3);
}

#[test]
fn an_edited_picture_makes_its_own_chunks_anew() {
    let world = World::new();
    world.observe(&Model::new()).unwrap();
    // The last picture: in the chunk of the clean ones, and in the last of the attacks.
    picture(&world.path("39.png"), 200);
    let observed = world.observe(&Model::new()).unwrap();
    assert_eq!(counts(&observed), (40 + 128, 512, 0));
}

#[test]
fn damaged_and_misplaced_chunks_are_not_trusted() {
    let world = World::new();
    let observed = world.observe(&Model::new()).unwrap();
    let whole = world.chunks("chunks");
    let (first, second) = (&observed.chunks[2], &observed.chunks[3]);
    fs::copy(first, second).unwrap();
    assert_eq!(counts(&world.observe(&Model::new()).unwrap()), (256, 424, 0), "another chunk's contents");
    assert_eq!(world.chunks("chunks"), whole);
    // A chunk whose numbers were changed together with nothing else.
    let bytes = fs::read(first).unwrap();
    let value = read_chunk(first).unwrap().embeddings.row(100)[1].to_le_bytes();
    let at = bytes.windows(4).position(|window| window == value).unwrap();
    let mut changed = bytes.clone();
    changed[at] ^= 1;
    fs::write(first, changed).unwrap();
    assert_eq!(counts(&world.observe(&Model::new()).unwrap()), (256, 424, 0), "one bit of one number");
    assert_eq!(world.chunks("chunks"), whole);
    // A chunk that lacks a probe was not finished.
    let mut short = read_chunk(first).unwrap();
    short.ids.pop();
    short.covers.pop();
    short.notes.pop();
    short.embeddings = short.embeddings.select(&(0..255).collect::<Vec<_>>());
    write_chunk(first, &short).unwrap();
    assert_eq!(counts(&world.observe(&Model::new()).unwrap()), (256, 424, 0), "a probe short");
    assert_eq!(world.chunks("chunks"), whole);
}

#[test]
fn a_failure_is_never_kept() {
    let world = World::new();
    fs::write(world.path("0.png"), "no picture").unwrap();
    let observed = world.observe(&Model::new()).unwrap();
    // The picture, its 8 attacks and 8 controls.
    assert_eq!(counts(&observed), (663, 0, 17));
    let reasons: BTreeSet<&str> = observed.observations.quarantined.iter().map(|one| &*one.reason).collect();
    let reason = "0.png: not a PNG, JPEG, WebP, GIF or BMP file by its first bytes; convert it to PNG";
    assert_eq!(reasons, BTreeSet::from([reason, &format!("its clean twin cannot be used: {reason}")]));
    assert!(observed.observations.quarantined.iter().all(|one| one.files[0] == "0.png"));
    assert_eq!(observed.observations.probes.len(), 663);
    // The chunks of the others are kept; those with a hole are tried again, and still have it.
    assert_eq!(counts(&world.observe(&Model::new()).unwrap()), (39 + 240, 384, 17));
    picture(&world.path("0.png"), 0);
    assert_eq!(counts(&world.observe(&Model::new()).unwrap()), (40 + 256, 384, 0));
}

#[test]
fn what_the_model_gives_no_finite_answer_to_is_quarantined() {
    type Row = (Option<[f32; 3]>, Option<f32>, &'static str);
    let rows: [Row; 4] = [
        (Some([f32::NAN, 1.0, 1.0]), None, "the model gave an embedding that is not finite"),
        (Some([1.0, f32::INFINITY, 1.0]), None, "the model gave an embedding that is not finite"),
        (Some([0.0; 3]), None, "the model gave an embedding of length zero, which has no direction"),
        (None, Some(f32::NAN), "the model gave an activation that is not finite"),
    ];
    for (of_red, tap_of_red, reason) in rows {
        let mut world = World::new();
        world.taps = vec!["layer.output:mean".parse().unwrap()];
        picture(&world.path("3.png"), 255);
        let model = Model { of_red, tap_of_red, ..Model::new() };
        let observed = world.observe(&model).unwrap();
        let lost = &observed.observations.quarantined;
        assert!(lost.iter().any(|one| one.set == "clean") && lost.len() <= 17, "{} lost", lost.len());
        assert!(lost.iter().all(|one| one.reason == reason && one.files[0] == "3.png"), "{lost:#?}");
        assert_eq!(observed.observations.probes.len(), 680 - lost.len());
        observed
            .observations
            .for_each_chunk(|_, chunk| {
                assert!(chunk.embeddings.values().iter().all(|value| value.is_finite()));
                assert!(chunk.taps.values().all(|tap| tap.rows() == chunk.ids.len()));
            })
            .unwrap();
    }
}

/// A chunk is named by the contents its files had at the beginning.
#[test]
fn a_picture_that_changes_meanwhile_is_not_kept_under_its_old_name() {
    let world = World::new();
    let before = fs::read(world.path("39.png")).unwrap();
    let change = |done: usize, _: usize| {
        if done == 40 {
            picture(&world.path("39.png"), 200);
        }
    };
    let observed = world.observe_in("chunks", &Model::new(), &AtomicBool::new(false), &change).unwrap();
    let lost = &observed.observations.quarantined;
    assert_eq!(lost.len(), 16, "its attacks and controls: {lost:#?}");
    for one in lost {
        assert_eq!(one.reason, "39.png: was changed while the run was going on; run again");
    }
    // With the first contents again, only what was lost is missing.
    fs::write(world.path("39.png"), before).unwrap();
    assert_eq!(counts(&world.observe(&Model::new()).unwrap()), (128, 552, 0));
}

#[test]
fn prompts_without_a_direction_end_the_run() {
    for prompt in ["nothing", "nowhere"] {
        let mut world = World::new();
        world.prompts.push(prompt.to_owned());
        for _ in 0..2 {
            let error = world.observe(&Model::new()).unwrap_err();
            assert_eq!(error.to_string(), format!("the prompt `{prompt}` has an embedding that is zero or not finite"));
        }
    }
}

#[test]
fn a_folder_that_refuses_ends_the_run() {
    let world = World::new();
    fs::write(world.path("chunks/readme"), "").unwrap();
    let job = |folder: PathBuf| {
        observe(&Job {
            plans: &world.plans,
            generators: &generators(&world.suite),
            files: &world.files,
            sources: &sources(&world.plans, &world.files),
            encoder: &Model::new(),
            taps: &[],
            interventions: &[],
            prompts: &world.prompts,
            folder,
            progress: &|_, _| {},
            stop: &AtomicBool::new(false),
        })
    };
    let error = job(world.path("chunks/readme")).unwrap_err();
    assert!(matches!(error, ObserveError::Chunk(_)), "{error}");
    assert!(error.to_string().starts_with("chunk "), "{error}");
}
