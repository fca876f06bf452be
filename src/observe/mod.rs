//! Probes x model -> observations: batching, chunks, resume, progress and quarantine.
