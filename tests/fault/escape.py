# SPDX-License-Identifier: MIT
"""The hostile program tests/guest/escape.c: what it gets of the host is the documented list; the monitor survives it."""
import os
import shutil
import subprocess

from common import *

root = os.path.join(work, "root")
share = os.path.join(work, "outer/share")
os.makedirs(root)
os.makedirs(share)
secret = os.path.join(work, "outer/secret")
open(secret, "w").write("secret")
shutil.copy(os.path.join(GUEST, "escape"), root)


def escape(*words, options=(), timeout="20"):
    return Result("exec", "--timeout", timeout, *options, "--root", root, "--", "/escape", *words)


for words, name in ((["window"], "from the kernel's text: the documented list and nothing else"),
                    (["own"], "from its own instructions: no call reaches the host"),
                    (["int80"], "through int $0x80: no i386 call but the snapshot's, which is ENOSYS"),
                    (["vsyscall"], "through the vsyscall page")):
    r = escape(*words)
    ok = r.right(b"SUCCESS\n") or (words == ["vsyscall"] and r.survived() and r.status in (0, 139))
    report(name, [] if ok else [r])
for word in ("sysenter", "compat", "compat_sysenter"):
    r = escape(word)
    report("through %s: an i386 exit(42) does not come through" % word, [] if r.survived() and r.status != 42 else [r])
r = escape("flood")
report("a kernel that asks without end and never listens is stopped", [] if r.survived() and r.status in (124, 125) else [r])
r = escape("breed")
report("processes that hide from the kernel: no more than documented, and none outlives the sandbox",
       [] if r.survived() and r.status == 0 and 0 < int(r.out) < 256 else [r])
p = subprocess.Popen([THAW, "exec", "--root", root, "--", "/escape", "breed", "stay"], stdin=subprocess.DEVNULL,
                     stdout=subprocess.PIPE, start_new_session=True)
made = int(p.stdout.readline())
before = len(session(p.pid))
p.kill()
p.wait()
report("nor does one outlive a monitor that is killed", [] if made and before > made and gone(p.pid) else [(made, before)])
for word, options in (("garbage", ()), ("garbage", ("-v", share + ":/mnt")), ("scribble", ())):
    each("%s%s: the monitor survives" % (word, " with a share" if options else ""), range(1, 61),
         lambda i, seed: (lambda r: None if r.survived() else r)(escape(word, str(seed), options=options, timeout="2")))
report("nothing outside the share was touched", [] if open(secret).read() == "secret" and sorted(os.listdir(os.path.dirname(secret))) == ["secret", "share"] else ["changed"])
finish()
