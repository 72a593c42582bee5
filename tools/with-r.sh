#!/bin/sh
# Runs a command with the checkout's own R library in front, and the private Rust (see setup.sh) within reach.
root=$(cd "$(dirname "$0")/.." && pwd)
R_LIBS="${KEYCAP_LIBRARY:-$root/build/library}${R_LIBS:+:$R_LIBS}"
PATH="$PATH:$HOME/.cargo/bin"
if [ -x "$root/build/toolchain/cargo/bin/cargo" ]; then
  CARGO_HOME=$root/build/toolchain/cargo
  RUSTUP_HOME=$root/build/toolchain/rustup
  PATH="$CARGO_HOME/bin:$PATH"
  export CARGO_HOME RUSTUP_HOME
fi
export R_LIBS PATH
exec "$@"
