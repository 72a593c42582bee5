#!/bin/sh
# Installs the package from this checkout into build/library.
set -eu
cd "$(dirname "$0")/.."
library=${KEYCAP_LIBRARY:-$PWD/build/library}
mkdir -p "$library" build/log
[ -f "$KEYCAP_TARGET_DIR/release/libkeycapr.a" ] ||
  echo "keycap: building the Rust core; the first time takes some minutes"
if ! sh tools/with-r.sh R CMD INSTALL --library="$library" . > build/log/install.log 2>&1; then
  tail -n 40 build/log/install.log >&2
  echo "keycap: the installation failed; the whole log is in build/log/install.log" >&2
  exit 1
fi
