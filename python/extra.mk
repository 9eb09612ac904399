# SPDX-License-Identifier: MIT
# What CPython's makefile is told beside what configure wrote into it. Read first, by MAKEFILES.

# Constants alone, nothing to optimise between files; and hot.lds knows them by this file's name.
Python/deepfreeze/deepfreeze.o: PY_CORE_CFLAGS += -fno-lto
# A tool that is run a few times while building.
Programs/_freeze_module: PY_LDFLAGS_NODIST += -fno-lto
