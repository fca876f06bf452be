//! The reference model and tiny ones against features, logits, taps and interventions that open_clip gave
//! (`tests/golden/encoder.py`), and what must hold of every encoder: rows that do not depend on their neighbours,
//! errors that list what exists, half precision, export.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use clip_audit::model::{
    DeviceChoice, Dtype, Encoder, LoadOptions, ModelError, ModelInfo, ModelSource, load, write_embeddings,
};
use clip_audit::observe::Renderer;
use clip_audit::probe::Files;
use clip_audit::suite;
use clip_audit::types::{Intervention, Matrix, ProbePlan, Site, Tap};
use image::RgbImage;
use safetensors::SafeTensors;
use serde_json::Value;

pub(super) const TEXTS: [&str; 5] =
    ["a picture of a poodle", "$$$", "The word  MONEY bag", "a", "cats & dogs, 7 of them!"];
const PICTURES: [&str; 3] = ["gradient", "shapes", "noise"];

pub(super) fn golden_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// The tensors of a golden file with their shapes, and what it says of itself.
pub(super) struct Golden(BTreeMap<String, (Vec<usize>, Vec<f64>)>, pub(super) Value);

impl Golden {
    pub(super) fn read(name: &str) -> Self {
        let bytes = std::fs::read(golden_folder().join(format!("{name}.safetensors"))).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let tensors = file.iter().map(|(name, view)| {
            let data = view.data();
            let values = match view.dtype() {
                safetensors::Dtype::F32 => {
                    data.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()).into()).collect()
                }
                safetensors::Dtype::F64 => {
                    data.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect()
                }
                _ => data.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f64).collect(),
            };
            (name.to_owned(), (view.shape().to_vec(), values))
        });
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let made = &header.metadata().as_ref().unwrap()["made"];
        Self(tensors.collect(), serde_json::from_str(made).unwrap())
    }

    fn values(&self, name: &str) -> &[f64] {
        &self.0.get(name).unwrap_or_else(|| panic!("no golden values for {name}")).1
    }

    /// Every row within 1e-4 of its norm.
    pub(super) fn agrees(&self, name: &str, found: &Matrix) {
        let (shape, values) = &self.0[name];
        assert_eq!(&[found.rows(), found.columns()], shape.as_slice(), "{name}");
        for (row, (expected, found)) in values.chunks_exact(shape[1]).zip(found.iter_rows()).enumerate() {
            let norm = expected.iter().map(|value| value * value).sum::<f64>().sqrt();
            let distance = expected.iter().zip(found).map(|(a, b)| (a - f64::from(*b)).powi(2)).sum::<f64>().sqrt();
            assert!(norm > 0.0, "{name} row {row} is zero");
            assert!(distance <= 1e-4 * norm, "{name} row {row}: {distance:e} away, norm {norm:e}");
        }
    }
}

fn options() -> LoadOptions {
    LoadOptions { device: DeviceChoice::Cpu, batch: Some(4), threads: Some(1), ..LoadOptions::default() }
}

fn reference() -> &'static dyn Encoder {
    static LOADED: OnceLock<Box<dyn Encoder>> = OnceLock::new();
    LOADED.get_or_init(|| load(&ModelSource::Reference, &options()).unwrap()).as_ref()
}

fn open(folder: PathBuf) -> Box<dyn Encoder> {
    load(&ModelSource::Folder(folder), &options()).unwrap()
}

/// A checkpoint of the golden folder with other values in its image tower's configuration.
fn variant(name: &str, changes: &Value) -> Box<dyn Encoder> {
    let (from, to) = (golden_folder().join(name), tempfile::tempdir().unwrap());
    let mut configuration: Value =
        serde_json::from_slice(&std::fs::read(from.join("open_clip_config.json")).unwrap()).unwrap();
    for (key, value) in changes.as_object().unwrap() {
        configuration["model_cfg"]["vision_cfg"][key] = value.clone();
    }
    std::fs::write(to.path().join("open_clip_config.json"), configuration.to_string()).unwrap();
    let weights = "open_clip_model.safetensors";
    std::fs::copy(from.join(weights), to.path().join(weights)).unwrap();
    open(to.path().to_owned())
}

pub(super) fn pictures(size: u32) -> Vec<RgbImage> {
    let path = |name| golden_folder().join(format!("images/{name}-{size}.png"));
    PICTURES.map(|name| image::open(path(name)).unwrap().to_rgb8()).to_vec()
}

pub(super) fn texts() -> Vec<String> {
    TEXTS.map(str::to_owned).to_vec()
}

fn every_tap(encoder: &dyn Encoder) -> Vec<Tap> {
    let places = encoder.info().sites.iter();
    let pooled = |(layer, site, _): &(String, Site, usize)| {
        site.pools().iter().map(|pool| Tap { layer: layer.clone(), site: *site, pool: *pool }).collect::<Vec<_>>()
    };
    places.flat_map(pooled).collect()
}

/// Cosines of every picture with every text, times the logit scale.
fn logits(images: &Matrix, texts: &Matrix, scale: f64) -> Matrix {
    let norm = |row: &[f32]| row.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let cosine = |a: &[f32], b: &[f32]| (scale * product(a, b) / (norm(a) * norm(b))) as f32;
    let values = images.iter_rows().flat_map(|image| texts.iter_rows().map(move |text| cosine(image, text)));
    Matrix::new(images.rows(), texts.rows(), values.collect()).unwrap()
}

/// Features, logits, every tap and every intervention of the golden file, which holds `taps` taps; what `after` records
/// shows what an intervention did on the way.
fn agrees_with_open_clip(encoder: &dyn Encoder, name: &str, taps: usize, after: &str) {
    let golden = Golden::read(&format!("encoder-{name}"));
    assert_eq!(golden.1["texts"], serde_json::json!(TEXTS));
    assert_eq!(golden.1["fingerprint"], encoder.info().record.fingerprint.0);
    let images = pictures(encoder.info().image_size);
    let expected = taps;
    let taps = every_tap(encoder);
    assert_eq!(taps.len(), expected);
    assert_eq!(golden.0.keys().filter(|key| key.contains(':') && !key.contains(' ')).count(), expected);

    let encoded = encoder.encode_images(&images, &taps, &[]).unwrap();
    golden.agrees("image_features", &encoded.features);
    for (tap, values) in taps.iter().zip(&encoded.taps) {
        golden.agrees(&tap.to_string(), values);
    }
    let text_features = encoder.encode_texts(&texts()).unwrap();
    golden.agrees("text_features", &text_features);
    golden.agrees("logits", &logits(&encoded.features, &text_features, encoder.info().logit_scale));
    let scale = golden.values("logit_scale")[0];
    assert!((encoder.info().logit_scale - scale).abs() < 1e-4, "{} {scale}", encoder.info().logit_scale);

    let after: Tap = after.parse().unwrap();
    let mut held = 0;
    for key in golden.0.keys().filter(|key| key.starts_with("held ") && !key.ends_with(&after.layer)) {
        let &[_, place, index, value] = key.split(' ').collect::<Vec<_>>().as_slice() else { panic!("{key}") };
        let Tap { layer, site, .. } = format!("{place}:mean").parse().unwrap();
        let intervention = Intervention { layer, site, index: index.parse().unwrap(), value: value.parse().unwrap() };
        let encoded = encoder.encode_images(&images, std::slice::from_ref(&after), &[intervention]).unwrap();
        golden.agrees(key, &encoded.features);
        golden.agrees(&format!("{key} {}", after.layer), &encoded.taps[0]);
        held += 1;
    }
    // The tiny ResNet has no block that is not the last of its stage.
    assert_eq!(held, if name == "reference" { 5 } else { 4 });
}

#[test]
fn the_reference_model_agrees_with_open_clip() {
    agrees_with_open_clip(reference(), "reference", 22, "layer4.post_relu:mean");
}

#[test]
fn a_model_of_other_sizes_and_exact_gelu_agrees_with_open_clip() {
    let encoder = open(golden_folder().join("tiny"));
    agrees_with_open_clip(encoder.as_ref(), "tiny", 18, "layer4.post_relu:mean");
    let facts = &encoder.info().record.facts;
    let fact = |name: &str| &facts.iter().find(|(other, _)| other == name).unwrap().1;
    assert!(fact("activation").starts_with("GELU, exact"), "{facts:?}");
    assert_eq!(fact("stored as"), "bf16, f16, f32");
}

/// What is said of the towers.
fn towers(said: &str) -> String {
    let about = |line: &&str| {
        ["CLIP: ", "image tower: ", "text tower: ", "neurons: "].iter().any(|start| line.starts_with(start))
    };
    said.lines().filter(about).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_transformer_as_openai_published_it_agrees_with_open_clip() {
    let encoder = open(golden_folder().join("vit"));
    agrees_with_open_clip(encoder.as_ref(), "vit", 12, "block1.residual:class");
    let said = said(encoder.info());
    assert!(said.contains("activation: QuickGELU"), "{said}");
    insta::assert_snapshot!(towers(&said), @r"
    CLIP: VisionTransformer of 2 blocks, width 32, 16 px patches, 64 px; text transformer of 2 layers, width 16
    image tower: 4 x 4 patches and a class token, 4 heads, 128 hidden units a block, the class token is the embedding
    text tower: 2 layers, width 16, 2 heads
    neurons: block1.mlp_hidden:class
    ");
}

#[test]
fn a_transformer_with_every_published_option_agrees_with_open_clip() {
    let encoder = open(golden_folder().join("average"));
    agrees_with_open_clip(encoder.as_ref(), "average", 12, "block1.residual:class");
    let said = said(encoder.info());
    assert!(said.contains("activation: GELU, exact"), "{said}");
    insta::assert_snapshot!(towers(&said), @r"
    CLIP: VisionTransformer of 2 blocks, width 40, 12 px patches, 50 px; text transformer of 1 layers, width 24
    image tower: 4 x 4 patches and a class token, 2 heads, 93 hidden units a block, no norm before the first block, layer scale, the mean of the patches, then normalised, is the embedding, 2 px at the right and bottom edge are in no patch
    text tower: 1 layers, width 24, 3 heads
    neurons: block1.mlp_hidden:mean
    ");
}

/// Pool, heads and the order of norm and pool leave no trace in the tensors: the configuration alone decides.
#[test]
fn what_only_the_configuration_tells_is_followed() {
    let mut tried = 0;
    for name in ["vit", "average"] {
        let golden = Golden::read(&format!("encoder-{name}"));
        for key in golden.0.keys().filter(|key| key.starts_with("variant ")) {
            let encoder = variant(name, &serde_json::from_str(key.strip_prefix("variant ").unwrap()).unwrap());
            let images = pictures(encoder.info().image_size);
            golden.agrees(key, &encoder.encode_images(&images, &[], &[]).unwrap().features);
            tried += 1;
        }
    }
    assert_eq!(tried, 4);
}

/// One model of every kind of tower.
fn of_every_kind() -> [ModelSource; 3] {
    let golden = |name| ModelSource::Folder(golden_folder().join(name));
    [ModelSource::Reference, golden("vit"), golden("average")]
}

/// Features must not depend on what else is in the batch, nor on how many pictures come at once.
#[test]
fn rows_do_not_depend_on_their_neighbours() {
    for (source, dtype) in of_every_kind().iter().flat_map(|source| [(source, Dtype::F32), (source, Dtype::Bf16)]) {
        let encoder = load(source, &LoadOptions { dtype, batch: Some(8), ..options() }).unwrap();
        let name = format!("{source:?}, {dtype}");
        let images: Vec<RgbImage> = pictures(encoder.info().image_size).into_iter().cycle().take(11).collect();
        let taps = every_tap(encoder.as_ref());
        let together = encoder.encode_images(&images, &taps, &[]).unwrap();
        for (number, image) in images.iter().enumerate() {
            let alone = encoder.encode_images(std::slice::from_ref(image), &taps, &[]).unwrap();
            assert_eq!(alone.features.row(0), together.features.row(number), "{name}: features of picture {number}");
            for ((tap, alone), together) in taps.iter().zip(&alone.taps).zip(&together.taps) {
                assert_eq!(alone.row(0), together.row(number), "{name}: {tap} of picture {number}");
            }
        }
        let texts: Vec<String> = texts().into_iter().cycle().take(11).collect();
        let together = encoder.encode_texts(&texts).unwrap();
        for (number, text) in texts.iter().enumerate() {
            let alone = encoder.encode_texts(std::slice::from_ref(text)).unwrap();
            assert_eq!(alone.row(0), together.row(number), "{name}: {text}");
        }
    }
}

#[test]
fn half_precision_stays_near_f32() {
    for source in of_every_kind() {
        let exact = load(&source, &options()).unwrap();
        let images = pictures(exact.info().image_size);
        let (exact, exact_texts) =
            (exact.encode_images(&images, &[], &[]).unwrap().features, exact.encode_texts(&texts()).unwrap());
        for (dtype, tolerance) in [(Dtype::Bf16, 2e-2), (Dtype::F16, 3e-3)] {
            let encoder = load(&source, &LoadOptions { dtype, ..options() }).unwrap();
            assert_eq!(encoder.numerics().dtype, dtype.to_string());
            let features = encoder.encode_images(&images, &[], &[]).unwrap().features;
            let texts = encoder.encode_texts(&texts()).unwrap();
            // The text tower computes in f32 whatever is asked for.
            assert_eq!(texts, exact_texts, "{source:?}, {dtype}");
            for (exact, found) in exact.iter_rows().zip(features.iter_rows()) {
                let norm = exact.iter().map(|value| value * value).sum::<f32>().sqrt();
                let distance = exact.iter().zip(found).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt();
                assert!(distance > 0.0 && distance < tolerance * norm, "{source:?}, {dtype}: {distance} of {norm}");
            }
        }
    }
}

/// No probability moves by 2.5 points: where f32 is five points surer of its first label than of its second, half precision
/// names the same.
#[test]
fn half_precision_says_what_f32_says_of_shipped_pictures() {
    let text =
        include_str!("../suites/typographic.yaml").replace("[fluent-emoji-flat, fluent-emoji]", "[fluent-emoji-flat]");
    let suite = suite::read("typographic.yaml", text.as_bytes()).unwrap();
    let files = Files::folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("suites")).unwrap();
    let plans = suite::plan(&suite, &files, reference().info().image_size).unwrap().plans;
    let generators = clip_audit::audit::generators(&suite);
    let renderer = Renderer::new(&plans, &generators, &files);
    let clean: Vec<&ProbePlan> = plans.iter().filter(|plan| plan.source.is_none()).collect();
    let images: Vec<RgbImage> = clean.iter().map(|plan| renderer.render(plan).unwrap().image).collect();
    let labels: BTreeSet<String> =
        clean.iter().map(|plan| format!("a picture of a {}", plan.labels.get("label").unwrap())).collect();
    assert_eq!((images.len(), labels.len()), (73, 73));
    let labels = reference().encode_texts(&labels.into_iter().collect::<Vec<_>>()).unwrap();
    let cosine = |a: &[f32], b: &[f32]| {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    };
    let shares = |feature: &[f32]| {
        let logits = labels.iter_rows().map(|label| reference().info().logit_scale * cosine(feature, label));
        let weights: Vec<f64> = logits.map(f64::exp).collect();
        let sum: f64 = weights.iter().sum();
        weights.iter().map(|weight| weight / sum).collect::<Vec<f64>>()
    };
    let exact = reference().encode_images(&images, &[], &[]).unwrap().features;
    for (dtype, nearest) in [(Dtype::Bf16, 0.99998), (Dtype::F16, 0.99999)] {
        let encoder = load(&ModelSource::Reference, &LoadOptions { dtype, ..options() }).unwrap();
        let found = encoder.encode_images(&images, &[], &[]).unwrap().features;
        for (number, (exact, found)) in exact.iter_rows().zip(found.iter_rows()).enumerate() {
            assert!(cosine(exact, found) > nearest, "{dtype}, picture {number}: {}", cosine(exact, found));
            let (exact, found) = (shares(exact), shares(found));
            let largest = exact.iter().zip(&found).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(largest < 0.025, "{dtype}, picture {number}: a probability moves by {largest}");
        }
    }
}

#[test]
fn nothing_in_nothing_out() {
    let encoded = reference().encode_images(&[], &["layer1.pre_relu:mean".parse().unwrap()], &[]).unwrap();
    assert_eq!((encoded.features.rows(), encoded.features.columns()), (0, 256));
    assert_eq!((encoded.taps[0].rows(), encoded.taps[0].columns()), (0, 128));
    assert_eq!(reference().encode_texts(&[]).unwrap().rows(), 0);
}

fn input_error<T: std::fmt::Debug>(result: Result<T, ModelError>) -> String {
    match result {
        Err(ModelError::Input(message)) => message,
        other => panic!("expected an input error, got {other:?}"),
    }
}

#[test]
fn places_that_do_not_exist_are_refused_with_what_does() {
    let images = pictures(80);
    let taps: Vec<Tap> = ["layer5.pre_relu:mean", "layer4.residual:mean", "layer4.pre_relu:class"]
        .map(|tap| tap.parse().unwrap())
        .to_vec();
    let held = |layer: &str, index, value| Intervention { layer: layer.to_owned(), site: Site::PreRelu, index, value };
    let interventions = [
        held("layer4", 1024, 0.0),
        held("layer9", 0, 0.0),
        held("layer1", 0, f32::NAN),
        held("layer2", 3, 1.0),
        held("layer2", 3, 2.0),
    ];
    let message = input_error(reference().encode_images(&images, &taps, &interventions));
    insta::assert_snapshot!(message.replace("; ", "\n"), @r"
    tap `layer5.pre_relu:mean` names no place of this model
    tap `layer4.residual:mean` names no place of this model
    tap `layer4.pre_relu:class` pools a class token, and this place has none
    intervention on layer4.pre_relu unit 1024: the place has 1024 units, counted from 0
    intervention on layer9.pre_relu unit 0 names no place of this model
    intervention on layer1.pre_relu unit 0: NaN is not a finite value
    intervention on layer2.pre_relu unit 3 stands twice
    this model has layer1: .pre_relu (128 units), .post_relu (128 units), pooled :mean :max
    this model has layer2.0, layer2: .pre_relu (256 units), .post_relu (256 units), pooled :mean :max
    this model has layer3: .pre_relu (512 units), .post_relu (512 units), pooled :mean :max
    this model has layer4: .pre_relu (1024 units), .post_relu (1024 units), pooled :mean :max
    this model has attnpool: .output (256 units), pooled :mean :max
    ");
}

#[test]
fn pictures_and_texts_that_do_not_fit_are_refused() {
    let message = input_error(reference().encode_images(&[RgbImage::new(80, 80), RgbImage::new(100, 80)], &[], &[]));
    assert_eq!(message, "picture 1 of a batch is 100 x 80 px, the model takes 80 x 80 px: preprocess it first");
    let long = "poodle ".repeat(40);
    assert!(input_error(reference().encode_texts(&["fine".to_owned(), long])).contains("poodle"));
}

#[test]
fn preprocessing_gives_the_input_size() {
    let fitted = reference().preprocess(&RgbImage::from_pixel(200, 100, image::Rgb([7, 8, 9]))).unwrap();
    assert_eq!(fitted, RgbImage::from_pixel(80, 80, image::Rgb([7, 8, 9])));
    assert!(reference().preprocess(&RgbImage::new(100_000, 1)).is_err());
}

/// The record of a model, a fact a line.
fn said(info: &ModelInfo) -> String {
    let record = &info.record;
    let mut said =
        vec![record.name.clone(), record.format.clone(), record.architecture.clone(), record.fingerprint.0.clone()];
    said.extend(record.files.iter().map(|file| format!("{} {} {}", file.name, file.bytes, file.sha256)));
    said.extend(record.facts.iter().chain(&record.preprocessing).map(|(name, value)| format!("{name}: {value}")));
    said.join("\n")
}

#[test]
fn what_is_known_of_the_reference_model_is_said() {
    let info = reference().info();
    assert_eq!((info.image_size, info.dimension, info.context_length), (80, 256, 32));
    let sites = info.sites.iter().map(|(layer, site, units)| format!("{layer}.{site} {units}"));
    insta::assert_snapshot!(sites.collect::<Vec<_>>().join("\n"), @r"
    layer1.pre_relu 128
    layer1.post_relu 128
    layer2.0.pre_relu 256
    layer2.0.post_relu 256
    layer2.pre_relu 256
    layer2.post_relu 256
    layer3.pre_relu 512
    layer3.post_relu 512
    layer4.pre_relu 1024
    layer4.post_relu 1024
    attnpool.output 256
    ");
    let record = &info.record;
    insta::assert_snapshot!(said(info), @r"
    reference
    open_clip folder
    CLIP: ModifiedResNet [1, 2, 1, 1], width 32, 80 px; text transformer of 2 layers, width 128
    8a2f5d1fe6eb24a55b05648a493788f23f33b26b0f8e17b6b3fc498d9d7d194a
    open_clip_config.json 605 5fc0c08bab26b2edfd0fa2acb1c8ef6d40c2fc6d43bdfab4d7b40d7c654b8450
    open_clip_model.safetensors 12293714 e0e549e5d6d672b708274d44c56c5f7ab637b2c7ea063ce75f8e43149e1680db
    tensors: 149
    values: 6138545 (weights and running statistics)
    stored as: f16
    embedding dimension: 256
    image tower: 32 stem channels, 16 attention-pool heads
    text tower: 2 layers, width 128, 2 heads
    context length: 32 tokens, start and end included
    vocabulary: 1514 tokens
    tokenizer: CLIP's byte-pair encoding, merges with SHA-256 a41617b61385be6d07da1484390df4be86c0f9830e81ce4ce569d0c057fb3ec9
    activation: QuickGELU, x * sigmoid(1.702 x); quick_gelu is true in the configuration
    neurons: layer4.pre_relu:mean
    logit scale: 26.453557
    size: 80 x 80 px
    resize: short side to 80 px, antialiased (pillow<13 bicubic)
    crop: centre
    alpha: dropped after resizing, as open_clip does
    EXIF orientation: not applied, as open_clip does
    colour profile: not applied, as open_clip does
    scale: bytes divided by 255, then mean and standard deviation per channel
    mean: 0.48145466, 0.4578275, 0.40821073
    standard deviation: 0.26862954, 0.26130258, 0.27577711
    ");
    // The model card names the same files.
    let card = include_str!("../models/reference/README.md");
    for file in &record.files {
        assert!(card.contains(&file.sha256), "the model card lacks the hash of {}", file.name);
    }
    assert!(card.contains(&record.fingerprint.0), "the model card lacks the fingerprint");
}

#[test]
fn the_profile_says_what_results_depend_on() {
    let numerics = reference().numerics();
    assert_eq!((numerics.device.as_str(), numerics.dtype.as_str()), ("cpu", "f32"));
    assert_eq!((numerics.batch, numerics.threads, numerics.libtorch.as_str()), (4, 1, "2.11.0"));
    assert!(["AVX512", "AVX2", "DEFAULT"].iter().any(|name| numerics.cpu_capability.starts_with(name)));
    let zero = |batch, threads| load(&ModelSource::Reference, &LoadOptions { batch, threads, ..options() });
    assert!(input_error(zero(Some(0), None).map(|_| ())).contains("a batch of 0"));
    assert!(input_error(zero(None, Some(0)).map(|_| ())).contains("on 0 threads"));
}

#[test]
fn devices_and_precisions_have_names() {
    for (text, choice) in [
        ("auto", DeviceChoice::Auto),
        ("cpu", DeviceChoice::Cpu),
        ("cuda:0", DeviceChoice::Cuda(0)),
        ("cuda:3", DeviceChoice::Cuda(3)),
    ] {
        assert_eq!(text.parse(), Ok(choice));
        assert_eq!(choice.to_string(), text);
    }
    assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(0)));
    for text in ["", "CUDA", "cuda:", "cuda:-1", "gpu", "cuda:x"] {
        assert!(text.parse::<DeviceChoice>().unwrap_err().contains("expected auto, cpu, cuda"), "{text}");
    }
    for dtype in [Dtype::F32, Dtype::Bf16, Dtype::F16] {
        assert_eq!(dtype.to_string().parse(), Ok(dtype));
    }
    assert!("fp32".parse::<Dtype>().unwrap_err().contains("f32, bf16 or f16"));
}

/// CUDA that was asked for is given or refused, never replaced by the CPU. A device number no machine has makes this
/// hold with and without a GPU.
#[test]
fn cuda_that_cannot_be_used_is_an_error() {
    let options = LoadOptions { device: DeviceChoice::Cuda(999), ..LoadOptions::default() };
    match load(&ModelSource::Reference, &options).map(|_| ()) {
        Err(ModelError::Device(message)) => assert!(message.to_lowercase().contains("cuda"), "{message}"),
        other => panic!("expected a device error, got {other:?}"),
    }
}

#[test]
fn embeddings_are_written_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.safetensors");
    let images = Matrix::new(2, 3, vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.5]).unwrap();
    let texts = Matrix::new(0, 3, vec![]).unwrap();
    let tap: Tap = "layer4.pre_relu:mean".parse().unwrap();
    let tapped = Matrix::new(2, 1, vec![-1.0, 0.25]).unwrap();
    write_embeddings(&path, Some(&images), Some(&texts), &[(tap.clone(), tapped.clone())]).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut names = file.names();
    names.sort_unstable();
    assert_eq!(names, ["image_features", "layer4.pre_relu:mean", "text_features"]);
    let read = file.tensor("image_features").unwrap();
    assert_eq!((read.shape(), read.dtype()), (&[2, 3][..], safetensors::Dtype::F32));
    assert_eq!(read.data(), images.values().iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>());
    assert_eq!(file.tensor("text_features").unwrap().shape(), [0, 3]);

    // A failure leaves the old file and no temporary one.
    let twice = [(tap.clone(), tapped.clone()), (tap, tapped)];
    assert!(input_error(write_embeddings(&path, None, None, &twice)).contains("stands twice"));
    match write_embeddings(&folder.path().join("absent/out.safetensors"), Some(&images), None, &[]) {
        Err(ModelError::File { path, .. }) => assert!(path.ends_with("absent/out.safetensors")),
        other => panic!("expected a file error, got {other:?}"),
    }
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}
