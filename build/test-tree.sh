#!/usr/bin/env bash
# Makes, for the tests of the packages, a small Debian with systemd of the distribution's packages: in a cache directory, for
# tests to lay their own layer over. Needs root. Skips what is there.
set -euo pipefail

if [ -z "${XDG_CACHE_HOME:-${HOME:-}}" ]; then
	echo "No Debian for the tests: neither XDG_CACHE_HOME nor HOME is set."
	exit 0
fi
cache=${XDG_CACHE_HOME:-$HOME/.cache}/heimdraht
[ ! -e "$cache/test-tree/etc/debian_version" ] || exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v debootstrap >/dev/null; then
	echo "No Debian for the tests: making one takes root's rights and debootstrap."
	exit 0
fi
# Where this machine has its own packages from.
uri=$(apt-get download --print-uris base-files 2>/dev/null | cut -d "'" -f 2) || true
suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
if [[ $uri != */pool/* || -z $suite ]]; then
	echo "No Debian for the tests: apt does not say from where it could be (apt-get update)."
	exit 0
fi

echo "Making a Debian for the tests in $cache/test-tree (once): $suite"
mkdir -p "$cache"
work=$(mktemp -d "$cache/making.XXXXXX")
trap 'rm -rf "$work"' EXIT
if ! debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,iproute2 "$suite" "$work/tree" "${uri%%/pool/*}" >"$work/log" 2>&1; then
	tail -n 5 "$work/log"
	echo "No Debian for the tests: it could not be made."
	exit 0
fi
rm -rf "$work"/tree/var/cache/apt/archives/*.deb "$work"/tree/var/lib/apt/lists/*

# Several runs may do this at once: the first one wins.
mv -T "$work/tree" "$cache/test-tree" 2>/dev/null || [ -e "$cache/test-tree/etc/debian_version" ]
