#!/bin/sh
# Looks for tokens in the memory of R, from outside, after keycap has used them. Prints a table; ends with 1 when a
# row of it is bad. The package has to be installed in build/library (`make install`).
#
#   sh tests/memory/run.sh                # all scenarios
#   sh tests/memory/run.sh 'keyring http' # those with this in their name
#
# With KEYCAP_MEMORY_EXPLAIN=1 it shows the bytes around each find.
set -eu
cd "$(dirname "$0")/../.."
root=$PWD
target=$root/build/memory

for program in secret-tool Rscript gpg pass; do
  if ! command -v "$program" >/dev/null; then
    echo "memory: \`$program\` is missing (Debian: apt install libsecret-tools r-base-core gnupg pass)" >&2
    exit 2
  fi
done
# The stores `vault` and `aws` are asked as they are: a real vault, and moto in AWS's place.
KEYCAP_TEST_BAO=$(sh tools/openbao.sh)
KEYCAP_TEST_MOTO=$(sh tools/moto.sh)
export KEYCAP_TEST_BAO KEYCAP_TEST_MOTO
# The scanner is judged first: each form, place and case of a token, and the memory of another process.
sh tools/with-r.sh cargo test --locked --quiet --manifest-path tests/memory/Cargo.toml --target-dir "$target"
sh tools/with-r.sh cargo build --locked --quiet --manifest-path tests/memory/Cargo.toml --target-dir "$target"
sh tools/with-r.sh sh tests/keyring/with-keyring.sh "$target/debug/keycap-memory" run "$root/tests/memory/driver.R" "$@"
