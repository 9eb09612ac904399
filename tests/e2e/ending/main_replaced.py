# SPDX-License-Identifier: MIT
import sys, types
class Noisy:
    def __del__(self): print("del old main's")
thing = Noisy()
sys.modules["__main__"] = types.ModuleType("__main__")
