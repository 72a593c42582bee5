#!/bin/sh
# Judges an R CMD check by its folder (the argument): no error, no warning, no note but those that a first submission
# and a machine without the internet cause, and every test of testthat run, none skipped. Prints the counts. R notes
# whatever takes up more than 5 MB; the shared object, which holds a whole HTTPS client and AWS's ways of signing in, may
# have 8 MB (DEVELOPMENT.md says what it has, and what would make it smaller).
set -eu
log=$1/00check.log
tests=$1/tests/testthat.Rout

# A verdict stands at the end of a check's line, or on a line of its own below what the check printed.
bad=$(awk '
  /^\* checking / { check = $0; sub(/ \.\.\..*/, "", check) }
  check ~ /installed package size/ && $1 == "libs" { if ($2 + 0 > 8) print "the shared object takes up " $2 ": more than 8 MB" }
  /(^| )(ERROR|WARNING|NOTE)$/ && !/^Status:/ {
    if ($NF == "NOTE" && check ~ /CRAN incoming feasibility|future file timestamps|installed package size/) next
    print check ": " $NF
  }' "$log")
status=$(sed -n 's/^Status: //p' "$log")
counts=$(grep -h -o 'FAIL [0-9]* | WARN [0-9]* | SKIP [0-9]* | PASS [0-9]*' "$tests" "$tests.fail" 2>/dev/null | tail -n 1)

echo "R CMD check: ${status:-it did not come to an end}; testthat: ${counts:-it did not come to an end}"
case $status in
  '' | *ERROR* | *WARNING*) bad="$bad " ;;
esac
if [ -n "$bad" ]; then
  echo "$bad"
  exit 1
fi
case $counts in
  'FAIL 0 | WARN 0 | SKIP 0 | PASS 0') echo "no test ran"; exit 1 ;;
  'FAIL 0 | WARN 0 | SKIP 0 | PASS '*) ;;
  *) exit 1 ;;
esac
