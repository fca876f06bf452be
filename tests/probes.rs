//! Planning and drawing of every kind of probe.
