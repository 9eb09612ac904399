# SPDX-License-Identifier: MIT
import sys
for s in (sys.stdin, sys.stdout, sys.stderr):
    print(s, s.errors, s.mode, s.line_buffering, s.write_through, s.buffer.name, s.buffer.raw.name,
          s.buffer.raw.mode, s.buffer.raw.closefd, s.isatty(), s.newlines, s.fileno())
print(sys.stdin is sys.__stdin__, sys.stdout is sys.__stdout__, sys.stderr is sys.__stderr__)
