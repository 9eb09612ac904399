# SPDX-License-Identifier: MIT
"""Shows when output arrives: buffering.py pipe|terminal THAW."""
import os
import pty
import select
import subprocess
import sys
import time

CODE = """
import sys
print("first")
sys.stdin.readline()
print("second")
"""


def arrives(fd, seconds):
    return bool(select.select([fd], [], [], seconds)[0])


def main(kind, thaw):
    if kind == "pipe":
        p = subprocess.Popen([thaw, "run", "-c", CODE], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert not arrives(p.stdout.fileno(), 0.7), "a pipe must get its output in blocks"
        out, _ = p.communicate(b"\n")
        assert out == b"first\nsecond\n", out
    else:
        master, slave = pty.openpty()
        p = subprocess.Popen([thaw, "run", "-c", CODE], stdin=subprocess.PIPE, stdout=slave, close_fds=True)
        os.close(slave)
        assert arrives(master, 20), "a terminal must get its lines at once"
        first = os.read(master, 100)  # what the kernel makes of a newline may come by itself
        while not first.endswith(b"\n") and arrives(master, 20):
            first += os.read(master, 100)
        assert first == b"first\r\n", first
        p.stdin.write(b"\n")
        p.stdin.close()
        end = time.time() + 20
        out = b""
        while b"second" not in out and time.time() < end:
            out += os.read(master, 100)
    assert p.wait() == 0


main(*sys.argv[1:])
