# SPDX-License-Identifier: MIT
# What both Pythons have in common: the launcher around Debian's library (python.mk) and CPython built from source
# (Makefile).

# The C and assembly files that make an interpreter start and end Thaw's way.
START_OBJECTS := thaw_snapshot start request streams program renew ending stash stash_code

# No RELRO: it costs a system call at start and guards a GOT that a static program hardly has.
PYTHON_LDFLAGS := -static -no-pie -Wl,-z,norelro -Wl,-z,noexecstack -Wl,--gc-sections -Wl,-O1
