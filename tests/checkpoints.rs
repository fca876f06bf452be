//! Checkpoints that must load, and those that must be refused with every problem listed.
