#!/bin/sh
# Each claim in vignettes/protection.Rmd names the tests that hold it. This fails when a claim names none, or when a
# test that is named does not exist, is ignored or is skipped.
#
# A claim is a paragraph that begins with `**`, below the heading "What keycap protects". Its tests stand in it as
# `[Held by ...]{.tests}`, each in backquotes: a Rust test by its name, a test of the R package by its description,
# a scenario of the memory tests as `memory: <scenario>`.
set -eu
cd "$(dirname "$0")/.."
vignette=${1:-vignettes/protection.Rmd}

# The claims, one a line: the claim's first words, a tab, its tests with tabs between them.
claims() {
  awk '
    /^## /  { flush(); inside = ($0 ~ /^## What keycap protects/) }
    /^$/    { flush(); next }
    inside  { text = text (text == "" ? "" : " ") $0 }
    END     { flush() }
    function flush(   name, held, n, part, i) {
      if (text ~ /^\*\*/) {
        name = text; sub(/^\*\*/, "", name); sub(/\*\*.*/, "", name)
        held = ""
        if (match(text, /\[Held by .*\]\{\.tests\}/)) {
          n = split(substr(text, RSTART, RLENGTH), part, "`")
          for (i = 2; i <= n; i += 2) held = held "\t" part[i]
        }
        print name held
      }
      text = ""
    }
  ' "$1"
}

# The tests that exist and run: Rust functions below `#[test]` or its kin that are not ignored, and descriptions of
# `test_that()` whose block is not skipped.
rust_tests() {
  find rust/src rust/tests src/rust/src tests -name '*.rs' -not -path '*/target/*' -print | while read -r file; do
    awk '
      /^[[:space:]]*#\[(tokio::)?test[](]/ { test = 1; next }
      /^[[:space:]]*#\[ignore/             { test = 0; next }
      test && match($0, /fn [a-z0-9_]+/)   { print substr($0, RSTART + 3, RLENGTH - 3); test = 0 }
    ' "$file"
  done
}

r_tests() {
  cat tests/testthat/test-*.R | awk '
    match($0, /^test_that\("/) {
      name = substr($0, RSTART + RLENGTH)
      sub(/", *\{ *$/, "", name)
      gsub(/\\"/, "\"", name)
      next
    }
    /skip(_if|_if_not)?\(/  { name = "" }
    /^\}\)/ && name != "" { print name; name = "" }
  '
}

# The memory tests name what happens in a table of their own.
scenarios() {
  [ ! -f tests/memory/src/scenario.rs ] || awk '
    match($0, /(test|alone)\("[^"]+"/) {
      name = substr($0, RSTART, RLENGTH)
      gsub(/^[a-z]+\("|"$/, "", name)
      print "memory: " name
    }
  ' tests/memory/src/scenario.rs
}

missing=0
known=$(mktemp)
trap 'rm -f "$known"' EXIT
{ rust_tests; r_tests; scenarios; } > "$known"

check() {
  claims "$1" | {
    n=0
    tests=0
    bad=0
    while IFS= read -r line; do
      n=$((n + 1))
      claim=${line%%	*}
      rest=${line#"$claim"}
      if [ -z "$rest" ]; then
        echo "no test holds the claim \"$claim\""
        bad=1
      fi
      while [ -n "$rest" ]; do
        rest=${rest#	}
        name=${rest%%	*}
        rest=${rest#"$name"}
        tests=$((tests + 1))
        if ! grep -qxF -- "$name" "$known"; then
          echo "there is no test \"$name\" (claim \"$claim\")"
          bad=1
        fi
      done
    done
    if [ "$n" -eq 0 ]; then
      echo "no claims were found"
      bad=1
    fi
    [ "$bad" -eq 0 ] && echo "$n claims, $tests tests, all there"
  }
}

# First that this check bites: a claim without a test, and one with a test that does not exist.
for claim in '**A.** Text.' '**A.** [Held by `no_such_test`.]{.tests}' '**A.** [Held by `no such test`.]{.tests}' ''; do
  planted=$(mktemp)
  printf '## What keycap protects\n\n%s\n' "$claim" > "$planted"
  if check "$planted" > /dev/null; then missing=1; fi
  rm -f "$planted"
  if [ "$missing" -ne 0 ]; then
    echo "the check does not see a planted fault: $claim"
    exit 1
  fi
done
check "$vignette"
