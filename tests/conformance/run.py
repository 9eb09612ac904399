#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""CPython's own test suite (Debian's libpython3.11-testsuite) in sandboxes, beside the same run natively.

    run.py [--quick] [--only PATTERN]... [--image NAME] [--jobs N] [--timeout SECONDS] [--again]
           [--program PYTHON] [--tests-inside] [--known FILE] [--state DIR] [THAW]

Each module is run by `python3 -m test MODULE`, once by this host's Python and once in a sandbox that is restored from
the image's snapshot. What counts is a module that passes natively and not here. known_failures names those that are
known, one a line, with the reason; any other makes the exit status 1, and so does a line whose module passes.

Results are kept in build/conformance, so that a run can be broken off and goes on where it was; --again starts anew.
--quick takes the modules of the file `quick` and prints TAP.

Another interpreter is held to the same: --program PYTHON runs that one natively instead of a sandbox; --image NAME one in
an image, which with --tests-inside has CPython's tests in it. --known and --state are what stands for it instead of
known_failures and build/conformance.
"""
import argparse
import concurrent.futures
import fnmatch
import json
import os
import re
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
LIBRARY = "/usr/lib/python3.11/test"
# Where else Debian's package has tests; the images have none of it.
TESTS = [LIBRARY] + ["/usr/lib/python3.11/" + d for d in ("ctypes/test", "lib2to3/tests", "unittest/test", "distutils/tests")]
NATIVE = "/usr/bin/python3.11"
# Need a display, the network, gigabytes, or a compiler run for minutes: regrtest would skip them, or they test others.
LEFT_OUT = {"test_tools", "test_peg_generator", "test_idle", "test_tk", "test_ttk_guionly", "test_ttk_textonly",
            "test_tix", "test_turtle", "test_winreg", "test_winsound", "test_msilib", "test_ossaudiodev",
            "test_gdb", "test_dtrace", "test_devpoll", "test_kqueue", "test_startfile", "test_launcher",
            "test_winconsoleio", "test_asdl_parser", "test_clinic", "test_distutils"}


def modules():
    names = set()
    for entry in os.listdir(LIBRARY):
        name = entry.removesuffix(".py")
        if name.startswith("test_") and (entry.endswith(".py") or os.path.isdir(os.path.join(LIBRARY, entry))):
            names.add(name)
    return sorted(names - LEFT_OUT)


def outcome(status, text):
    if status == "timeout":
        return "timeout"
    if re.search(r"^\d+ tests? skipped:", text, re.M) or "NO TESTS RAN" in text or "tests ran: 0" in text:
        return "skipped"
    if status == 0:
        return "passed"
    return "failed" if status in (1, 2) else f"ended with {status}"


def failures(text):
    found = re.findall(r"^(?:FAIL|ERROR): (\S+)", text, re.M)
    return list(dict.fromkeys(found))


class Runner:
    def __init__(self, options):
        self.options = options
        self.work = tempfile.TemporaryDirectory(prefix="conformance-")

    def run(self, command):
        """status ("timeout": it took too long), output, seconds."""
        began = time.monotonic()
        env = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        try:
            p = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               timeout=self.options.timeout + 30, env=env, cwd=self.work.name)
            status, text = p.returncode, p.stdout.decode("utf-8", "replace")
        except subprocess.TimeoutExpired as e:
            status, text = "timeout", (e.stdout or b"").decode("utf-8", "replace")
        if status == 124:
            status = "timeout"
        return status, text, time.monotonic() - began

    def words(self, module):
        return ["-m", "test", "-W", "--timeout", str(self.options.timeout), module]

    def native(self, module):
        return self.run(["timeout", str(self.options.timeout + 10), NATIVE, *self.words(module)])

    def sandbox(self, module):
        if self.options.program:
            return self.run(["timeout", str(self.options.timeout + 10), self.options.program, *self.words(module)])
        share = [] if self.options.tests_inside else [w for d in TESTS for w in ("-v", f"{d}:{d}:ro")]
        return self.run([self.options.thaw, "run", "--image", self.options.image, "--memory", "2G",
                         "--timeout", f"{self.options.timeout + 10}s", *share, *self.words(module)])


def known_failures(path):
    known = {}
    with open(path) as f:
        for line in f:
            line = line.strip()
            if line and not line.startswith("#"):
                module, _, reason = line.partition(" ")
                known[module] = reason.strip()
    return known


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("thaw", nargs="?", default=os.path.join(HERE, "../../build/thaw"))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--image", default=os.environ.get("CONFORMANCE_IMAGE", "python"))
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--timeout", type=int, default=300)
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--program")
    parser.add_argument("--tests-inside", action="store_true")
    parser.add_argument("--known", default=os.path.join(HERE, "known_failures"))
    parser.add_argument("--state", default=os.path.join(HERE, "../../build/conformance"))
    options = parser.parse_args()
    options.thaw = os.path.abspath(options.thaw)
    if not os.path.isdir(LIBRARY):
        sys.exit("conformance: libpython3.11-testsuite is not installed")
    wanted = modules()
    if options.quick:
        with open(os.path.join(HERE, "quick")) as f:
            wanted = f.read().split()
    if options.only:
        wanted = [m for m in wanted if any(fnmatch.fnmatch(m, p) for p in options.only)]
    known = known_failures(options.known)
    runner = Runner(options)
    state = options.state
    if options.quick:
        state = os.path.join(runner.work.name, "state")
    os.makedirs(state, exist_ok=True)

    def kept(kind, module, fn):
        """The module's result, from the file of an earlier run if there is one."""
        path = os.path.join(state, f"{module}.{kind}.json")
        if not options.again or kind == "native":
            try:
                with open(path) as f:
                    return json.load(f)
            except (OSError, ValueError):
                pass
        status, text, seconds = fn(module)
        result = {"outcome": outcome(status, text), "seconds": round(seconds, 1), "failures": failures(text),
                  "tail": text[-20000:]}
        with open(path, "w") as f:
            json.dump(result, f)
        return result

    def both(module):
        native = kept("native", module, runner.native)
        if native["outcome"] != "passed":
            return module, native, None
        return module, native, kept("program" if options.program else "sandbox", module, runner.sandbox)

    # The snapshot is made once, before many starts want it at once.
    if not options.program:
        subprocess.run([options.thaw, "run", "--image", options.image, "-c", "pass"], check=True)
    if options.quick:
        print(f"1..{len(wanted)}", flush=True)
    rows, unexpected, gone = [], [], []
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for n, (module, native, here) in enumerate(pool.map(both, wanted), 1):
            rows.append((module, native, here))
            good = here is None or here["outcome"] == "passed"
            if not good and module not in known:
                unexpected.append(module)
            if good and here is not None and module in known:
                gone.append(module)
            if options.quick:
                print(f"{'ok' if good or module in known else 'not ok'} {n} - {module}"
                      f"{' # SKIP ' + native['outcome'] + ' natively' if here is None else ''}", flush=True)
                if not good and module not in known:
                    print("".join(f"# {line}\n" for line in here["tail"].splitlines()[-40:]), end="", flush=True)
            else:
                print(f"[{n}/{len(wanted)}] {module:32} native {native['outcome']:8} {native['seconds']:6.1f} s   "
                      f"here {here['outcome'] if here else '-':8} {here['seconds'] if here else 0:6.1f} s", flush=True)
    if options.quick:
        return 1 if unexpected else 0
    counted = [r for r in rows if r[2] is not None]
    failed = [r for r in counted if r[2]["outcome"] != "passed"]
    print(f"\n{'MODULE':32} {'HERE':10} KNOWN REASON, OR WHAT FAILED")
    for module, _, here in failed:
        print(f"{module:32} {here['outcome']:10} {known.get(module) or ', '.join(here['failures'][:6])}")
    print(f"\n{len(rows)} modules, {len(counted)} pass natively; of these {len(counted) - len(failed)} pass here and "
          f"{len(failed)} do not, {len(unexpected)} of them unknown")
    for module in gone:
        print(f"{module} passes: take it off known_failures")
    return 1 if unexpected or gone else 0


if __name__ == "__main__":
    sys.exit(main())
