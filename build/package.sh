#!/usr/bin/env bash
# For each architecture: dist/heimdraht_VERSION_linux_ARCH.tar.gz with the static programs, the licence and the example
# files; the packages for Debian and RPM, one a program; for each of Windows the laptop's agent (build/msi.sh); and dist/SHA256SUMS. Two runs on one commit give the same bytes: no
# paths, no times of the build, sorted names.
#
# VERSION names what is built, ARCHES the architectures, FORMATS of tar.gz, deb, rpm and msi, DIST the directory. Tests bring
# PROGRAMS that are built already, DEPLOY in the place of deploy/, and have no time to compress (QUICK).
set -euo pipefail
cd "$(dirname "$0")/.."

version=${VERSION:-$(git describe --tags --always --dirty)}
at=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
dist=${DIST:-dist}
deploy=${DEPLOY:-deploy}
deb=gzip rpm=gzip
[ -z "${QUICK:-}" ] || deb=none rpm=gzip:1
nfpm=${NFPM:?names the program that makes packages: make package}

# What is installed. The demo and the load generator are for people who have the source.
programs=(heimdrahtd heimdraht-gateway heimdraht-agent heimdraht)
servers=(heimdrahtd heimdraht-gateway heimdraht)

# Packages are compared by version: without a tag it is the commit's time that grows. A hyphen would begin a revision.
case $version in
v[0-9]* | [0-9]*.*) number=${version#v} ;;
*) number=0~$(date -u -d "@$at" +%Y%m%d.%H%M%S).$version ;;
esac
number=${number//-/+}

# scripts fills in what maintainer scripts of one package have of their own: what the first installation does, what stops
# with it, and what must be put back before the program goes.
scripts() {
	local unit=$1 first=$2 stop=$3 last=$4
	for script in postinst prerm; do
		sed -e "s%@UNIT@%$unit%g" -e "s%@FIRST@%$first%" -e "s%@STOP@%$stop%g" -e "s%@LAST@%$last%" \
			"deploy/package/$script" >"$stage/scripts/$unit.$script"
	done
	cp "deploy/package/$unit.postrm" "$stage/scripts/"
}

# documents are what Debian's policy asks of each package.
documents() {
	{
		cat deploy/package/copyright
		sed -e 's/^$/./' -e 's/^/ /' LICENSE
	} >"$stage/doc/copyright"
	for program in "${programs[@]}"; do
		printf '%s (%s-1) stable; urgency=medium\n\n  * Version %s.\n\n -- Heimdraht maintainers <maintainers@heimdraht.example>  %s\n' \
			"$program" "$number" "$version" "$(date -u -R -d "@$at")" | gzip -9n >"$stage/doc/$program.changelog.gz"
	done
}

# manuals compresses the pages of the manual, as Debian's policy asks too.
manuals() {
	local page
	for page in "$stage"/deploy/man/*.[18] "$stage"/deploy/man/de/*.[18]; do
		mkdir -p "$stage/$(dirname "${page#"$stage/deploy/"}")"
		gzip -9nc "$page" >"$stage/${page#"$stage/deploy/"}.gz"
	done
}

# compile builds programs; what goes before them are options.
compile() {
	CGO_ENABLED=0 GOOS=linux GOARCH=$arch go build -buildvcs=auto -trimpath -ldflags='-s -w' "$@"
}

# package makes one package of each program.
package() {
	local program
	for program in "${programs[@]}"; do
		sed -e "s%\${STAGE}%$stage%" -e "s%\${VERSION}%$number%" -e "s%\${ARCH}%$1%" -e "s%\${DEB}%$deb%" -e "s%\${RPM}%$rpm%" \
			-e "s%\${DATE}%$(date -u -d "@$at" +%Y-%m-%dT%H:%M:%SZ)%" "deploy/package/$program.yaml" >"$stage/nfpm.yaml"
		SOURCE_DATE_EPOCH=$at "$nfpm" package --config "$stage/nfpm.yaml" --packager "$2" --target "$dist/" |
			sed -n 's/^created package: //p'
	done
}

# wixl is a package of distributions, not a Go module that could be built here.
if [ -n "${FORMATS:-}" ]; then
	formats=$FORMATS
elif command -v wixl >/dev/null && command -v msibuild >/dev/null; then
	formats="tar.gz deb rpm msi"
else
	formats="tar.gz deb rpm"
	echo "No installer for Windows: wixl and msibuild are not installed (Debian's packages wixl and msitools)." >&2
fi

rm -rf "$dist"
mkdir -p "$dist"
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
mkdir "$stage/doc" "$stage/scripts"
cp -r "$deploy" "$stage/deploy"
documents
manuals
scripts heimdrahtd 'echo "heimdrahtd is to be set up: heimdrahtd init (as the user heimdraht), then systemctl enable --now heimdrahtd"' \
	'heimdrahtd.service heimdraht-backup.timer heimdraht-backup.service' ':'
scripts heimdraht-gateway 'echo "heimdraht-gateway is to join its control plane: heimdraht-gateway join, then systemctl enable --now heimdraht-gateway"' \
	'heimdraht-gateway.service heimdraht-gateway-tunnels.service' 'heimdraht-gateway clear || true'
scripts heimdraht-agent 'systemctl enable --quiet heimdraht-agent.service; [ ! -d /run/systemd/system ] || act start heimdraht-agent.service' \
	'heimdraht-agent.service' 'heimdraht-agent clear || true'

for arch in ${ARCHES:-amd64 arm64}; do
	name="heimdraht_${version}_linux_$arch"
	rm -rf "$stage/bin"
	if [ -n "${PROGRAMS:-}" ]; then # built already
		mkdir "$stage/bin"
		cp "${programs[@]/#/$PROGRAMS/}" "$stage/bin/"
	else
		compile -o "$stage/bin/" "${servers[@]/#/./cmd/}"
		# Who installs packages may make interfaces: the agent in them does without a network stack of its own.
		compile -tags "$(cat build/agent-tags)" -o "$stage/bin/" ./cmd/heimdraht-agent
	fi
	find "$stage" -exec touch -h -d "@$at" {} +
	for format in $formats; do
		case $format in
		tar.gz)
			mkdir "$stage/$name"
			cp -r "$stage"/bin/* LICENSE "$stage/deploy" "$stage/$name/"
			# The one in the archive is for people without rights too.
			[ -n "${PROGRAMS:-}" ] || compile -o "$stage/$name/" ./cmd/heimdraht-agent
			tar --sort=name --mtime="@$at" --owner=0 --group=0 --numeric-owner --mode='u=rwX,go=rX' \
				-C "$stage" -cf - "$name" | gzip -9n >"$dist/$name.tar.gz"
			echo "$dist/$name.tar.gz"
			;;
		msi) VERSION=$version SOURCE_DATE_EPOCH=$at DIST=$dist ARCHES=$arch PROGRAM='' build/msi.sh ;;
		*) package "$arch" "$format" ;;
		esac
	done
done
(cd "$dist" && sha256sum -- heimdraht* >SHA256SUMS)
