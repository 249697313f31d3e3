#!/usr/bin/env bash
# go test with the given arguments, and then, as the last lines, what was skipped and why.
# In CI a skipped test is a failed one (internal/testneed).
set -euo pipefail
cd "$(dirname "$0")/.."

# A name of its own for each run: Go's test cache then re-runs the packages that skipped something.
HEIMDRAHT_SKIP_LOG=$(mktemp)
export HEIMDRAHT_SKIP_LOG
trap 'rm -f "$HEIMDRAHT_SKIP_LOG"' EXIT

status=0
"${GO:-go}" test "$@" || status=$?

if [ -s "$HEIMDRAHT_SKIP_LOG" ]; then
	echo
	echo "Skipped tests, and why:"
	awk -F'\t' -v root="$PWD/" '{ sub(root, "", $2); printf "  %s %s: %s\n", $2, $3, $1 }' "$HEIMDRAHT_SKIP_LOG" | sort -u
elif [ "$status" -eq 0 ]; then
	echo "No test was skipped for want of something on this machine."
fi
exit "$status"
