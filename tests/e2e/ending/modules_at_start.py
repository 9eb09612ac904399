# SPDX-License-Identifier: MIT
# What a program finds imported; the library's site packages of the host may bring more.
import sys
names = {"sys", "builtins", "_imp", "_thread", "marshal", "posix", "time", "codecs", "encodings", "io", "abc",
         "os", "site", "stat", "__main__", "gc", "runpy", "atexit", "_contextvars", "signal"}
print([n for n in sys.modules if n in names and n not in ("atexit", "runpy")])
