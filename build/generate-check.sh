#!/usr/bin/env bash
# Compares generated Go with what the .proto files give now, in both directions. Expects buf and its plugins in PATH.
set -euo pipefail
cd "$(dirname "$0")/.."

fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT

buf generate -o "$fresh"
# Both sides without the .proto files: a leftover .pb.go counts as a difference too.
if ! diff -rq --exclude='*.proto' --exclude='*.binpb' "$fresh/proto" proto; then
	echo 'generated files are not current: run make generate' >&2
	exit 1
fi
