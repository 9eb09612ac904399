# SPDX-License-Identifier: MIT
"""Damaged and hostile images: an error in one line or a correct run, never a crash or a wrong answer."""
import os
import shutil
import subprocess

from common import *

if not shutil.which("mkfs.erofs", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin"):
    print("ok 1 images # skip no mkfs.erofs here\n1..1")
    raise SystemExit
os.environ["XDG_DATA_HOME"] = os.path.join(work, "data")
root = os.path.join(work, "root")
os.makedirs(os.path.join(root, "d/e"))
shutil.copy(os.path.join(GUEST, "files"), root)
os.symlink("files", os.path.join(root, "link"))
for i in range(300):
    open(os.path.join(root, "d", "file-%03d" % i), "w").write("x" * i * 20)
r = Result("image", "build", "--from", root, "good")
report("an image is built", [] if r.survived() and r.status == 0 else [r])
made = os.path.join(work, "data/thaw/images/good")
files = []
for i in range(2):
    d = os.path.join(work, str(i))
    os.mkdir(d)
    files.append(os.path.join(d, "image"))


def fresh(i):
    for ext in (".erofs", ".json"):
        if os.path.exists(files[i] + ext):
            os.chmod(files[i] + ext, 0o600)
        shutil.copyfile(made + ext, files[i] + ext)


def run(i):
    return Result("exec", "--timeout", "20", "--image", files[i] + ".erofs", "--", "/link")


def judge(r):
    return None if r.right(b"SUCCESS\n") or r.refused() else r


def flipped(i, case):
    ext, at, mask = case
    flip(files[i] + ext, at, mask)
    r = run(i)
    flip(files[i] + ext, at, mask)
    return judge(r)


def cut(i, size):
    os.truncate(files[i] + ".erofs", size)
    r = run(i)
    fresh(i)
    return judge(r)


def sealed(i, seed):
    """Damaged, then declared good: the kernel in the sandbox has to cope; the monitor must not be harmed."""
    fresh(i)
    rng = random.Random(seed)
    for _ in range(rng.randrange(1, 6)):
        at = rng.choice([1024 + rng.randrange(128), rng.randrange(min(size, 65536)), rng.randrange(size)])
        flip(files[i] + ".erofs", at, rng.randrange(1, 256))
    s = Result("image", "seal", files[i] + ".erofs")
    if not s.survived():
        return s
    if s.status:
        return None if s.refused() else s
    r = run(i)
    return None if r.survived() and r.status != 124 else r


size = os.path.getsize(made + ".erofs")
for i in range(2):
    fresh(i)
report("it is used", [x for x in (run(0), run(1)) if not x.right(b"SUCCESS\n")])
each("every byte of the superblock flipped, one at a time", [(".erofs", 1024 + at, 1 << rng.randrange(8)) for at in range(128)], flipped)
each("random bytes flipped", [(".erofs", rng.randrange(size), rng.randrange(1, 256)) for _ in range(3000 if LONG else 60)], flipped)
each("every byte of its description flipped", [(".json", at, 1 << rng.randrange(8)) for at in range(os.path.getsize(made + ".json"))], flipped)
each("cut short, or longer", [0, 1, 1024, 1151, 4096, size - 1, size - 4096, size + 4096]
     + [rng.randrange(size) for _ in range(300 if LONG else 10)], cut)
each("damaged and then sealed as good", [rng.getrandbits(60) for _ in range(5000 if LONG else 120)], sealed)
finish()
