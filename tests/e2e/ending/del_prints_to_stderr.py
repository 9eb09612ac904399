# SPDX-License-Identifier: MIT
import sys
class Noisy:
    def __del__(self):
        sys.stderr.write("del\n")
thing = Noisy()
print("out")
