//! The precision that is chosen, and the batch that memory suffices for, with models made here that are as slow, as wrong
//! and as large as a test wants.

use std::cell::{Cell, RefCell};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clip_audit::audit::{self, AuditError, Choice, Request};
use clip_audit::model::{Dtype, Encoded, Encoder, ModelError, ModelInfo, batch_within};
use clip_audit::observe::ObserveError;
use clip_audit::probe::Files;
use clip_audit::report::format;
use clip_audit::suite::{self, Suite};
use clip_audit::types::{Audit, Intervention, Matrix, Numerics, Precision, Tap, Thumbnails, Trial};
use image::{Rgb, RgbImage};
use tempfile::TempDir;

use super::observing::Model;

/// What a precision does to the features of a picture, [3].
type Distortion = fn(&RgbImage, [f32; 3]) -> [f32; 3];

/// A model that says of a picture how red, green and blue it is.
struct Painter {
    model: Model,
    distortion: Distortion,
    image_seconds: f64,
    /// The largest batch there is memory for.
    room: usize,
}

impl Painter {
    fn new(dtype: Dtype, image_seconds: f64, distortion: Distortion) -> Self {
        let mut model = Model::new();
        model.numerics.dtype = dtype.to_string();
        Self { model, distortion, image_seconds, room: usize::MAX }
    }
}

impl Encoder for Painter {
    fn info(&self) -> &ModelInfo {
        &self.model.info
    }
    fn numerics(&self) -> &Numerics {
        &self.model.numerics
    }
    fn encode_texts(&self, texts: &[String]) -> Result<Matrix, ModelError> {
        let row = |text: &String| match text.as_str() {
            "red" => [1.0, 0.0, 0.0],
            "green" => [0.0, 1.0, 0.0],
            _ => [0.0, 0.0, 1.0],
        };
        Ok(Matrix::from_rows(3, &texts.iter().map(row).collect::<Vec<_>>()).unwrap())
    }
    fn preprocess(&self, image: &RgbImage) -> Result<RgbImage, ModelError> {
        Ok(image.clone())
    }
    fn encode_images(&self, images: &[RgbImage], taps: &[Tap], _: &[Intervention]) -> Result<Encoded, ModelError> {
        assert!(taps.is_empty());
        if self.numerics().batch > self.room {
            let message = "CUDA out of memory. Tried to allocate 2.00 GiB".to_owned();
            return Err(ModelError::Memory { batch: Some(self.numerics().batch), message });
        }
        std::thread::sleep(Duration::from_secs_f64(self.image_seconds * images.len() as f64));
        let feature =
            |image: &RgbImage| (self.distortion)(image, image.get_pixel(0, 0).0.map(|byte| f32::from(byte) + 1.0));
        let rows: Vec<[f32; 3]> = images.iter().map(feature).collect();
        Ok(Encoded { features: Matrix::from_rows(3, &rows).unwrap(), taps: Vec::new() })
    }
}

const SUITE: &str = r#"schema: 1
name: precision
seed: 7
model: { use: reference }
readouts:
  - { id: zs, read: { zero-shot: { labels: [red, green, blue], templates: ["{}"] } } }
probes:
  - { id: clean, generate: { manifest: { file: pictures.csv } } }
measures:
  - { id: accuracy, compute: { accuracy: { set: clean, by: [maker] } } }
"#;

struct World {
    folder: TempDir,
    suite: Suite,
    files: Files,
}

impl World {
    /// 300 pictures, of which 290 come from one maker. Every tenth is as red as it is green, but for one step of 255.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut rows = String::from("path,label,maker\n");
        for number in 0..300_u32 {
            let colour = if number % 10 == 9 { [200, 199, 0] } else { [200, (number / 10) as u8, 0] };
            RgbImage::from_pixel(32, 32, Rgb(colour)).save(folder.path().join(format!("{number}.png"))).unwrap();
            rows += &format!("{number}.png,red,{}\n", if number < 10 { "few" } else { "many" });
        }
        fs::write(folder.path().join("pictures.csv"), rows).unwrap();
        let files = Files::folder(folder.path()).unwrap();
        let suite = suite::read("suite.yaml", SUITE.as_bytes()).unwrap();
        Self { folder, suite, files }
    }

    fn chunks(&self) -> &Path {
        self.folder.path()
    }

    fn choose(
        &self,
        open: &dyn Fn(Dtype) -> Result<Box<dyn Encoder>, ModelError>,
    ) -> Result<(String, Precision), AuditError> {
        let stop = AtomicBool::new(false);
        let choice = Choice { suite: &self.suite, files: &self.files, chunks: self.chunks(), stop: &stop, open };
        let (encoder, precision) = audit::choose(&choice)?;
        assert_eq!(encoder.numerics().dtype, precision.chosen);
        Ok((precision.chosen.clone(), precision))
    }

    fn kept(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.chunks()).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.to_str().unwrap().ends_with(".precision.json")).collect()
    }

    fn run(&self, encoder: &dyn Encoder) -> Result<audit::Done, AuditError> {
        audit::run(&Request {
            suite: &self.suite,
            files: &self.files,
            encoder,
            chunks: self.chunks().to_owned(),
            today: "2026-01-01".parse().unwrap(),
            thumbnails: Thumbnails::None,
            progress: &|_, _, _| {},
            stop: &AtomicBool::new(false),
        })
    }
}

fn exact(_: &RgbImage, feature: [f32; 3]) -> [f32; 3] {
    feature
}

/// Opens f32 as it should be, a millisecond a picture, and bf16 as given.
fn beside(bf16: impl Fn() -> Result<Painter, ModelError>) -> impl Fn(Dtype) -> Result<Box<dyn Encoder>, ModelError> {
    move |dtype| match dtype {
        Dtype::F32 => Ok(Box::new(Painter::new(Dtype::F32, 1e-3, exact))),
        _ => Ok(Box::new(bf16()?)),
    }
}

#[test]
fn the_fastest_that_agrees_is_chosen_and_kept() {
    let world = World::new();
    // A turn in the plane of red and blue by 0.01 rad: its cosine is 0.99995.
    let turn = |_: &RgbImage, [red, green, blue]: [f32; 3]| [red, green, blue + 0.01 * red.hypot(green)];
    let opened = Cell::new(0);
    let open = beside(|| {
        opened.set(opened.get() + 1);
        Ok(Painter::new(Dtype::Bf16, 0.0, turn))
    });
    let (chosen, precision) = world.choose(&open).unwrap();
    assert_eq!((chosen.as_str(), precision.sample), ("bf16", 256));
    let [f32, bf16] = &precision.trials[..] else { panic!("{precision:?}") };
    assert_eq!((f32.dtype.as_str(), f32.cosine, f32.flipped, f32.agrees), ("f32", 1.0, 0, true));
    assert!((bf16.cosine - 0.99995).abs() < 1e-5 && bf16.agrees, "{bf16:?}");
    assert_eq!((bf16.predictions, bf16.flipped, bf16.lost), (256, 0, 0));
    assert!(bf16.images_per_second > f32.images_per_second);
    // The run that goes on does not choose again: time could tell it otherwise.
    assert_eq!(world.kept().len(), 1);
    assert_eq!(world.choose(&open).unwrap(), (chosen, precision));
    assert_eq!(opened.get(), 2, "once to try it, once to use it");
}

#[test]
fn what_does_not_agree_is_not_chosen_however_fast() {
    let tried = |bf16: &dyn Fn() -> Result<Painter, ModelError>| {
        let world = World::new();
        let (chosen, precision) = world.choose(&beside(bf16)).unwrap();
        assert_eq!(chosen, "f32");
        let trial = precision.trials[1].clone();
        assert!(!trial.agrees, "{trial:?}");
        trial
    };
    // Red and green change places where they are one step apart: every tenth picture, and by a hair.
    let close = |_: &RgbImage, [red, green, blue]: [f32; 3]| {
        if green > 150.0 { [red - 1.0, green + 1.0, blue] } else { [red, green, blue] }
    };
    let trial = tried(&|| Ok(Painter::new(Dtype::Bf16, 0.0, close)));
    assert!(trial.flipped > 20 && trial.margin > 0.0 && trial.cosine > 0.9999, "{trial:?}");
    // One picture is seen quite otherwise.
    let wrong = |_: &RgbImage, [red, green, blue]: [f32; 3]| {
        if green == 1.0 { [red, green, 50.0 + red] } else { [red, green, blue] }
    };
    let trial = tried(&|| Ok(Painter::new(Dtype::Bf16, 0.0, wrong)));
    assert!(trial.cosine < 0.8 && trial.margin > 0.9, "{trial:?}");
    // Some have no answer.
    let missing =
        |_: &RgbImage, [red, green, blue]: [f32; 3]| if green == 1.0 { [f32::NAN; 3] } else { [red, green, blue] };
    let trial = tried(&|| Ok(Painter::new(Dtype::Bf16, 0.0, missing)));
    assert!(trial.lost > 0 && trial.flipped == 0, "{trial:?}");
    // It cannot be run at all.
    let trial = tried(&|| Err(ModelError::Library("not implemented for 'BFloat16'".to_owned())));
    assert_eq!(trial.problem.as_deref(), Some("libtorch: not implemented for 'BFloat16'"));
}

#[test]
fn the_page_says_what_was_tried() {
    let mut audit = super::reports::sample::audit();
    let page = |audit: &Audit| {
        let mut page = Vec::new();
        format("html").unwrap().write(audit, &mut page).unwrap();
        String::from_utf8(page).unwrap()
    };
    assert!(!page(&audit).contains("Precisions tried"));
    let trial = |dtype: &str| Trial { dtype: dtype.to_owned(), images_per_second: 12.34, ..Trial::default() };
    let bf16 =
        Trial { cosine: 0.99987654, predictions: 256, flipped: 1, margin: 0.0123, agrees: true, ..trial("bf16") };
    let f16 = Trial { problem: Some("not <b>implemented".to_owned()), ..trial("f16") };
    audit.provenance.precision = Some(Precision { sample: 256, chosen: "bf16".to_owned(), trials: vec![bf16, f16] });
    let page = page(&audit);
    for wanted in ["Precisions tried", "12.3<", "0.999877<", "1 of 256", "1.23 %", "not &lt;b&gt;implemented"] {
        assert!(page.contains(wanted), "{wanted}");
    }
}

#[test]
fn what_agrees_and_is_slower_is_not_chosen() {
    let world = World::new();
    let (chosen, precision) = world.choose(&beside(|| Ok(Painter::new(Dtype::Bf16, 3e-3, exact)))).unwrap();
    assert_eq!(chosen, "f32");
    assert!(precision.trials[1].agrees);
}

/// The sample takes from a small group what it has: ten of 300 pictures are all tried.
#[test]
fn the_sample_is_spread_over_groups() {
    let world = World::new();
    // The ten of the small group have a green of 0.
    let few =
        |_: &RgbImage, [red, green, blue]: [f32; 3]| if green == 1.0 { [f32::NAN; 3] } else { [red, green, blue] };
    let (_, precision) = world.choose(&beside(|| Ok(Painter::new(Dtype::Bf16, 0.0, few)))).unwrap();
    // The tenth of the ten is of the others' colour.
    assert_eq!(precision.trials[1].lost, 9);
}

#[test]
fn memory_that_runs_out_halves_the_batch_for_the_whole_audit() {
    let (batches, told) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
    let audit_with = |room: usize| {
        let world = World::new();
        audit::within_memory(None, &|batch| told.borrow_mut().push(batch), |batch| {
            let mut painter = Painter::new(Dtype::F32, 0.0, exact);
            painter.room = room;
            painter.model.numerics.batch = batch.unwrap_or(50);
            batches.borrow_mut().push(painter.model.numerics.batch);
            world.run(&painter)
        })
    };
    let (done, first) = audit_with(7).unwrap();
    assert_eq!(*batches.borrow(), [50, 25, 12, 6]);
    assert_eq!(*told.borrow(), [25, 12, 6]);
    assert_eq!((first, done.audit.numerics.batch), (Some(50), 6));
    assert_eq!(done.audit.suite.sets[0].observed, 300);
    // One picture at a time is the least.
    batches.borrow_mut().clear();
    let Err(error) = audit_with(0) else { panic!("there is no room") };
    assert_eq!(*batches.borrow(), [50, 25, 12, 6, 3, 1]);
    assert_eq!(error.out_of_memory(), Some(1));
    assert_eq!(
        error.to_string(),
        "memory ran out in a pass of 1 (CUDA out of memory. Tried to allocate 2.00 GiB); use a device with more of it"
    );
    // Enough is enough.
    assert_eq!(audit_with(usize::MAX).unwrap().1, None);
    // Other errors end it at once.
    let failed = audit::within_memory(Some(8), &|_| (), |_| {
        Err::<(), _>(ObserveError::from(ModelError::Device("x".into())).into())
    });
    assert_eq!(failed.unwrap_err().to_string(), "x");
}

#[test]
fn the_batch_is_what_memory_suffices_for() {
    // A million values a picture are 4 MB; 32 pictures are 128 MB, which is a quarter of 512 MB.
    let megabytes = |memory: u64| batch_within(32, 1_000_000, memory * 1_000_000);
    assert_eq!([512, 511, 256, 128, 64, 32, 16, 1].map(megabytes), [32, 16, 16, 8, 4, 2, 1, 1]);
    assert_eq!(batch_within(32, usize::MAX, u64::MAX), 1);
    assert_eq!(batch_within(256, 0, 0), 256);
}
