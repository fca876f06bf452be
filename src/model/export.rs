//! Features and activations as a safetensors file: the way to hold this program against any reference.

use std::io::{self, Write};
use std::path::Path;

use safetensors::{Dtype, tensor::TensorView};

use super::ModelError;
use crate::types::{Matrix, Tap, temporary_file};

/// Writes `image_features` [N, D], `text_features` [M, D] (f32, before normalisation) and one tensor per tap, named as
/// the tap is written (`layer4.pre_relu:mean`, [N, U]). The file appears whole or not at all.
///
/// # Errors
/// When a tap stands twice, or the file cannot be written.
pub fn write_embeddings(
    path: &Path,
    image_features: Option<&Matrix>,
    text_features: Option<&Matrix>,
    taps: &[(Tap, Matrix)],
) -> Result<(), ModelError> {
    if let Some((number, (tap, _))) =
        taps.iter().enumerate().find(|(number, (tap, _))| taps.iter().take(*number).any(|(other, _)| other == tap))
    {
        return Err(ModelError::Input(format!("tap `{tap}` stands twice (the second time as number {})", number + 1)));
    }
    let features = [("image_features", image_features), ("text_features", text_features)];
    let named = features.into_iter().filter_map(|(name, matrix)| Some((name.to_owned(), matrix?)));
    let named = named.chain(taps.iter().map(|(tap, matrix)| (tap.to_string(), matrix)));
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = named
        .map(|(name, matrix)| {
            let bytes = matrix.values().iter().flat_map(|value| value.to_le_bytes()).collect();
            (name, vec![matrix.rows(), matrix.columns()], bytes)
        })
        .collect();
    let refuse = |error: safetensors::SafeTensorError| ModelError::Input(format!("embeddings: {error}"));
    let views = tensors
        .iter()
        .map(|(name, shape, bytes)| Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytes).map_err(refuse)?)));
    let views = views.collect::<Result<Vec<_>, ModelError>>()?;
    let bytes = safetensors::serialize(views, None).map_err(refuse)?;
    write_whole(path, &bytes).map_err(|source| ModelError::File { path: path.to_owned(), source })
}

/// Writes under a temporary name in the same folder and renames.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut temporary = temporary_file(folder, ".embeddings-")?;
    temporary.write_all(bytes)?;
    temporary.as_file().sync_all()?;
    temporary.persist(path).map_err(|error| error.error)?;
    Ok(())
}
