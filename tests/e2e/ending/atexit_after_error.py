# SPDX-License-Identifier: MIT
import atexit
atexit.register(print, "runs after the traceback")
raise RuntimeError("uncaught")
