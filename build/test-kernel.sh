#!/usr/bin/env bash
# Fetches, for the tests of the kernel's WireGuard, the distribution's kernel for virtual machines: into a cache directory,
# without installing it, so that the machine's own boot stays as it is. Needs no root. Skips what is there.
set -euo pipefail

[ "$(dpkg --print-architecture 2>/dev/null)" = amd64 ] || exit 0 # the tests say what they lack
if [ -z "${XDG_CACHE_HOME:-${HOME:-}}" ]; then
	echo "No kernel for the tests: neither XDG_CACHE_HOME nor HOME is set."
	exit 0
fi
cache=${XDG_CACHE_HOME:-$HOME/.cache}/heimdraht
[ ! -e "$cache/test-kernel/vmlinuz" ] || exit 0

# Debian's and Ubuntu's names of the newest kernel for virtual machines.
image=
for newest in linux-image-cloud-amd64 linux-image-virtual; do
	[ -n "$image" ] || image=$(apt-cache depends "$newest" 2>/dev/null | awk '$1 == "Depends:" && $2 ~ /^linux-image-[0-9]/ { print $2; exit }')
done
if [ -z "$image" ]; then
	echo "No kernel for the tests: apt knows of none (apt-get update)."
	exit 0
fi
packages=("$image")
# Ubuntu has the modules in a package of their own.
modules=linux-modules-${image#linux-image-}
[ -z "$(apt-cache show "$modules" 2>/dev/null)" ] || packages+=("$modules")

echo "Fetching a kernel for the tests into $cache/test-kernel (not installed): ${packages[*]}"
mkdir -p "$cache"
work=$(mktemp -d "$cache/fetching.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
if ! apt-get download -q "${packages[@]}"; then
	echo "No kernel for the tests: it could not be fetched."
	exit 0
fi
mkdir unpacked test-kernel
for package in *.deb; do
	dpkg -x "$package" unpacked
done
mv unpacked/boot/vmlinuz-* test-kernel/vmlinuz
found=$(find unpacked -type d -path '*/lib/modules/*/kernel' -print -quit)
mv "$found" test-kernel/modules
find test-kernel/modules -name '*.ko.xz' -exec xz -d {} +
find test-kernel/modules -name '*.ko.zst' -exec zstd -q -d --rm {} +

# Several runs may do this at once: the first one wins.
mv -T test-kernel "$cache/test-kernel" 2>/dev/null || [ -e "$cache/test-kernel/vmlinuz" ]
