# SPDX-License-Identifier: MIT
import sys
def hook(kind, value, trace):
    print("hook exits")
    sys.exit(8)
sys.excepthook = hook
raise ValueError("hooked")
