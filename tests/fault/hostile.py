# SPDX-License-Identifier: MIT
"""A hostile ring 0 on the kvm machine: whatever a guest kernel does, the monitor ends it with one clear line, does not
crash, leaves nothing, and takes no more memory than it may. HOSTILE: a thaw with that kernel (tests/hostile)."""
import json
import os
import re

import common
from common import *

common.THAW = os.environ["HOSTILE"]
common.TIMEOUT = 60 * int(os.environ.get("THAW_TEST_SLOW", "1"))
MEMORY = 64 << 20
# The guest's memory and its tables, the boot area, KVM's own for it, and the monitor's child itself.
RESIDENT = MEMORY + (16 << 20) + MEMORY // 256 + (8 << 20)
root = os.path.join(work, "root")
os.mkdir(root)
stats = os.path.join(work, "stats")
seeds = random.Random(SEED)

ENDS = {  # what one line says, as a pattern; None: it may also get through with status 0
    "nothing": "through",
    "ports": "I/O port",
    "mmio": "physical address|virtual machine|internal error|triple fault|through",
    "image_write": "physical address|through",
    "calls": "",
    "bad_length": "more than there can be",
    "bad_descriptor": "descriptor",
    "bad_processor": "processor",
    "bad_op": "which there is not",
    "lie": "",
    "scribble": "",
    "snapshot": "",
    "descriptor_tables": "triple fault|internal error|virtual machine",
    "msrs": "",
    "control_registers": "",
    "instructions": "",
    "triple_fault": "triple fault",
    "halt": "halted",
    "page_tables": "",
    "memory": "physical address|memory",
}
SPINS = "descriptor_tables", "page_tables", "control_registers"  # may find themselves in an endless fault: --timeout


def run(case, *options, words=None):
    if os.path.exists(stats):
        os.remove(stats)
    seed = str(seeds.randrange(10**9))
    result = Result(*(words or ("exec", "--root", root)), "--machine", "kvm", "--memory", str(MEMORY), "--stats", stats, *options, "--",
                    case, seed)
    result.seed = seed
    return result


def one_line(err):
    return err.startswith(b"thaw: ") and err.count(b"\n") == 1 and re.fullmatch(rb"[\x20-\x7e]*\n", err)


def ended(case, result):
    """Not crashed, and said what was: in one printable line, or nothing where it got through."""
    if not result.survived() or result.out:
        return False
    if result.status == 125:
        return bool(one_line(result.err) and re.search(ENDS[case].replace("|through", "").encode(), result.err))
    if result.status == 124 and case in SPINS:
        return bool(one_line(result.err))
    # An exit status or a signal is the guest's to claim.
    return ENDS[case] == "" or "through" in ENDS[case] and result.status == 0


def peak():
    try:
        return json.load(open(stats))["memory_peak_bytes"]
    except (OSError, ValueError, KeyError):
        return None


rounds = 20 if LONG else 2
for case in ENDS:
    bad = []
    for _ in range(1 if case in ("nothing", "triple_fault", "halt", "memory") else rounds * (3 if case in ("ports", "mmio") else 1)):
        r = run(case, "--timeout", "%ds" % (common.TIMEOUT // 4))
        used = peak()
        if not ended(case, r) or used is None or used > RESIDENT:
            bad.append("seed %s: %s, peak %s" % (r.seed, r, used))
    report("a kernel that does %s is ended with one line, in its memory" % case.replace("_", " "), bad)
for case in "loop", "call_loop", "wait_forever", "processors":
    r = run(case, "--timeout", "2s", *(("--cpus", "4") if case == "processors" else ()))
    report("a kernel in an endless %s is ended by --timeout" % case.replace("_", " "),
           [] if r.survived() and r.status == 124 and one_line(r.err) else [str(r)])

finish()
