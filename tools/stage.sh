#!/bin/sh
# Copies what belongs to the package into an empty folder (the argument), so that R CMD build does not copy
# build folders of some gigabytes first.
set -eu
cd "$(dirname "$0")/.."
rm -rf "$1"
mkdir -p "$1"
tar cf - --exclude=./rust/target --exclude=./rust/fuzz/target --exclude=./build --exclude=./.git --exclude=./src/rust/core \
  --exclude=./src/rust/out --exclude=./src/rust/target . | (cd "$1" && tar xf -)
