# SPDX-License-Identifier: MIT
import os
import tempfile

with tempfile.TemporaryDirectory() as folder:
    names = [os.path.join(folder, f"file{n}") for n in range(100)]
    for name in names:
        with open(name, "wb") as f:
            f.write(b"x" * 300)
    size = 0
    for n in range(10_000):
        with open(names[n % 100], "rb") as f:
            size += len(f.read())
print(size)
