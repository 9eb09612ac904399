#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""CPython's own tests on the interpreter that was built: only those that known_failures.txt names may fail.

    cpython_tests.py [--jobs N] [--report FILE] PYTHON [TEST...]

PYTHON is the program in its build tree. Status 1 when a test failed that is not known to, or is known to and passed.
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))


def known():
    found = {}
    with open(os.path.join(HERE, "known_failures.txt")) as f:
        for line in f:
            if line.strip() and not line.startswith("#"):
                name, reason = line.split(None, 1)
                found[name] = reason.strip()
    return found


def names(text, heading):
    """The tests that regrtest lists under a heading such as "3 tests failed:"."""
    found = re.search(rf"^\d+ tests? {heading}.*:\n((?:    .*\n)+)", text, re.M)
    return set(found[1].split()) if found else set()


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--report", help="where regrtest's output goes")
    parser.add_argument("python")
    parser.add_argument("tests", nargs="*")
    args = parser.parse_args()
    report = args.report or os.path.join(tempfile.mkdtemp(), "report")
    # Clean of what a test might take for its own: no Thaw, no other Python's settings.
    env = {k: v for k, v in os.environ.items() if not k.startswith(("THAW_", "PYTHON"))}
    with open(report, "w") as out:
        subprocess.run([args.python, "-m", "test", f"-j{args.jobs}", "--timeout=900", *args.tests], stdout=out,
                       stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=env)  # fmt: skip
    with open(report) as f:
        text = f.read()
    if "Tests result:" not in text and "Result:" not in text:
        sys.exit(f"cpython_tests.py: regrtest did not get to its end, see {report}")
    expected = known()
    failed = names(text, "failed")
    passed = re.search(r"^(?:All )?(\d+) tests? OK", text, re.M)
    print(f"{passed[1] if passed else 0} modules passed, {len(failed)} failed, {len(names(text, 'skipped'))} skipped; {report}")
    unknown = sorted(failed - set(expected))
    ran = set(args.tests) or None
    mended = sorted(n for n in expected if n not in failed and re.search(rf"\] {n}( |$)", text, re.M) and (not ran or n in ran))
    for name in unknown:
        print(f"{name} failed, and is not known to")
    for name in mended:
        print(f"{name} passed, but is listed as failing: {expected[name]}")
    return 1 if unknown or mended else 0


if __name__ == "__main__":
    sys.exit(main())
