#!/bin/sh
# Runs a command with the checkout's own R library in front, the private Rust (see setup.sh) within reach, and texts
# in UTF-8: a bare machine has no locale set, and R's check then warns of every text that it cannot show.
root=$(cd "$(dirname "$0")/.." && pwd)
R_LIBS="${KEYCAP_LIBRARY:-$root/build/library}${R_LIBS:+:$R_LIBS}"
PATH="$PATH:$HOME/.cargo/bin"
if [ -x "$root/build/toolchain/cargo/bin/cargo" ]; then
  CARGO_HOME=$root/build/toolchain/cargo
  RUSTUP_HOME=$root/build/toolchain/rustup
  PATH="$CARGO_HOME/bin:$PATH"
  export CARGO_HOME RUSTUP_HOME
fi
case ${LC_ALL:-${LC_CTYPE:-${LANG:-}}} in
  *[Uu][Tt][Ff]*8) ;;
  *) if [ "$(uname -s)" = Darwin ]; then LC_ALL=en_US.UTF-8; else LC_ALL=C.UTF-8; fi; export LC_ALL ;;
esac
export R_LIBS PATH
exec "$@"
