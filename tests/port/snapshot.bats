#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The snapshot call in CPython's main: when it is made, where, and how often. IMAGE: the image python-static.
load ../e2e/helper

CPYTHON=${CPYTHON:-$TESTS/../build/cpython}
IMAGE=${IMAGE:-$TESTS/../build/images/python-static.erofs}

setup() {
    [ -e "$IMAGE" ] || skip "no image python-static (make python-static)"
    home_fresh
    mkdir -p "$BATS_TEST_TMPDIR/work"
    cd "$BATS_TEST_TMPDIR/work"
    # Where the helper lies in the program, which has one address: what a hostile program would call as well.
    helper=0x$(nm "$CPYTHON/python.debug" | sed -n 's/ T thaw_snapshot$//p')
    call="import ctypes; print(ctypes.CFUNCTYPE(ctypes.c_int)($helper)())"
}

start() { thaw run --image "$IMAGE" "$@"; }

calls() { grep -c int80_snapshot "$1" || true; }

@test "with THAW_SNAPSHOT unset no snapshot is asked for" {
    start --cold --strace -c 'print(1)' 2>trace
    [ "$(calls trace)" -eq 0 ]
    [ -z "$(snapshots)" ]
}

@test "with THAW_SNAPSHOT=0 or empty no snapshot is asked for" {
    for value in 0 "" yes 11; do
        thaw exec --image "$IMAGE" --strace --env THAW_SNAPSHOT=$value -- /usr/bin/python3 -c 'print(1)' 2>trace
        [ "$(calls trace)" -eq 0 ]
    done
}

@test "with THAW_SNAPSHOT=1 it is asked for exactly once, and nothing is read of the program before" {
    echo 'print("the program")' >program.py
    start --strace program.py 2>trace >out
    [ "$(cat out)" = "the program" ]
    [ "$(calls trace)" -eq 1 ]
    [ "$(snapshots | wc -l)" -eq 1 ]
    # Before the call neither the script's folder nor what is in it is to be seen, and after it they are. (A long path is
    # shown up to a length.)
    sed '/int80_snapshot/,$d' trace >before
    sed '1,/int80_snapshot/d' trace >after
    [ -s before ]
    run grep -c "the program\|program.py\|openat(AT_FDCWD, \"${PWD:0:24}" before
    is 0
    grep -q "openat(AT_FDCWD, \"${PWD:0:24}" after
    grep -q 'read(.*the program' after
    # What a start brings is read after it too: the device is opened before, so that no name is left to look up.
    run grep -c 'read(20[0-9]' before
    is 0
}

@test "an audit hook sees nothing of the program before the snapshot, and all of it after" {
    mkdir -p app
    echo 'print("module")' >app/part.py
    echo 'import part; print([e for e in seen if e in ("cpython.run_file", "import")])' >app/main.py
    cat >warm.py <<'EOF'
import sys, builtins, snapshot_restore_py
builtins.seen = []
sys.addaudithook(lambda event, args: builtins.seen.append(event if event != "open" else (event, str(args[0]))))
def before():
    # The last thing that runs before the call.
    assert not any("/app/" in str(e) or "part.py" in str(e) or str(e).startswith("cpython.run") for e in builtins.seen)
    builtins.seen.clear()
    print("before the snapshot", sys.argv, file=sys.stderr)
snapshot_restore_py.register_before_snapshot(before)
EOF
    thaw run --image "$IMAGE" --env THAW_WARM="$(cat warm.py)" -c 1 2>err
    run --separate-stderr thaw run --image "$IMAGE" app/main.py
    [ "${lines[0]}" = module ]
    has "cpython.run_file" "${lines[1]}"
}

@test "a second call is refused, in the sandbox that made the snapshot and in restored ones" {
    run start -c "$call"
    is -114
    run start -c "$call"
    is -114
    [ "$(snapshots | wc -l)" -eq 1 ]
}

@test "a call of the program's own, where no snapshot is wanted, is -ENOSYS and Python goes on" {
    run start --cold -c "$call; print('on')"
    is $'-38\non'
    run thaw exec --image "$IMAGE" --env THAW_SNAPSHOT=1 -- /usr/bin/python3 -c 'import sys; print(sys.argv)' a
    is "['-c', 'a']"
}

@test "a program started beside a ._pth file has sys.path as that says, and nothing before" {
    cat >pth.py <<'EOF'
import os, subprocess, sys
os.symlink(sys.executable, "/tmp/python3")
with open("/tmp/python3._pth", "w") as f:
    f.write(os.path.dirname(os.__file__) + "\n")
print(subprocess.check_output(["/tmp/python3", "-c", "import sys; print(sys.path == [sys.argv[1]])", os.path.dirname(os.__file__)], text=True), end="")
EOF
    for cold in --cold ""; do
        run --separate-stderr start $cold pth.py
        is True
    done
}

@test "OpenSSL's and SQLite's generators are renewed in each start" {
    start --env THAW_WARM='
import ssl, sqlite3
ssl.RAND_bytes(8)
sqlite3.connect(":memory:").execute("select random()").fetchone()' -c 1
    code='import ssl, sqlite3; print(ssl.RAND_bytes(16).hex(), sqlite3.connect(":memory:").execute("select random()").fetchone())'
    for i in 1 2 3 4; do start -c "$code"; done >out
    [ "$(cut -d' ' -f1 out | sort -u | wc -l)" -eq 4 ]
    [ "$(cut -d' ' -f2 out | sort -u | wc -l)" -eq 4 ]
}

@test "hashes are OpenSSL's" {
    run start -c 'import hashlib; print(hashlib.sha256, hashlib.new("sha1", b"abc").hexdigest())'
    has "openssl_sha256"
    has "a9993e364706816aba3e25717850c26c9cd0d89d"
}

@test "host tools are not in the image" {
    run thaw exec --image "$IMAGE" -- /usr/bin/python3 -c '
import os
for folder, _, files in os.walk("/"):
    for f in files:
        p = os.path.join(folder, f)
        if not os.path.islink(p) and not folder.startswith(("/proc", "/dev", "/sys")):
            head = open(p, "rb").read(4)
            if head == b"\x7fELF" or head[:2] == b"#!" and os.access(p, os.X_OK): print(p)'
    [ "$(grep -v '/usr/lib/python3' <<<"$output")" = /usr/lib/thaw/python ]
}
