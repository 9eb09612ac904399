#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What a start on the kvm machine costs in exits, calls to KVM, memory slots and pages: an emulated VM has no times that
# mean anything, but these it has. Ceilings: counts.txt.
load helper

counts() { # START
    thaw run --image python-small --stats s -c 'print(6*7)' >/dev/null
    for try in 1 2 3; do
        rm -f s
        thaw run --image python-small ${cold:+--cold} --stats s -c 'print(6*7)'
        python3 - "$1" "$TESTS/e2e/counts.txt" <<'P' && return
import json, sys
s, bad = json.load(open("s")), []
if s["machine"] != "kvm":
    sys.exit("not on kvm")
assert s["start"] == sys.argv[1], s["start"]
for line in open(sys.argv[2]):
    if line.startswith(sys.argv[1]):
        _, name, most = line.split()
        print("# %s %s: %d of %s" % (sys.argv[1], name, s[name], most))
        if s[name] > int(most):
            bad.append("%s: %d, at most %s" % (name, s[name], most))
sys.exit("\n".join(bad) or 0)
P
    done
    return 1 # a processor taken away at a bad time may cost an exit, but not three times
}

setup() {
    [ "${THAW_TEST_MACHINE:-}" = kvm ] || skip "for the kvm machine"
    home_shared
    mkdir -p "$BATS_TEST_TMPDIR/work"
    cd "$BATS_TEST_TMPDIR/work"
}

@test "a restored start stays below its ceilings" { counts restored; }
@test "a cold start stays below its ceilings" { cold=1 counts cold; }
