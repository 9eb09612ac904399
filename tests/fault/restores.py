# SPDX-License-Identifier: MIT
"""Restores of one snapshot in a row: every answer right, every start a restored one, nothing grows on the host."""
import json
import os

import common
from common import *

COUNT = int(os.environ.get("THAW_TEST_RESTORES", "5000" if LONG else "300"))
common.TIMEOUT = 60 * int(os.environ.get("THAW_TEST_SLOW", "1"))
CODE = "import sys, os; n = int(sys.argv[1]); print(n * n, sum(range(n)), os.urandom(8).hex())"
stats = os.path.join(work, "stats")


def meminfo():
    """What the host's kernel and we hold, in KiB: memory less what is free, or cache that could be."""
    lines = dict(line.split(":") for line in open("/proc/meminfo"))
    kib = {name: int(value.split()[0]) for name, value in lines.items()}
    return kib["MemTotal"] - kib["MemFree"] - kib["Buffers"] - kib["Cached"] - kib["SReclaimable"]


def files():
    return sorted(os.path.join(d, name) for d, _, names in os.walk(work) for name in names)


first = Result("run", "-c", "1")
report("the snapshot is made", [] if first.right(b"") else [str(first)])
seen, bad, times, before = set(), [], [], None
warm = min(50, COUNT // 4)
for i in range(COUNT):
    r = Result("run", "--stats", stats, "-c", CODE, str(i))
    s = json.load(open(stats)) if r.status == 0 else {}
    words = r.out.split()
    if not r.survived() or r.status or r.err or len(words) != 3 or words[:2] != [b"%d" % (i * i), b"%d" % (i * (i - 1) // 2)]:
        bad.append("%d: %s" % (i, r))
    elif s.get("start") != "restored":
        bad.append("%d: a %s start" % (i, s.get("start")))
    elif words[2] in seen:
        bad.append("%d: randomness that was there before" % i)
    else:
        seen.add(words[2])
    if i == warm:
        before = meminfo(), files(), s.get("memory_peak_bytes", 0)
report("every restore gives the right answer and its own randomness, on the machine %s" % s.get("machine"), bad, COUNT)
after = meminfo(), files(), s.get("memory_peak_bytes", 0)
grown = after[0] - before[0]
report("after %d more the host's memory has not grown" % (COUNT - warm), ["by %d KiB" % grown] if grown > 8192 else [])
report("nor a sandbox's", [] if after[2] < before[2] + (2 << 20) else ["from %d to %d" % (before[2], after[2])])
report("no file is left", [] if after[1] == before[1] else [str(set(after[1]) ^ set(before[1]))])
finish()
