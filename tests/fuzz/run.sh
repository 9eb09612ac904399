#!/bin/bash
# SPDX-License-Identifier: MIT
# Runs each fuzzer for SECONDS on its seeds and on what earlier runs found worth keeping; prints TAP. Inputs that break
# something are kept in $BUILD/tests/fuzz/found. tests/fuzz/run.sh SECONDS [NAME...]
set -u
here=$(cd "$(dirname "$0")" && pwd)
BUILD=${BUILD:-$here/../../build}
case $BUILD in /*) ;; *) BUILD=$PWD/$BUILD ;; esac
THAW=${THAW:-$BUILD/thaw}
time=$1
shift
fuzz=$BUILD/tests/fuzz
work=$(mktemp -d "${TMPDIR:-/tmp}/thaw-fuzz.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

HOME=$work THAW_IMAGE_PATH=$BUILD/images "$THAW" snapshot create seed >/dev/null || exit 1
python3 "$here/seeds.py" "$work/seeds" "$work/.local/share/thaw/snapshots/seed.snap" || exit 1
mkdir -p "$fuzz/found"

set -- "${@:-$(cd "$fuzz" && ls | sed -n 's/^fuzz_\([a-z_]*\)$/\1/p')}"
# shellcheck disable=SC2068,SC2086
set -- $@
echo "1..$#"
n=0 bad=0
for name in "$@"; do
    n=$((n + 1))
    mkdir -p "$fuzz/corpus/$name"
    TMPDIR=$work timeout $((time + 300)) "$fuzz/fuzz_$name" -max_total_time="$time" -max_len=100000 -rss_limit_mb=1024 -timeout=30 \
        -print_final_stats=1 -artifact_prefix="$fuzz/found/$name-" "$fuzz/corpus/$name" "$work/seeds/$name" \
        >"$work/log" 2>&1
    status=$?
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/log")
    cover=$(grep -o 'cov: [0-9]*' "$work/log" | tail -n 1)
    if [ $status -eq 0 ]; then
        echo "ok $n $name: ${runs:-?} inputs in $time s, ${cover:-no cover} # new ones are kept in $fuzz/corpus/$name"
    else
        bad=1
        echo "not ok $n $name: ended with status $status"
        sed -n '/ERROR\|SUMMARY\|^ *#[0-9]* 0x/p' "$work/log" | head -n 30 | sed 's/^/# /'
    fi
done
exit $bad
