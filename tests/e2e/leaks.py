# SPDX-License-Identifier: MIT
"""leaks.py ROUNDS: work of every kind, many times over: what the kernel holds afterwards is what it held before."""
import fcntl
import mmap
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

rounds = int(sys.argv[1])


def held():
    """KiB of the kernel's heap; open files, inodes, processes, threads."""
    with open("/proc/meminfo") as f:
        slab = next(int(line.split()[1]) for line in f if line.startswith("Slab"))
    counts = []
    for name in "file-nr", "inode-nr":
        with open(f"/proc/sys/fs/{name}") as f:
            counts.append(int(f.read().split()[0]))
    return slab, *counts, sum(p.isdigit() for p in os.listdir("/proc")), len(os.listdir("/proc/self/task"))


def files():
    with tempfile.TemporaryDirectory() as d:
        for i in range(20):
            with open(f"{d}/{i}", "wb") as f:
                f.write(b"x" * 5000 * i)
            os.link(f"{d}/{i}", f"{d}/l{i}")
            os.symlink(f"{d}/{i}", f"{d}/s{i}")
        f = open(f"{d}/3", "r+b")
        fcntl.lockf(f, fcntl.LOCK_EX)
        m = mmap.mmap(f.fileno(), 0)
        m[0] = 7
        os.unlink(f"{d}/3")
        m.close()
        f.close()
        os.mkfifo(f"{d}/fifo")
        os.listdir(d)


def sockets():
    a, b = socket.socketpair()
    socket.send_fds(a, [b"x"], [0, 1])
    _, fds, _, _ = socket.recv_fds(b, 1, 2)
    for fd in fds:
        os.close(fd)
    socket.send_fds(a, [b"never received"], [0])
    a.close()
    b.close()
    with socket.create_server(("127.0.0.1", 0)) as s, socket.create_connection(s.getsockname()) as c:
        p, _ = s.accept()
        c.sendall(b"y" * 10000)
        p.recv(100)
        p.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # no minute's wait of the port
        p.close()
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    u.bind(("127.0.0.1", 0))
    u.sendto(b"z", u.getsockname())
    u.close()


def events():
    r, w = os.pipe()
    ep = select.epoll()
    ep.register(r, select.EPOLLIN)
    os.write(w, b"1")
    ep.poll(1)
    nested = select.epoll()
    nested.register(ep.fileno(), select.EPOLLIN)
    nested.close()
    ep.close()
    for fd in r, w, os.eventfd(3), os.memfd_create("m"), *os.openpty():
        os.close(fd)


def threads():
    done = []
    ts = [threading.Thread(target=done.append, args=(i,)) for i in range(10)]
    for t in ts:
        t.start()
    for t in ts:
        t.join()
    assert len(done) == 10


def processes():
    assert subprocess.run(["sh", "-c", "echo a | cat | grep -q a; exit 5"]).returncode == 5
    pid = os.fork()
    if not pid:
        threading.Thread(target=time.sleep, args=(100,), daemon=True).start()
        m = mmap.mmap(-1, 1 << 20)
        m[5] = 1
        time.sleep(100)
    time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    assert os.waitpid(pid, 0)[1] == 9
    os.close(os.pidfd_open(os.getpid()))


def timers():
    signal.signal(signal.SIGALRM, lambda *a: None)
    signal.setitimer(signal.ITIMER_REAL, 0.001)
    time.sleep(0.005)
    signal.setitimer(signal.ITIMER_REAL, 0)


work = files, sockets, events, threads, processes, timers
for n in range(rounds):
    for w in work:
        w()
    if n == rounds // 3:
        before = held()
after = held()
print(before, after)
assert after[1:] == before[1:], (before, after)
assert after[0] - before[0] <= 64, (before, after)
print("nothing is left")
