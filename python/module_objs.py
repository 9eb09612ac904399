#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Objects in MODULE_OBJS of the makefile that CPython's configure has generated.

    module_objs.py add MAKEFILE OBJECT...     puts those that are missing into the assignment
    module_objs.py check MAKEFILE OBJECT...   is each in the list exactly once?

They go in right behind the assignment's `=`, so that however its lines end and continue, they go on doing so. What
the list holds is not read out of the text but asked of make, before and after.
"""
import os
import re
import subprocess
import sys

ASSIGNMENT = re.compile(r"^(MODULE_OBJS[ \t]*[:?]?=)(.*)$", re.MULTILINE)


def fail(text):
    sys.exit("module_objs.py: " + text)


def objects(makefile):
    """The list as make sees it."""
    folder, _, name = makefile.rpartition("/")
    ask = ["make", "-s", "--no-print-directory", "-C", folder or ".", "-f", name, "-f", "-", "thaw-module-objs"]
    rule = "\n.PHONY: thaw-module-objs\nthaw-module-objs:\n\t@printf '%s\\n' '$(MODULE_OBJS)'\n"
    # A make that calls this one has flags of its own, and more to say.
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES")}
    done = subprocess.run(ask, input=rule, capture_output=True, text=True, env=env)
    if done.returncode != 0:
        fail(f"{makefile}: make cannot read it: {done.stderr.strip().splitlines()[-1:]}")
    return done.stdout.split()


def check(makefile, wanted):
    held = objects(makefile)
    for name in wanted:
        if held.count(name) != 1:
            fail(f"{makefile}: MODULE_OBJS holds {name} {held.count(name)} times, not once; run add on a new makefile")


def add(makefile, wanted):
    with open(makefile) as f:
        text = f.read()
    found = ASSIGNMENT.findall(text)
    if len(found) != 1:
        fail(f"{makefile}: {len(found)} assignments to MODULE_OBJS, not one; this CPython's makefile is of another kind")
    before = objects(makefile)
    missing = [name for name in wanted if name not in before]
    if missing:
        words = " ".join([""] + missing)
        text = ASSIGNMENT.sub(lambda m: m[1] + words + ("" if m[2][:1].isspace() else " ") + m[2], text)
        times = os.stat(makefile)
        with open(makefile, "w") as f:
            f.write(text)
        # No other target's recipe has changed; what depends on the makefile need not be made again.
        os.utime(makefile, ns=(times.st_atime_ns, times.st_mtime_ns))
    after = objects(makefile)
    if after != missing + before:
        fail(f"{makefile}: MODULE_OBJS lost or gained more than it was given: {' '.join(after)}")
    check(makefile, wanted)


if __name__ == "__main__":
    if len(sys.argv) < 4 or sys.argv[1] not in ("add", "check"):
        sys.exit(__doc__)
    {"add": add, "check": check}[sys.argv[1]](sys.argv[2], sys.argv[3:])
