# SPDX-License-Identifier: MIT
class Noisy:
    def __del__(self):
        raise ValueError("from __del__")
thing = Noisy()
