# SPDX-License-Identifier: MIT
"""Regular expressions over a text that looks like a log, and over one that looks like genes."""
import os
import random
import re

# Addresses differ from run to run, as they do natively: see docs/benchmarks.md.
PADDING = [float(i) for i in range(os.urandom(1)[0])]

random.seed(20261125)
lines = [
    f"2026-11-{random.randrange(1, 31):02d} {random.choice(['GET', 'POST', 'PUT'])} /item/{random.randrange(10**6)}?q="
    f"{random.choice(['a', 'bb', 'ccc'])} {random.choice([200, 301, 404, 500])} {random.random() * 9:.3f}s"
    for _ in range(20000)
]
log = "\n".join(lines)
genes = "".join(random.choices("acgt", k=400000))
LOG = re.compile(r"^(?P<day>\d{4}-\d\d-\d\d) (GET|POST) /item/(\d+)\?q=(\w+) (?:200|404) (\d+\.\d+)s$", re.M)
GENES = [re.compile(p) for p in ("agggt[cgt]a|t[acg]accct", "a[act]ggt(?:aa|cc)?", "(?:gg|tt)+a.c", "[^t]{3}tag(?=c)")]

for _ in range(6):
    seconds = sum(float(m[5]) for m in LOG.finditer(log))
    counts = [len(p.findall(genes)) for p in GENES]
    shorter = re.sub(r"(a+|t+)(?=[cg])", lambda m: str(len(m[1])), genes)
print(f"{seconds:.3f}", counts, len(shorter))
