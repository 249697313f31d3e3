#!/usr/bin/env bash
# go test with the given arguments (flags, then packages), and then, as the last lines, what was skipped and why.
# In CI a skipped test is a failed one (internal/testneed).
#
# Packages that WITHOUT_RACE (an extended regular expression) matches come second, without the flags in RACE. One package
# more runs at a time than there are processors: many wait for programs, disks and the network most of the time. The
# longest of the second come last in the list, so they are begun from its end.
set -euo pipefail
cd "$(dirname "$0")/.."

go=${GO:-go}
# `make lint` vets everything, once.
always=(-vet=off -p "$(($(nproc) + 1))")
read -ra race <<<"${RACE:-}"
flags=() patterns=()
for argument in "$@"; do
	case "$argument" in
	./*) patterns+=("$argument") ;;
	*) flags+=("$argument") ;;
	esac
done
list=$("$go" list "${patterns[@]}") # in a statement of its own: its failure is ours
mapfile -t packages <<<"$list"
first=() second=()
for package in "${packages[@]}"; do
	if [[ -n ${WITHOUT_RACE:-} && $package =~ $WITHOUT_RACE ]]; then
		second=("$package" "${second[@]}")
	else
		first+=("$package")
	fi
done

# A name of its own for each run: Go's test cache then re-runs the packages that skipped something.
HEIMDRAHT_SKIP_LOG=$(mktemp)
export HEIMDRAHT_SKIP_LOG
trap 'rm -rf "$HEIMDRAHT_SKIP_LOG" "${memory:-}"' EXIT

# Every commit of every test's database is written through to the disk. None is read after its test, nor after a machine
# that fails, so they lie in memory where there is enough of it: the tests end in two thirds of the time. The go command's own
# files stay on the disk.
if [ -z "${TMPDIR:-}" ] && [ "$(stat -f -c %T /dev/shm 2>/dev/null)" = tmpfs ] &&
	[ "$(df -k --output=avail /dev/shm | tail -n 1)" -ge $((8 << 20)) ]; then
	memory=$(mktemp -d /dev/shm/hd.XXXXXX)
	chmod 0755 "$memory" # other users run servers in it
	printf '#!/bin/sh\n' >"$memory/runs" && chmod +x "$memory/runs"
	if "$memory/runs" 2>/dev/null; then
		export GOTMPDIR=${GOTMPDIR:-/tmp} TMPDIR=$memory
	fi
fi

status=0
if [ ${#first[@]} -gt 0 ]; then
	"$go" test "${race[@]}" "${always[@]}" "${flags[@]}" "${first[@]}" || status=$?
fi
if [ ${#second[@]} -gt 0 ]; then
	"$go" test "${always[@]}" "${flags[@]}" "${second[@]}" || status=$?
fi

if [ -s "$HEIMDRAHT_SKIP_LOG" ]; then
	echo
	echo "Skipped tests, and why:"
	awk -F'\t' -v root="$PWD/" '{ sub(root, "", $2); printf "  %s %s: %s\n", $2, $3, $1 }' "$HEIMDRAHT_SKIP_LOG" | sort -u
elif [ "$status" -eq 0 ]; then
	echo "No test was skipped for want of something on this machine."
fi
exit "$status"
