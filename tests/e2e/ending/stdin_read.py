# SPDX-License-Identifier: MIT
import sys
print(repr(input()), repr(sys.stdin.readline()), repr(sys.stdin.buffer.read()))
try:
    input("prompt> ")
except EOFError as e:
    print("EOF", e)
