#!/bin/sh
# Makes the source tarball as it ships, in build/dist/: with the vendored crates, so that it builds offline.
set -eu
cd "$(dirname "$0")/.."
root=$PWD
dist=$root/build/dist
limit=10485760   # CRAN's wish, in bytes

sh tools/authors.sh
sh tools/locks.sh
sh tools/stage.sh "$dist/keycap"
(cd "$dist/keycap" && sh ./cleanup)
rm -rf "$dist/vendor"
echo "keycap: vendoring the crates"
sh tools/with-r.sh cargo vendor --locked --versioned-dirs --quiet \
  --manifest-path "$dist/keycap/src/rust/Cargo.toml" "$dist/vendor" >/dev/null
sh tools/with-r.sh python3 tools/vendor.py "$dist/keycap/src/rust/Cargo.toml" "$dist/vendor" \
  "$dist/keycap/src/rust/vendor.tar.xz"
rm -f "$dist"/keycap_*.tar.gz
(cd "$dist" && sh "$root/tools/with-r.sh" R CMD build keycap)
tarball=$(ls "$dist"/keycap_*.tar.gz)
size=$(wc -c < "$tarball")
echo "keycap: $tarball has $size bytes"
[ "$size" -le "$limit" ] || { echo "keycap: that is more than the $limit bytes that CRAN wishes for" >&2; exit 1; }
