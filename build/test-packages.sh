#!/usr/bin/env bash
# Installs what the tests need from the distribution's packages, on Debian and Ubuntu. Says so first, skips what
# is there, and leaves no service running: tests start their own on loopback addresses.
set -euo pipefail

# postgresql: the tests start a server of their own; dbus-daemon: the tests' own bus, on which they play systemd-resolved; bind9-dnsutils: dig; rsyslog and rsyslog-gnutls: a collector of the audit log; prometheus: promtool, which judges the metrics; e2fsprogs and mount: disks that turn read-only; chromium and fonts-dejavu-core: the laptop's pages, which axe-core judges in it; gcc and libc6-dev: the race detector; systemd, debootstrap and rpm: the packages are installed into a small Debian, and looked into; wixl and msitools: the installer for Windows is built, and looked into.
wanted=(slapd slapd-contrib ldap-utils 389-ds-base samba-ad-dc samba-ad-provision winbind smbclient ldb-tools postgresql dbus-daemon iproute2 nftables iputils-ping bind9-dnsutils ca-certificates curl rsyslog rsyslog-gnutls prometheus e2fsprogs mount chromium fonts-dejavu-core gcc libc6-dev systemd debootstrap rpm wixl msitools)
# The virtual machine whose kernel has WireGuard (internal/kerneltest).
[ "$(uname -m)" != x86_64 ] || wanted+=(qemu-system-x86)

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
	echo "This is not Debian or Ubuntu: tests that need one of these packages are skipped where it is missing: ${wanted[*]}"
	exit 0
fi

missing=()
for package in "${wanted[@]}"; do
	status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
	[ "$status" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
	# Without a terminal sudo must not wait for a password.
	if ! command -v sudo >/dev/null || { [ ! -t 0 ] && ! sudo -n true 2>/dev/null; }; then
		echo "Tests need these packages, and installing them needs root: ${missing[*]}"
		echo "Tests that need them are skipped."
		exit 0
	fi
	as_root=(sudo)
fi

echo "Installing what tests need: ${missing[*]}"

# Debian starts a service as soon as its package is installed, unless this script says no (exit 101).
policy=/usr/sbin/policy-rc.d
laid_down=
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
	"${as_root[@]}" chmod 755 "$policy"
	laid_down=1
fi
finish() {
	[ -z "$laid_down" ] || "${as_root[@]}" rm -f "$policy"
}
trap finish EXIT

"${as_root[@]}" apt-get update -q
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"

# Nor may it start with the machine. Only where we brought it: one that was here has its own purpose.
for service in slapd postgresql samba-ad-dc smbd nmbd winbind prometheus; do
	package=$service
	case $service in smbd | nmbd) package=samba-ad-dc ;; esac # which brings them along
	[[ " ${missing[*]} " == *" $package "* ]] || continue
	if command -v systemctl >/dev/null && [ -d /run/systemd/system ]; then
		"${as_root[@]}" systemctl disable --now "$service"
	elif command -v update-rc.d >/dev/null; then
		"${as_root[@]}" update-rc.d "$service" disable
	fi
done
