# SPDX-License-Identifier: MIT
import sys
print("out")
sys.exit("a message \u20ac")
