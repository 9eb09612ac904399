#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Ways to give a program to Python, and what it finds when it begins; each beside the native interpreter.
load helper

same() { # WORDS...: thaw run WORDS and python3 WORDS say and do the same
    local native=0 got start
    printf %s "${INPUT-}" >native.in
    python3 -B "$@" <native.in >native.out 2>native.err || native=$?
    for start in --cold ""; do
        got=0
        thaw run $start "$@" <native.in >got.out 2>got.err || got=$?
        diff native.out got.out >&2
        diff native.err got.err >&2
        [ "$got" -eq "$native" ]
    done
}

@test "-c runs code" { same -c 'import sys; print(sys.argv, __name__)' a b; }

@test "-c joined with its code" { run thaw run -c'print(1)'; is 1; }

@test "-m runs a module of the standard library" { INPUT='{"a": [1, 2]}' same -m json.tool; }

@test "-m of a module that is not there is an error as natively" {
    run --separate-stderr thaw run -m no_such_module
    [ "$status" -eq 1 ]
    has "No module named no_such_module" "$stderr"
}

@test "- takes the program from stdin, with arguments" {
    run thaw run - a b <<<'import sys; print(sys.argv)'
    is "['-', 'a', 'b']"
}

@test "no words at all: the program is on stdin" { run thaw run <<<'print(6*7)'; is 42; }

@test "a traceback names the script by the path the user gave" {
    mkdir d; printf 'def f():\n    1/0\n\nf()\n' >d/s.py
    same d/s.py
    same "$PWD/d/s.py"
}

@test "a traceback of -c and of stdin" { same -c $'def f(): 1/0\nf()'; INPUT='1/0' same -; }

@test "a syntax error shows the line" { printf 'x = (1\nprint(2)\n' >s.py; same s.py; }

@test "a traceback through a module beside the script" {
    printf 'import helper\nhelper.f()\n' >s.py; printf 'def f():\n    raise KeyError("k")\n' >helper.py
    same s.py
}

@test "exit statuses and last words of sys.exit, as natively" {
    same -c 'import sys; sys.exit("word")'
    same -c 'raise SystemExit(5)'
    same -c 'import sys; print("a"); sys.stderr.write("b\n"); sys.exit(None)'
}

@test "the standard library works: json re hashlib datetime pathlib random zlib struct threading" {
    cat >s.py <<'P'
import base64, collections, csv, datetime, functools, hashlib, io, itertools, json, pathlib, re, statistics, struct, threading, zlib
print(json.dumps(json.loads('{"a": [1, 2.5, null, true, "\\u00e9"]}'), sort_keys=True))
print(re.sub(r"(\w+)@(\w+)", r"\2 at \1", "me@home"), hashlib.sha256(b"x").hexdigest(), hashlib.md5(b"x").hexdigest())
print(datetime.datetime(2024, 2, 29) + datetime.timedelta(days=365), pathlib.PurePath("/a/b/../c.txt").suffix)
print(zlib.crc32(b"abc"), zlib.decompress(zlib.compress(b"x" * 10000)) == b"x" * 10000, struct.pack("<IQ", 1, 2))
print(statistics.mean(range(10)), collections.Counter("hello").most_common(1), base64.b64encode(bytes(range(9))))
results = []
threads = [threading.Thread(target=lambda i=i: results.append(sum(range(i * 1000)))) for i in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
print(sorted(results))
w = io.StringIO(); csv.writer(w).writerow(["a,b", 'c"d', 1]); print(w.getvalue())
P
    same s.py
}

@test "threads run and wait for each other: locks, events, queues, timers" {
    cat >s.py <<'P'
import queue, threading, time
q = queue.Queue(maxsize=2)
def produce():
    for i in range(500): q.put(i)
    q.put(None)
total = 0
threading.Thread(target=produce).start()
while (x := q.get()) is not None: total += x
e = threading.Event(); t = threading.Timer(0.05, e.set); t.start(); assert e.wait(10)
assert not threading.Event().wait(0.01)
c = threading.Condition(); n = 0
def count():
    global n
    with c:
        n += 1; c.notify_all()
for _ in range(10): threading.Thread(target=count).start()
with c: assert c.wait_for(lambda: n == 10, 10)
b = threading.Barrier(4)
ts = [threading.Thread(target=b.wait) for _ in range(3)]
[t.start() for t in ts]; b.wait(10); [t.join() for t in ts]
print(total)
P
    same s.py
}

@test "signals within Python: alarm, setitimer, pause, a handler in the main thread" {
    cat >s.py <<'P'
import signal, threading, time
got = []
signal.signal(signal.SIGALRM, lambda *a: got.append(1))
signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
while len(got) < 3: signal.pause()
signal.setitimer(signal.ITIMER_REAL, 0)
signal.alarm(1); t = time.monotonic(); time.sleep(0.1)
signal.signal(signal.SIGUSR1, lambda *a: print(threading.current_thread().name))
signal.raise_signal(signal.SIGUSR1)
P
    same s.py
}

@test "files in /tmp: open modes, seek, truncate, stat, scandir, rename, remove, tempfile, shutil" {
    cat >s.py <<'P'
import os, shutil, tempfile
d = tempfile.mkdtemp()
p = os.path.join(d, "f")
with open(p, "w+") as f:
    f.write("hello\n" * 1000); f.seek(6); print(f.readline(), f.tell()); f.truncate(100)
print(os.stat(p).st_size, oct(os.stat(p).st_mode))
os.chmod(p, 0o600); print(oct(os.stat(p).st_mode)); os.utime(p, (5, 6)); print(os.stat(p).st_mtime)
os.symlink("f", os.path.join(d, "l")); print(os.readlink(os.path.join(d, "l")), open(os.path.join(d, "l")).read(5))
os.makedirs(os.path.join(d, "a/b/c")); shutil.copy(p, os.path.join(d, "a/b")); shutil.copytree(os.path.join(d, "a"), os.path.join(d, "e"))
print(sorted(e.name + "/" * e.is_dir() for e in os.scandir(d)), sorted(min(x[2]) for x in os.walk(d) if x[2]))
os.replace(p, os.path.join(d, "g")); os.link(os.path.join(d, "g"), os.path.join(d, "h")); print(os.stat(os.path.join(d, "g")).st_nlink)
try: os.rmdir(os.path.join(d, "a"))
except OSError as e: print(e.strerror)
shutil.rmtree(d); print(os.path.exists(d))
P
    same s.py
}

@test "pipes and select within a program" {
    same -c 'import os, select
r, w = os.pipe(); print(select.select([r], [w], [], 0)[:2] == ([], [w]))
os.write(w, b"x" * 100); p = select.poll(); p.register(r, select.POLLIN); print(p.poll(0)[0][1], len(os.read(r, 1000)))
os.close(w); print(os.read(r, 1))'
}

@test "recursion limit, deep recursion and big stacks" {
    same -c 'import sys
def f(n): return n and f(n-1) + 1
print(f(900))
try: f(100000)
except RecursionError as e: print(e)
sys.setrecursionlimit(20000); print(f(15000))'
}

@test "floating point state and results are as natively" {
    same -c 'import math; print(math.sin(1e22), 0.1+0.2, math.fsum([0.1]*10), 2.0**0.5, float("nan"), round(2.5), 1e308*10)'
}

@test "time zone, locale and encodings are as natively in C.UTF-8" {
    LC_ALL=C.UTF-8 TZ=UTC same -c 'import time,sys,locale; print(time.tzname, sys.getfilesystemencoding(), sys.stdout.encoding, locale.getpreferredencoding().lower(), "é☃")'
}

@test "a child interpreter takes its options; the library can be put into an archive" {
    same -c 'import io, json, subprocess, sys, zipfile
for words in ["-X", "warn_default_encoding", "-c", "open(\"/etc/passwd\").close()"], ["-O", "-c", "print(__debug__)"], ["-Q"]:
    r = subprocess.run([sys.executable, *words], capture_output=True); print(r.returncode, r.stdout, r.stderr.split(b"\n")[0])
with zipfile.ZipFile(io.BytesIO(), "w") as z: z.write(json.__file__, "json.py"); print(z.namelist())'
}

@test "subprocess and os: output, input, statuses, signals, time limits, spawn, what a child shares" {
    cat >processes.py <<'EOF'
import os, signal, subprocess, sys, time
py = [sys.executable, "-c"]
r = subprocess.run(py + ["import sys; print('out', sys.argv); print('err', file=sys.stderr); sys.exit(5)", "a"], capture_output=True, text=True)
print(r.returncode, r.stdout, r.stderr)
print(subprocess.run(py + ["print(input().upper())"], input="text\n", capture_output=True, text=True).stdout)
try: subprocess.run(["/none"])
except FileNotFoundError as e: print(e)
try: subprocess.run(py + ["while True: pass"], timeout=0.5)
except subprocess.TimeoutExpired as e: print("timeout")
p = subprocess.Popen(py + ["import time; print('up', flush=True); time.sleep(60)"], stdout=subprocess.PIPE)
print(p.stdout.readline()); p.terminate(); print(p.wait())
a = subprocess.Popen(py + ["for i in range(5): print(i)"], stdout=subprocess.PIPE)
b = subprocess.Popen(py + ["import sys; print(sys.stdin.read().split())"], stdin=a.stdout, stdout=subprocess.PIPE)
a.stdout.close(); print(b.communicate()[0], a.wait())
try: os.posix_spawn("/none", ["x"], {})
except OSError as e: print(e)
print(os.waitstatus_to_exitcode(os.waitpid(os.posix_spawn(py[0], py + ["raise SystemExit(4)"], os.environ), 0)[1]))
l = [1]; r, w = os.pipe()
p = os.fork()
if p == 0:
    l.append(2); os.write(w, repr(l).encode()); os._exit(3)
print(os.read(r, 99), l, os.waitpid(p, 0)[1])
got = []
signal.signal(signal.SIGCHLD, lambda s, f: got.append(s))
p = os.fork()
if p == 0: os._exit(0)
while not got: time.sleep(0.01)
print(got, os.waitpid(p, 0)[1])
EOF
    same processes.py
}
