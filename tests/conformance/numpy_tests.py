#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""numpy's own tests, numpy.test(), in a sandbox that was restored after `import numpy`, beside the same run natively.

    numpy_tests.py THAW IMAGE

Both are Debian's numpy; natively that of this host (the packages of NUMPY_PACKAGES in tests/programs.mk). What counts is a test
that passes natively and not here.
"""
import os
import re
import subprocess
import sys
import tempfile
import time

NATIVE = "/usr/bin/python3"
# Some tests take what /proc/meminfo says is free.
MEMORY = "8G"
CODE = "import numpy, sys; sys.exit(not numpy.test(verbose=1, extra_argv=['-rfE', '-p', 'no:cacheprovider']))"


def run(name, command, env):
    began = time.monotonic()
    p = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env, text=True)
    lines = []
    shown = None
    for line in p.stdout:
        lines.append(line.rstrip("\n"))
        percent = re.search(r"\[ *(\d+)%\]$", lines[-1])
        if percent and percent[1] != shown:
            shown = percent[1]
            print(f"\r{name}: {percent[1]} %", end="", flush=True)
    status = p.wait()
    bad = {m[2] for m in (re.match(r"(FAILED|ERROR) (\S+)", line) for line in lines) if m}
    summary = next((line for line in reversed(lines) if re.search(r"\d+ passed", line)), None)
    print(f"\r{name}: status {status}, {time.monotonic() - began:.0f} s, {summary or lines[-5:]}", flush=True)
    return bad, summary


def main():
    thaw, image = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="numpy-") as work:
        env = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        env.update(XDG_DATA_HOME=work, XDG_CACHE_HOME=work)
        native, passed = run("native", [NATIVE, "-c", CODE], env)
        if passed is None:
            sys.exit("no native run: are numpy and pytest installed?")
        snapshot = [thaw, "snapshot", "create", "numpy", "--image", image, "--memory", MEMORY, "--warm", "import numpy"]
        subprocess.run(snapshot, env=env, check=True)
        here, passed = run("here", [thaw, "run", "--snapshot", "numpy", "--memory", MEMORY, "-c", CODE], env)
    more = sorted(here - native)
    for test in more:
        print("passes natively and not here:", test)
    sys.exit(1 if more or passed is None else 0)


main()
