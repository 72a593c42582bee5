#!/bin/sh
# What `make test` runs, stage by stage, and a table at the end. `sh tools/test.sh clippy check` runs only those.
# The output of a stage goes to build/log/<stage>.log; of a failing one the end is shown.
set -u
cd "$(dirname "$0")/.."
root=$PWD
KEYCAP_TARGET_DIR=${KEYCAP_TARGET_DIR:-$root/build/rust}
export KEYCAP_TARGET_DIR
run() { sh "$root/tools/with-r.sh" "$@"; }

stage_locks() { sh tools/locks.sh; }

stage_claims() { sh tools/check-claims.sh; }

stage_format() {
  (cd rust && run cargo fmt --check) && (cd src/rust && run cargo fmt --check) &&
    (cd tests/memory && run cargo fmt --check) && echo "formatted"
}

# Each release of clippy has new opinions: they bind with the version of tools/rust-version, and are told with others.
stage_clippy() {
  version=$(run rustc --version | awk '{ print $2 }')
  deny="-D warnings"
  [ "$version" = "$(cat tools/rust-version)" ] || deny=""
  # The glue shares the folder of the core, whose own lints have just been looked at.
  sh src/rust/copy-core.sh
  # shellcheck disable=SC2086
  (cd rust && run cargo clippy --locked --all-targets -- $deny) &&
    (cd src/rust && run cargo clippy --locked --no-deps --all-targets --target-dir "$root/rust/target" -- $deny) || return 1
  if [ -n "$deny" ]; then
    echo "no warnings"
  else
    echo "rustc $version: what clippy says binds with $(cat tools/rust-version) only"
  fi
}

stage_core() {
  # The store `vault` is tested against a real one, the store `aws` against moto. Where one is missing, its tests fail and
  # say so.
  KEYCAP_TEST_BAO=$(sh tools/openbao.sh || true)
  KEYCAP_TEST_MOTO=$(sh tools/moto.sh || true)
  export KEYCAP_TEST_BAO KEYCAP_TEST_MOTO
  (cd rust && run cargo test --locked --no-fail-fast) || return 1
  # The glue's allocator stands alone, and is tested without building the glue a second time.
  run rustc --edition 2024 --test -o build/allocator-test src/rust/src/allocator.rs && build/allocator-test
}

# A client that nobody here wrote, against the sandbox.
stage_pycap() { sh tests/pycap/run.sh; }

# keycap's exports against another parser of the same bytes, and against PyCap, whose environment `pycap` has made.
stage_compare() { sh tools/install.sh && sh tests/compare/run.sh S,M; }

# Audit logs, good and bad, before three verifiers that share no code; `tests/audit/agree/run.sh` alone takes 1,000.
stage_agree() { sh tests/audit/agree/run.sh 60; }

# Whether a token is left in the memory of R; from outside, which takes Linux and its /proc.
stage_memory() {
  if [ "$(uname -s)" != Linux ]; then
    echo "not run: it reads another process's memory through /proc, as Linux has it"
    return 0
  fi
  sh tools/install.sh && sh tests/memory/run.sh
}

# A person at a terminal, played by tmux.
stage_terminal() {
  if [ "$(uname -s)" != Linux ]; then
    echo "not run: it needs a keyring of its own, as Linux has it"
    return 0
  fi
  sh tools/install.sh && sh tests/terminal/run.sh
}

stage_build() {
  sh tools/stage.sh build/stage/keycap && rm -rf build/check && mkdir -p build/check &&
    (cd build/check && run R CMD build "$root/build/stage/keycap") && ls build/check
}

# HOME is an empty folder meanwhile, and must be empty afterwards; the real one is compared too. What cargo keeps
# of its downloads is cargo's.
stage_check() {
  real_home=$HOME
  CARGO_HOME=${CARGO_HOME:-$real_home/.cargo}
  RUSTUP_HOME=${RUSTUP_HOME:-$real_home/.rustup}
  export CARGO_HOME RUSTUP_HOME
  mkdir -p build/check/home
  listing > build/check/home.before
  KEYCAP_TEST_BAO=$(sh tools/openbao.sh || true)
  export KEYCAP_TEST_BAO
  (
    cd build/check && HOME=$root/build/check/home && export HOME &&
      unset R_USER_CONFIG_DIR R_USER_DATA_DIR R_USER_CACHE_DIR XDG_CONFIG_HOME XDG_DATA_HOME XDG_CACHE_HOME &&
      NOT_CRAN=true run R CMD check --as-cran --no-manual keycap_*.tar.gz
  )
  HOME=$real_home listing > build/check/home.after
  sh tools/check-log.sh build/check/keycap.Rcheck
}

listing() {
  find "$HOME" \( -path "$HOME/.cargo" -o -path "$HOME/.rustup" -o -path "$root" \) -prune -o -print 2>/dev/null | sort
}

stage_home() {
  left=$(find build/check/home -mindepth 1)
  changed=$(diff build/check/home.before build/check/home.after)
  if [ -n "$left$changed" ]; then
    echo "the package's check left something in HOME:"
    echo "$left"
    echo "$changed"
    return 1
  fi
  echo "HOME is as it was"
}

# The counts that a stage's log ends in.
summary() {
  case $1 in
    core)
      grep -h '^test result' "build/log/$1.log" | awk '
        { passed += $4; failed += $6; ignored += $8 }
        END { printf "%d tests passed, %d failed, %d ignored", passed, failed, ignored }'
      ;;
    build) sed -n 's/^\(keycap_.*\.tar\.gz\)$/\1/p' "build/log/$1.log" | tail -n 1 ;;
    check) grep -h '^R CMD check: ' "build/log/$1.log" | tail -n 1 ;;
    *) tail -n 1 "build/log/$1.log" ;;
  esac
}

# What of a failing stage's log names the fault. Shown last, where whoever has only the end of the output still sees it.
faults() {
  case $1 in
    check)
      tail -n 6 "build/log/$1.log"
      grep -hE '\.\.\. (\[[^]]*\] )?(ERROR|WARNING)$' "build/log/$1.log"
      for file in build/check/keycap.Rcheck/tests/testthat.Rout*; do
        [ -f "$file" ] && grep -hE -A 14 '^── [0-9.]*.*(Failure|Error)' "$file"
      done
      ;;
    core) grep -hE -A 4 'FAILED$|panicked at|^error' "build/log/$1.log" ;;
    *) tail -n 15 "build/log/$1.log" ;;
  esac | cut -c 1-200 | head -n 40
}

# Seconds of CPU that the stages so far have taken. The time on the clock depends on what else the machine does.
# `times` itself must run in this shell, before.
cpu() {
  awk 'NR == 2 { for (i = 1; i <= 2; i++) { split($i, t, "[ms]"); s += t[1] * 60 + t[2] } printf "%d", s }' build/log/times
}

all="locks claims format clippy core pycap build check home compare agree memory terminal"
stages=${*:-$all}
mkdir -p build/log
table=""
failed=""
started=$(date +%s)
for stage in $stages; do
  begin=$(date +%s)
  times > build/log/times
  cpu_begin=$(cpu)
  printf '%-8s ' "$stage"
  if ("stage_$stage") > "build/log/$stage.log" 2>&1; then result=ok; else result=FAILED; failed="$failed $stage"; fi
  seconds=$(($(date +%s) - begin))
  times > build/log/times
  spent=$(($(cpu) - cpu_begin))
  line=$(printf '%-8s %-6s %4d s %4d s  %s' "$stage" "$result" "$seconds" "$spent" "$(summary "$stage")")
  printf '%-6s %4d s\n' "$result" "$seconds"
  table="$table
$line"
  if [ "$result" = FAILED ]; then
    tail -n 60 "build/log/$stage.log"
    echo "(the whole log: build/log/$stage.log)"
  fi
done
echo
case " $stages " in *" memory "*) sed -n '/^scenario/,$p' build/log/memory.log; echo ;; esac
echo "stage    result   time    CPU  what was run$table"
times > build/log/times
printf 'all      %-6s %4d s %4d s\n' "$([ -z "$failed" ] && echo ok || echo FAILED)" "$(($(date +%s) - started))" "$(cpu)"
for stage in $failed; do
  echo
  echo "$stage:"
  faults "$stage"
done
[ -z "$failed" ]
