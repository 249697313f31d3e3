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
trap 'rm -f "$HEIMDRAHT_SKIP_LOG"' EXIT

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
