//! `clip-audit embed`: features and activations of images and texts, to compare a model with any reference.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use super::exit::{self, Failure};
use super::{Compute, say};
use crate::model::write_embeddings;
use crate::pixels;
use crate::types::{Matrix, Tap};

#[derive(Args)]
pub(super) struct Embed {
    /// A model that ships, or a checkpoint: a folder or a file
    #[arg(long)]
    model: String,
    /// Images
    #[arg(long, num_args = 1..)]
    images: Vec<PathBuf>,
    /// A file with one text a line
    #[arg(long)]
    texts: Option<PathBuf>,
    /// Activations to record, such as layer4.pre_relu:mean
    #[arg(long, num_args = 1.., value_delimiter = ',', value_parser = str::parse::<Tap>)]
    taps: Vec<Tap>,
    /// The safetensors file to write
    #[arg(long)]
    out: PathBuf,
    #[command(flatten)]
    compute: Compute,
}

/// The largest picture file read.
const PICTURE_LIMIT_BYTES: u64 = 256 << 20;

impl Embed {
    pub(super) fn run(&self) -> anyhow::Result<u8> {
        if self.images.is_empty() && self.texts.is_none() {
            return Err(Failure::usage("nothing to embed: give --images, --texts or both").into());
        }
        let encoder = self.compute.load(&self.model)?;
        let mut features: Vec<Matrix> = Vec::new();
        let mut taps: Vec<Vec<Matrix>> = vec![Vec::new(); self.taps.len()];
        for paths in self.images.chunks(encoder.numerics().batch) {
            let mut images = Vec::with_capacity(paths.len());
            for path in paths {
                images.push(encoder.preprocess(&picture(path, encoder.info().image_size)?)?);
            }
            let encoded = encoder.encode_images(&images, &self.taps, &[])?;
            features.push(encoded.features);
            for (all, values) in taps.iter_mut().zip(encoded.taps) {
                all.push(values);
            }
        }
        let texts = self.texts.as_ref().map(|path| -> anyhow::Result<Matrix> {
            let invalid =
                |error: std::io::Error| Failure { code: exit::INPUT, message: format!("{}: {error}", path.display()) };
            let text = std::fs::read_to_string(path).map_err(invalid)?;
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            if lines.is_empty() {
                let message = format!("{}: is empty; expected one text a line", path.display());
                return Err(Failure { code: exit::INPUT, message }.into());
            }
            Ok(encoder.encode_texts(&lines)?)
        });
        let texts = texts.transpose()?;
        let images = (!features.is_empty()).then(|| stack(&features));
        let taps: Vec<(Tap, Matrix)> = self.taps.iter().cloned().zip(taps.iter().map(|parts| stack(parts))).collect();
        write_embeddings(&self.out, images.as_ref(), texts.as_ref(), &taps)?;
        say::line(self.out.display().to_string())?;
        Ok(exit::PASS)
    }
}

/// A picture at the model's input size. The file is resized in its own mode (palette, alpha) before it becomes RGB, as the
/// reference does.
fn picture(path: &std::path::Path, size: u32) -> anyhow::Result<image::RgbImage> {
    let invalid = |message: String| Failure { code: exit::INPUT, message: format!("{}: {message}", path.display()) };
    let facts = std::fs::metadata(path).map_err(|error| invalid(error.to_string()))?;
    if !facts.is_file() || facts.len() > PICTURE_LIMIT_BYTES {
        return Err(invalid(format!("is no regular file of at most {PICTURE_LIMIT_BYTES} bytes")).into());
    }
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    let decoded = pixels::decode(&bytes).map_err(|error| invalid(error.to_string()))?;
    for note in &decoded.notes {
        say::log(format!("{}: {note}", path.display()));
    }
    Ok(decoded.fit(size).map_err(|error| invalid(error.to_string()))?)
}

fn stack(parts: &[Matrix]) -> Matrix {
    let columns = parts.first().map_or(0, Matrix::columns);
    let rows: Vec<&[f32]> = parts.iter().flat_map(Matrix::iter_rows).collect();
    Matrix::from_rows(columns, &rows).unwrap_or_default()
}
