# SPDX-License-Identifier: MIT
# threads_hash.py N: the same work by N threads. OpenSSL's hashes leave the interpreter's lock to others.
import hashlib
import sys
from concurrent.futures import ThreadPoolExecutor

block = bytes(1 << 22)
with ThreadPoolExecutor(int(sys.argv[1])) as pool:
    print(len(set(pool.map(lambda n: hashlib.sha256(block).digest(), range(100)))))
