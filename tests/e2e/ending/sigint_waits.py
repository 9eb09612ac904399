# SPDX-License-Identifier: MIT
# The runner sends SIGINT once it reads "ready".
import time
class Noisy:
    def __del__(self): print("del")
thing = Noisy()
print("ready", flush=True)
time.sleep(30)
