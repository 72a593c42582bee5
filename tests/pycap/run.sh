#!/bin/sh
# PyCap, a REDCap client that nobody here wrote, against the sandbox. Prints one line; exits 0 if all is right.
# Makes its own Python environment under rust/target the first time (needs PyPI); a second run is quick.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
rust=$(cd "$here/../../rust" && pwd)
target=${CARGO_TARGET_DIR:-$rust/target}
venv=$target/pycap-venv
mkdir -p "$target"
stamp=$venv/requirements.txt

if ! cmp -s "$here/requirements.txt" "$stamp"; then
    rm -rf "$venv"
    if ! python3 -m venv "$venv" >"$target/pycap-venv.log" 2>&1; then
        echo "pycap: no Python environment can be made; on Debian and Ubuntu: apt-get install python3-venv" >&2
        exit 1
    fi
    if ! "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt" \
        >>"$target/pycap-venv.log" 2>&1; then
        echo "pycap: PyCap cannot be installed:" >&2
        tail -n 5 "$target/pycap-venv.log" >&2
        exit 1
    fi
    # Written last: a half-made environment is made again.
    cp "$here/requirements.txt" "$stamp"
fi

if ! (cd "$rust" && cargo build --example sandbox) >"$target/pycap-build.log" 2>&1; then
    echo "pycap: the sandbox does not build:" >&2
    tail -n 20 "$target/pycap-build.log" >&2
    exit 1
fi
exec "$venv/bin/python" -B "$here/check.py" "$target/debug/examples/sandbox"
