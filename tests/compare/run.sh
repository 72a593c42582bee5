#!/bin/sh
# keycap's exports, cell by cell: against what Python's csv module reads in the same bytes, for generated projects of
# the sizes given (`S,M` if none), and against what PyCap gets. The package has to be installed in build/library.
#
#   sh tests/compare/run.sh S,M,L
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
python=${CARGO_TARGET_DIR:-$root/rust/target}/pycap-venv/bin/python
if ! [ -x "$python" ]; then
  echo "compare: PyCap is not there; \`sh tests/pycap/run.sh\` installs it" >&2
  exit 1
fi
folder=$(mktemp -d "${TMPDIR:-/tmp}/keycap-compare-XXXXXX")
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' HUP INT TERM
sh "$root/tools/with-r.sh" Rscript --vanilla "$here/export.R" "$folder" "${1:-S,M}" "$python"
python3 -B "$here/compare.py" "$folder"
