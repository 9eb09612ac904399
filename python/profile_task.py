# SPDX-License-Identifier: MIT
"""What an interpreter built with PGO=1 is trained on, beside CPython's own tests: work that programs do all day."""
import collections
import functools
import itertools
import json
import math
import re
import string


class Vector:
    __slots__ = ("x", "y")

    def __init__(self, x, y):
        self.x, self.y = x, y

    def __add__(self, other):
        return Vector(self.x + other.x, self.y + other.y)

    def length(self):
        return math.sqrt(self.x * self.x + self.y * self.y)


class Account:
    def __init__(self, owner):
        self.owner = owner
        self.entries = []

    @property
    def balance(self):
        return sum(self.entries)

    def book(self, amount, *, note=None):
        if amount == 0:
            raise ValueError(note)
        self.entries.append(amount)


def floats(n):
    x, y, total = 0.5, 0.25, 0.0
    for i in range(1, n):
        x = (x * 3.9) * (1.0 - x)
        y = y + x / i - y * 0.01
        total += abs(x - y) ** 0.5 if i & 1 else -x * y
    return total


def matrix(n):
    a = [[(i * j) % 7 + 0.5 for j in range(n)] for i in range(n)]
    b = [list(column) for column in zip(*a)]
    return [[sum(p * q for p, q in zip(row, column)) for column in b] for row in a]


def integers(n):
    sieve = bytearray([1]) * n
    for i in range(2, int(n**0.5) + 1):
        if sieve[i]:
            sieve[i * i :: i] = bytes(len(range(i * i, n, i)))
    a, b = 0, 1
    for i in range(n):
        a, b = b, (a * 31 + i) & 0xFFFFFF
        if a > b:
            a ^= i
    return sum(sieve), a, pow(3, n, 10**9 + 7), 2**n % 97


@functools.lru_cache(maxsize=None)
def ways(n, k):
    return 1 if k == 0 or n == 0 else ways(n - 1, k) + ways(n, k - 1)


def recursive(n):
    return n if n < 2 else recursive(n - 1) + recursive(n - 2)


def objects(n):
    at, accounts = Vector(0, 0), [Account(i) for i in range(20)]
    for i in range(n):
        at = at + Vector(i & 3, 1)
        account = accounts[i % 20]
        try:
            account.book(i % 11, note="nothing")
        except ValueError:
            account.book(-1)
    return at.length(), sorted(accounts, key=lambda a: (-a.balance, a.owner))[0].owner


def texts(n):
    words = [w + c for w in "alpha beta gamma delta".split() for c in string.ascii_lowercase]
    counts, lines = collections.Counter(), []
    for i in range(n):
        word = words[i * 7 % len(words)]
        counts[word] += 1
        lines.append(f"{i:>6} {word.title():<10} {i / 3:.2f}\n")
    text = "".join(lines)
    found = re.findall(r"^ *(\d+) +(\w+)", text, re.M)
    table = {w: [int(i) for i, x in found if x.lower() == w][:3] for w in words[:5]}
    return counts.most_common(3), table, text.replace(" ", "").split("\n")[:2], text.encode()[:10].decode()


def sequences(n):
    def countdown(k):
        while k:
            k -= 1
            yield k

    pairs = {k: v for k, v in itertools.islice(zip(countdown(n), itertools.cycle("abc")), n)}
    groups = collections.defaultdict(list)
    for k, v in pairs.items():
        groups[v].append(k)
    queue = collections.deque(groups["a"])
    while len(queue) > 1:
        queue.append(queue.popleft() + queue.popleft())
    return queue, {k: min(v) for k, v in groups.items()}, any(set(groups["a"]) & set(groups["b"]))


def documents(n):
    value = {"id": 1, "name": "thing", "tags": ["a", "b"], "price": 1.5, "parts": [{"n": i, "ok": True} for i in range(5)]}
    for i in range(n):
        value["id"] = i
        value = json.loads(json.dumps(value))
    return value["id"]


for _ in range(3):
    floats(60000)
    matrix(40)
    integers(60000)
    recursive(19)
    ways(40, 40)
    ways.cache_clear()
    objects(20000)
    texts(5000)
    sequences(20000)
    documents(1500)
