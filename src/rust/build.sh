#!/bin/sh
# Builds rust/out/libkeycapr.a; run in src/ by Makevars, with the Rust target (empty: the host's) as argument.
#
# With vendored crates: offline, and cargo writes nowhere outside this folder. In a checkout: as cargo does.
#   KEYCAP_TARGET_DIR   a folder that keeps what cargo made, for developers: one build serves R CMD INSTALL, the
#                       build of the vignettes and the check, wherever R has unpacked the sources (the vendored
#                       crates, which would be built anew at each place, are left aside)
#   KEYCAP_JOBS         how many jobs at once; 2 if not set, as CRAN asks

set -eu

target=${1:-}
PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin:$HOME/.cargo/bin"
export PATH
# Flags of the caller's own Rust work are not this package's.
unset CARGO_BUILD_TARGET CARGO_TARGET_DIR CARGO_ENCODED_RUSTFLAGS

# `mirror FROM TO FILE...`: makes TO hold the same files, touching only those that differ, since cargo builds
# again what has a new time.
mirror() {
  from=$1
  to=$2
  shift 2
  mkdir -p "$to"
  (cd "$from" && find "$@" -type f) | while read -r file; do
    if ! cmp -s "$from/$file" "$to/$file"; then
      mkdir -p "$(dirname "$to/$file")"
      cp "$from/$file" "$to/$file"
    fi
  done
  (cd "$to" && find . -type f) | while read -r file; do
    [ -f "$from/$file" ] || rm "$to/$file"
  done
}

source_dir=rust
target_dir=rust/target
set -- --lib --release --locked -j "${KEYCAP_JOBS:-2}"

if [ -n "${KEYCAP_TARGET_DIR:-}" ]; then
  target_dir=$KEYCAP_TARGET_DIR
  mirror "$source_dir" "$KEYCAP_TARGET_DIR/source" Cargo.toml Cargo.lock src core
  source_dir=$KEYCAP_TARGET_DIR/source
elif [ -f rust/vendor.tar.xz ]; then
  (cd rust && tar xf vendor.tar.xz)
  CARGO_HOME=$(pwd)/rust/.cargo
  export CARGO_HOME
  mkdir -p "$CARGO_HOME"
  vendor=$(pwd)/rust/vendor
  # On Windows cargo wants `C:/...` where sh says `/c/...`.
  if command -v cygpath >/dev/null 2>&1; then vendor=$(cygpath -m "$vendor"); fi
  set -- "$@" --offline \
    --config 'source.crates-io.replace-with="vendored"' \
    --config "source.vendored.directory=\"$vendor\""
fi

library=$target_dir/release/libkeycapr.a
if [ -n "$target" ]; then
  set -- "$@" --target "$target"
  library=$target_dir/$target/release/libkeycapr.a
fi

case $target in
  *-windows-gnu)
    # R's gcc has no libgcc_eh, which rustc asks for when it links a build script; an empty one is enough.
    mkdir -p rust/out/mock
    : > rust/out/mock/libgcc_eh.a
    LIBRARY_PATH="${LIBRARY_PATH:+$LIBRARY_PATH;}$(pwd)/rust/out/mock"
    CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER=${CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER:-x86_64-w64-mingw32.static.posix-gcc.exe}
    export LIBRARY_PATH CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER
    ;;
esac

cargo build "$@" --manifest-path "$source_dir/Cargo.toml" --target-dir "$target_dir"
mkdir -p rust/out
cp "$library" rust/out/libkeycapr.a
