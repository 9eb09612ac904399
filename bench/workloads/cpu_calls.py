# SPDX-License-Identifier: MIT
import os

# Addresses differ from run to run, as they do natively: see docs/benchmarks.md.
PADDING = [float(i) for i in range(os.urandom(1)[0])]
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


print(fib(32))
