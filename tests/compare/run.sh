#!/bin/sh
# keycap's exports, cell by cell: against what Python's csv module reads in the same bytes, for generated projects of
# the sizes given (`S,M` if none), and against what PyCap gets. The package has to be installed in build/library.
#
#   sh tests/compare/run.sh S,M,L
#   sh tests/compare/run.sh S,M readers    # also what Arrow and DuckDB read in the file (installs both from PyPI)
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
if [ "${2:-}" = readers ]; then
  venv=$root/build/readers-venv
  if ! [ -x "$venv/bin/python" ]; then
    python3 -m venv "$venv"
  fi
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check pyarrow==26.0.1 duckdb==2.0.0
  "$venv/bin/python" -B "$here/readers.py" "$folder"/SIZE_*.csv
fi
