//! Audits CLIP-like image-text models for bias and robustness: a YAML suite declares what to show the model, what to
//! measure and what is acceptable; the result is one record, from which reports and the exit code follow.
//!
//! ARCHITECTURE.md shows the rooms and who may use whom.

pub mod audit;
pub mod cli;
pub mod gate;
pub mod measure;
pub mod model;
pub mod observe;
pub mod pixels;
pub mod probe;
pub mod report;
pub mod sheet;
pub mod stats;
pub mod suite;
pub mod types;
