# SPDX-License-Identifier: MIT
# Locals of the frame that raised SystemExit are finalised.
import sys
class Noisy:
    def __del__(self): print("del local")
def run():
    local = Noisy()
    sys.exit(3)
run()
