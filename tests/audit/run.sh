#!/bin/sh
# What the audit log withstands: each part prints a row, and all of them are written to bench/audit.md. Ends with 1 when
# a figure does not hold. Needs the package in build/library (`make install`), strace, and root for the unwritable states.
#
#   sh tests/audit/run.sh               # all parts; writes bench/audit.md
#   sh tests/audit/run.sh kill faults   # these parts; writes nothing
set -u
cd "$(dirname "$0")/../.."
root=$PWD
all='rate processes forked kill faults unwritable flips clean attacks long agree'
parts=${*:-$all}
for program in strace flock prlimit setpriv python3 Rscript; do
  if ! command -v "$program" > /dev/null; then
    echo "audit: \`$program\` is missing (Debian: apt install strace util-linux python3 r-base-core)" >&2
    exit 2
  fi
done
mkdir -p build/log
# On a disk, not in memory: durable writing is what is measured.
place=$(mktemp -d "$root/build/audit.XXXXXX")
chmod 700 "$place"
trap 'rm -rf "$place"' EXIT
sh tools/with-r.sh cargo build --locked --release --quiet --manifest-path rust/Cargo.toml --example audit_stress ||
  exit 1
stress=$root/rust/target/release/examples/audit_stress

attacks() {
  name=twelve_attacks_are_found_with_a_checkpoint_and_without_one_as_the_documentation_says
  if sh tools/with-r.sh cargo test --locked --manifest-path rust/Cargo.toml --test audit "$name" 2>&1 | grep -q '1 passed'
  then echo '| twelve attacks | 12 of 12 found with a checkpoint from outside, 4 of 12 without one | holds |'
  else echo '| twelve attacks | see the test `'"$name"'` | **does not hold** |'; return 1
  fi
}

agree() {
  said=$(sh tests/audit/agree/run.sh 1000 | tee "$place/agree" | tail -n 1)
  case $said in
    '0 logs of 1000 '*) echo '| three verifiers | the same verdict on 1,000 generated logs, and the expected one | holds |' ;;
    *) cat "$place/agree" >&2; echo "| three verifiers | $said | **does not hold** |"; return 1 ;;
  esac
}

part() {
  case $1 in
    kill) "$stress" kill "$place/kill" 400 ;;
    clean) "$stress" clean "$place/clean" 1000 ;;
    rate | processes | faults | flips | long) "$stress" "$1" "$place/$1" ;;
    forked) sh tools/with-r.sh Rscript --vanilla tests/audit/forked.R ;;
    unwritable) sh tools/with-r.sh python3 -B tests/audit/unwritable.py ;;
    attacks) attacks ;;
    agree) agree ;;
    *) echo "audit: there is no part \`$1\`" >&2; return 2 ;;
  esac
}

rows=$place/rows
status=0
for each in $parts; do
  part "$each" > "$place/row" || status=1
  cat "$place/row"
  cat "$place/row" >> "$rows"
done
if [ $# -eq 0 ]; then
  {
    echo '# What the audit log withstands'
    echo
    echo 'Written by `make audit` (`tests/audit/run.sh`): each row says what was done and what was found. Short versions are'
    echo 'among the tests (`rust/tests/audit`, `tests/testthat/test-audit.R`).'
    echo
    echo "$(nproc) cores, $(stat -f -c %T "$place"), Linux $(uname -m)."
    echo
    echo '| what | found | |'
    echo '|---|---|---|'
    cat "$rows"
  } > bench/audit.md
fi
exit $status
