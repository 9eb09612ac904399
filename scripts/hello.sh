#!/bin/sh
# SPDX-License-Identifier: MIT
# `make hello`: one real program in a sandbox, booted cold, then restored, then natively; its output; the times.
set -eu
cd "$(dirname "$0")/.."
: "${BUILD:=build}" "${THAW:=$PWD/$BUILD/thaw}" "${RUNS:=25}"

program=examples/hello/hello.py
input=examples/hello/visits.log
out=$BUILD/hello
python=/usr/bin/python3

# The cache is our own, so that this is a first start each time.
rm -rf "$out"
mkdir -p "$out"
XDG_CACHE_HOME=$PWD/$out/cache
export XDG_CACHE_HOME

fail() {
	echo "make hello: $*" >&2
	exit 1
}

# start NAME COMMAND...: runs it, keeps its output as $out/NAME.
start() {
	name=$1
	shift
	status=0
	"$@" <$input >"$out/$name" 2>"$out/$name.err" || status=$?
	if [ $status != 0 ]; then
		cat "$out/$name.err" >&2
		fail "$* ended with status $status"
	fi
}

# expect FILE HOW: the statistics say how the start went.
expect() {
	grep -q "\"start\": *\"$2\"" "$1" || fail "this start should have been $2: see $1"
}

echo "\$ thaw run $program <$input    # the first start here: boots, and makes the snapshot"
start first "$THAW" run --stats "$out/first.json" $program
expect "$out/first.json" cold
cat "$out/first" "$out/first.err"

echo
echo "\$ thaw run $program <$input    # from the snapshot"
start restored "$THAW" run --stats "$out/restored.json" $program
expect "$out/restored.json" restored
tail -n 1 "$out/restored.err"

echo
echo "\$ python3 $program <$input    # without a sandbox"
start native $python -S -E -s -B $program
tail -n 1 "$out/native.err"

cmp -s "$out/first" "$out/native" || fail "the sandbox's output differs from native Python's: compare $out/first, $out/native"
cmp -s "$out/restored" "$out/native" || fail "output after a restore differs: compare $out/restored, $out/native"
echo
echo "All three printed the same."

# ---- the times ----

spawn=$BUILD/bench/spawn
if [ ! "$spawn" -nt bench/spawn.c ]; then
	mkdir -p "$BUILD/bench"
	gcc -std=gnu17 -O2 -Wall -Wextra -Werror -o "$spawn" bench/spawn.c
fi
line=bench/workloads/hello.py
"$spawn" -n "$RUNS" -w 3 -i $input \
	$python -S -E -s -B $program ++ "$THAW" run --cold $program ++ "$THAW" run $program ++ \
	$python -S -E -I -B $line ++ "$THAW" run --cold $line ++ "$THAW" run $line \
	>"$out/times" 2>"$out/times.err" || fail "see $out/times.err"

awk -v runs="$RUNS" '
	$4 != 0 { bad = 1 }
	{ n[$2]++; ns[$2, n[$2]] = $3 }
	function median(c,   i, j, t, m) {
		m = n[c]
		for (i = 2; i <= m; i++)
			for (j = i; j > 1 && ns[c, j] < ns[c, j - 1]; j--) {
				t = ns[c, j]; ns[c, j] = ns[c, j - 1]; ns[c, j - 1] = t
			}
		return m % 2 ? ns[c, (m + 1) / 2] : (ns[c, m / 2] + ns[c, m / 2 + 1]) / 2
	}
	END {
		if (bad) exit 1
		printf "\nWhole processes, start to exit, median of %d:\n\n", runs
		printf "  %-24s %16s %22s\n", "", "this program", "print(\"hello\")"
		split("python3 -S -E (native)|thaw run --cold|thaw run (restored)", name, "|")
		for (c = 0; c < 3; c++) {
			a = median(c); b = median(c + 3)
			if (c == 0) { base_a = a; base_b = b }
			printf "  %-24s %8.1f ms %5.2fx %13.1f ms %5.2fx\n", name[c + 1], a / 1e6, a / base_a, b / 1e6, b / base_b
		}
	}
' "$out/times" || fail "a timed run failed: see $out/times.err"
