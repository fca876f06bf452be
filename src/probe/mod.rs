//! Probes: what is shown to the model. `Generate` plans probes cheaply and draws them one at a time; one file per kind.

mod canvas;
mod caption;
mod colour;
mod files;
mod fonts;
mod glyphs;
mod intern;
mod layout;
mod list;
mod manifest;
mod pseudo;
mod table;
mod typographic;

use std::collections::BTreeMap;
use std::sync::Arc;

use image::RgbImage;
use serde::Deserialize;

use crate::types::{ProbeId, ProbePlan, Problem, Recipe, Rendered, kinds};

pub use caption::{Lettering, Type};
pub use colour::{Colour, Outline};
pub use files::{FileError, Files};
pub use fonts::{FONTS, source_bytes};
pub use list::OneOrMany;
pub use manifest::Manifest;
pub use typographic::{Control, FromLabels, Layout, Place, Typographic, Word, Words};

/// What planning may look at.
pub struct PlanContext<'a> {
    /// Id of the set being planned.
    pub set: &'a str,
    /// The suite's seed.
    pub seed: u64,
    /// Side of the model's input, pixels: the canvas unless a generator says otherwise.
    pub canvas: u32,
    /// The suite's folder, or what is embedded in the program.
    pub files: &'a Files,
    /// The sets planned before this one, by id (a set is planned after those it `uses`).
    pub planned: &'a BTreeMap<String, Vec<ProbePlan>>,
    /// The label sets of the readouts, by readout id.
    pub labels: &'a BTreeMap<String, Vec<String>>,
}

/// What drawing may look at.
pub struct RenderContext<'a> {
    /// The suite's folder, or what is embedded in the program.
    pub files: &'a Files,
    /// Draws the clean twin of a probe by its id.
    pub base: &'a (dyn Fn(&ProbeId) -> Result<Arc<RgbImage>, ProbeError> + Sync),
}

/// A kind of probe. The specification that serde reads implements it.
pub trait Generate: Send + Sync {
    /// Name and version of the pixels (`typographic@1`): goes into every recipe.
    fn version(&self) -> &'static str;

    /// What is wrong with the specification on its own, before any file is read.
    fn check(&self) -> Vec<Problem> {
        Vec::new()
    }

    /// Ids of the sets that must be planned first, each with the path of the field that names it.
    fn uses(&self) -> Vec<(&'static str, &str)> {
        Vec::new()
    }

    /// Ids of the readouts whose labels are needed, each with the path of the field that names it.
    fn reads(&self) -> Vec<(&'static str, &str)> {
        Vec::new()
    }

    /// Whether the pictures show people; what is painted on them does too.
    fn people(&self) -> bool {
        false
    }

    /// The probes of the set, in a fixed order: cheap, deterministic, no pixels.
    ///
    /// # Errors
    /// When a source file cannot be used (`Source`) or the specification does not fit what it found (`Specification`).
    fn plan(&self, context: &PlanContext<'_>) -> Result<Vec<ProbePlan>, ProbeError>;

    /// Draws one probe: pure, in any order, in parallel.
    ///
    /// # Errors
    /// When this probe's picture cannot be made; the probe is then quarantined and the run goes on.
    fn render(&self, plan: &ProbePlan, context: &RenderContext<'_>) -> Result<Rendered, ProbeError>;
}

kinds! {
    /// Every kind of probe: what may stand under `generate:` in a suite.
    AnyGenerate: Generate {
        "manifest" => Manifest(Manifest): "pictures listed in a CSV file with their labels, groups and clusters",
        "typographic" => Typographic(Typographic): "words painted on the pictures of another set, each with a control twin that says nothing",
    }
}

/// Side of the square canvas that a recipe draws on, pixels: every kind of this program keeps it as `canvas`, because
/// kinds that paint on another's pictures must know it before there are any.
pub fn canvas_of(recipe: &Recipe) -> Option<u32> {
    #[derive(Deserialize)]
    struct Canvas {
        canvas: u32,
    }
    serde_json::from_str(&recipe.parameters.to_string()).ok().map(|Canvas { canvas }| canvas)
}

/// Why probes could not be planned or drawn.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The specification does not fit what it names; exit code 2.
    #[error("{message}")]
    Specification {
        /// Keys and indices below the specification.
        path: Vec<String>,
        /// A lower-case fragment with the remedy.
        message: String,
    },
    /// A list of inputs cannot be used; exit code 3.
    #[error("{file}{}: {message}", line.map(|line| format!(":{line}")).unwrap_or_default())]
    Source {
        /// The file as the suite names it.
        file: String,
        /// Line, counted from 1.
        line: Option<u64>,
        /// A lower-case fragment with the remedy.
        message: String,
    },
    /// One picture cannot be used; its probe is quarantined.
    #[error("{0}")]
    Picture(String),
    /// A file is missing, outside the suite's folder, or no file.
    #[error(transparent)]
    File(#[from] FileError),
}
