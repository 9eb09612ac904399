#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Dynamic programs, and Debian's own Python, unmodified: from a directory, from an image, cold and restored.
load helper

@test "dynamic programs of this host run with its root as theirs: /bin/true, sort, a shell" {
    thaw exec --root / -- /bin/true
    run thaw exec --root / -- /bin/false
    [ "$status" -eq 1 ]
    run thaw exec --root / -- /usr/bin/env sh -c 'echo $((6 * 7)); printf "b\na\n" >/tmp/f; read x </tmp/f; echo $x'
    is $'42\nb'
}

@test "this host's Python runs from its directory, and loads extension modules" {
    run --separate-stderr thaw exec --root / -- /usr/bin/python3 -I -c 'import _ctypes, mmap, sys; print(sys.version_info[0], sys.executable)'
    is "3 /usr/bin/python3"
}

# both CODE: the same output and status cold, restored, and by this host's own Python of the same version.
both() {
    env -u PYTHONDONTWRITEBYTECODE /usr/bin/python3 -c "$1" >native 2>native.err || true
    thaw run --cold -c "$1" >cold 2>cold.err
    thaw run -c 1
    thaw run --stats s.json -c "$1" >restored_out 2>restored.err
    restored s.json
    cat cold.err restored.err >&2
    cmp native cold && cmp native restored_out
}

@test "every extension module of the standard library can be imported, cold and restored" {
    both 'import os, sys
import ssl, sqlite3, ctypes, lzma, bz2, decimal, readline, zoneinfo, mmap, curses, _decimal, _asyncio, asyncio, multiprocessing
import dbm, crypt, termios, resource, _json, _contextvars, _queue, uuid, _uuid, audioop, ossaudiodev, nis, spwd, syslog
names = sorted(n.split(".")[0] for n in os.listdir("/usr/lib/python3.11/lib-dynload"))
for n in names:
    if n != "_tkinter" and not n.startswith("_test") and n not in ("_dbm", "_gdbm"):
        try: __import__(n)
        except ImportError as e: print(n, e)
print("done")'
}

@test "sqlite3, ctypes, ssl, lzma, decimal, zoneinfo, mmap give what they give natively" {
    both 'import sqlite3, ctypes, ssl, lzma, decimal, zoneinfo, mmap, hashlib, datetime, tempfile
db = sqlite3.connect(":memory:"); db.execute("create table t(a)"); db.executemany("insert into t values(?)", [(i,) for i in range(1000)])
print(db.execute("select sum(a) from t").fetchone())
libc = ctypes.CDLL(None); print(libc.abs(-5), ctypes.sizeof(ctypes.c_long))
compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))(lambda a, b: a[0] - b[0])
a = (ctypes.c_int * 5)(5, 3, 1, 4, 2); libc.qsort(a, 5, 4, compare); print(list(a))
print(ssl.OPENSSL_VERSION.split()[0], len(ssl.create_default_context().get_ciphers()) > 5)
print(lzma.decompress(lzma.compress(b"x" * 100000)) == b"x" * 100000)
print(decimal.Decimal(2).sqrt(), hashlib.sha3_256(b"a").hexdigest())
print(datetime.datetime(2024, 7, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")).isoformat())
with tempfile.TemporaryFile() as f:
    f.write(b"hello" * 1000); f.flush()
    m = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_COPY); m[:5] = b"HELLO"; print(m[:10], len(m)); m.close()
m = mmap.mmap(-1, 8192); m[:3] = b"abc"; print(m[:4])'
}

@test "its threads, clocks and signals work before and after a restore" {
    both 'import threading, time, signal, faulthandler
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(4) as p: print(sum(p.map(lambda x: x * x, range(1000))))
t = time.monotonic(); time.sleep(0.01); print(0.01 <= time.monotonic() - t < 5)
print(abs(time.time() - time.clock_gettime(time.CLOCK_REALTIME)) < 1)
hit = []; signal.signal(signal.SIGALRM, lambda *a: hit.append(a[0])); signal.setitimer(signal.ITIMER_REAL, 0.01)
while not hit: time.sleep(0.001)
print(hit)'
}

@test "the program finds no trace of the agent" {
    both 'import sys, inspect
print(sorted(m for m in sys.modules if "thaw" in m.lower()), [p for p in sys.path if "thaw" in p])
print(sys._getframe().f_back, len(inspect.stack()), sorted(globals()), sys.argv, sys.flags)
print([a for a in sys.orig_argv if "_thaw" in a], sys.executable, sys.getrecursionlimit())'
}

@test "two restored starts differ in what is random" {
    thaw run -c 1
    for i in 1 2; do
        thaw run -c 'import random, os, uuid, secrets, tempfile
print(random.random(), os.urandom(8), uuid.uuid4(), secrets.token_hex(), next(tempfile._get_candidate_names()))' >random.$i
    done
    run diff --unchanged-line-format=%L --old-line-format= --new-line-format= random.1 random.2
    is ""
}

@test "asyncio: sleeps, an echo over TCP, an HTTP server asked by urllib" {
    both 'import asyncio, http.server, threading, urllib.request
async def echo(reader, writer):
    writer.write((await reader.readline()).upper()); await writer.drain(); writer.close()
async def main():
    await asyncio.sleep(0.01)
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"hello\n"); print(await reader.readline()); writer.close(); server.close()
asyncio.run(main())
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(self.path.encode())
    def log_message(self, *words): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever).start()
print(urllib.request.urlopen("http://127.0.0.1:%d/a/b" % server.server_port).read())
server.shutdown()'
}

@test "processes: subprocess, multiprocessing by fork and spawn, fork and wait, limits, affinity" {
    both 'import multiprocessing, os, resource, signal, subprocess
def square(n): return n * n
print(subprocess.run(["/bin/true"]).returncode, subprocess.run("echo a | tr a b; exit 3", shell=True, capture_output=True))
with multiprocessing.get_context("fork").Pool(2) as pool: print(pool.map(square, range(10)))
with multiprocessing.get_context("spawn").Pool(2) as pool: print(pool.map(abs, [-1, 2, -3]))
r, w = os.pipe(); pid = os.fork()
if not pid: os.write(w, b"child"); os._exit(7)
print(os.read(r, 9), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
pid = os.fork()
if not pid: signal.pause()
os.kill(pid, signal.SIGTERM); print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
print(resource.getrlimit(resource.RLIMIT_CORE)[0] >= -1, len(os.sched_getaffinity(0)) >= 1, os.times().user >= 0, os.popen("echo x").read())'
}

@test "sockets and a database in a file: UDP, Unix, names, sqlite3 with a write-ahead log" {
    both 'import os, socket, sqlite3, tempfile
a, b = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in "ab")
a.bind(("127.0.0.1", 0)); b.sendto(b"datagram", a.getsockname()); print(a.recvfrom(99)[0])
with tempfile.TemporaryDirectory() as d:
    s = socket.socket(socket.AF_UNIX); s.bind(d + "/s"); s.listen(); c = socket.socket(socket.AF_UNIX); c.connect(d + "/s")
    k, _ = s.accept(); c.sendall(b"unix"); print(k.recv(9)); fd = os.dup(1); socket.send_fds(c, [b"x"], [fd])
    print(len(socket.recv_fds(k, 1, 1)[1]))
    db = sqlite3.connect(d + "/db"); print(db.execute("pragma journal_mode=wal").fetchone())
    db.execute("create table t(a)"); db.executemany("insert into t values(?)", ((i,) for i in range(500))); db.commit()
    print(sqlite3.connect(d + "/db").execute("select sum(a) from t").fetchone(), sorted(os.listdir(d))); db.close()
print(sorted({x[4][0] for x in socket.getaddrinfo("127.0.0.1", 80)}))'
}

@test "files: walk, shutil, modes, links, locks, mmap; json, logging, zones of time" {
    both 'import datetime, fcntl, json, logging, mmap, os, shutil, stat, sys, tempfile, zoneinfo
logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(message)s"); logging.warning("logged")
print(json.loads(json.dumps({"a": [1, 2.5, None]})), datetime.datetime(2024, 1, 1, tzinfo=zoneinfo.ZoneInfo("Asia/Tokyo")))
with tempfile.TemporaryDirectory() as d:
    os.makedirs(d + "/a/b"); open(d + "/a/f", "w").write("text" * 2000); os.symlink("f", d + "/a/l"); os.link(d + "/a/f", d + "/h")
    os.chmod(d + "/h", 0o640); shutil.copytree(d + "/a", d + "/c", symlinks=True); shutil.move(d + "/c", d + "/e")
    print(sorted(os.path.relpath(p, d) + str(sorted(f)) for p, _, f in os.walk(d)), stat.filemode(os.stat(d + "/a/f").st_mode))
    with open(d + "/h", "r+b") as f:
        fcntl.flock(f, fcntl.LOCK_EX); fcntl.lockf(f, fcntl.LOCK_EX); os.fsync(f.fileno()); os.ftruncate(f.fileno(), 4096)
        with mmap.mmap(f.fileno(), 0) as m: m[:4] = b"TEXT"; m.flush()
    print(open(d + "/a/f").read(8), os.stat(d + "/h").st_nlink, os.readlink(d + "/e/l"))'
}
