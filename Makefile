# Two commands: `make demo` shows an audit, `make test` runs every test. Both build with one profile, so everything
# compiles once.

.PHONY: demo test libtorch cuda lint browser parity dist

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

# Every tower against open_clip, in full size with random weights, and every file format against its own code.
parity: libtorch .venv/made
	cargo build --locked --bins
	.venv/bin/python scripts/parity
	.venv/bin/python scripts/parity --full RN50 RN101 RN50x4 ViT-B-32 ViT-B-16 ViT-L-14
	.venv/bin/python scripts/parity --formats RN50 ViT-B-32

.venv/made: tests/golden/requirements.txt
	python3 -m venv .venv
	.venv/bin/pip install --quiet --requirement $<
	touch $@

# The report in a real browser: requests, errors, accessibility, validity. Needs Chromium, Node 20 and Java 17; CI runs it
# beside the tests.
browser: libtorch
	scripts/browser-check

# The program with libtorch beside it, as an archive that runs wherever it is unpacked.
dist: libtorch
	scripts/dist
