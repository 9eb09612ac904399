#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The table of exit statuses: the program's own, 124, 125, 126, 127, 128+n, 137.
load helper

@test "the program's own exit status is thaw's, 0 to 255" {
    for n in 0 1 2 3 77 123 124 125 126 127 128 200 255; do
        run -$n --separate-stderr thaw run -c "import sys; sys.exit($n)"
        is ""
        [ -z "$stderr" ]
    done
    run thaw run --cold -c 'import sys; sys.exit(77)'
    [ "$status" -eq 77 ]
}

@test "os._exit keeps the status, and only its low byte" {
    run thaw run -c 'import os; os._exit(77)'
    [ "$status" -eq 77 ]
    run thaw run -c 'import os; os._exit(256+5)'
    [ "$status" -eq 5 ]
}

@test "an uncaught exception is 1, sys.exit of text is 1 with the text on stderr" {
    run thaw run -c '1/0'
    [ "$status" -eq 1 ]
    run --separate-stderr thaw run -c 'import sys; sys.exit("so long")'
    [ "$status" -eq 1 ]
    [ "$stderr" = "so long" ]
}

@test "--timeout kills a program that computes, with 124 and one line" {
    for start in --cold ""; do
        run --separate-stderr thaw run $start --timeout $(ms 700) -c 'print("x", flush=True)
while True: pass'
        [ "$status" -eq 124 ]
        is x
        one_line "$stderr"
        has timeout "$stderr"
    done
}

@test "--timeout kills a program that sleeps, and one that ignores every signal" {
    run thaw run --timeout 0.5s -c 'import time; time.sleep(60)'
    [ "$status" -eq 124 ]
    run thaw run --timeout 0.5 -c 'import signal,time
for n in range(1, 65):
    try: signal.signal(n, signal.SIG_IGN)
    except (OSError, ValueError): pass
time.sleep(60)'
    [ "$status" -eq 124 ]
}

@test "--timeout does not touch a program that is quicker" {
    run --separate-stderr thaw run --timeout 1m -c 'print(1)'
    [ "$status" -eq 0 ]
    [ -z "$stderr" ]
}

@test "a timeout leaves no process" {
    mark=thaw-timeout-$$-$RANDOM
    run thaw run --timeout 300ms -c 'import time; time.sleep(60)' $mark
    [ "$status" -eq 124 ]
    [ -z "$(sandboxes $mark)" ]
}

@test "a kernel that crashes: 125, and where; on kvm its registers and the functions that were called" {
    run thaw run -c 'open("/proc/sysrq-trigger", "w").write("c")'
    [ "$status" -eq 125 ]
    if [ "$(machine)" = kvm ]; then
        has "thaw: kernel panic: "
        grep -Eq '^rip [0-9a-f]{16} rsp [0-9a-f]{16} ' <<<"$output"
        has "sysrq_write"
        has "sys_write"
        # What the processor is told to enforce: WP, NX, and of SMEP, SMAP and UMIP all that it has.
        thaw run -c 'print(open("/proc/cpuinfo").read().split("flags")[1].split("\n")[0])' >flags
        python3 -c '
import sys
flags, words = open("flags").read().split(), sys.argv[1].split()
cr0, cr4, efer = (int(words[words.index(n) + 1], 16) for n in ("cr0", "cr4", "efer"))
assert cr0 >> 16 & 1 and efer >> 11 & 1, words
for name, bit in ("smep", 20), ("smap", 21), ("umip", 11):
    assert (cr4 >> bit & 1) == (name in flags), (name, words)
print("has", [name for name in ("smep", "smap", "umip") if name in flags])' "$(grep "^cr0 " <<<"$output")"
    else
        grep -Eq '^thaw: the sandbox.s kernel gave up: signal 11 in the kernel at 0x[0-9a-f]+, address 0, trace( [0-9a-f]+)+$' <<<"$output"
        [ "${#lines[@]}" -eq 1 ]
    fi
    run thaw run -c 'import os; os.setuid(1000); open("/proc/sysrq-trigger", "w")'
    has "PermissionError"
}
@test "125, and one line, for each way thaw itself can fail" {
    fails() {
        run --separate-stderr thaw "$@"
        [ "$status" -eq 125 ] || { echo "status $status for $*" >&2; return 1; }
        one_line "$stderr"
        is ""
    }
    fails run --no-such-option x.py
    fails run --image no-such-image -c 1
    fails run --image /no/such/image.erofs -c 1
    fails run --image "$BATS_TEST_FILENAME" -c 1
    fails run --snapshot no-such-snapshot -c 1
    kvm_works || fails run --machine kvm -c 1
    fails run --machine abacus -c 1
    fails run --memory lots -c 1
    fails run --memory 1 -c 1
    fails run --timeout never -c 1
    fails run --timeout 0 -c 1
    fails run --cold --snapshot x -c 1
    fails run --stats /no/such/folder/stats -c 1
    fails run -v nowhere -c 1
    fails run -v /no/such/folder:/x -c 1
    fails run -v /tmp:relative -c 1
    fails run -c
    fails run -m
    fails run --memory
    fails exec -- /bin/true
    fails exec --root /no/such/folder -- /bin/true
    fails exec --root /tmp
    fails frobnicate
    fails snapshot frobnicate
    fails snapshot create
    fails snapshot create .evil
    fails snapshot remove no-such-snapshot
    fails snapshot verify no-such-snapshot
    fails snapshot inspect no-such-snapshot
    fails image build x
    fails image build --from /no/such/folder x
    fails image inspect no-such-image
    fails image remove no-such-image
    fails doctor --no-such-option
}

@test "126 for a program that cannot be executed, 127 for one that is not there" {
    mkdir root; echo text >root/text; chmod 755 root/text; cp "$GUEST/files" root/noexec; chmod 644 root/noexec
    mkdir root/dir
    run -127 --separate-stderr thaw exec --root root -- /no/such/program
    one_line "$stderr"
    run -127 --separate-stderr thaw exec --root root -- no-such-program-in-path
    one_line "$stderr"
    for p in /text /noexec /dir; do
        run --separate-stderr thaw exec --root root -- $p
        [ "$status" -eq 126 ] || { echo "status $status for $p"; false; }
        one_line "$stderr"
    done
}

@test "a script that is not there is Python's error 2, as natively" {
    run --separate-stderr thaw run no-such-script.py
    native=0; message=$(python3 no-such-script.py 2>&1) || native=$?
    [ "$status" -eq "$native" ]
    has "No such file or directory" "$stderr"
}

@test "128+n for a program killed by signal n" {
    for n in 1 2 3 6 8 9 10 11 13 14 15 31 40 64; do
        run --separate-stderr thaw run -c "import os,signal
if $n not in (9,): signal.signal($n, signal.SIG_DFL)
os.kill(os.getpid(), $n)
import time; time.sleep(5)"
        [ "$status" -eq $((128 + n)) ] || { echo "status $status for signal $n"; false; }
        [ -z "$stderr" ]
    done
}

@test "128+11 for a program that touches memory it does not have" {
    cp "$GUEST/crash" .
    run thaw exec --root . -- /crash segv
    [ "$status" -eq 139 ]
    run thaw exec --root . -- /crash ill
    [ "$status" -eq 132 ]
    run thaw exec --root . -- /crash fpe
    [ "$status" -eq 136 ]
    run thaw exec --root . -- /crash trap
    [ "$status" -eq 133 ]
    run thaw exec --root . -- /crash stack
    [ "$status" -eq 139 ]
}

@test "137 for a program that uses more than its memory, or MemoryError: never a crash of thaw" {
    run --separate-stderr thaw run --memory 64M -c 'x = []
while True: x.append(bytearray(1 << 20))'
    # An allocation that the kernel refuses is an exception in Python, which may handle it.
    { [ "$status" -eq 1 ] && has MemoryError "$stderr"; } || { [ "$status" -eq 137 ] && one_line "$stderr"; }
    cp "$GUEST/memory" .
    run --separate-stderr thaw exec --memory 32M --root . -- /memory
    [ "$status" -eq 137 ]
    one_line "$stderr"
}

@test "memory below the limit can be used, all of it, and given back, again and again" {
    run thaw run --memory 128M -c '
for i in range(20):
    x = bytearray(80 << 20)
    x[::4096] = b"x" * len(x[::4096])
    del x
print("done")'
    is "done"
}

@test "a sandbox that sleeps uses no processor; a busy thread starves nobody" {
    python3 - "$THAW" <<'END'
import resource, subprocess, sys
def seconds(code):
    used = lambda: sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    before = used()
    subprocess.run([sys.argv[1], "run", "-c", code], check=True)
    return used() - before
seconds("pass")
assert seconds("import time; time.sleep(5)") - seconds("pass") < 1
END
    run thaw run -c '
import threading, time
stop, woken, turns = False, 0, 0
def busy():
    global turns
    while not stop:
        turns += 1
thread = threading.Thread(target=busy)
thread.start()
end = time.monotonic() + 2
while time.monotonic() < end:
    time.sleep(0.02)
    woken += 1
stop = True
thread.join()
assert woken > 10 and turns > 1000, (woken, turns)
print("both")'
    is both
}
