# SPDX-License-Identifier: MIT
# The same with functions in the module, so that only the collector can find it.
import os
left_open = open(os.dup(1), "w")
left_open.write("buffered text\n")
def touch():
    return left_open
