#!/bin/sh
# SPDX-License-Identifier: MIT
# Makes a tree to build from: a copy of a CPython source tree with Thaw's patches.
#   prepare-source.sh FROM TO [MODULE...]
# MODULEs, as Tools' freeze_modules.py writes them, are frozen beside those that CPython freezes.
set -eu

from=$1
to=$2
shift 2
here=$(dirname "$0")

fail() {
	echo "prepare-source.sh: $*" >&2
	exit 1
}
[ -f "$from/Modules/main.c" ] || fail "$from: no CPython source there (no Modules/main.c)"
[ ! -e "$from/pyconfig.h" ] || fail "$from: has been built in; run make distclean there or take a clean copy"

rm -rf "$to.new" "$to"
mkdir -p "$to.new"
(cd "$from" && tar -cf - --exclude=./Doc --exclude=./debian --exclude=./.pc --exclude=./.git --exclude=__pycache__ .) |
	tar -xf - -C "$to.new"
for patch in "$here"/patches/*.patch; do
	patch -s -p1 --no-backup-if-mismatch -d "$to.new" <"$patch" || fail "${patch##*/} does not apply to $from"
done
if [ $# -gt 0 ]; then
	tools=$to.new/Tools/build
	[ -d "$tools" ] || tools=$to.new/Tools/scripts
	list=
	for module in "$@"; do
		list="$list        '$module',\\n"
	done
	sed -i "s/^        'codecs',\$/        'codecs',\\n${list%??}/" "$tools/freeze_modules.py"
	[ "$(grep -c "^        '$1',\$" "$tools/freeze_modules.py")" = 1 ] ||
		fail "$tools/freeze_modules.py: its list of modules is not where it used to be"
	"${PYTHON_FOR_REGEN:-python3}" "$tools/freeze_modules.py" >"$to.freeze.log" 2>&1 ||
		fail "freeze_modules.py failed, see $to.freeze.log"
fi
mv "$to.new" "$to"
