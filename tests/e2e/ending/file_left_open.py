# SPDX-License-Identifier: MIT
# A file left open at module level still gets its data.
import os
left_open = open(os.dup(1), "w")
left_open.write("buffered text\n")
