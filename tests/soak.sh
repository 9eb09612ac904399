#!/bin/sh
# SPDX-License-Identifier: MIT
# The long forms of the tests that `make test` runs in short: 5,000 starts, thousands of faults, every byte flipped.
# Last line: N passed, N failed.
set -u
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build}
case $BUILD in /*) ;; *) BUILD=$PWD/$BUILD ;; esac
export THAW="$BUILD/thaw" GUEST="$BUILD/tests/guest" TOOLS="$BUILD/tests/tools" LC_ALL=C.UTF-8
work=$(mktemp -d "${TMPDIR:-/tmp}/thaw-soak.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
mkdir "$work/home"
export TMPDIR="$work" HOME="$work/home"
for t in snapshot_faults image_faults kill starts; do
    echo "== $t"
    python3 "tests/fault/$t.py" long 2>&1 | tee -a "$work/out"
done
ok=$(grep -c '^ok ' "$work/out") bad=$(grep -c '^not ok ' "$work/out")
# A test that ended early says so by a plan that is not met.
planned=$(sed -n 's/^1\.\.//p' "$work/out" | awk '{ s += $1 } END { print s + 0 }')
[ "$planned" -le $((ok + bad)) ] || bad=$((bad + planned - ok - bad))
printf '%d passed, %d failed\n' "$ok" "$bad"
[ "$bad" -eq 0 ] && [ "$ok" -gt 0 ]
