# SPDX-License-Identifier: MIT
# A forked child ends like Python, too.
import os, atexit
atexit.register(print, "atexit in", "both", flush=True)
print("before", flush=True)
pid = os.fork()
if pid:
    print("status", os.waitpid(pid, 0)[1] >> 8)
else:
    raise SystemExit(3)
