# Two commands: `make demo` shows an audit, `make test` runs every test. Both build with one profile, so everything
# compiles once.

.PHONY: demo test libtorch cuda lint browser dist

# The tests are built along: their dependencies switch on features of shared crates, and building without them first would
# compile those crates twice.
demo: libtorch
	cargo build --locked --bins --tests
	scripts/demo

test: libtorch
	cargo test --locked

# libtorch from pinned wheels; a no-op once it is there.
libtorch:
	scripts/libtorch

# The CUDA libraries of the same release, for machines with an NVIDIA GPU (2.6 GB to download).
cuda: libtorch
	scripts/libtorch --cuda

lint: libtorch
	cargo fmt --check
	cargo clippy --locked --all-targets -- --deny warnings

# The report in a real browser: requests, errors, accessibility, validity.
browser:
	scripts/browser-check
