# SPDX-License-Identifier: MIT
import sys
import beside
print(__name__, __package__, repr(__spec__.name), sys.argv[1:], sys.path[0].endswith("as_directory"))
class Noisy:
    def __del__(self): print("del")
thing = Noisy()
