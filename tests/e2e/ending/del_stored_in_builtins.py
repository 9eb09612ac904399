# SPDX-License-Identifier: MIT
import builtins
class Noisy:
    def __del__(self):
        print("del from builtins")
builtins.thing = Noisy()
