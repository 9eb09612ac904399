#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The minimal image: what is in it, how large it is, and that it is enough. CPYTHON: a finished build.
load ../e2e/helper

CPYTHON=${CPYTHON:-$TESTS/../build/cpython}
DOCS=${DOCS:-$TESTS/../docs/cpython.md}

setup() {
    [ -e "$CPYTHON/python-static-minimal.erofs" ] || skip "no minimal image (make -C python minimal)"
    home_fresh
    cd "$BATS_TEST_TMPDIR"
}

@test "the minimal image holds just the files that docs/cpython.md lists" {
    (cd "$CPYTHON/minimal-root" && find . ! -type d -printf '%P\n') |
        sed -e 's|\(usr/lib/python3[^/]*/encodings/\).*|\1*|' -e 's|\(usr/lib/locale/C.utf8/\).*|\1*|' \
            -e 's|__pycache__/\([^.]*\)\..*\.pyc|__pycache__/\1.pyc|' | grep -v thaw/align | sort -u >have
    sed -n '/^<!-- minimal image -->/,/^<!-- end of minimal image -->/p' "$DOCS" | sed -n 's/^    //p' | sort -u >listed
    [ -s listed ]
    diff listed have
}

@test "the minimal image has one program in it and no host tools" {
    (cd "$CPYTHON/minimal-root" && find . -type f -perm /111) >programs
    [ "$(cat programs)" = ./usr/lib/thaw/python ]
    [ -z "$(find "$CPYTHON/minimal-root" -name '*.so*' -o -name '*.a')" ]
    run find "$CPYTHON/minimal-root" -type l -printf '%P %l\n'
    [ "$(sort <<<"$output")" = "$(printf '%s\n' 'bin usr/bin' 'lib usr/lib' 'usr/bin/python3 ../lib/thaw/python' \
        'usr/bin/python3.11 ../lib/thaw/python')" ]
}

@test "the minimal image has at most 24 MB" {
    [ "$(stat -c %s "$CPYTHON/python-static-minimal.erofs")" -le 24000000 ]
}

@test "the minimal image is enough for hello" {
    echo 'print("hello")' >hello.py
    run thaw exec --image "$CPYTHON/python-static-minimal.erofs" -v "$PWD:/work:ro" -- /usr/bin/python3 -S /work/hello.py
    is hello
    run thaw run --cold --image "$CPYTHON/python-static-minimal.erofs" hello.py
    is hello
}
