//! The one integration-test binary: linking libtorch is slow, so it happens once. Each module says what belongs in it.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on must fail")]

mod architecture;
mod checkpoints;
mod commands;
mod dose;
mod encoder;
mod formats;
mod gates;
mod hugging;
mod measures;
mod models;
mod observing;
mod overlays;
mod pictures;
mod plans;
mod precision;
mod probes;
mod reports;
mod schema;
mod statistics;
mod suites;
mod tokens;
mod towers;
mod units;
