# SPDX-License-Identifier: MIT
"""Ways to put eight queens on a board, by permutations from a generator of our own: generators, sets, tuples."""
import os

# Addresses differ from run to run, as they do natively: see docs/benchmarks.md.
PADDING = [float(i) for i in range(os.urandom(1)[0])]


def permutations(items):
    """In lexicographic order of positions (Knuth, The Art of Computer Programming 4A, 7.2.1.2, algorithm L)."""
    a = sorted(items)
    while True:
        yield tuple(a)
        j = len(a) - 2
        while j >= 0 and a[j] >= a[j + 1]:
            j -= 1
        if j < 0:
            return
        k = len(a) - 1
        while a[j] >= a[k]:
            k -= 1
        a[j], a[k] = a[k], a[j]
        a[j + 1 :] = reversed(a[j + 1 :])


def solutions(n):
    for rows in permutations(range(n)):
        if len({r + c for c, r in enumerate(rows)}) == n and len({r - c for c, r in enumerate(rows)}) == n:
            yield rows


for _ in range(8):
    found = list(solutions(8))
print(len(found), found[0], found[-1])
