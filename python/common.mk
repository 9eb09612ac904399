# SPDX-License-Identifier: MIT
# What both Pythons have in common: the launcher around Debian's library (python.mk) and CPython built from source
# (Makefile).

# The C and assembly files that make an interpreter start and end Thaw's way.
START_OBJECTS := thaw_snapshot start arena request streams program renew names ending stash stash_code

# One segment for code and constants, without a seam within a huge page; what is written to in another (hot.lds). No
# RELRO: it costs a system call at start and guards a GOT that a static program hardly has.
PYTHON_LDFLAGS := -static -no-pie -Wl,-z,norelro -Wl,-z,noseparate-code -Wl,-z,noexecstack -Wl,--gc-sections \
	-Wl,-O1 -Wl,-T,$(PYTHON_DIR)/hot.lds
