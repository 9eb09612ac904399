# SPDX-License-Identifier: MIT
import os

# Addresses differ from run to run, as they do natively: see docs/benchmarks.md.
PADDING = [float(i) for i in range(os.urandom(1)[0])]
class Node:
    def __init__(self, key, rest):
        self.key, self.rest = key, rest


counts = {}
chain = None
for n in range(1_200_000):
    word = f"word-{n * 7919 % 5003}"
    counts[word] = counts.get(word, 0) + 1
    chain = Node(word, chain if n % 1000 else None)
words = sorted(counts, key=lambda w: (-counts[w], w))
print(len(words), words[0], "".join(words).count("-1"), chain.key)
