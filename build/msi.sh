#!/usr/bin/env bash
# For each architecture: dist/heimdraht-agent_VERSION_windows_ARCH.msi, the laptop's agent for Windows, by wixl of the distribution's
# package of that name. Two runs on one commit give the same bytes: what wixl draws at random or takes from the clock follows
# from the version, the architecture and the commit's time.
#
# VERSION names what is built, ARCHES the architectures, DIST the directory. Tests bring PROGRAM, which is built already.
set -euo pipefail
cd "$(dirname "$0")/.."

version=${VERSION:-$(git describe --tags --always --dirty)}
at=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
dist=${DIST:-dist}

export TZ=UTC # times without a zone stand in the cabinet and in the summary

# Windows compares three numbers, of which the last has 16 bits. Without a tag they are the minutes of the commit since 2025 began.
if [[ $version =~ ^v?([0-9]+)\.([0-9]+)\.([0-9]+) ]]; then
	number=${BASH_REMATCH[1]}.${BASH_REMATCH[2]}.${BASH_REMATCH[3]}
else
	minutes=$(((at - 1735689600) / 60))
	number=0.$((minutes >> 16)).$((minutes & 65535))
fi

# guid is one that follows from words.
guid() {
	local h
	h=$(printf '%s\n' "heimdraht-agent" "$@" | sha256sum | tr a-f A-F)
	printf '{%s-%s-5%s-8%s-%s}' "${h:0:8}" "${h:8:4}" "${h:12:3}" "${h:15:3}" "${h:18:12}"
}

# change edits one table as text.
change() {
	msiinfo export "$stage/agent.msi" "$1" | sed -E "$2" >"$stage/table.idt"
	msibuild "$stage/agent.msi" -i "$stage/table.idt"
}

mkdir -p "$dist"
dist=$(cd "$dist" && pwd)
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
sed 's/$/\r/' LICENSE >"$stage/LICENSE.txt"
cp deploy/package/heimdraht-agent.wxs "$stage/"

for arch in ${ARCHES:-amd64 arm64}; do
	msi=heimdraht-agent_${version}_windows_$arch.msi
	case $arch in amd64) platform=x64 ;; arm64) platform=Arm64 ;; *) echo "no Windows has the processor $arch" >&2 && exit 2 ;; esac
	if [ -n "${PROGRAM:-}" ]; then
		cp "$PROGRAM" "$stage/heimdraht-agent.exe"
	else
		CGO_ENABLED=0 GOOS=windows GOARCH=$arch go build -tags "$(cat build/agent-tags)" -buildvcs=auto -trimpath -ldflags='-s -w' -o "$stage/" ./cmd/heimdraht-agent
	fi
	find "$stage" -exec touch -h -d "@$at" {} +
	# In its folder, because wixl takes no absolute names. Of Arm it knows nothing; the word that differs is changed below.
	(cd "$stage" && wixl -a x64 -D Version="$number" -D ProductCode="$(guid product "$number" "$version" "$arch")" -o agent.msi heimdraht-agent.wxs)

	# What wixl cannot say. Public properties reach the side of the installer that has rights only if they are listed. The same
	# version, built anew, is an upgrade as well (513). The former version goes before anything of this one is written into the
	# script, and comes back if this one fails (1510). The shortcut's window stays small (7): the browser is what opens. The
	# times are the commit's.
	change Property 's%^(SecureCustomProperties)\t%\1\tSERVER;CA_SHA256;TENANT;START;SHARED;%'
	change Upgrade 's%\t1\t\tWIX_UPGRADE_DETECTED%\t513\t\tWIX_UPGRADE_DETECTED%'
	change InstallExecuteSequence 's%^(RemoveExistingProducts\t.*\t)[0-9]+%\11510%'
	change Shortcut 's%^(Open(\t[^\t]*){9}\t)\t%\17\t%'
	change _SummaryInformation "s%^(12|13)\t.*%\1\t$(date -u -d "@$at" '+%Y/%m/%d %H:%M:%S')\r%; s%^(7)\t.*%\1\t$platform;1033\r%
		s%^(9)\t.*%\1\t$(guid package "$number" "$version" "$arch" "$at" "$(sha256sum <"$stage/heimdraht-agent.exe")")\r%"
	mv "$stage/agent.msi" "$dist/$msi"
	echo "$dist/$msi"
done
