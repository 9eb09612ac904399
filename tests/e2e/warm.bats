#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Snapshots behind code that has run: `thaw snapshot create --warm`, hooks, programs that ask by themselves.
load helper

setup() {
    home_fresh
    mkdir -p "$BATS_TEST_TMPDIR/work"
    cd "$BATS_TEST_TMPDIR/work"
}

IMAGES="python python-small"

@test "what the warm code imported and computed is there in each start, before the program's first line" {
    for image in $IMAGES; do
        thaw snapshot create warm --image $image --warm 'import json, builtins; builtins.table = [i * i for i in range(1000)]'
        for i in 1 2; do
            run thaw run --image $image --snapshot warm -c 'import sys; print("json" in sys.modules, sum(table), sys.argv)' $i
            is "True 332833500 ['-c', '$i']"
        done
    done
}

@test "--warm takes a file too; a name that is none is code" {
    echo 'import decimal, builtins; builtins.word = "from a file"' >prepare.py
    thaw snapshot create warm --image python --warm prepare.py
    run thaw run --snapshot warm -c 'import sys; print(word, "decimal" in sys.modules)'
    is "from a file True"
}

@test "hooks: before the snapshot last registered first, after each restore in order" {
    for image in $IMAGES; do
        thaw snapshot create warm --image $image --warm '
import builtins, snapshot_restore_py as s
builtins.log = []
s.register_before_snapshot(log.append, "before 1")
s.register_before_snapshot(log.append, "before 2")
s.register_after_restore(log.append, "after 1")
@s.register_after_restore
def again(): log.append("after 2")'
        for i in 1 2; do
            run thaw run --image $image --snapshot warm -c 'print(log)'
            is "['before 2', 'before 1', 'after 1', 'after 2']"
        done
    done
}

@test "what no start was seen to touch is there when it is touched, by the program, the kernel, threads, a child, in part" {
    cat >prepare.py <<'END'
import builtins, mmap
PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
builtins.maps, builtins.between = [], []
for i in range(10):
    maps.append(mmap.mmap(-1, 1 << 20, flags=PRIVATE))
    maps[i][:] = bytes([65 + i]) * (1 << 20)
    between.append(mmap.mmap(-1, 4096, flags=PRIVATE, prot=mmap.PROT_READ))
END
    cat >touch.py <<'END'
import ctypes, mmap, os, threading
libc = ctypes.CDLL(None, use_errno=True)
address = lambda m: ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(m)))
beyond = lambda m, n: ctypes.c_void_p(address(m).value + n)
r, w = os.pipe()
assert maps[0][5] == 65 and between[0][7] == 0
os.write(w, b"xyz")
os.readv(r, [memoryview(maps[1])[4096:4099]])
assert maps[1][4094:4101] == b"BBxyzBB"
os.write(w, memoryview(maps[2])[:10])
assert os.read(r, 10) == b"C" * 10
assert libc.mprotect(beyond(maps[3], 8192), 4096, 1) == 0 and maps[3][0] == maps[3][8192] == 68
maps[4].resize(1 << 21)
assert maps[4][0] == 69 and maps[4][-1] == 0
maps[5].madvise(mmap.MADV_DONTNEED, 0, 4096)
assert maps[5][0] == 0 and maps[5][4096] == 70
assert libc.munmap(beyond(maps[6], 4096), 4096) == 0 and maps[6][0] == maps[6][8192] == 71
seen = []
threads = [threading.Thread(target=lambda: seen.append(maps[7][:].count(b"H"))) for _ in range(6)]
[t.start() for t in threads], [t.join() for t in threads]
assert seen == [1 << 20] * 6
pid = os.fork()
if pid == 0:
    maps[8][0] = 1
    os._exit(0 if maps[8][1] == 73 and maps[9][:] == b"J" * (1 << 20) else 1)
assert os.waitpid(pid, 0)[1] == 0 and maps[8][0] == 73 and maps[9][-1] == 74
print("all there")
END
    thaw snapshot create warm --image python --warm prepare.py
    for i in 1 2; do
        run thaw run --snapshot warm touch.py
        is "all there"
    done
    # Nor is anything left of it once it is replaced or gone.
    run thaw run --snapshot warm -c '
import ctypes, mmap
address = lambda m: ctypes.addressof(ctypes.c_char.from_buffer(m))
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
a = address(maps[0])
assert libc.mmap(ctypes.c_void_p(a), 1 << 20, 3, 0x32, -1, 0) == a and maps[0][0] == 0
assert libc.munmap(ctypes.c_void_p(a), 1 << 20) == 0
print(ctypes.string_at(a, 1))'
    [ "$status" -eq 139 ]
}

@test "--train: what a typical program writes to lies in huge pages; one that fails, or is not done, makes no snapshot" {
    warm='import builtins; builtins.rows = [[float(i), str(i)] for i in range(100000)]'
    echo 'print(sum(r[0] for r in rows))' >job.py
    thaw snapshot create plain --warm "$warm"
    thaw snapshot create trained --warm "$warm" --train job.py
    [ "$(thaw snapshot inspect --map trained | grep -c ' huge')" -gt "$(thaw snapshot inspect --map plain | grep -c ' huge')" ]
    for name in plain trained; do
        run thaw run --snapshot $name job.py
        is 4999950000.0
    done
    run thaw snapshot create failing --train 'import sys; sys.exit(3)'
    [ "$status" -eq 125 ]
    is "thaw: no snapshot $HOME/.local/share/thaw/snapshots/failing.snap was made: the training program failed"
    [ ! -e "$HOME/.local/share/thaw/snapshots/failing.snap" ]
}

@test "--train: what a typical program only reads lies in the file as in memory, and is what it was" {
    cat >prepare.py <<'END'
import builtins, hashlib, mmap, os
builtins.data = mmap.mmap(-1, 16 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for i in range(16):
    data[i << 20 : i + 1 << 20] = os.urandom(1 << 20)
builtins.digest = hashlib.sha256(data).hexdigest()
END
    echo 'print(sum(data[::4096]))' >job.py
    cat >check.py <<'END'
import hashlib
assert hashlib.sha256(data).hexdigest() == digest
for at in range(100, len(data), 300000):
    byte = data[at]
    data[at] = byte ^ 255
    assert hashlib.sha256(data).hexdigest() != digest
    data[at] = byte
assert hashlib.sha256(data).hexdigest() == digest
data[:] = bytes(len(data))
print("what it was")
END
    thaw snapshot create read --warm prepare.py --train job.py
    thaw snapshot verify read
    for i in 1 2; do
        run thaw run --snapshot read check.py
        is "what it was"
    done
    if thaw snapshot inspect read | grep -q 'machine *process'; then
        # On both sides multiples of 2 MiB, of address and of offset.
        [ "$(thaw snapshot inspect --map read | grep -cE '^[0-9a-f]+[02468ace]00000-.* data +[0-9a-f]*[02468ace]00000 ')" -ge 1 ]
    fi
}

@test "each start has its own randomness, environment and time, whatever the warm code made" {
    thaw snapshot create warm --image python --warm 'import random, uuid, tempfile, os, time; random.random(); t = time.time()'
    for i in 1 2; do
        thaw run --image python --snapshot warm --env N=$i -c 'import random, uuid, os, time, tempfile
assert os.environ["N"] == os.getenv("N") and "THAW_WARM" not in os.environ
assert abs(time.time() - os.stat("/proc/self").st_mtime) < 100
print(random.random(), uuid.uuid4(), os.urandom(4).hex(), next(tempfile._get_candidate_names()))' >out.$i
    done
    [ "$(sort -u out.1 out.2 | wc -l)" -eq 2 ]
    for n in 1 2 3 4; do [ "$(cut -d' ' -f$n out.1)" != "$(cut -d' ' -f$n out.2)" ]; done
}

@test "what cannot be saved is refused with the reason, soon, and leaves no snapshot" {
    for image in $IMAGES; do
        run --separate-stderr timeout $((20 * ${THAW_TEST_SLOW:-1})) "$THAW" snapshot create warm --image $image \
            --warm 'import threading, time; threading.Thread(target=time.sleep, args=(1000,)).start()'
        [ "$status" -eq 125 ]
        one_line "$stderr"
        has "threads are alive besides the one that asks: 1" "$stderr"
        run --separate-stderr thaw snapshot create warm --image $image --warm $'def f(): 1/0\nf()'
        [ "$status" -eq 125 ]
        one_line "$stderr"
        has "ZeroDivisionError: division by zero" "$stderr"
        run --separate-stderr thaw snapshot create warm --image $image --warm 'import sys; sys.exit(3)'
        has "exit status 3" "$stderr"
        [ -z "$(ls "$HOME/.local/share/thaw/snapshots")" ]
        [ -z "$(leftovers)" ]
    done
}

box() { # an image with the guest program
    mkdir -p root
    cp "$GUEST/own_snapshot" root/
    thaw image build --from root box
}

@test "a C program takes its own snapshot, and each start gives it new words" {
    box
    for way in call write; do
        thaw snapshot create own --image box -- /own_snapshot $way
        run thaw exec --image box --snapshot own --stats s.json --cwd /tmp -- /own_snapshot other words
        is "prepared: /own_snapshot other words from /tmp"
        restored s.json
    done
    run thaw exec --image box -- /own_snapshot
    [ "$status" -eq 3 ]
    run --separate-stderr thaw snapshot create bad --image box -- /own_snapshot threads
    has "threads are alive besides the one that asks: 1" "$stderr"
    run --separate-stderr thaw snapshot create bad --image box -- /none
    [ "$status" -eq 125 ]
    has "/none" "$stderr"
}

@test "an unmodified Python takes one through ctypes, and by writing to /dev/thaw" {
    read='r = open("/dev/thaw", "rb", 0).read(); import struct
argc, off = struct.unpack_from("I", r, 8)[0], struct.unpack_from("I", r, 16)[0]
print(made, r[off:].split(b"\0")[:argc])'
    call='import ctypes, mmap
made = "made"
m = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, 7); m.write(bytes.fromhex("b823000000cd80c3"))
ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))()'
    write='made = "made"; open("/dev/thaw", "wb", 0).write(b"snapshot")'
    for way in "$call" "$write"; do
        thaw snapshot create own --image python -- /usr/bin/python3 -c "$way
$read"
        run thaw exec --image python --snapshot own -- a b c
        is "made [b'a', b'b', b'c']"
    done
}
