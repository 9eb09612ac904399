#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs the Debian packages of packages.txt, of python/packages.txt and of the command line that are missing. Does
# nothing, quickly, when all are there.
set -eu

here=$(dirname "$0")
list=$(cat "$here/packages.txt" "$here/../python/packages.txt" | grep -v '^#' | sort -u)
list="$list $*"

if ! command -v dpkg-query >/dev/null; then
	echo "install-deps: not a Debian system; what is needed is, by its Debian names:" $list >&2
	exit 0
fi

missing=
# dpkg-query names those it does not know on its standard error only, so ask what is there.
there=$(dpkg-query -W -f='${db:Status-Abbrev}${Package}\n' $list 2>/dev/null | sed -n 's/^ii *//p') || true
for package in $list; do
	case "
$there
" in
	*"
$package
"*) ;;
	*) missing="$missing $package" ;;
	esac
done
[ -n "$missing" ] || exit 0

echo "install-deps: installing$missing" >&2
if [ "$(id -u)" = 0 ]; then
	root=
elif command -v sudo >/dev/null; then
	root=sudo
else
	echo "install-deps: run as root: apt-get install -y --no-install-recommends$missing" >&2
	exit 1
fi
# The lists may be absent or old on a fresh machine: fetch them when the first attempt fails.
install() {
	$root env DEBIAN_FRONTEND=noninteractive apt-get -y -qq --no-install-recommends install $missing >&2
}
install || { $root apt-get -qq update >&2 && install; }
