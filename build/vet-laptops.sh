#!/usr/bin/env bash
# go vet, tests included, of what runs on laptops, for the systems that laptops have, and a build for the processors
# beside. Without cgo, as it is built.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=()
for directory in agent cmd/heimdraht-agent cmd/heimdraht; do
	[ ! -d "$directory" ] || packages+=("./$directory/...")
done
[ ${#packages[@]} -gt 0 ] || exit 0

for system in windows/amd64 darwin/arm64; do
	echo "go vet for $system: ${packages[*]}"
	CGO_ENABLED=0 GOOS=${system%/*} GOARCH=${system#*/} "${GO:-go}" vet "${packages[@]}"
done
for system in windows/arm64 darwin/amd64; do
	echo "go build for $system: ./cmd/heimdraht-agent"
	CGO_ENABLED=0 GOOS=${system%/*} GOARCH=${system#*/} "${GO:-go}" build -tags "$(cat build/agent-tags)" -o /dev/null ./cmd/heimdraht-agent
done
