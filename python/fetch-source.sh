#!/bin/sh
# SPDX-License-Identifier: MIT
# Fetches the source package of Debian 12's Python, or of another release's, and unpacks it, with Debian's patches, as DIR.
#   fetch-source.sh DIR [PACKAGE SUITE]
# apt is given a source list, state and cache of its own under DIR.apt; the system's stay as they are.
set -eu

dir=$1
package=${2:-python3.11}
suite=${3:-bookworm}
mirror=${DEBIAN_MIRROR:-http://deb.debian.org}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
apt=$dir.apt

fail() {
	echo "fetch-source.sh: $*" >&2
	exit 1
}
command -v dpkg-source >/dev/null || fail "dpkg-source: missing (package dpkg-dev)"
[ -r $keyring ] || fail "$keyring: missing (package debian-archive-keyring); or give PYTHON_SRC=DIR"

mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/download"
cat >"$apt/sources.list" <<EOF
deb-src [signed-by=$keyring] $mirror/debian $suite main
deb-src [signed-by=$keyring] $mirror/debian-security $suite-security main
EOF
set -- -q -o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null \
	-o Dir::State::lists="$apt/lists" -o Dir::Cache="$apt/cache" -o APT::Sandbox::User=root
apt-get "$@" update >"$apt/log" 2>&1 || fail "apt-get update with $apt/sources.list failed, see $apt/log; or give PYTHON_SRC=DIR"

# The newest whose files are there: an index can be ahead of the pool, and says so when it is.
got=
for version in $(apt-cache "$@" showsrc $package | sed -n 's/^Version: //p' | sort -rV); do
	if (cd "$apt/download" && apt-get "$@" source --download-only "$package=$version" >>"$apt/log" 2>&1); then
		got=$version
		break
	fi
	echo "fetch-source.sh: $package $version is in the index but cannot be had; trying the one before" >&2
done
[ -n "$got" ] || fail "no version of $package can be had, see $apt/log; or give PYTHON_SRC=DIR"
rm -rf "$dir.new"
dpkg-source -x "$apt/download/${package}_${got#*:}.dsc" "$dir.new" >>"$apt/log" 2>&1 ||
	fail "$package $got does not unpack, see $apt/log"
rm -rf "$dir"
mv "$dir.new" "$dir"
echo "fetch-source.sh: $package $got" >&2
