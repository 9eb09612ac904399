# SPDX-License-Identifier: MIT
# An object kept alive only by a class that is older than the snapshot.
import os
class Noisy:
    def __del__(self): print("del from a class")
os._Environ.thing = Noisy()
