# SPDX-License-Identifier: MIT
import os
class Noisy:
    def __del__(self): print("never")
thing = Noisy()
print("flushed", flush=True)
print("lost")
os._exit(6)
