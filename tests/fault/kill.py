# SPDX-License-Identifier: MIT
"""kill -9 of the monitor at random moments leaves no process and no half snapshot."""
import os
import shutil
import signal
import subprocess
import time

from common import *

cache = os.path.join(os.environ["HOME"], ".cache/thaw/snapshots")


def start(program=None):
    return subprocess.Popen([THAW, "run", "-c", program or "import time\nwhile True: time.sleep(0.01)"], stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


BREEDER = """import os, time
def grow(depth):
    for _ in range(3):
        if os.fork() == 0:
            if depth: grow(depth - 1)
            while True: time.sleep(0.01)
grow(1)
while True: os.fork() or os._exit(0); os.wait(); time.sleep(0.001)
"""


def killed(seconds, program=None):
    p = start(program)
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
count = 500 if LONG else 30
bad = []
for _ in range(count):
    t = rng.uniform(0, 0.3)
    wrong = killed(t, BREEDER)
    if wrong:
        bad.append("after %.4f s: %s" % (t, wrong))
report("killed while it makes processes, it leaves none", bad, count)
r = Result("run", "-c", "print('well')")
report("and the next start is well", [] if r.right(b"well\n") else [r])
finish()
