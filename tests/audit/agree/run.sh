#!/bin/sh
# The three verifiers of audit logs over generated ones: `sh tests/audit/agree/run.sh [COUNT] [SEED]`, 1,000 by default.
set -eu
cd "$(dirname "$0")/../../.."
count=${1:-1000}
seed=${2:-1}
(cd rust && sh ../tools/with-r.sh cargo build --locked --quiet --example audit_verify)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 tests/audit/agree/generate.py "$folder" "$count" "$seed"
python3 tests/audit/agree/agree.py "$folder" "${CARGO_TARGET_DIR:-rust/target}/debug/examples/audit_verify" sh
