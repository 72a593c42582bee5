#!/bin/sh
# Writes inst/AUTHORS anew.
set -eu
cd "$(dirname "$0")/.."
sh src/rust/copy-core.sh
mkdir -p inst
sh tools/with-r.sh python3 tools/authors.py src/rust/Cargo.toml inst/AUTHORS
