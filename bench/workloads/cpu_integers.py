# SPDX-License-Identifier: MIT
import os

# Addresses differ from run to run, as they do natively: see docs/benchmarks.md.
PADDING = [float(i) for i in range(os.urandom(1)[0])]
total = 0
for n in range(6_000_000):
    total = (total * 31 + n) & 0xFFFFFFFF
print(total)
