# SPDX-License-Identifier: MIT
import atexit
def bad():
    raise ValueError("in a callback")
atexit.register(print, "still runs")
atexit.register(bad)
