#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# doctor, image, --stats, --strace, --help, --version, the man page.
load helper

@test "--help of each command is on stdout, with 0" {
    for c in "" run exec snapshot image doctor; do
        run --separate-stderr thaw $c --help
        [ "$status" -eq 0 ]
        has "Usage: thaw" 
        [ -z "$stderr" ]
    done
}

@test "no command at all: help on stderr, 125" {
    run --separate-stderr thaw
    [ "$status" -eq 125 ]
    has Usage "$stderr"
}

@test "--version" {
    run thaw --version
    [[ $output =~ ^thaw\ [0-9]+\.[0-9]+ ]]
}

@test "a full disk behind --help or list is an error" {
    [ -w /dev/full ] || skip "no /dev/full"
    for c in "--help" "run --help" "snapshot list" "doctor"; do
        st=0; thaw $c >/dev/full 2>err || st=$?
        [ "$st" -eq 125 ]
        one_line "$(cat err)"
    done
}

@test "the man page is well-formed and names each option of run" {
    page=$TESTS/../docs/thaw.1
    [ -e "$page" ] || skip "no man page here"
    for o in cold snapshot image machine memory timeout env stats strace harden; do grep -q -- "\\\\-\\\\-$o" "$page"; done
    for s in 124 125 126 127 137; do grep -q $s "$page"; done
    if command -v man >/dev/null; then [ -z "$(man --warnings -l "$page" 2>&1 >/dev/null)" ]; fi
}

@test "doctor says which machine is taken and why" {
    run thaw doctor
    [ "$status" -eq 0 ]
    if kvm_works; then has "takes the machine kvm"; else has "takes the machine process"; fi
    has kvm
    has seccomp
}

@test "--stats writes valid JSON, for a cold start and a restored one" {
    thaw run -c 1
    for start in --cold ""; do
        thaw run $start --stats s -c 'import os; os.getppid()'
        python3 - s "$start" "$(machine)" <<'P'
import json, sys
s = json.load(open(sys.argv[1]))
assert s["start"] == ("cold" if sys.argv[2] else "restored"), s
assert s["exit_status"] == 0 and s["machine"] == sys.argv[3] and s["syscalls"] > 3 and s["memory_peak_bytes"] > 1 << 20, s
assert all(isinstance(v, int) and 0 <= v < 60_000_000 for v in s["phases_us"].values()), s
assert 0 < s["phases_us"]["total"] < 60_000_000
if not sys.argv[2]: assert s["pages_populated"] > 0 and s["pages_mapped"] > 0, s
P
    done
}

@test "--stats of a program that fails, is killed, or times out" {
    thaw run --stats s -c 'raise SystemExit(7)' || true
    python3 -c 'import json; assert json.load(open("s"))["exit_status"] == 7'
    thaw run --stats s -c 'import os; os.kill(os.getpid(), 9)' || true
    python3 -c 'import json; assert json.load(open("s"))["exit_status"] == 137'
    thaw run --timeout 300ms --stats s -c 'while True: pass' || true
    python3 -c 'import json; assert json.load(open("s"))["exit_status"] == 124'
}

@test "--strace prints calls, arguments, results; stdout stays clean" {
    run --separate-stderr thaw run --strace -c 'import os; os.getppid(); print("out")'
    is out
    has 'getppid() = ' "$stderr"
    has 'write(1, ' "$stderr"
}

@test "image build, list, inspect, remove" {
    command -v mkfs.erofs >/dev/null || skip "no mkfs.erofs here"
    export XDG_DATA_HOME=$PWD/data
    mkdir root; seq 10000 >root/numbers; ln -s numbers root/link; mkdir root/d
    thaw image build --from root mine
    run thaw image list
    has mine
    run thaw image inspect mine
    has whole
    thaw image remove mine
    run thaw image inspect mine
    [ "$status" -eq 125 ]
}

@test "a damaged image is an error of one line, not a run" {
    command -v mkfs.erofs >/dev/null || skip "no mkfs.erofs here"
    export XDG_DATA_HOME=$PWD/data
    mkdir root; seq 10000 >root/numbers
    thaw image build --from root mine
    chmod 600 data/thaw/images/mine.erofs
    printf x | dd of=data/thaw/images/mine.erofs bs=1 seek=5000 conv=notrunc status=none
    run --separate-stderr thaw exec --image mine -- /x
    [ "$status" -eq 125 ]
    one_line "$stderr"
}

@test "the command is one static executable" {
    [ -z "${SAN:-}" ] || skip "not with sanitizers"
    run ldd "$THAW"
    has "not a dynamic executable"
}

@test "the monitor holds no capabilities and no_new_privs while a program runs" {
    [ -z "${SAN:-}" ] || skip "the sanitizers' own calls do not fit the monitor's filter: it has none in such a build"
    "$THAW" run -c 'import time; print(1, flush=True); time.sleep(20)' >out &
    pid=$!
    for i in $(seq 100); do [ -s out ] && break; sleep 0.05; done
    sleep 0.1
    child=$(pgrep -P $pid)
    for p in $pid $child; do
        grep -q '^CapEff:.0000000000000000$' /proc/$p/status
        grep -q '^CapPrm:.0000000000000000$' /proc/$p/status
        grep -q '^NoNewPrivs:.1$' /proc/$p/status
        grep -q '^Seccomp:.2$' /proc/$p/status
    done
    # what the sandbox holds of the host's descriptors
    if [ -r /proc/$child/fd ]; then [ "$(ls /proc/$child/fd | sort -n | tail -n1)" -le 6 ]; fi
    kill -9 $pid
}

@test "a start keeps to one processor, the program has all of the caller's, and soon thaw again too" {
    [ -z "${SAN:-}" ] || skip "nothing is spawned ahead in such a build"
    mine=$(sed -n 's/^Cpus_allowed_list:.//p' /proc/self/status)
    thaw run -c pass
    "$THAW" run -c 'import time; print(1, flush=True); time.sleep(20)' >out &
    pid=$!
    for i in $(seq 100); do [ -s out ] && break; sleep 0.05; done
    sleep 0.5
    for p in $pid $(pgrep -P $pid); do
        [ "$mine" = "$(sed -n 's/^Cpus_allowed_list:.//p' /proc/$p/status)" ]
    done
    kill -9 $pid
}

@test "where execve is forbidden a start forks" {
    for how in --cold ''; do
        run "$TOOLS/no_execveat" "$THAW" run $how -c 'print(6 * 7)'
        [ "$status" -eq 0 ]
        is 42
    done
}

@test "descriptors that the caller left open do not reach the program" {
    exec 7</etc/passwd 9>leak
    run thaw run -c 'import os; print(sorted(int(n) for n in os.listdir("/proc/self/fd"))[:3])
for fd in range(3, 64):
    try: os.fstat(fd)
    except OSError: continue
    raise SystemExit(fd)'
    exec 7<&- 9>&-
    [ "$status" -eq 0 ]
    is "[0, 1, 2]"
}
