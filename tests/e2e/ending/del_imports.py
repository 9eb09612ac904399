# SPDX-License-Identifier: MIT
# An import in a finalizer at the end fails, and says so.
class Noisy:
    def __del__(self):
        import fractions
thing = Noisy()
