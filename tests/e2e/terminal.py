# SPDX-License-Identifier: MIT
"""Drives thaw through a pseudo-terminal: terminal.py size|interrupt|interrupt-busy|prompt THAW."""
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time


class Terminal:
    """A command in a session of its own, with a terminal as all of its standard streams."""

    def __init__(self, *argv):
        self.seen = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 41, 123, 0, 0))
            os.execv(argv[0], argv)

    def read(self):
        if not select.select([self.fd], [], [], 20)[0]:
            raise AssertionError("nothing comes; so far: %r" % self.seen)
        try:
            return os.read(self.fd, 4096)
        except OSError:  # EIO: the other side is closed
            return b""

    def expect(self, text):
        """Reads until text comes; forgets what was before and the text itself."""
        while text not in self.seen:
            got = self.read()
            if not got:
                raise AssertionError("%r does not come; got %r" % (text, self.seen))
            self.seen += got
        self.seen = self.seen.split(text, 1)[1]

    def send(self, text):
        os.write(self.fd, text)

    def end(self):
        while True:
            got = self.read()
            if not got:
                break
            self.seen += got
        status = os.waitpid(self.pid, 0)[1]
        return os.waitstatus_to_exitcode(status)


def size(thaw):
    t = Terminal(thaw, "run", "-c", "import os; print([os.isatty(i) for i in range(3)], *os.get_terminal_size())")
    t.expect(b"[True, True, True] 123 41")
    assert t.end() == 0


def interrupt(thaw, body="time.sleep(60)"):
    for catch in (True, False):
        code = "import time\nprint('ready')\n"
        code += "try: %s\nexcept KeyboardInterrupt: print('caught')" % body if catch else body
        t = Terminal(thaw, "run", "-c", code)
        t.expect(b"ready")
        time.sleep(0.1)
        t.send(b"\x03")
        if catch:
            t.expect(b"caught")
            assert t.end() == 0
        else:
            t.expect(b"KeyboardInterrupt")
            status = t.end()
            assert status in (130, -signal.SIGINT), status


def interrupt_busy(thaw):
    interrupt(thaw, "sum(1 for _ in iter(int, 1))")


def prompt(thaw):
    t = Terminal(thaw, "run")
    t.expect(b">>> ")
    t.send(b"6 * 7\n")
    t.expect(b"42")
    t.expect(b">>> ")
    t.send(b"for i in range(2):\n")
    t.expect(b"... ")
    t.send(b"  print('n', i)\n")
    t.expect(b"... ")
    t.send(b"\n")
    t.expect(b"n 0")
    t.expect(b"n 1")
    t.expect(b">>> ")
    t.send(b"1/0\n")
    t.expect(b"ZeroDivisionError")
    t.expect(b">>> ")
    t.send(b"import time; print('go'); time.sleep(60)\n")
    t.expect(b"go\r\n")
    time.sleep(0.1)
    t.send(b"\x03")
    t.expect(b"KeyboardInterrupt")
    t.expect(b">>> ")
    t.send(b"\x04")
    status = t.end()
    assert status in (0, 130), status  # Python's own end after a KeyboardInterrupt at the prompt is by SIGINT


{"size": size, "interrupt": interrupt, "interrupt-busy": interrupt_busy, "prompt": prompt}[sys.argv[1]](sys.argv[2])
