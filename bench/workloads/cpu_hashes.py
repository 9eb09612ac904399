# SPDX-License-Identifier: MIT
import hashlib

block = bytes(range(256)) * 4096
digest = b""
for n in range(200):
    digest = hashlib.sha256(digest + block).digest()
print(digest.hex())
