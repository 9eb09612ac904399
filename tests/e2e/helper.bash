# SPDX-License-Identifier: MIT
# What the end-to-end tests share. THAW: the command under test; GUEST: the guest programs; both from the runner.

bats_require_minimum_version 1.5.0

TESTS=$(cd "$BATS_TEST_DIRNAME/.." && pwd)
THAW=${THAW:-$TESTS/../build/thaw}
GUEST=${GUEST:-$TESTS/../build/tests/guest}
TOOLS=${TOOLS:-$TESTS/../build/tests/tools}

# A home of the suite's own, so that no snapshot of the user's is used or touched; its snapshot is made once.
home_shared() {
    export HOME=${THAW_TEST_HOME:-$BATS_RUN_TMPDIR/home}
    unset XDG_CACHE_HOME XDG_DATA_HOME THAW_IMAGE_PATH
    mkdir -p "$HOME"
}

# A home of the test's own, without any snapshot.
home_fresh() {
    export HOME=$BATS_TEST_TMPDIR/home
    unset XDG_CACHE_HOME XDG_DATA_HOME THAW_IMAGE_PATH
    mkdir -p "$HOME"
}

# The tests' working directory, and their scripts, lie here.
setup() {
    home_shared
    mkdir -p "$BATS_TEST_TMPDIR/work"
    cd "$BATS_TEST_TMPDIR/work"
}

# THAW_TEST_IMAGE: run Python from this image.
thaw() {
    if [ -n "${THAW_TEST_IMAGE:-}" ] && [ "${1:-}" = run ]; then
        set -- run --image "$THAW_TEST_IMAGE" "${@:2}"
    fi
    "$THAW" "$@"
}

# machine: what a start takes here.
machine() {
    local stats=$BATS_TEST_TMPDIR/machine
    thaw exec --root / --stats "$stats" -- / >/dev/null 2>&1 || true
    python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["machine"])' "$stats"
}

# kvm_works: --machine kvm is to be had here.
kvm_works() { thaw doctor | grep -q '^ok        KVM'; }

# ms N: so many milliseconds, more where all takes longer; for limits that a program must get somewhere in.
ms() { echo "$(($1 * ${THAW_TEST_SLOW:-1}))ms"; }

# snapshots: the automatic snapshots of this home.
snapshots() { ls "$HOME"/.cache/thaw/snapshots/*.snap 2>/dev/null || true; }

# Everything in the snapshots' folder but snapshots, their locks and stamps: what a broken start might leave.
leftovers() {
    find "$HOME/.cache/thaw" "$HOME/.local/share/thaw" -type f ! -name '*.snap' ! -name '*.snap.lock' \
        ! -name '*.stamp' ! -name '*.snap.image' ! -name kvm-verdict 2>/dev/null || true
}

# is WANT [WHAT]: the output is just this.
is() {
    [ "$output" = "$1" ] && return
    printf 'expected: %q\n     got: %q\n  stderr: %q\n' "$1" "$output" "${stderr:-}" >&2
    return 1
}

# has TEXT [WHERE]: the output (or the second word) has this in it.
has() {
    local where=${2-$output}
    [[ $where == *"$1"* ]] && return
    printf 'expected in it: %q\n           got: %q\n' "$1" "${where:0:2000}" >&2
    return 1
}

# one_line TEXT: it is one line, of thaw's.
one_line() {
    [[ $1 == thaw:\ * && $1 != *$'\n'* ]] && return
    printf 'not one line of thaw: %q\n' "$1" >&2
    return 1
}

# restored FILE: the statistics say that the start was restored; cold FILE likewise.
restored() { python3 -c 'import json,sys; sys.exit(json.load(open(sys.argv[1]))["start"] != "restored")' "$1"; }
cold() { python3 -c 'import json,sys; sys.exit(json.load(open(sys.argv[1]))["start"] != "cold")' "$1"; }

# sandboxes: processes of this test that still run the command under test, by a mark in their arguments.
sandboxes() { pgrep -f -- "$1" || true; }
