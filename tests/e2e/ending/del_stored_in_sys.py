# SPDX-License-Identifier: MIT
import sys
class Noisy:
    def __del__(self):
        print("del from sys")
sys.path.append(Noisy())
