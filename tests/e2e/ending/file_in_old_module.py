# SPDX-License-Identifier: MIT
# A file stored in a module that is older than the snapshot.
import os
os.left_open = open(os.dup(1), "w")
os.left_open.write("stored in os\n")
