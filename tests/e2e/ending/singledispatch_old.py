# SPDX-License-Identifier: MIT
import functools, json, re, datetime, pathlib, hashlib
@functools.lru_cache(None)
def cached(x):
    return Noisy()
class Noisy:
    def __del__(self): print("del from a cache")
cached(1)
print(json.dumps({"a": re.sub("b", "c", "abc"), "d": str(datetime.date(2024, 1, 2)),
                  "p": str(pathlib.PurePath("a") / "b"), "h": hashlib.sha256(b"x").hexdigest()[:8]}))
