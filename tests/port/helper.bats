#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The snapshot helper by itself, linked into a small program: natively, and with link-time optimisation.
load ../e2e/helper

PYTHON_DIR=${PYTHON_DIR:-$(cd "$TESTS/../python" && pwd)}

setup() {
    cd "$BATS_TEST_TMPDIR"
}

@test "the helper on plain Linux returns -ENOSYS" {
    cd "$BATS_TEST_TMPDIR"
    cat >call.c <<'EOF'
#include <errno.h>
#include "thaw_snapshot.h"
int main(void) { return thaw_snapshot() != -ENOSYS; }
EOF
    gcc -I"$PYTHON_DIR" -o call call.c "$PYTHON_DIR/thaw_snapshot.S"
    if ! ./call; then
        # A kernel without the i386 gate kills it instead.
        run ./call
        [ "$status" -eq 139 ] && skip "this kernel has no i386 gate"
        false
    fi
}

@test "with link-time optimisation the helper's symbol and the call of it are still there" {
    cat >main.c <<'EOF'
#include "thaw_snapshot.h"
int main(void) { return thaw_snapshot() == 0; }
EOF
    gcc -O3 -flto -I"$PYTHON_DIR" -c -o main.o main.c
    readelf -SW main.o | grep -q gnu.lto_
    gcc -O3 -flto -static -Wl,--gc-sections -o main main.o "$PYTHON_DIR/thaw_snapshot.S"
    readelf -sW main | grep -q 'FUNC *GLOBAL .* thaw_snapshot$'
    sh "$PYTHON_DIR/check-linked.sh" main
}

@test "without the helper's object the check names what is missing in one line" {
    echo 'int main(void) { return 0; }' >main.c
    gcc -o main main.c
    run sh "$PYTHON_DIR/check-linked.sh" main
    [ "$status" -eq 1 ]
    [ "${#lines[@]}" -eq 1 ]
    has "no symbol thaw_snapshot"
}

@test "a program that has the helper and never calls it is found out" {
    echo 'int main(void) { return 0; }' >main.c
    gcc -o main main.c "$PYTHON_DIR/thaw_snapshot.S"
    run sh "$PYTHON_DIR/check-linked.sh" main
    [ "$status" -eq 1 ]
    [ "${#lines[@]}" -eq 1 ]
    has "nothing calls thaw_snapshot"
}
