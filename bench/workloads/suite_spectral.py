# SPDX-License-Identifier: MIT
"""The largest singular value of a matrix that is given by a formula, by power iteration: calls and floats."""
import math
import os

# Addresses differ from run to run, as they do natively: see docs/benchmarks.md.
PADDING = [float(i) for i in range(os.urandom(1)[0])]

N = 260


def entry(i, j):
    return 1.0 / ((i + j) * (i + j + 1) // 2 + i + 1)


def times(u):
    return [sum(entry(i, j) * x for j, x in enumerate(u)) for i in range(N)]


def transposed_times(u):
    return [sum(entry(j, i) * x for j, x in enumerate(u)) for i in range(N)]


u = [1.0] * N
for _ in range(5):
    v = transposed_times(times(u))
    u = transposed_times(times(v))
print(f"{math.sqrt(sum(a * b for a, b in zip(u, v)) / sum(b * b for b in v)):.9f}")
