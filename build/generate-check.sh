#!/usr/bin/env bash
# Compares generated Go with what the .proto files give now, in both directions, and docs/refusals.md with the
# catalogue. (The tables of docs/data-protection.md a test compares.) Expects buf and its plugins in PATH.
set -euo pipefail
cd "$(dirname "$0")/.."

fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT

buf generate -o "$fresh"
# The lists first: a .pb.go whose .proto file has gone is a difference too.
list() { (cd "$1" && find . -name '*.pb.go' | sort); }
if ! diff <(list "$fresh/proto") <(list proto) ||
	! list "$fresh/proto" | (while read -r f; do cmp "$fresh/proto/$f" "proto/$f" || exit 1; done) ||
	! "${GO:-go}" run ./build/refusals | diff - docs/refusals.md; then
	echo 'generated files are not current: run make generate' >&2
	exit 1
fi
