# SPDX-License-Identifier: MIT
# An instance the collector does not know.
class Noisy:
    __slots__ = ()
    def __del__(self):
        print("del slots")
thing = Noisy()
