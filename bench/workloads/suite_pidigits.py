# SPDX-License-Identifier: MIT
"""Digits of pi by a spigot without end (Gibbons, 2006): integers of thousands of digits."""
import os

# Addresses differ from run to run, as they do natively: see docs/benchmarks.md.
PADDING = [float(i) for i in range(os.urandom(1)[0])]


def digits():
    q, r, t, k, n, l = 1, 0, 1, 1, 3, 3
    while True:
        if 4 * q + r - t < n * t:
            yield n
            q, r, n = 10 * q, 10 * (r - n * t), 10 * (3 * q + r) // t - 10 * n
        else:
            q, r, t, k, n, l = q * k, (2 * q + r) * l, t * l, k + 1, (q * (7 * k + 2) + r * l) // (t * l), l + 2


total = 0
for place, digit in zip(range(3500), digits()):
    total = (total * 31 + digit) % 1000000007
print(total)
