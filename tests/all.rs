//! The one integration-test binary: linking libtorch is slow, so it happens once. Each module says what belongs in it.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on must fail")]

mod checkpoints;
mod encoder;
mod gates;
mod measures;
mod pictures;
mod probes;
mod reports;
mod statistics;
mod suites;
mod tokens;
