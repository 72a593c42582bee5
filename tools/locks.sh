#!/bin/sh
# The glue and the core each have a Cargo.lock; what both use must be of one version, or the tests test something
# else than what ships. Compares them; with --update, brings the glue's in line with the core's.
set -eu
cd "$(dirname "$0")/.."

# name version, a line each, without the two crates of this repository.
packages() {
  awk -F'"' '/^name = /{ name = $2 } /^version = /{ if (name !~ /^keycapr?$/) print name, $2 }' "$1" | sort
}

if [ "${1:-}" = --update ]; then
  sh src/rust/copy-core.sh
  cp rust/Cargo.lock src/rust/Cargo.lock
  # Cargo drops what the glue does not use and adds what only the glue uses.
  sh tools/with-r.sh cargo metadata --format-version 1 --manifest-path src/rust/Cargo.toml >/dev/null
fi

mkdir -p build/log
packages rust/Cargo.lock > build/log/core.lock
packages src/rust/Cargo.lock > build/log/glue.lock
# A line that only the glue has is fine when the core does not use that crate at all.
drift=$(comm -13 build/log/core.lock build/log/glue.lock | while read -r name version; do
  if grep -q "^$name " build/log/core.lock; then echo "  $name $version in src/rust, not in rust"; fi
done)
if [ -n "$drift" ]; then
  echo "the two Cargo.lock files differ (make locks brings them in line):"
  echo "$drift"
  exit 1
fi

# inst/AUTHORS goes out with every binary: it names what this platform compiles, and nothing that is not locked.
sh src/rust/copy-core.sh
sed -n 's/^\([^ ]* [^ ]*\) (.*/\1/p' inst/AUTHORS | sort > build/log/authors
sh tools/with-r.sh cargo tree --quiet --locked --manifest-path src/rust/Cargo.toml --edges normal,build --prefix none \
  --format '{p}' | awk '$1 !~ /^keycapr?$/ { sub(/^v/, "", $2); print $1, $2 }' | sort -u > build/log/compiled
stale=$(comm -23 build/log/authors build/log/glue.lock; comm -13 build/log/authors build/log/compiled)
if [ -n "$stale" ]; then
  echo "inst/AUTHORS is not up to date (make authors writes it anew) about:"
  echo "$stale"
  exit 1
fi
echo "$(wc -l < build/log/glue.lock) crates in the package, all of the core's versions"
