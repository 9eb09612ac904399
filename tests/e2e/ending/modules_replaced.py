# SPDX-License-Identifier: MIT
# An object in sys.modules that is no module, and a module that refers to itself.
import sys, types
class Noisy:
    def __del__(self): print("del from sys.modules")
sys.modules["odd"] = Noisy()
m = types.ModuleType("selfish"); m.me = m; m.thing = Noisy()
sys.modules["selfish"] = m
