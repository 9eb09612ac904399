# SPDX-License-Identifier: MIT
"""What the fault tests share: running thaw, judging what came of it, TAP."""
import concurrent.futures
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

THAW = os.environ["THAW"]
GUEST = os.environ.get("GUEST", "")
TOOLS = os.environ.get("TOOLS", "")
LONG = sys.argv[1:] == ["long"]
SEED = int(os.environ.get("THAW_TEST_SEED", time.time_ns() if LONG else 20241124))
TIMEOUT = 60

work = tempfile.mkdtemp(prefix="thaw-fault-")
os.environ["HOME"] = os.path.join(work, "home")
for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME", "THAW_IMAGE_PATH"):
    os.environ.pop(name, None)
os.mkdir(os.environ["HOME"])
tests = failed = 0


def session(pid):
    """Processes of the session, zombies apart."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                fields = open("/proc/%s/stat" % name).read().rsplit(")", 1)[1].split()
            except OSError:
                continue
            dead = fields[0] in "ZX" and int(fields[17]) <= 1  # a first thread may be dead and others not
            if int(fields[3]) == pid and not dead:
                found.append(int(name))
    return found


def gone(pid, seconds=5):
    end = time.monotonic() + seconds
    while session(pid):
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


class Result:
    def __init__(self, *words, stdin=subprocess.DEVNULL):
        p = subprocess.Popen([THAW, *words], stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             start_new_session=True)
        self.hung = False
        try:
            self.out, self.err = p.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            self.hung = True
            os.killpg(p.pid, 9)
            self.out, self.err = p.communicate()
        self.status = p.returncode
        self.left = not gone(p.pid)

    def __str__(self):
        return "status %s%s%s, out %r, err %r" % (self.status, ", hung" * self.hung, ", left a process" * self.left,
                                                  self.out[:200], self.err[-300:])

    def survived(self):
        """The monitor did not crash, hang, or leave anything."""
        return self.status >= 0 and not self.hung and not self.left

    def right(self, want):
        return self.survived() and self.status == 0 and self.out == want and not self.err

    def refused(self):
        """An error of thaw's, in one line."""
        return (self.survived() and self.status == 125 and not self.out and self.err.startswith(b"thaw: ")
                and self.err.count(b"\n") == 1 and self.err.endswith(b"\n"))


def report(name, bad, count=None):
    """One line of TAP; bad lists what went wrong."""
    global tests, failed
    tests += 1
    failed += bool(bad)
    more = "" if count is None else " (%d)" % count
    print("%s %d %s%s" % ("not ok" if bad else "ok", tests, name, more), flush=True)
    for line in bad[:10]:
        print("# " + str(line))
    if len(bad) > 10:
        print("# and %d more" % (len(bad) - 10))


def each(name, cases, run):
    """run(worker, case) returns None or what went wrong; two at a time, each with a folder of its own."""
    cases = list(cases)
    parts = [cases[i::2] for i in range(2)]

    def part(i):
        bad = []
        for case in parts[i]:
            try:
                wrong = run(i, case)
            except Exception as e:  # a broken test is a failed one
                wrong = repr(e)
            if wrong is not None:
                bad.append("%s: %s" % (case, wrong))
        return bad

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        report(name, sum(pool.map(part, range(2)), []), len(cases))


def flip(path, at, mask):
    with open(path, "r+b") as f:
        f.seek(at)
        old = f.read(1)[0]
        f.seek(at)
        f.write(bytes([old ^ mask]))


def finish():
    print("1..%d" % tests)
    print("# seed %d" % SEED)
    shutil.rmtree(work, ignore_errors=True)
    sys.exit(failed > 0)


rng = random.Random(SEED)
