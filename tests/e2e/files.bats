#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What of the host's files a program sees: its own folder, what -v shows, and nothing else.
load helper

@test "a module beside the script can be imported" {
    mkdir -p d/pack
    echo 'import helper, pack.part; print(helper.x, pack.part.y)' >d/a.py
    echo 'x = 5' >d/helper.py; echo 'y = 6' >d/pack/part.py; touch d/pack/__init__.py
    for start in --cold ""; do
        run thaw run $start d/a.py
        is "5 6"
    done
    [ ! -e d/__pycache__ ]
}

@test "the script's folder is the working directory, under its own path" {
    mkdir d; echo 'import os,sys; print(os.getcwd(), __file__, sys.path[0], os.listdir())' >d/a.py
    run thaw run d/a.py
    is "$PWD/d d/a.py $PWD/d ['a.py']" || is "$PWD/d $PWD/d/a.py $PWD/d ['a.py']"
}

@test "the script's folder is read-only" {
    mkdir d; echo data >d/f
    cat >d/a.py <<'P'
import errno, os
def refused(f, *a):
    try: f(*a)
    except OSError as e: assert e.errno in (errno.EROFS, errno.EACCES, errno.EPERM), e
    else: raise SystemExit("%r %r was possible" % (f, a))
refused(open, "new", "w"); refused(open, "f", "a"); refused(open, "f", "r+"); refused(os.unlink, "f")
refused(os.mkdir, "x"); refused(os.rename, "f", "g"); refused(os.chmod, "f", 0o777); refused(os.symlink, "f", "l")
refused(os.link, "f", "l"); refused(os.truncate, "f", 0); refused(os.utime, "f", (0, 0))
refused(os.rename, "f", "/tmp/f") if False else None
print(open("f").read())
P
    before=$(stat -c '%Y %Z %s %a' d/f)
    run thaw run d/a.py
    is data
    [ "$(stat -c '%Y %Z %s %a' d/f)" = "$before" ]
    [ "$(ls d)" = $'a.py\nf' ]
}

@test "/tmp is writable and fresh in each sandbox" {
    code='import os; print(os.listdir("/tmp")); open("/tmp/left", "w").write("x"); os.mkdir("/tmp/d"); print(sorted(os.listdir("/tmp")))'
    for start in --cold "" ""; do
        run thaw run $start -c "$code"
        is $'[]\n[\'d\', \'left\']'
    done
    [ ! -e /tmp/left ]
}

@test "the rest of the root can be written to, and forgets it" {
    for i in 1 2; do
        run thaw run -c 'import os; print(os.path.exists("/etc/new")); open("/etc/new", "w").write("x"); print(open("/etc/new").read())'
        is $'False\nx'
    done
}

@test "nothing of the host is there" {
    echo secret >"$BATS_TEST_TMPDIR/secret"
    run thaw run -c 'import os,sys
for p in sys.argv[1:]: assert not os.path.exists(p), p
assert "root:x:0:0:root:/root:/bin/bash" not in (open("/etc/passwd").read() if os.path.exists("/etc/passwd") else "")
print(sorted(os.listdir("/")))' "$BATS_TEST_TMPDIR/secret" "$HOME" /etc/shadow /boot /home/user /var/log /sys/kernel /proc/1/root/etc/shadow "$TESTS"
    [ "$status" -eq 0 ]
}

@test "the host's host name, users, processes and mounts cannot be seen" {
    run thaw run -c 'import os
pids = [p for p in os.listdir("/proc") if p.isdigit()]
assert len(pids) <= 2, pids
print(os.uname().nodename, os.getuid(), os.getpid() < 10)'
    [ "$status" -eq 0 ]
    [[ $output == *" 0 True" ]]
    [[ $output != "$(uname -n) "* || $(uname -n) == thaw ]]
}

@test "-v shows a directory, writable; what is written is there afterwards" {
    mkdir share; echo in >share/f
    for start in --cold ""; do
        rm -rf share/new share/d
        run thaw run $start -v share:/mnt/x -c '
import os
print(open("/mnt/x/f").read().strip(), sorted(os.listdir("/mnt/x")))
open("/mnt/x/new", "w").write("out"); os.mkdir("/mnt/x/d"); open("/mnt/x/d/g", "wb").write(bytes(range(256)) * 4096)
os.rename("/mnt/x/new", "/mnt/x/newer"); os.rename("/mnt/x/newer", "/mnt/x/new")'
        is "in ['f']"
        [ "$(cat share/new)" = out ]
        [ "$(stat -c %s share/d/g)" -eq 1048576 ]
    done
    rm -rf share/d share/new
}

@test "-v with :ro refuses each kind of writing" {
    mkdir share; echo in >share/f
    run thaw run -v share:/mnt:ro -c '
import errno, os
def refused(f, *a):
    try: f(*a)
    except OSError as e: assert e.errno == errno.EROFS, e
    else: raise SystemExit("%r %r was possible" % (f, a))
refused(open, "/mnt/new", "w"); refused(open, "/mnt/f", "a"); refused(os.unlink, "/mnt/f"); refused(os.mkdir, "/mnt/x")
refused(os.rename, "/mnt/f", "/mnt/g"); refused(os.chmod, "/mnt/f", 0o777); refused(os.symlink, "f", "/mnt/l")
refused(os.link, "/mnt/f", "/mnt/l"); refused(os.truncate, "/mnt/f", 0)
print(open("/mnt/f").read().strip())'
    is in
    [ "$(ls share)" = f ]
}

@test "-v of a single file shows just that file" {
    echo one >one; echo two >two
    run thaw run -v one:/data/one:ro -c 'import os; print(open("/data/one").read().strip(), os.listdir("/data"))'
    is "one ['one']"
}

@test "no way out of a share: .., absolute and relative symbolic links, links made inside" {
    mkdir -p outer/share/sub; echo secret >outer/secret
    ln -s ../secret outer/share/up; ln -s /etc/passwd outer/share/abs; ln -s "$PWD/outer/secret" outer/share/absup
    ln -s .. outer/share/dir; ln -s sub/../../secret outer/share/round; ln -s / outer/share/root
    echo inside >outer/share/sub/f; ln -s sub/f outer/share/ok
    run thaw run -v outer/share:/mnt -c '
import os
for p in ("up", "abs", "absup", "dir/secret", "round", "sub/../../secret", "../secret", "root/etc/passwd", "root/etc/hostname",
          "sub/../up", "dir/share/up", "./../share/../secret"):
    try: text = open("/mnt/" + p).read()
    except OSError: continue
    # an absolute link leads to the root of the sandbox, as in a container
    assert "secret" not in text and "/bin/bash" not in text, (p, text)
os.symlink("../../../../../../etc/hostname", "/mnt/made"); os.symlink("..", "/mnt/sub/made")
for p in ("made", "sub/made/../secret", "sub/made/made"):
    try: text = open("/mnt/" + p).read()
    except OSError: continue
    assert "secret" not in text, (p, text)
try: os.rename("/mnt/sub", "/mnt/../outside")
except OSError: pass
try: os.link("/mnt/up", "/mnt/hard"); print(open("/mnt/hard").read())
except OSError: pass
print(open("/mnt/ok").read().strip())'
    [[ $output != *secret* ]]
    is inside
    [ ! -e outer/outside ]
    [ "$(cat outer/secret)" = secret ]
}

@test "devices, FIFOs and sockets of a share cannot be opened" {
    mkdir share; mkfifo share/fifo
    python3 -c 'import socket; s = socket.socket(socket.AF_UNIX); s.bind("share/sock")'
    run thaw run --timeout 10 -v share:/mnt -c '
import os
for n in ("fifo", "sock"):
    for m in (os.O_RDONLY | os.O_NONBLOCK, os.O_RDWR):
        try: os.open("/mnt/" + n, m)
        except OSError: pass
        else: raise SystemExit(n)
print("refused")'
    is refused
}

@test "files that the caller may not read stay unread" {
    [ "$(id -u)" -ne 0 ] || skip "root may read everything"
    run thaw run -v /etc:/mnt:ro -c 'open("/mnt/shadow")'
    [ "$status" -eq 1 ]
    has "PermissionError"
}

@test "two shares, one below the other, and one upon the script's folder" {
    mkdir -p a b d; echo a >a/f; echo b >b/f; echo 'print(open("/m/f").read(), open("/m/in/f").read(), open("data/f").read())' >d/s.py
    mkdir a/in d/data
    run thaw run -v a:/m -v b:/m/in -v b:"$PWD/d/data" d/s.py
    is $'a\n b\n b'
}

@test "a script in /tmp itself: the file alone is visible, /tmp stays writable" {
    f=$(mktemp /tmp/thaw-test-XXXXXX.py); other=$(mktemp /tmp/thaw-test-XXXXXX)
    echo 'import os,sys; open("/tmp/x", "w"); print(os.path.basename(sys.argv[0]) in os.listdir("/tmp"), os.path.exists(sys.argv[1]))' >$f
    run thaw run $f $other
    rm -f $f $other
    is "True False"
}

@test "a script that is a symbolic link finds the modules beside its target, as natively" {
    mkdir -p real links; echo 'import helper; print(helper.x)' >real/s.py; echo 'x = 1' >real/helper.py
    ln -s ../real/s.py links/s.py
    run thaw run links/s.py
    is 1
}

@test "a script's path with spaces, quotes and letters of other tongues" {
    d="a b'c\"d é"; mkdir "$d"; echo 'import os; print(os.getcwd())' >"$d/s ü.py"
    run thaw run "$d/s ü.py"
    is "$PWD/$d"
}

@test "--harden changes nothing that a program sees" {
    unshare -U true 2>/dev/null || skip "this host allows no user namespaces"
    mkdir share; echo in >share/f
    run thaw run --harden -v share:/mnt -c 'open("/mnt/new", "w").write("x"); print(open("/mnt/f").read().strip())'
    is in
    [ "$(cat share/new)" = x ]
}

@test "a big directory is listed whole, once each" {
    mkdir big; (cd big; seq -f 'file-with-a-rather-long-name-%05g' 3000 | xargs touch)
    run thaw run -v big:/mnt -c 'import os; l = os.listdir("/mnt"); print(len(l), len(set(l)))'
    is "3000 3000"
}
