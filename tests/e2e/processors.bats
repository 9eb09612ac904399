#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# --cpus: threads on several processors, virtual ones on the kvm machine, some of the host's on the process machine.
load helper

setup() {
    home_shared
    mkdir -p "$BATS_TEST_TMPDIR/work/root"
    cd "$BATS_TEST_TMPDIR/work"
    machine=$(machine)
    host=$(nproc)
}

few() { # N: so many, or what there is
    [ "$machine" = kvm ] || [ "$1" -le "$host" ] || { echo "$host"; return; }
    echo "$1"
}

@test "threads run at once, all get their turns, and none sees memory as it was before another's call" {
    cp "$GUEST/processors" root/
    for n in 1 2 4; do
        n=$(few $n)
        run --separate-stderr thaw exec --cpus "$n" --timeout $(ms 60000) --root root -- /processors "$n" \
            $([ "$machine" = kvm ] || echo shared)
        is SUCCESS
        [ "$status" -eq 0 ]
        [ -z "$stderr" ]
    done
}

@test "fork, exec, exit, signals, futexes, mmap and close race on 4 processors" {
    [ "$machine" = kvm ] || skip "the process machine's other tests run on all there are"
    for program in "torture 4" threads signal_storm socket_storm; do
        cp "$GUEST/${program% *}" root/
        run --separate-stderr thaw exec --cpus 4 --timeout $(ms 60000) --root root -- /$program
        is SUCCESS
    done
}

@test "Python sees so many processors, cold and restored, and its threads use them" {
    for n in 1 2 3; do
        n=$(few $n)
        for cold in --cold ''; do
            run thaw run $cold --cpus "$n" --timeout $(ms 20000) -c '
import os, threading, queue
q, done = queue.Queue(), []
def work():
    while (i := q.get()) is not None:
        done.append(i * i)
threads = [threading.Thread(target=work) for _ in range(6)]
for t in threads: t.start()
for i in range(200): q.put(i)
for t in threads: q.put(None)
for t in threads: t.join()
print(os.cpu_count(), len(os.sched_getaffinity(0)), sum(done) == sum(i * i for i in range(200)))'
            is "$n $n True"
        done
    done
}

@test "what had threads on 2 processors is saved, and goes on on 1, 2 and 4" {
    thaw snapshot create threaded --cpus 2 --warm '
import builtins, threading
def work(): seen.append(sum(range(20000)))
seen = builtins.seen = []
threads = [threading.Thread(target=work) for _ in range(4)]
for t in threads: t.start()
for t in threads: t.join()'
    for n in 1 2 4; do
        n=$(few $n)
        run thaw run --snapshot threaded --cpus "$n" --timeout $(ms 20000) -c '
import os, threading
threads = [threading.Thread(target=lambda: seen.append(sum(range(20000)))) for _ in range(4)]
for t in threads: t.start()
for t in threads: t.join()
print(os.cpu_count(), len(seen), len(set(seen)))'
        is "$n 8 1"
    done
}

@test "a number of processors that cannot be is refused" {
    for n in 0 -1 x 2x '' 1025; do
        run --separate-stderr thaw run --cpus "$n" -c pass
        [ "$status" -eq 125 ]
        has "--cpus is not a number from 1 to 1024" "$stderr"
    done
    if [ "$machine" = kvm ]; then
        run --separate-stderr thaw run --cpus 17 -c pass
        [ "$status" -eq 125 ]
        has "the kvm machine has at most 16 processors" "$stderr"
        run thaw run --cpus 16 -c 'import os; print(os.cpu_count())'
        is 16
    else
        run thaw run --cpus 1024 -c 'import os; print(os.cpu_count())'
        is "$host"
    fi
}
