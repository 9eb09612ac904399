# SPDX-License-Identifier: MIT
import atexit, os, sys
def leave():
    print("lost, as it is buffered" if False else "seen", flush=True)
    os._exit(9)
atexit.register(print, "never runs")
atexit.register(leave)
