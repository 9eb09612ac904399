#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Images of container archives.
load helper

container() { /usr/bin/python3 "$TESTS/e2e/container.py" "$@"; }

setup() {
    home_fresh
    [ -x /bin/busybox ] || skip "no busybox here"
    mkdir -p "$BATS_TEST_TMPDIR/work"
    cd "$BATS_TEST_TMPDIR/work"
}

@test "layers and whiteouts are applied; entrypoint, command, environment and working directory hold" {
    for kind in oci docker; do
        container $kind $kind.tar
        thaw image build --from $kind.tar box
        run thaw exec --image box
        is $'hello you\n/var\n/emptied/new /etc/changed\n1\nnew\nold'
        run thaw exec --image box --env GREETING=mine --cwd /etc -- /bin/sh -c 'echo $GREETING; pwd; [ -e /dev/null ] && echo null'
        is $'mine\n/etc\nnull'
    done
    run thaw image inspect box
    has "env      GREETING=hello you"
    has "workdir  /var"
}

@test "an archive's entries cannot leave the image: .., absolute names, links, whiteouts" {
    export TMPDIR=$PWD/tmp
    mkdir tmp
    echo precious >evil
    for how in dotdot inner-dotdot hard-link whiteout; do
        container oci bad.tar $how
        run --separate-stderr thaw image build --from bad.tar bad
        [ "$status" -eq 125 ]
        one_line "$stderr"
        [ -z "$(ls tmp)" ]
    done
    for how in absolute through-link through-absolute-link; do
        container oci odd.tar $how
        thaw image build --from odd.tar odd
        run thaw exec --image odd -- /bin/busybox cat /evil
        is x
        [ -z "$(ls tmp)" ]
    done
    [ "$(cat evil)" = precious ]
    [ ! -e /evil ]
    [ ! -e "$HOME/.local/share/thaw/images/bad.erofs" ]
}

@test "what is no container image is one clear error" {
    echo text >text
    run --separate-stderr thaw image build --from text x
    [ "$status" -eq 125 ]
    one_line "$stderr"
    tar cf empty.tar text
    run --separate-stderr thaw image build --from empty.tar x
    has "neither index.json nor manifest.json" "$stderr"
    printf '{"manifests": [{"digest": "sha256:../../../etc/passwd"}]}' >index.json
    tar cf digest.tar index.json
    run --separate-stderr thaw image build --from digest.tar x
    has "no digest" "$stderr"
    printf '[1,' >index.json
    tar cf json.tar index.json
    run --separate-stderr thaw image build --from json.tar x
    has "is no JSON" "$stderr"
}
