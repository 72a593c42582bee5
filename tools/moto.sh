#!/bin/sh
# Prints the folder of the programs `moto_server` (AWS, played) and `aws` that the tests start: the one that KEYCAP_TEST_MOTO
# names, or that of build/moto.
set -eu
cd "$(dirname "$0")/.."
for folder in ${KEYCAP_TEST_MOTO:+"$KEYCAP_TEST_MOTO"} "$PWD/build/moto/bin"; do
  if [ -x "$folder/moto_server" ] && [ -x "$folder/aws" ]; then
    echo "$folder"
    exit 0
  fi
done
echo "moto or the AWS CLI is missing: \`sh tools/setup.sh test\` installs them" >&2
exit 1
