# SPDX-License-Identifier: MIT
import os
left_open = open(os.dup(1), "wb")
left_open.write(b"binary \x00\xff bytes\n")
