# SPDX-License-Identifier: MIT
"""Damaged and hostile snapshots: an error in one line or a correct run, never a crash or a wrong answer."""
import os
import shutil
import struct
import subprocess

from common import *

CODE = "print(sum(range(1000)), 'x'.upper())"
WANT = b"499500 X\n"
TABLE = 256
files = [os.path.join(work, "%d.snap" % i) for i in range(2)]
good = os.path.join(work, "good.snap")


def run(i):
    return Result("run", "--timeout", "20", "--snapshot", files[i], "-c", CODE)


def fresh(i):
    shutil.copyfile(good, files[i])


def judge(r):
    return None if r.right(WANT) or r.refused() else r


def flipped(i, case):
    at, mask = case
    flip(files[i], at, mask)
    r = run(i)
    flip(files[i], at, mask)
    return judge(r)


def cut(i, size):
    os.truncate(files[i], size)
    r = run(i)
    fresh(i)
    if r.right(WANT) and size < os.path.getsize(good):
        return "ran from a part of the snapshot"
    return judge(r)


def resigned(i, words):
    fresh(i)
    status = subprocess.run([os.path.join(TOOLS, "snapshot_resign"), files[i], *words]).returncode
    if status:
        return "snapshot_resign: %d" % status
    # What its pages say, the owner of the snapshot decides. What it may not do is to harm the monitor.
    r = Result("run", "--timeout", "5", "--snapshot", files[i], "-c", CODE)
    return None if r.survived() else r


r = Result("snapshot", "create", good)
report("a snapshot is made", [] if r.survived() and r.status == 0 else [r])
size = os.path.getsize(good)
regions = struct.unpack_from("<I", open(good, "rb").read(256), 104)[0]
leaves = struct.unpack_from("<I", open(good, "rb").read(256), 144)[0]  # of the kvm machine's
for i in range(2):
    fresh(i)
report("it is used", [x for x in (run(0), run(1)) if not x.right(WANT)])

each("every byte of the header flipped, one at a time", [(at, 0xff) for at in range(184)], flipped)
each("every byte of the header with one bit flipped", [(at, 1 << rng.randrange(8)) for at in range(184)], flipped)
table = range(TABLE, TABLE + 32 * regions)
each("every byte of the table flipped, one at a time" if LONG else "bytes of the table flipped, one at a time",
     [(at, 1 << rng.randrange(8)) for at in (table if LONG else sorted(rng.sample(table, min(150, len(table)))))], flipped)
each("random bytes of the pages flipped", [(rng.randrange(TABLE, size), rng.randrange(1, 256)) for _ in range(3000 if LONG else 60)],
     flipped)
each("cut short, or longer", [0, 1, 8, 183, 184, 255, 256, 4096, 8191, 8192, 131072, 135168, size - 1, size - 4096, size + 1, size + 4096]
     + [rng.randrange(size) for _ in range(500 if LONG else 10)], cut)
each("hand-made hostile ones, checksums right", [("hostile", str(n)) for n in range(37)], resigned)
for part, count in (("header", 40), ("table", 80), ("pages", 30), *((("leaves", 60),) if leaves else ())):
    each("random changes in the %s, checksums right" % part,
         [(part, str(rng.getrandbits(60))) for _ in range(count * (50 if LONG else 1))], resigned)
finish()
