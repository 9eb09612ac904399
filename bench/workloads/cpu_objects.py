# SPDX-License-Identifier: MIT
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
