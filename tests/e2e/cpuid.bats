#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The processor that a guest of the kvm machine sees is kept in its snapshot.
load helper

setup() {
    [ "${THAW_TEST_MACHINE:-}" = kvm ] || skip "for the kvm machine: on the other the program sees the host's processor"
    home_shared
    export XDG_DATA_HOME=$BATS_TEST_TMPDIR/data
    mkdir -p "$BATS_TEST_TMPDIR/work/root"
    cd "$BATS_TEST_TMPDIR/work"
    cp "$GUEST/cpuid" root/
    thaw image build --from root box
    thaw snapshot create own --image box -- /cpuid
    snapshot=$XDG_DATA_HOME/thaw/snapshots/own.snap
}

turn() { chmod 600 "$snapshot"; "$TOOLS/snapshot_resign" "$snapshot" cpuid "$@"; }

@test "what CPUID says is after a restore what it was before; a feature that the snapshot lacks stays away" {
    run thaw exec --image box --snapshot own -- /cpuid
    is SUCCESS
    turn 1 0 ecx 30 # rdrand
    run thaw exec --image box --snapshot own -- /cpuid
    is "leaf 1.0 ecx changed by 40000000"
}

@test "a host that lacks a feature of the snapshot refuses it with the feature's name" {
    for feature in "7 0 ebx 16 avx512f" "7 0 edx 14 serialize" "0x80000001 0 ecx 16 fma4"; do
        set -- $feature
        turn $1 $2 $3 $4
        run --separate-stderr thaw exec --image box --snapshot own -- /cpuid
        [ "$status" -eq 125 ]
        is ""
        one_line "$stderr"
        has "needs $5" "$stderr"
        run thaw snapshot inspect own
        has "this one lacks $5"
        turn $1 $2 $3 $4
    done
    run thaw exec --image box --snapshot own -- /cpuid
    is SUCCESS
}

@test "virtualization, or a hypervisor's devices, are not to be had by way of a snapshot" {
    turn 1 0 ecx 5
    run --separate-stderr thaw exec --image box --snapshot own -- /cpuid
    [ "$status" -eq 125 ]
    has "needs vmx" "$stderr"
    turn 1 0 ecx 5
    turn 0x80000001 0 ecx 2
    run --separate-stderr thaw exec --image box --snapshot own -- /cpuid
    [ "$status" -eq 125 ]
    has "needs svm" "$stderr"
}
