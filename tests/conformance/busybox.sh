#!/bin/sh
# SPDX-License-Identifier: MIT
# busybox's own tests, of Debian's source package, on the host's static busybox: natively, then in a sandbox whose root is
# the host's. What passes natively and not there is named; one that is not expected to makes the exit status 1.
#   tests/conformance/busybox.sh [THAW]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
thaw=${1:-$here/../../build/thaw}
work=$(dirname "$thaw")/conformance/busybox
mkdir -p "$work"
work=$(cd "$work" && pwd)

[ -d "$work/source" ] || sh "$here/../../python/fetch-source.sh" "$work/source" busybox bookworm
# testing.sh makes this one itself, with a compiler, where the shell's echo does not do.
[ -x "$work/source/testsuite/echo-ne" ] ||
    gcc -Os -static -o "$work/source/testsuite/echo-ne" "$work/source/scripts/echo.c"
mkdir -p "$work/bin"
cp "$(command -v busybox)" "$work/bin/busybox"
cp "$work/source/debian/config/pkg/static" "$work/bin/.config"
cat >"$work/run" <<'END'
d=/tmp/busybox-tests.$1
rm -rf "$d" && mkdir "$d" && cp -a "$2/bin" "$2/source/testsuite" "$d/" && cd "$d/testsuite" || exit 1
bindir=$d/bin tsdir=$d/testsuite SKIP_KNOWN_BUGS=1 SHELL=/bin/sh sh ./runtest
cd / && rm -rf "$d"
END

# Needs pid 1, which a sandbox has not; a name for the host's address, which the host's /etc/hosts has not for a sandbox's.
expected='hostname-d-works
taskset (get from pid 1)'

run() { # NAME COMMAND...: what passed, and what came of all
    echo "busybox's tests, $1: a minute or some" >&2
    out=$work/$1
    shift
    "$@" </dev/null >"$out.log" 2>&1 || true
    sed -n 's/^PASS: //p' "$out.log" | sort >"$out.passed"
}
run natively sh "$work/run" native "$work"
run sandbox "$thaw" exec --root / -v "$work:/mnt:ro" --memory 1G --timeout 1200s -- /bin/sh /mnt/run here /mnt

printf '%d pass natively, %d in the sandbox\n' "$(wc -l <"$work/natively.passed")" "$(wc -l <"$work/sandbox.passed")"
comm -23 "$work/natively.passed" "$work/sandbox.passed" >"$work/missing"
sed 's/^/not in the sandbox: /' "$work/missing"
echo "$expected" | sort >"$work/expected"
[ -s "$work/natively.passed" ] && [ -z "$(comm -23 "$work/missing" "$work/expected")" ]
