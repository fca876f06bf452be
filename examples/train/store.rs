//! Weights and training state on disk: a checkpoint from which training goes on exactly, and open_clip's folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use clip_audit::model::{self, DeviceChoice, LoadOptions, ModelSource};
use tch::{Kind, Tensor};

use crate::optimiser::AdamW;
use crate::towers::{REFERENCE, Sizes, Towers};

/// Name of the checkpoint in the folder of a run.
pub(crate) const CHECKPOINT: &str = "checkpoint.safetensors";

const WEIGHTS: &str = "open_clip_model.safetensors";

/// Weights, running statistics and the optimiser's state, in one file that appears whole or not at all.
pub(crate) fn save(folder: &Path, towers: &Towers, optimiser: &AdamW) -> Result<()> {
    let parts = [
        ("weight", &towers.weights),
        ("statistic", &towers.statistics),
        ("mean", &optimiser.mean),
        ("square", &optimiser.square),
    ];
    let named = |(part, tensors): (&str, &BTreeMap<String, Tensor>)| -> Vec<(String, Tensor)> {
        tensors.iter().map(|(name, tensor)| (format!("{part}:{name}"), plain(tensor))).collect()
    };
    let mut tensors: Vec<(String, Tensor)> = parts.into_iter().flat_map(named).collect();
    tensors.push(("step".to_owned(), Tensor::from(optimiser.step as i64)));
    write(&folder.join(CHECKPOINT), &tensors)
}

/// What [`save`] wrote; nothing where there is no checkpoint.
pub(crate) fn resume(folder: &Path, sizes: Sizes) -> Result<Option<(Towers, AdamW)>> {
    let path = folder.join(CHECKPOINT);
    if !path.exists() {
        return Ok(None);
    }
    let mut towers = Towers { sizes, weights: BTreeMap::new(), statistics: BTreeMap::new() };
    let (mut mean, mut square) = (BTreeMap::new(), BTreeMap::new());
    let mut step = None;
    for (name, tensor) in Tensor::read_safetensors(&path).with_context(|| path.display().to_string())? {
        match name.split_once(':') {
            Some(("weight", name)) => towers.weights.insert(name.to_owned(), tensor.set_requires_grad(true)),
            Some(("statistic", name)) => towers.statistics.insert(name.to_owned(), tensor),
            Some(("mean", name)) => mean.insert(name.to_owned(), tensor),
            Some(("square", name)) => square.insert(name.to_owned(), tensor),
            _ => {
                step = Some(tensor.int64_value(&[]));
                None
            }
        };
    }
    let step = step.with_context(|| format!("{}: has no step", path.display()))?;
    // What has no optimiser's state is not trained.
    for (name, weight) in &mut towers.weights {
        *weight = weight.set_requires_grad(mean.contains_key(name));
    }
    Ok(Some((towers, AdamW { mean, square, step: step as u64 })))
}

/// An open_clip folder: f16 weights that `open_clip` 3.3 loads strictly, and the configuration.
pub(crate) fn export(folder: &Path, towers: &Towers, steps: u64) -> Result<()> {
    fs::create_dir_all(folder)?;
    let mut tensors = Vec::new();
    for (name, tensor) in towers.weights.iter().chain(&towers.statistics) {
        tensors.push((name.clone(), plain(tensor).to_kind(Kind::Half)));
        if let Some(norm) = name.strip_suffix("running_var") {
            tensors.push((format!("{norm}num_batches_tracked"), Tensor::from(steps as i64)));
        }
    }
    finite(&tensors)?;
    write(&folder.join(WEIGHTS), &tensors)?;
    let Sizes { layers, width, image_px, embed, context, vocabulary, text_width, text_heads, text_layers } =
        towers.sizes;
    let configuration = serde_json::json!({
        "model_cfg": {
            "embed_dim": embed,
            "quick_gelu": true,
            "vision_cfg": { "layers": layers, "width": width, "image_size": image_px, "patch_size": null },
            "text_cfg": {
                "context_length": context,
                "vocab_size": vocabulary,
                "width": text_width,
                "heads": text_heads,
                "layers": text_layers
            }
        },
        "preprocess_cfg": {
            "mean": [0.48145466, 0.4578275, 0.40821073],
            "std": [0.26862954, 0.26130258, 0.27577711],
            "interpolation": "bicubic",
            "resize_mode": "shortest"
        }
    });
    let text = format!("{}\n", serde_json::to_string_pretty(&configuration)?);
    fs::write(folder.join("open_clip_config.json"), text)?;
    Ok(())
}

/// An overlay folder: the tensors that were trained, f16, bound to the base's fingerprint.
pub(crate) fn export_overlay(folder: &Path, base: &Path, towers: &Towers) -> Result<()> {
    fs::create_dir_all(folder)?;
    let options = LoadOptions { device: DeviceChoice::Cpu, ..LoadOptions::default() };
    let fingerprint =
        model::load(&ModelSource::Folder(base.to_owned()), &options)?.info().record.fingerprint.to_string();
    let trained = towers.weights.iter().filter(|(_, weight)| weight.requires_grad());
    let tensors: Vec<(String, Tensor)> =
        trained.map(|(name, weight)| (name.clone(), plain(weight).to_kind(Kind::Half))).collect();
    finite(&tensors)?;
    write(&folder.join("overlay.safetensors"), &tensors)?;
    // Siblings lie beside their base.
    let base = base.file_name().context("the base has no name")?.to_string_lossy();
    let declaration = serde_json::json!({
        "format": "clip-audit-overlay",
        "version": 1,
        "base": format!("../{base}"),
        "base_fingerprint": fingerprint
    });
    fs::write(folder.join("overlay.json"), format!("{}\n", serde_json::to_string_pretty(&declaration)?))?;
    Ok(())
}

fn finite(tensors: &[(String, Tensor)]) -> Result<()> {
    for (name, tensor) in tensors {
        ensure!(tensor.isfinite().all().int64_value(&[]) == 1, "{name}: does not fit f16");
    }
    Ok(())
}

/// The towers of an open_clip folder of the reference model's sizes, or of an overlay over one, to go on training or to
/// measure.
pub(crate) fn import(folder: &Path) -> Result<Towers> {
    let declaration = folder.join("overlay.json");
    if declaration.exists() {
        let declaration: serde_json::Value = serde_json::from_slice(&fs::read(&declaration)?)?;
        let base = declaration["base"].as_str().with_context(|| format!("{}: names no base", folder.display()))?;
        let mut towers = import(&folder.join(base))?;
        for (name, tensor) in Tensor::read_safetensors(folder.join("overlay.safetensors"))? {
            let weight = towers.weights.get_mut(&name).with_context(|| format!("{}: `{name}`?", folder.display()))?;
            *weight = tensor.to_kind(Kind::Float).set_requires_grad(true);
        }
        return Ok(towers);
    }
    let path = folder.join(WEIGHTS);
    let mut towers = Towers { sizes: REFERENCE, weights: BTreeMap::new(), statistics: BTreeMap::new() };
    for (name, tensor) in Tensor::read_safetensors(&path).with_context(|| path.display().to_string())? {
        if name.ends_with("num_batches_tracked") {
            continue;
        }
        let running = name.contains("running_");
        let tensor = tensor.to_kind(Kind::Float).set_requires_grad(!running);
        if running {
            towers.statistics.insert(name, tensor)
        } else {
            towers.weights.insert(name, tensor)
        };
    }
    let expected = Towers::new(REFERENCE);
    for (name, tensor) in expected.weights.iter().chain(&expected.statistics) {
        let found = towers.weights.get(name).or_else(|| towers.statistics.get(name));
        ensure!(found.is_some_and(|found| found.size() == tensor.size()), "{}: `{name}` does not fit", path.display());
    }
    Ok(towers)
}

fn plain(tensor: &Tensor) -> Tensor {
    tensor.detach().to_device(tch::Device::Cpu).contiguous()
}

fn write(path: &Path, tensors: &[(String, Tensor)]) -> Result<()> {
    let temporary = path.with_extension("tmp");
    Tensor::write_safetensors(tensors, &temporary).with_context(|| temporary.display().to_string())?;
    fs::rename(&temporary, path).with_context(|| path.display().to_string())
}
