#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds a configured CPython twice: instrumented, to run tasks, and then by what they have shown.
#   profile.sh OBJ OBJECTS TASK
# The tasks: CPython's own, profile_task.py, many starts, and the words in TASK. CPython's profile-opt would build the
# shared modules as well. OBJECTS is called to make ours again, which CPython's way of cleaning up in between takes away.
# Environment: LDFLAGS, MAKEFILES: for the makefile. JOBS.
set -eu

obj=$1
objects=$2
task=$3
here=$(cd "$(dirname "$0")" && pwd)
jobs=${JOBS:-$(nproc)}

# build FLAG...: with these beside the flags that configure chose.
build() {
	printf '.PHONY: thaw-profile\nthaw-profile: ; +$(MAKE) python pybuilddir.txt %s %s %s\n' "CFLAGS_NODIST='\$(CFLAGS_NODIST) $*'" \
		"LDFLAGS_NODIST='\$(LDFLAGS_NODIST) $*'" "LDFLAGS='${LDFLAGS:-}'" |
		make -C "$obj" -j"$jobs" -f Makefile -f - thaw-profile
}

run() {
	(cd "$obj" && ./python "$@" >>profile.log 2>&1) || echo "profile.sh: a task ended with an error; its profile is used all the same: $*"
}

rm -f "$obj/profile.log"
# The instrumented program need not be optimised between files.
build -fprofile-generate -fprofile-update=single -fno-lto
export LC_ALL=C.UTF-8
run $task
run "$here/profile_task.py"
for n in $(seq 100); do
	run -S -E -I -c 'print("hello")'
	run -I -c 'import json, re, os.path; print(json.dumps({"n": 1}))'
done
make -C "$obj" clean-retain-profile
sh -c "$objects"
build -fprofile-use -fprofile-correction -Wno-missing-profile
