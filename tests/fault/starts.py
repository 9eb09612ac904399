# SPDX-License-Identifier: MIT
"""200 starts side by side; thousands in a row, without a leak of memory, files or processes on the host."""
import os
import subprocess
import time

from common import *

Result("run", "-c", "1")


def side_by_side(count):
    all = [subprocess.Popen([THAW, "run", "-c", "import sys; print(int(sys.argv[1]) * 7, input())", str(i)],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for i in range(count)]
    for i, p in enumerate(all):
        p.stdin.write(b"line %d\n" % i)
        p.stdin.close()
        p.stdin = None
    bad = []
    for i, p in enumerate(all):
        out, err = p.communicate()
        if p.returncode or out != b"%d line %d\n" % (i * 7, i) or err:
            bad.append((i, p.returncode, out, err))
    return bad


def meminfo(name):
    for line in open("/proc/meminfo"):
        if line.startswith(name + ":"):
            return int(line.split()[1])


def files():
    return sum(len(f) for _, _, f in os.walk(work))


report("200 starts side by side are all right", side_by_side(200), 200)
count = 5000 if LONG else 300
before = files(), meminfo("Shmem")
bad = []
for i in range(count):
    p = subprocess.Popen([THAW, "run", "-c", "print(%d)" % i], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, start_new_session=True)
    out, err = p.communicate()
    if p.returncode or out != b"%d\n" % i or err:
        bad.append((i, p.returncode, out, err))
    if i % 50 == 0 and not gone(p.pid, 2):
        bad.append((i, "left a process"))
report("%d starts in a row are all right" % count, bad, count)
report("they left no file", [] if files() == before[0] else ["%d files before, %d after" % (before[0], files())])
grown = meminfo("Shmem") - before[1]
report("they left no shared memory", [] if grown < 8192 else ["%d KiB more" % grown])
finish()
