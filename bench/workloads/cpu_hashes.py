# SPDX-License-Identifier: MIT
import hashlib
import os

# Addresses differ from run to run, as they do natively: see docs/benchmarks.md.
PADDING = [float(i) for i in range(os.urandom(1)[0])]

block = bytes(range(256)) * 4096
digest = b""
for n in range(200):
    digest = hashlib.sha256(digest + block).digest()
print(digest.hex())
