#!/usr/bin/env bash
# dist/heimdraht_VERSION_linux_ARCH.tar.gz with the static programs, the licence and the example files, and
# dist/SHA256SUMS. Two runs on one commit give the same bytes: no paths, no times of the build, sorted names.
set -euo pipefail
cd "$(dirname "$0")/.."

version=${VERSION:-$(git describe --tags --always --dirty)}
at=$(git log -1 --format=%ct)

# What is installed. The demo and the load generator are for people who have the source.
programs=()
for program in heimdrahtd heimdraht-gateway heimdraht-agent heimdraht; do
	[ ! -d "cmd/$program" ] || programs+=("./cmd/$program")
done
if [ ${#programs[@]} -eq 0 ]; then
	echo 'there is no program to package in cmd/' >&2
	exit 1
fi

rm -rf dist
mkdir -p dist
for arch in amd64 arm64; do
	name="heimdraht_${version}_linux_$arch"
	echo "dist/$name.tar.gz"
	mkdir "dist/$name"
	CGO_ENABLED=0 GOOS=linux GOARCH=$arch go build -buildvcs=auto -trimpath -ldflags='-s -w' -o "dist/$name/" "${programs[@]}"
	cp LICENSE "dist/$name/"
	[ ! -d deploy ] || cp -r deploy "dist/$name/"
	tar --sort=name --mtime="@$at" --owner=0 --group=0 --numeric-owner --mode='u=rwX,go=rX' \
		-C dist -cf - "$name" | gzip -9n >"dist/$name.tar.gz"
	rm -r "dist/${name:?}"
done
(cd dist && sha256sum -- *.tar.gz >SHA256SUMS)
