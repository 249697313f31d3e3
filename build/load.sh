#!/usr/bin/env bash
# Benchmark lines of the load generator: on SQLite, and on PostgreSQL where its programs are installed. Arguments: those
# of heimdraht-bench, with those in LOAD_POSTGRES behind them on PostgreSQL. A --bench that matches none of its benchmarks is no error: it was meant for others.
set -euo pipefail
cd "$(dirname "$0")/.."

bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
CGO_ENABLED=0 "${GO:-go}" build -o "$bin/" ./cmd/heimdraht-bench ./cmd/heimdrahtd

status=0
said=$("$bin/heimdraht-bench" "$@" --list 2>&1 >/dev/null) || status=$?
if [[ "$status" -ne 0 && "$said" == *'no benchmark matches'* ]]; then
	exit 0
fi
"$bin/heimdraht-bench" --heimdrahtd "$bin/heimdrahtd" "$@"
read -ra more <<<"${LOAD_POSTGRES:-}"
if command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; then
	"$bin/heimdraht-bench" --heimdrahtd "$bin/heimdrahtd" --database postgres "$@" "${more[@]}"
else
	echo 'No load was generated on PostgreSQL: it is not installed.' >&2
fi
