# SPDX-License-Identifier: MIT
# What a finalizer at the end can still use.
import os, json
class Noisy:
    def __del__(self):
        print(os.path.join("a", "b"), json.dumps([1]), len("abc"))
thing = Noisy()
