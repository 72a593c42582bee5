#!/bin/sh
# Copies the core crate from rust/ to src/rust/core/, where the package carries it: its sources, without its tests
# and their dependencies. Run in the package's folder.

set -eu
rm -rf src/rust/core
mkdir -p src/rust/core
cp -R -p rust/Cargo.toml rust/src src/rust/core/
