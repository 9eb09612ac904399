# SPDX-License-Identifier: MIT
class Noisy:
    def __del__(self): print("del")
thing = Noisy()
raise KeyboardInterrupt("by hand")
