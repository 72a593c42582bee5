#!/bin/sh
# Checks the tarball of `make dist` as CRAN would, without a network and without anything of this checkout.
set -eu
cd "$(dirname "$0")/.."
root=$PWD
check=$root/build/dist-check
rm -rf "$check"
mkdir -p "$check/home"
CARGO_HOME=${CARGO_HOME:-$HOME/.cargo}
RUSTUP_HOME=${RUSTUP_HOME:-$HOME/.rustup}
PATH="$CARGO_HOME/bin:$PATH"
# The compiler is found where it is; cargo's downloads are not.
# Snapshots are compared too, which testthat leaves out on CRAN.
NOT_CRAN=true
export RUSTUP_HOME PATH NOT_CRAN
unset KEYCAP_TARGET_DIR CARGO_HOME
command -v ip >/dev/null 2>&1 || { echo "keycap: this needs the command ip (Debian: iproute2)" >&2; exit 1; }

as_root=""
[ "$(id -u)" -eq 0 ] || as_root=--map-root-user
cd "$check"
HOME=$check/home unshare --net $as_root -- sh -c '
  ip link set lo up
  if curl -fsS -m 5 https://crates.io >/dev/null 2>&1; then echo "there is a network here" >&2; exit 1; fi
  exec sh "$0/tools/with-r.sh" R CMD check --as-cran --no-manual "$0"/build/dist/keycap_*.tar.gz
' "$root" || true
left=$(find "$check/home" -mindepth 1)
[ -z "$left" ] || { echo "keycap: the check left something in HOME:" && echo "$left" && exit 1; } >&2
sh "$root/tools/check-log.sh" "$check/keycap.Rcheck"
