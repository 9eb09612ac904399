# SPDX-License-Identifier: MIT
import os
import re
import zlib

# Addresses differ from run to run, as they do natively: see docs/benchmarks.md.
PADDING = [float(i) for i in range(os.urandom(1)[0])]

text = ("The quick brown fox %d jumps over the lazy dog. " * 400) % tuple(range(400))
found = check = 0
for n in range(300):
    found += len(re.findall(r"fox (\d+)|dog\.", text))
    words = sorted(text.split(), key=len)
    check = zlib.crc32(" ".join(words).encode(), check)
print(found, check)
