#!/bin/sh
# Each fuzz target (rust/fuzz) for a number of inputs, a million by default, and a table at the end. What a target
# fails on is kept in rust/fuzz/artifacts/; what libFuzzer finds of interest on the way, in build/fuzz/.
#
#   sh tools/fuzz.sh              # all targets
#   sh tools/fuzz.sh answer url   # these
#   KEYCAP_FUZZ_RUNS=10000 sh tools/fuzz.sh
set -u
cd "$(dirname "$0")/.."
root=$PWD
runs=${KEYCAP_FUZZ_RUNS:-1000000}
targets=${*:-$(ls rust/fuzz/fuzz_targets | sed 's/\.rs$//')}
mkdir -p build/fuzz build/log
run() { sh "$root/tools/with-r.sh" "$@"; }

if ! run cargo fuzz --version >/dev/null 2>&1; then
  echo "keycap: installing cargo-fuzz into build/fuzz"
  run cargo install --quiet --locked --root build/fuzz cargo-fuzz@0.13.2 || exit 1
fi
PATH=$root/build/fuzz/bin:$PATH

# No sanitizer: it needs a nightly compiler, and there is no unsafe code in the core. An input may take 10 s and the
# process 2 GB; libFuzzer counts what goes beyond as a hang.
(cd rust && run cargo fuzz build -s none) || exit 1
failed=0
table=""
for target in $targets; do
  mkdir -p "build/fuzz/$target"
  log=build/log/fuzz-$target.log
  (cd rust && run cargo fuzz run -s none "$target" "$root/build/fuzz/$target" "fuzz/corpus/$target" -- \
    -runs="$runs" -seed=1 -max_len=4096 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1) > "$log" 2>&1 || failed=1
  inputs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  panics=$(grep -c 'panicked at' "$log")
  hangs=$(grep -cE 'ERROR: libFuzzer: (timeout|out-of-memory)' "$log")
  slowest=$(sed -n 's/^stat::slowest_unit_time_sec: *//p' "$log")
  covered=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
  line=$(printf '| %-10s | %8s | %6s | %5s | %11s | %5s |' "$target" "${inputs:-0}" "$panics" "$hangs" "${slowest:-?}" "${covered:-?}")
  echo "$line"
  table="$table
$line"
  if [ "${inputs:-0}" -lt "$runs" ]; then
    failed=1
    tail -n 30 "$log"
  fi
done
table="| target     |   inputs | panics | hangs | slowest (s) | edges |
|------------|---------:|-------:|------:|------------:|------:|$table"
echo "$table"
if [ "$runs" -ge 1000000 ] && [ $# = 0 ]; then
  mkdir -p bench
  cat > bench/fuzz.md << END
# A million inputs for each fuzz target

Written by \`make fuzz\` (\`tools/fuzz.sh\`, libFuzzer without sanitizer, seed 1, inputs up to 4096 bytes): each target of
\`rust/fuzz\` from its corpus on. A panic is also an assertion that does not hold, above all that no 8 characters of the
token come out (\`rust/src/fuzzing.rs\`); a hang is an input that takes more than 10 s or 2 GB. Edges: branches of the
program that were reached.

$(run rustc --version), $(uname -sm).

$table
END
fi
exit "$failed"
