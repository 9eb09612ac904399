# SPDX-License-Identifier: MIT
import atexit, sys
def leave():
    sys.exit(5)
atexit.register(print, "still runs")
atexit.register(leave)
