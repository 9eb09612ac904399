# SPDX-License-Identifier: MIT
import sys
def hook(args):
    print("unraisable:", type(args.exc_value).__name__, args.err_msg)
sys.unraisablehook = hook
class Noisy:
    def __del__(self): raise OSError("x")
Noisy()
thing = Noisy()
