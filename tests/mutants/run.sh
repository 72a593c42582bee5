#!/bin/sh
# Do the guards bite? Each file NAME.sed here is a fault, injected on purpose into a scratch copy of the core's
# sources: its head names the file that it changes and the test that has to fail then. First all of these tests have
# to pass on a copy without faults. Ends with 1 when a fault survives, changes nothing, or does not compile.
#
#   sh tests/mutants/run.sh                      # all
#   sh tests/mutants/run.sh redirects-followed   # these
set -u
cd "$(dirname "$0")/../.."
root=$PWD
scratch=$root/build/mutants
logs=$root/build/log
mkdir -p "$scratch/rust" "$logs"

# One folder of built crates for all faults; without debugging information the linker is much faster.
export CARGO_TARGET_DIR="$scratch/target" CARGO_PROFILE_DEV_DEBUG=0

# Some guards need the real vault.
KEYCAP_TEST_BAO=$(sh tools/openbao.sh)
export KEYCAP_TEST_BAO

head_of() { sed -n "s/^# $2: //p" "tests/mutants/$1.sed"; }
names=${*:-$(cd tests/mutants && ls ./*.sed | sed 's|^\./||; s|\.sed$||')}

# A copy of what the tests need. Only what differs is written: the compiler goes by the times of files.
fresh() {
  for each in Cargo.toml Cargo.lock clippy.toml; do
    cmp -s "rust/$each" "$scratch/rust/$each" || cp "rust/$each" "$scratch/rust/$each"
  done
  # Some guards start the sandbox as a program of its own.
  mkdir -p "$scratch/rust/examples"
  cmp -s rust/examples/sandbox.rs "$scratch/rust/examples/sandbox.rs" ||
    cp rust/examples/sandbox.rs "$scratch/rust/examples/sandbox.rs"
  rm -rf "$scratch/new"
  cp -R rust/src "$scratch/new"
  (cd "$scratch/new" && find . -type f) | while read -r each; do
    cmp -s "$scratch/new/$each" "$scratch/rust/src/$each" && continue
    mkdir -p "$(dirname "$scratch/rust/src/$each")"
    cp "$scratch/new/$each" "$scratch/rust/src/$each"
  done
  # What is no longer in the sources goes.
  (cd "$scratch/rust/src" && find . -type f) | while read -r each; do
    [ -e "$scratch/new/$each" ] || rm "$scratch/rust/src/$each"
  done
  rm -rf "$scratch/new"
}

tests() { # tests LOG GUARD...
  log=$1
  shift
  (cd "$scratch/rust" && sh "$root/tools/with-r.sh" timeout 900 cargo test --locked --lib -- --exact "$@") > "$log" 2>&1
}

guards=$(for name in $names; do head_of "$name" guard; done | sort -u)
fresh
# shellcheck disable=SC2086
if ! tests "$logs/mutants.log" $guards; then
  tail -n 40 "$logs/mutants.log"
  echo "mutants: the guards do not pass without a fault"
  exit 1
fi
passed=$(grep -c '^test .* ok$' "$logs/mutants.log")
if [ "$passed" -ne "$(echo "$guards" | wc -l)" ]; then
  echo "mutants: of $(echo "$guards" | wc -l) guards only $passed are tests of the core"
  exit 1
fi
echo "without a fault all $passed guards pass"

survived=0
rm -f "$scratch/table.new"
for name in $names; do
  file=$(head_of "$name" file)
  guard=$(head_of "$name" guard)
  log=$logs/mutant-$name.log
  fresh
  sed -f "tests/mutants/$name.sed" "$file" > "$scratch/mutant"
  if cmp -s "$scratch/mutant" "$file"; then
    bites="no: the fault does not apply any more"
  else
    cp "$scratch/mutant" "$scratch/$file"
    tests "$log" "$guard"
    if grep -q '^test result: FAILED. 0 passed; 1 failed' "$log"; then
      bites=yes
    elif grep -q '^error.*could not compile' "$log"; then
      bites="no: it does not compile"
    else
      bites="no: IT SURVIVES"
    fi
  fi
  [ "$bites" = yes ] || survived=$((survived + 1))
  printf '| %s: %s | `%s` | %s |\n' "$name" "$(sed -n '1s/^# //p' "tests/mutants/$name.sed")" "$guard" "$bites" | tee -a "$scratch/table.new"
done
{
  echo '| fault | guard | bites |'
  echo '|---|---|---|'
  cat "$scratch/table.new"
} > "$scratch/table.md"
rm -f "$scratch/table.new" "$scratch/mutant"
fresh
echo "$(echo "$names" | wc -w) faults, $survived of them not caught"
if [ $# = 0 ]; then
  mkdir -p bench
  cat > bench/mutants.md << END
# Faults injected on purpose

Written by \`make mutants\` (\`tests/mutants/run.sh\`): each fault is put into a scratch copy of the core's sources, and the
test that guards against it has to fail; without a fault all of them pass.

$(cat "$scratch/table.md")
END
fi
[ "$survived" = 0 ]
