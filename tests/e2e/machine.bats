#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The choice of a machine: what the host's KVM is worth is found out by running code on it, once per boot.
load helper

# Not through the runner's choice of a machine.
plain() { "${THAW_TEST_COMMAND:-$THAW}" "$@"; }
memo() { stat -c '%a %s' "$HOME/.cache/thaw/kvm-verdict" 2>/dev/null; }
opens() { [ -c /dev/kvm ] && [ -r /dev/kvm ] && [ -w /dev/kvm ] || skip "no /dev/kvm that this user may open"; }

@test "doctor says of KVM that it works, or why not and what to do" {
    run plain doctor
    [ "$status" -eq 0 ]
    if [[ $output == *"ok        KVM"* ]]; then
        has "it works: a system call takes"
    else
        has "no        KVM"
        has "to change that: "
    fi
}

@test "--machine kvm where KVM is of no use is one line and 125: why, and what to do" {
    run plain doctor
    [[ $output != *"ok        KVM"* ]] || skip "KVM works here"
    why=$(sed -n 's/^no        KVM *//p' <<<"$output")
    advice=$(sed -n 's/^ *to change that: //p' <<<"$output")
    run --separate-stderr plain run --machine kvm -c 'print(1)'
    [ "$status" -eq 125 ]
    is ""
    one_line "$stderr"
    has "$why" "$stderr"
    has "$advice" "$stderr"
}

@test "--machine auto and --machine process run, whatever KVM is worth" {
    for m in auto process; do
        run --separate-stderr plain run --machine $m -c 'print(6 * 7)'
        is 42
        [ -z "$stderr" ]
    done
}

@test "--machine auto takes kvm where KVM works, but not for more memory than a VM can have" {
    kvm_works || skip "KVM is of no use here"
    plain run --stats s -c 'print(1)'
    grep -q '"machine": "kvm"' s
    plain run --memory 50G --stats s -c 'print(1)'
    grep -q '"machine": "process"' s
    run --separate-stderr plain run --machine kvm --memory 50G -c 'print(1)'
    [ "$status" -eq 125 ]
    one_line "$stderr"
}

@test "a user who may not open /dev/kvm is told so" {
    [ "$(id -u)" -eq 0 ] || skip "needs root, to become that user"
    [ -e /dev/kvm ] && [ "$(stat -c %a /dev/kvm)" != 666 ] || skip "no /dev/kvm that is closed to others"
    run --separate-stderr setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/nonexistent XDG_CACHE_HOME=/nonexistent \
        XDG_DATA_HOME=/nonexistent "${THAW_TEST_COMMAND:-$THAW}" run --machine kvm -c 1
    [ "$status" -eq 125 ]
    has "this user may not open /dev/kvm" "$stderr"
    has "usermod" "$stderr"
}

@test "what the probe found is remembered, in a file of the user's alone" {
    opens
    home_fresh
    run plain doctor
    first=$output
    [ "$(memo | cut -d' ' -f1)" = 600 ]
    # A probe could not end in this time: what comes out now was remembered.
    THAW_KVM_PROBE_MS=1 run --separate-stderr plain run --machine kvm -c 'print(1)'
    if [[ $first == *"ok        KVM"* ]]; then [[ $stderr != *"within 1 ms"* ]]; else [ "$status" -eq 125 ]; fi
}

@test "doctor probes anew, and what others could have written is not believed" {
    opens
    home_fresh
    plain doctor
    run env THAW_KVM_PROBE_MS=1 "${THAW_TEST_COMMAND:-$THAW}" doctor
    has "no        KVM"
    plain doctor | grep -q "ok        KVM" || skip "KVM is of no use here"
    chmod 666 "$HOME/.cache/thaw/kvm-verdict"
    THAW_KVM_PROBE_MS=1 run --separate-stderr plain run --machine kvm -c 'print(1)'
    [ "$status" -eq 125 ]
    has "KVM" "$stderr"
}
