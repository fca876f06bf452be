//! CLIP: an image tower and a text tower that embed into one space, and the encoder that runs them in batches.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use image::RgbImage;
use tch::{Kind, TchError, Tensor, no_grad};

use super::block::Activation;
use super::checkpoint::{Checkpoint, Configuration, LOGIT_SCALE};
use super::device::use_threads;
use super::layers::{Compute, Run};
use super::tensors::floats;
use super::text::{TextTransformer, length_of};
use super::tokenizer::Tokenizer;
use super::tower::Tower;
use super::watch::{self, Watch};
use super::{Encoded, Encoder, ModelError, ModelInfo};
use crate::pixels;
use crate::types::{Intervention, Matrix, ModelRecord, Numerics, Tap};

/// Both towers on their device.
struct Clip {
    visual: Box<dyn Tower>,
    text: TextTransformer,
    compute: Compute,
    mean: Tensor, // [1, 3, 1, 1]
    std: Tensor,  // [1, 3, 1, 1]
}

impl Clip {
    fn new(checkpoint: &mut Checkpoint, compute: Compute) -> Result<Self, ModelError> {
        let Checkpoint { configuration, tensors, .. } = checkpoint;
        let colours = |values: [f64; 3]| {
            let values = values.map(|value| value as f32);
            Tensor::f_from_slice(&values)?.f_reshape([1, 3, 1, 1])?.f_to_device(compute.device)
        };
        Ok(Self {
            visual: configuration.vision.build(tensors, compute, configuration.activation)?,
            text: TextTransformer::new(tensors, compute, &configuration.text, configuration.activation)?,
            compute,
            mean: colours(configuration.mean)?,
            std: colours(configuration.std)?,
        })
    }

    /// Image features before normalisation, f32: pixels [N, S, S, 3] (u8) -> [N, D].
    fn encode_images(&self, pixels: &Tensor, watch: &mut Watch<'_>) -> Run<Tensor> {
        let x = pixels.f_to_device(self.compute.device)?.f_permute([0, 3, 1, 2])?; // [N, 3, S, S]
        let x = x.f_to_kind(Kind::Float)?.f_div_scalar(255.0)?;
        let x = x.f_sub(&self.mean)?.f_div(&self.std)?;
        self.visual.forward(&x, watch)?.f_to_kind(Kind::Float)
    }

    /// Text features before normalisation, f32: token ids [N, L] (i64) -> [N, D].
    fn encode_texts(&self, tokens: &Tensor) -> Run<Tensor> {
        self.text.forward(&tokens.f_to_device(self.compute.device)?)?.f_to_kind(Kind::Float)
    }
}

/// A loaded CLIP model.
pub(super) struct ClipEncoder {
    info: ModelInfo,
    numerics: Numerics,
    tokenizer: Tokenizer,
    /// Tensors may move between threads but not be shared by them, and one pass at a time is all a device has room for.
    clip: Mutex<Clip>,
    /// Side of the image input, pixels.
    side: usize,
}

impl ClipEncoder {
    /// Builds the towers from a checkpoint.
    pub(super) fn new(
        name: &str,
        mut checkpoint: Checkpoint,
        compute: Compute,
        numerics: Numerics,
    ) -> Result<Self, ModelError> {
        let info = describe(name, &checkpoint);
        let clip = no_grad(|| Clip::new(&mut checkpoint, compute))?;
        let left: Vec<String> = checkpoint.tensors.left().into_iter().filter(|name| name != LOGIT_SCALE).collect();
        if !left.is_empty() {
            let problems = left.iter().map(|name| format!("tensor `{name}` belongs to no layer")).collect();
            return Err(ModelError::Checkpoint { path: name.to_owned(), problems });
        }
        let side = checkpoint.configuration.vision.image_size();
        Ok(Self { info, numerics, tokenizer: checkpoint.tokenizer, clip: Mutex::new(clip), side })
    }

    /// Runs a forward pass with the towers to itself, without gradients, on the profile's threads.
    fn with_clip<T>(&self, pass: impl FnOnce(&Clip) -> Run<T>) -> Result<T, ModelError> {
        // A pass changes nothing in the towers, so one that panicked left them whole.
        let clip = self.clip.lock().unwrap_or_else(PoisonError::into_inner);
        use_threads(self.numerics.threads);
        no_grad(|| pass(&clip)).map_err(|error| ModelError::from(error).of_pass(self.numerics.batch))
    }
}

impl Encoder for ClipEncoder {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn numerics(&self) -> &Numerics {
        &self.numerics
    }

    fn encode_texts(&self, texts: &[String]) -> Result<Matrix, ModelError> {
        let (batch, dimension) = (self.numerics.batch, self.info.dimension);
        let mut by_length: BTreeMap<usize, Vec<(usize, Vec<u32>)>> = BTreeMap::new();
        for (row, text) in texts.iter().enumerate() {
            let ids = self.tokenizer.encode(text)?;
            by_length.entry(length_of(&ids)).or_default().push((row, ids));
        }
        let mut features = vec![0.0; texts.len() * dimension];
        for (length, group) in by_length {
            for group in group.chunks(batch) {
                let ids = group.iter().flat_map(|(_, ids)| ids.iter().take(length));
                let mut padded: Vec<i64> = ids.map(|id| i64::from(*id)).collect();
                padded.resize(batch * length, 0);
                let encoded = self.with_clip(|clip| {
                    let tokens = Tensor::f_from_slice(&padded)?.f_reshape([batch as i64, length as i64])?;
                    clip.encode_texts(&tokens).and_then(|features| on_cpu(&features))
                })?;
                for ((row, _), feature) in group.iter().zip(encoded.chunks_exact(dimension)) {
                    features[row * dimension..][..dimension].copy_from_slice(feature);
                }
            }
        }
        matrix(texts.len(), dimension, features)
    }

    fn preprocess(&self, image: &RgbImage) -> Result<RgbImage, ModelError> {
        pixels::fit(image, self.info.image_size).map_err(|error| ModelError::Input(error.to_string()))
    }

    fn encode_images(
        &self,
        images: &[RgbImage],
        taps: &[Tap],
        interventions: &[Intervention],
    ) -> Result<Encoded, ModelError> {
        watch::check(&self.info.sites, taps, interventions)?;
        let size = self.info.image_size;
        if let Some((number, image)) = images.iter().enumerate().find(|(_, image)| image.dimensions() != (size, size)) {
            return Err(ModelError::Input(format!(
                "picture {number} of a batch is {} x {} px, the model takes {size} x {size} px: preprocess it first",
                image.width(),
                image.height()
            )));
        }
        let units = |tap: &Tap| {
            let place = self.info.sites.iter().find(|(layer, site, _)| *layer == tap.layer && *site == tap.site);
            place.map_or(0, |(_, _, units)| *units)
        };
        let mut features = Rows::new(self.info.dimension, images.len());
        let mut tapped: Vec<Rows> = taps.iter().map(|tap| Rows::new(units(tap), images.len())).collect();
        let batch = self.numerics.batch;
        for images in images.chunks(batch) {
            let length = batch * self.side * self.side * 3;
            let mut pixels = Vec::with_capacity(length);
            images.iter().for_each(|image| pixels.extend_from_slice(image.as_raw()));
            pixels.resize(length, 0);
            let (encoded, seen) = self.with_clip(|clip| {
                let side = self.side as i64;
                let pixels = Tensor::f_from_data_size(&pixels, &[batch as i64, side, side, 3], Kind::Uint8)?;
                let mut watch = Watch::new(taps, interventions);
                let encoded = on_cpu(&clip.encode_images(&pixels, &mut watch)?)?;
                let seen = watch.seen().into_iter().map(|seen| {
                    // Every tap was checked against the places, so each was come by.
                    seen.ok_or_else(|| TchError::Shape("a tap was not recorded".to_owned()))
                        .and_then(|seen| on_cpu(&seen))
                });
                Ok((encoded, seen.collect::<Run<Vec<_>>>()?))
            })?;
            features.push(&encoded, images.len());
            for (rows, seen) in tapped.iter_mut().zip(&seen) {
                rows.push(seen, images.len());
            }
        }
        let taps = tapped.into_iter().map(Rows::matrix).collect::<Result<_, _>>()?;
        Ok(Encoded { features: features.matrix()?, taps })
    }
}

/// The f32 values of a tensor on any device.
fn on_cpu(tensor: &Tensor) -> Run<Vec<f32>> {
    floats(&tensor.f_to_device(tch::Device::Cpu)?.f_contiguous()?)
}

/// Rows gathered from padded batches.
struct Rows {
    columns: usize,
    values: Vec<f32>,
    rows: usize,
}

impl Rows {
    fn new(columns: usize, capacity: usize) -> Self {
        Self { columns, values: Vec::with_capacity(columns * capacity), rows: 0 }
    }

    /// Appends the first rows of a batch; what follows them is padding.
    fn push(&mut self, batch: &[f32], rows: usize) {
        self.values.extend(batch.iter().take(rows * self.columns));
        self.rows += rows;
    }

    fn matrix(self) -> Result<Matrix, ModelError> {
        matrix(self.rows, self.columns, self.values)
    }
}

fn matrix(rows: usize, columns: usize, values: Vec<f32>) -> Result<Matrix, ModelError> {
    Matrix::new(rows, columns, values)
        .ok_or_else(|| ModelError::Library(format!("gave other than {rows} rows of {columns} values")))
}

/// Everything a reader of the record should know of a checkpoint.
fn describe(name: &str, checkpoint: &Checkpoint) -> ModelInfo {
    let Configuration { vision, text, activation, activation_reason, mean, std, .. } = &checkpoint.configuration;
    let (tensors, values) = checkpoint.tensors.count();
    let activation = match activation {
        Activation::QuickGelu => "QuickGELU, x * sigmoid(1.702 x)",
        Activation::Gelu => "GELU, exact",
    };
    let fact = |name: &str, value: String| (name.to_owned(), value);
    let mut facts = vec![
        fact("tensors", tensors.to_string()),
        fact("values", format!("{values} (weights and running statistics)")),
        fact("stored as", checkpoint.tensors.stored()),
        fact("embedding dimension", vision.dimension().to_string()),
        fact("image tower", vision.details()),
        fact("text tower", format!("{} layers, width {}, {} heads", text.layers, text.width, text.heads)),
        fact("context length", format!("{} tokens, start and end included", text.context_length)),
        fact("vocabulary", format!("{} tokens", text.vocabulary)),
        fact("tokenizer", format!("CLIP's byte-pair encoding, merges with SHA-256 {}", checkpoint.tokenizer.sha256())),
        fact("activation", format!("{activation}; {activation_reason}")),
        fact("neurons", vision.neurons().to_string()),
        fact("logit scale", format!("{:.6}", checkpoint.logit_scale)),
    ];
    if checkpoint.tensors.constant_channels() > 0 {
        let count = checkpoint.tensors.constant_channels();
        facts.push(fact("constant channels", format!("{count} batch-norm channels have a running variance of 0")));
    }
    facts.extend(checkpoint.facts.iter().cloned());
    let size = vision.image_size();
    let preprocessing = vec![
        fact("size", format!("{size} x {size} px")),
        fact("resize", format!("short side to {size} px, antialiased ({})", pixels::MODE)),
        fact("crop", "centre".to_owned()),
        fact("alpha", "dropped after resizing, as open_clip does".to_owned()),
        fact("EXIF orientation", "not applied, as open_clip does".to_owned()),
        fact("colour profile", "not applied, as open_clip does".to_owned()),
        fact("scale", "bytes divided by 255, then mean and standard deviation per channel".to_owned()),
        fact("mean", format!("{}, {}, {}", mean[0], mean[1], mean[2])),
        fact("standard deviation", format!("{}, {}, {}", std[0], std[1], std[2])),
    ];
    let architecture = format!(
        "CLIP: {}, {size} px; text transformer of {} layers, width {}",
        vision.architecture(),
        text.layers,
        text.width
    );
    let record = ModelRecord {
        name: name.to_owned(),
        format: checkpoint.format.to_owned(),
        architecture,
        fingerprint: checkpoint.fingerprint.clone(),
        files: checkpoint.files.clone(),
        facts,
        preprocessing,
        taps: Vec::new(),
    };
    ModelInfo {
        record,
        image_size: size as u32,
        dimension: vision.dimension(),
        logit_scale: checkpoint.logit_scale,
        logit_bias: 0.0,
        context_length: text.context_length,
        sites: vision.places(),
        neurons: vision.neurons(),
    }
}
