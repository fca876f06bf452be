//! Chunks, resume, quarantine and determinism of a run.
