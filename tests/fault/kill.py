# SPDX-License-Identifier: MIT
"""kill -9 of the monitor at random moments leaves no process and no half snapshot."""
import os
import shutil
import signal
import subprocess
import time

from common import *

cache = os.path.join(os.environ["HOME"], ".cache/thaw/snapshots")


def start():
    return subprocess.Popen([THAW, "run", "-c", "import time\nwhile True: time.sleep(0.01)"], stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def killed(seconds):
    p = start()
    time.sleep(seconds)
    p.send_signal(signal.SIGKILL)
    p.wait()
    return None if gone(p.pid) else "the sandbox lives on"


def half_made():
    bad = []
    for name in os.listdir(cache) if os.path.isdir(cache) else []:
        if name.endswith(".snap"):
            r = Result("snapshot", "verify", os.path.join(cache, name))
            if r.status:
                bad.append(r)
        elif not name.endswith((".lock", ".stamp")):
            bad.append("left behind: " + name)
    return bad


began = time.monotonic()
Result("run", "-c", "1")
first = time.monotonic() - began
bad = []
count = 500 if LONG else 25
for _ in range(count):
    shutil.rmtree(cache, ignore_errors=True)
    t = rng.uniform(0, 1.3 * first)
    wrong = killed(t)
    bad += ["after %.3f s: %s" % (t, w) for w in ([wrong] if wrong else []) + half_made()]
report("killed first starts leave no process and nothing half-made", bad, count)
Result("run", "-c", "1")
count = 3000 if LONG else 80
bad = []
for _ in range(count):
    t = rng.choice([rng.uniform(0, 0.006), rng.uniform(0, 0.05)])
    wrong = killed(t)
    if wrong:
        bad.append("after %.4f s: %s" % (t, wrong))
report("killed restored starts leave no process", bad + half_made(), count)
r = Result("run", "-c", "print('well')")
report("and the next start is well", [] if r.right(b"well\n") else [r])
finish()
