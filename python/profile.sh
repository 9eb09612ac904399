#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds a configured CPython twice: instrumented, to run a task, and then by what that has shown.
#   profile.sh OBJ OBJECTS TASK...
# CPython's own profile-opt would build the shared modules as well. OBJECTS is called to make ours again, which CPython's
# way of cleaning up in between takes away.
set -eu

obj=$1
objects=$2
shift 2

# build FLAG...: with these beside the flags that configure chose.
build() {
	make -C "$obj" -j"${JOBS:-$(nproc)}" -f Makefile -f - thaw-profile <<-EOF

		.PHONY: thaw-profile
		thaw-profile:
			\$(MAKE) python pybuilddir.txt CFLAGS_NODIST='\$(CFLAGS_NODIST) $*' LDFLAGS_NODIST='\$(LDFLAGS_NODIST) $*' LDFLAGS='${LDFLAGS:-}'
	EOF
}
build -fprofile-generate -fprofile-update=single
(cd "$obj" && LC_ALL=C.UTF-8 ./python "$@") || echo "profile.sh: the task ended with an error; its profile is used all the same"
make -C "$obj" clean-retain-profile
sh -c "$objects"
build -fprofile-use -fprofile-correction -Wno-missing-profile
