# SPDX-License-Identifier: MIT
import os, sys, warnings
warnings.simplefilter("always")
sys.stdout.write("start\n")
sys.stdout.flush()
left_open = open(os.dup(1), "w")
left_open.write("text\n")
