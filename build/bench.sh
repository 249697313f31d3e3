#!/usr/bin/env bash
# Benchmarks of those of our packages that have some, so that the output is benchmark lines and little else.
# Arguments: those of go test, then packages (./... or directories).
set -euo pipefail
cd "$(dirname "$0")/.."

flags=() patterns=()
for argument in "$@"; do
	case "$argument" in
	./*) patterns+=("$argument") ;;
	*) flags+=("$argument") ;;
	esac
done

go=${GO:-go}
# Both kinds of test files, of packages that have any.
format='{{$d := .Dir}}{{range .TestGoFiles}}{{$d}}/{{.}}{{"\n"}}{{end}}{{range .XTestGoFiles}}{{$d}}/{{.}}{{"\n"}}{{end}}'
mapfile -t directories < <("$go" list -f "$format" "${patterns[@]}" | sed '/^$/d' |
	xargs -r grep -l '^func Benchmark' | xargs -r -n1 dirname | sort -u)
if [ ${#directories[@]} -eq 0 ]; then
	echo 'no package has a benchmark' >&2
	exit 1
fi
exec "$go" test -run '^$' -benchmem "${flags[@]}" "${directories[@]}"
