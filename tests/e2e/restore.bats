#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# First starts and later ones: the snapshot is made once and used; what must be new in each start is new.
load helper

setup() {
    home_fresh
    mkdir -p "$BATS_TEST_TMPDIR/work"
    cd "$BATS_TEST_TMPDIR/work"
}

@test "the first start is cold and makes the snapshot, later ones are restored" {
    run --separate-stderr thaw run --stats s1 -c 'print(1)'
    is 1
    [ -z "$stderr" ]
    cold s1
    [ "$(snapshots | wc -l)" -eq 1 ]
    before=$(stat -c '%i %Y' "$(snapshots)")
    for i in 1 2 3; do
        run --separate-stderr thaw run --stats s2 -c 'print(2)'
        is 2
        [ -z "$stderr" ]
        restored s2
    done
    [ "$(stat -c '%i %Y' "$(snapshots)")" = "$before" ]
    [ "$(stat -c %a "$(snapshots)")" = 400 ]
    [ -z "$(leftovers)" ]
}

@test "a snapshot that is not in the host's page cache is read anew, and stays what it was" {
    thaw run -c 1
    for i in 1 2 3 4 5; do
        /usr/bin/python3 -c 'import os, sys
os.posix_fadvise(os.open(sys.argv[1], os.O_RDONLY), 0, 0, os.POSIX_FADV_DONTNEED)' "$(snapshots)"
        run --separate-stderr thaw run --stats s -c 'print(6 * 7)'
        is 42
        [ -z "$stderr" ]
        restored s
    done
    thaw snapshot verify "$(snapshots)"
}

@test "the snapshot is at most 16 MiB" {
    thaw run -c 1
    [ "$(stat -c %s "$(snapshots)")" -le $((16 << 20)) ]
}

@test "--cold neither makes nor uses one" {
    thaw run --cold -c 1
    [ -z "$(snapshots)" ]
    thaw run -c 1
    thaw run --cold --stats s -c 1
    cold s
}

@test "eight first starts at once all run, and make one good snapshot" {
    for i in 1 2 3 4 5 6 7 8; do thaw run -c "print($i)" >out.$i 2>err.$i & done
    wait
    [ "$(cat out.* | sort -n | tr '\n' ' ')" = "1 2 3 4 5 6 7 8 " ]
    [ ! -s err.1 ] && [ ! -s err.5 ]
    [ "$(snapshots | wc -l)" -eq 1 ]
    thaw snapshot verify "$(snapshots)"
    [ -z "$(leftovers)" ]
}

@test "a killed first start leaves nothing half-made, and no process" {
    mark=thaw-kill-$$-$RANDOM
    for ms in 5 20 50 80 110 140 170 200 230 260 300 350 400 450 500; do
        rm -rf "$HOME/.cache"
        "$THAW" run -c 'import time; time.sleep(5)' $mark 2>/dev/null &
        pid=$!
        sleep 0.$(printf %03d $ms)
        kill -9 $pid
        wait $pid 2>/dev/null || true
        for s in $(snapshots); do thaw snapshot verify $s; done
        [ -z "$(leftovers)" ]
    done
    for i in $(seq 40); do [ -z "$(sandboxes $mark)" ] && break; sleep 0.05; done
    [ -z "$(sandboxes $mark)" ]
    run --separate-stderr thaw run -c 'print("well")'
    is well
}

@test "a damaged automatic snapshot is reported in one line and made anew" {
    thaw run -c 1
    s=$(snapshots)
    for at in 0 9 100 300 150000 5000000; do
        chmod 600 "$s"
        printf '\xa5\x5a\xa5' | dd of="$s" bs=1 seek=$at conv=notrunc status=none
        run --separate-stderr thaw run -c 'print("right")'
        is right
        [ "$status" -eq 0 ]
        one_line "$stderr"
        has damaged "$stderr"
        run --separate-stderr thaw run --stats st -c 'print("right")'
        is right
        [ -z "$stderr" ]
        restored st
    done
    truncate -s 100 "$s" 2>/dev/null || { chmod 600 "$s"; truncate -s 100 "$s"; }
    run --separate-stderr thaw run -c 'print("right")'
    is right
    one_line "$stderr"
}

@test "a damaged named snapshot is an error, 125, and is left alone" {
    thaw snapshot create mine
    s=$HOME/.local/share/thaw/snapshots/mine.snap
    run thaw run --snapshot mine -c 'print("named")'
    is named
    chmod 600 "$s"
    printf 'xx' | dd of="$s" bs=1 seek=5000000 conv=notrunc status=none
    sum=$(sha256sum "$s")
    run --separate-stderr thaw run --snapshot mine -c 'print("named")'
    [ "$status" -eq 125 ]
    is ""
    one_line "$stderr"
    has mine "$stderr"
    [ "$(sha256sum "$s")" = "$sum" ]
    run thaw snapshot verify mine
    [ "$status" -eq 125 ]
}

@test "a snapshot of another image is not used" {
    command -v mkfs.erofs >/dev/null || skip "no mkfs.erofs here"
    thaw snapshot create other --image python
    mkdir root; echo 1 >root/f
    thaw image build --from root tiny
    run --separate-stderr thaw run --image tiny --snapshot other -c 'print(1)'
    [ "$status" -eq 125 ]
    one_line "$stderr"
}

@test "a snapshot with another key under the automatic name is made anew" {
    thaw run -c 1
    s=$(snapshots)
    chmod 600 "$s"
    "$TOOLS/snapshot_resign" "$s" key
    run --separate-stderr thaw run --stats st -c 'print("right")'
    is right
    cold st
    run thaw run --stats st -c 'print("right")'
    is right
    restored st
}

@test "where no snapshot can be kept the start is cold and says so in one line" {
    [ "$(id -u)" -ne 0 ] || skip "root may write everywhere"
    mkdir -p "$HOME/.cache"; chmod 500 "$HOME/.cache"
    run --separate-stderr thaw run -c 'print(1)'
    chmod 700 "$HOME/.cache"
    is 1
    [ "$status" -eq 0 ]
    one_line "$stderr"
}

@test "urandom, getrandom, random, uuid, secrets and tempfile differ between restored starts" {
    cat >s.py <<'P'
import os, random, secrets, tempfile, uuid, hashlib
print(os.urandom(16).hex()); print(os.getrandom(16).hex()); print(random.random()); print(random.Random().random())
print(uuid.uuid4()); print(uuid.uuid1()); print(secrets.token_hex()); print(tempfile.mktemp()); print(tempfile.NamedTemporaryFile().name)
print(open("/dev/urandom", "rb").read(16).hex()); print(random.SystemRandom().random()); print(open("/proc/sys/kernel/random/uuid").read().strip() if os.path.exists("/proc/sys/kernel/random/uuid") else uuid.uuid4())
print(id(object()) and random.getrandbits(64))
P
    thaw run -c 1
    for i in 1 2 3 4 5 6; do thaw run --stats st.$i s.py >out.$i; restored st.$i; done
    [ "$(cat out.* | sort | uniq -d | wc -l)" -eq 0 ]
    [ "$(cat out.* | wc -l)" -eq 78 ]
}

@test "the wall clock is right within a millisecond after a restore" {
    thaw run -c 1
    python3 - "$THAW" <<'P'
import subprocess, sys, time
bad = 0
for i in range(15):
    a = time.time()
    t = float(subprocess.check_output([sys.argv[1], "run", "-c", "import time; print(repr(time.time()))"]))
    b = time.time()
    assert a - 0.001 <= t <= b + 0.001, (a, t, b)
P
}

@test "monotonic time does not run backwards, neither in a start nor from the snapshot on" {
    thaw run -c 1
    cat >s.py <<'P'
import time
t = [time.monotonic_ns() for _ in range(50000)]
assert all(a <= b for a, b in zip(t, t[1:]))
a = time.monotonic(); time.sleep(0.05); b = time.monotonic()
assert 0.05 <= b - a < 5, b - a
print(t[0])
P
    a=$(thaw run --cold s.py); b=$(thaw run s.py); c=$(thaw run s.py)
    [ "$a" -gt 0 ] && [ "$b" -gt 0 ] && [ "$c" -gt 0 ]
}

@test "argv, environment, working directory and stdin are the new start's" {
    mkdir a b; echo 'import os,sys; print(sys.argv[1], os.environ["X"], os.path.basename(os.getcwd()), input(), open("/proc/self/cmdline").read().split("\0")[-2])' | tee a/s.py >b/s.py
    thaw run --env X=0 a/s.py w <<<zero
    run thaw run --env X=1 a/s.py one <<<first
    is "one 1 a first one"
    run thaw run --env X=2 b/s.py two <<<second
    is "two 2 b second two"
}

@test "nothing that a start writes is seen by the next" {
    thaw run -c 'import builtins, os, sys; builtins.left = 1; sys.modules["left"] = sys; open("/tmp/left", "w"); os.environ["left"] = "1"'
    run thaw run -c 'import builtins, os, sys; print(hasattr(builtins, "left"), "left" in sys.modules, os.path.exists("/tmp/left"), "left" in os.environ)'
    is "False False False False"
}

@test "snapshot create, list, inspect, verify, remove" {
    thaw snapshot create one
    run thaw snapshot list
    has one
    run thaw snapshot inspect one
    has "machine   ${THAW_TEST_MACHINE:-}"
    run thaw snapshot inspect one --map
    has populate
    run thaw snapshot verify one
    [ "$status" -eq 0 ]
    run thaw run --stats st --snapshot one -c 'print("from one")'
    is "from one"
    restored st
    thaw snapshot remove one
    run --separate-stderr thaw run --snapshot one -c 1
    [ "$status" -eq 125 ]
    one_line "$stderr"
}

@test "XDG_CACHE_HOME and a missing HOME are heeded" {
    export XDG_CACHE_HOME=$PWD/cache
    thaw run -c 1
    [ -n "$(ls cache/thaw/snapshots/*.snap)" ]
    unset HOME XDG_CACHE_HOME
    run thaw run -c 'print(1)'
    is 1
}
