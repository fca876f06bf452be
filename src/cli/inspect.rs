//! `clip-audit inspect`: what a checkpoint is.

use clap::Args;
use serde_json::{Map, Value, json};

use super::{Compute, exit, say};
use crate::model::ModelInfo;

#[derive(Args)]
pub(super) struct Inspect {
    /// A model that ships, a checkpoint (a folder or a file), or hf://org/name@revision
    model: String,
    /// As one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    compute: Compute,
}

impl Inspect {
    pub(super) fn run(&self) -> anyhow::Result<u8> {
        let encoder = self.compute.load(&self.model)?;
        let info = encoder.info();
        if self.json {
            say::line(serde_json::to_string_pretty(&object(info))?)?;
            return Ok(exit::PASS);
        }
        let record = &info.record;
        say::line(format!("{} ({})", record.name, record.format))?;
        say::line(format!("  architecture      {}", record.architecture))?;
        say::line(format!("  fingerprint       {}", record.fingerprint))?;
        for file in &record.files {
            say::line(format!("  file              {} {} bytes sha256 {}", file.name, file.bytes, file.sha256))?;
        }
        for (name, value) in record.facts.iter().chain(&record.preprocessing) {
            say::line(format!("  {name:<17} {value}"))?;
        }
        for places in info.places() {
            say::line(format!("  taps              {places}"))?;
        }
        Ok(exit::PASS)
    }
}

/// What is printed otherwise, with every place that can be tapped and its number of units.
fn object(info: &ModelInfo) -> Value {
    let record = &info.record;
    let named = |facts: &[(String, String)]| -> Map<String, Value> {
        let mut object = Map::new();
        for (name, value) in facts {
            // A name that stands twice (two wrappers around every tensor) becomes a list.
            match object.get_mut(name) {
                None => drop(object.insert(name.clone(), json!(value))),
                Some(Value::Array(values)) => values.push(json!(value)),
                Some(one) => *one = json!([one.clone(), value]),
            }
        }
        object
    };
    let files = record.files.iter().map(|file| json!({"name": file.name, "bytes": file.bytes, "sha256": file.sha256}));
    let taps = info.sites.iter().map(|(layer, site, units)| {
        let pools: Vec<String> = site.pools().iter().map(ToString::to_string).collect();
        json!({"layer": layer, "site": site.to_string(), "units": units, "pools": pools})
    });
    json!({
        "name": record.name,
        "format": record.format,
        "architecture": record.architecture,
        "fingerprint": record.fingerprint.to_string(),
        "files": files.collect::<Vec<_>>(),
        "image_size": info.image_size,
        "dimension": info.dimension,
        "context_length": info.context_length,
        "logit_scale": info.logit_scale,
        "facts": named(&record.facts),
        "preprocessing": named(&record.preprocessing),
        "taps": taps.collect::<Vec<_>>(),
        "neurons": info.neurons.to_string(),
    })
}
