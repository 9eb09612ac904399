# SPDX-License-Identifier: MIT
import gc
gc.disable()
class Noisy:
    def __init__(self): self.me = self
    def __del__(self):
        print("del")
thing = Noisy()
Noisy()
