//! The import rules of ARCHITECTURE.md, held against the sources.
