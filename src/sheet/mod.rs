//! Contact sheets: some probes of a suite on one picture, each with its caption, so that a person sees what a model is
//! shown. A sheet is plain data; drawing it is pure.

mod draw;
mod sample;

use image::RgbImage;

pub use draw::{CELL, MAX_HEIGHT, MAX_WIDTH, MIN_WIDTH, draw};
pub use sample::{differing, share, spread};

/// A contact sheet.
#[derive(Clone, Debug, Default)]
pub struct Sheet {
    /// The suite's name.
    pub title: String,
    /// What the suite is for.
    pub about: String,
    /// What a reader must know of the sheet: how much is shown of what, and how it was chosen.
    pub notes: Vec<String>,
    /// One for each probe set with its control twins.
    pub sections: Vec<Section>,
    /// Where the sheet comes from.
    pub footer: String,
}

/// The probes of one set.
#[derive(Clone, Debug, Default)]
pub struct Section {
    /// The set's id.
    pub title: String,
    /// How many probes there are and how many are shown.
    pub counts: String,
    /// What all of them have in common.
    pub common: String,
    /// The probes, those that belong together on one card.
    pub cards: Vec<Card>,
}

/// Cells that belong together: an attacked picture and its control twin.
#[derive(Clone, Debug, Default)]
pub struct Card(pub Vec<Cell>);

/// One probe.
#[derive(Clone, Debug)]
pub struct Cell {
    /// What is seen of it.
    pub picture: Picture,
    /// The set it belongs to.
    pub set: String,
    /// Its id.
    pub id: String,
    /// The labels in which probes of its set differ, the most telling first.
    pub facts: Vec<(String, String)>,
    /// What the drawing noted.
    pub notes: Vec<String>,
}

/// What is seen of a probe.
#[derive(Clone, Debug)]
pub enum Picture {
    /// The pixels that the model is shown.
    Shown(RgbImage),
    /// Nothing, and why not.
    Hidden(String),
    /// Nothing, because the input cannot be used: a run quarantines it for this reason.
    Unusable(String),
}
