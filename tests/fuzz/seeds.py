#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Seeds for the fuzzers: seeds.py DIR SNAPSHOT makes DIR/snapshot, DIR/image, DIR/control and DIR/erofs."""
import os, shutil, struct, subprocess, sys, tempfile

out, snapshot = sys.argv[1], sys.argv[2]


def put(kind, name, data):
    os.makedirs(os.path.join(out, kind), exist_ok=True)
    with open(os.path.join(out, kind, name), "wb") as f:
        f.write(data)


# fuzz_snapshot: flags, header, regions, pages.
with open(snapshot, "rb") as f:
    header = f.read(184)
    count, hints = struct.unpack_from("<II", header, 104)
    f.seek(256)
    regions = [f.read(32) for _ in range(count)]
page = bytes(4096)


def region(start, length, offset, prot, kind):
    return struct.pack("<QQQII", start, length, offset, prot, kind)


def with_counts(n, populate, resume=None):
    h = bytearray(header)
    struct.pack_into("<II", h, 104, n, populate)
    if resume is not None:
        struct.pack_into("<Q", h, 80, resume)
    return bytes(h)


put("snapshot", "real-table", b"\0" + header + b"".join(regions))
zero = [r for r in regions if struct.unpack_from("<I", r, 28)[0] == 1]
image = [r for r in regions if struct.unpack_from("<I", r, 28)[0] == 2]
put("snapshot", "zero", b"\0" + with_counts(1, 0) + zero[0])
put("snapshot", "no-data", b"\0" + with_counts(len(zero) + len(image), 0) + b"".join(sorted(zero + image)))
two = [region(0x400000, 4096, 135168, 5, 3), region(0x600000, 8192, 0, 3, 1)]
put("snapshot", "data", b"\0" + with_counts(2, 0) + b"".join(two) + page)
put("snapshot", "data-and-hint", b"\0" + with_counts(3, 1) + b"".join(two) + region(0x600000, 4096, 0, 3, 4) + page)
# A huge page and what is copied into it, right and wrong.
huge = region(0x600000, 2 << 20, 0, 3, 5)
for n, copies in enumerate(([], [(0x600000, 4096)], [(0x600000, 4096), (0x7ff000, 4096)], [(0x7ff000, 8192)], [(0x5ff000, 8192)],
                            [(0x601000, 4096), (0x600000, 4096)], [(0x800000, 4096)])):
    put("snapshot", f"huge-{n}", b"\0" + with_counts(1 + len(copies), 0) + huge
        + b"".join(region(start, length, 135168, 3, 6) for start, length in copies) + page)
put("snapshot", "copy-alone", b"\0" + with_counts(1, 0) + region(0x600000, 4096, 135168, 3, 6) + page)
# The kvm machine's, with leaves of a processor.
kvm = bytearray(with_counts(1, 0, 0x700000900000))
kvm[48:56] = b"kvm\0\0\0\0\0"
for n, leaves in enumerate(([(0, 0, 0), (1, 0, 0), (7, 0, 1), (7, 1, 1), (0xd, 0, 1), (0xd, 2, 1)], [(1, 0, 0), (1, 0, 0)], [(0x40000001, 0, 0)], [(7, 0, 8)])):
    struct.pack_into("<I", kvm, 144, len(leaves))
    put("snapshot", f"kvm-{n}", b"\0" + bytes(kvm) + region(0x400000000, 4096, 135168, 3, 3)
        + b"".join(struct.pack("<7I", *leaf, 1, 2, 3, 4) for leaf in leaves) + page)
# On the edges, and over them.
edges = [0, 4096, 0x10000, 0x700000000000 - 4096, 0x700000000000, 0x710000000000, 2**64 - 8192, 2**64 - 4096]
for n, (start, length, offset, kind) in enumerate(
    [(s, n, 135168, k) for s in edges for n in (4096, 8192, 2**64 - 4096) for k in (1, 3)]
    + [(0x400000, n, o, 3) for o in (0, 131072, 135168, 139264, 2**63, 2**64 - 4096) for n in (4096, 8192, 2**63, 2**64 - 4096)]):
    put("snapshot", f"edge-{n}", b"\0" + with_counts(1, 0) + region(start, length, offset, 3, kind) + page)
put("snapshot", "kernel", b"\0" + with_counts(1, 0) + [r for r in regions if struct.unpack_from("<Q", r)[0] >> 44 == 7][0])
put("snapshot", "counts", b"\x10" + header + b"".join(regions[:4]))
put("snapshot", "short", b"\x20" + header + regions[0])
for flag in 2, 4, 8:
    put("snapshot", f"sum-{flag}", bytes([flag]) + with_counts(1, 0) + zero[0] + page)
put("snapshot", "raw", b"\x01" + header)

# fuzz_image: flags, length of the description, description, image.
text = b'{"size": 4096, "created": 12, "xxh128": "00112233445566778899aabbccddeeff", "source": "/a \\"b\\" \\u00e9"}\n'
for flags in range(4):
    put("image", f"flags-{flags}", bytes([flags]) + struct.pack("<H", len(text)) + text + page)
for n, t in enumerate((b"", b"{}", b"[", b'{"size": 99999999999999999999999}', b'{"source": "\\ud800"}', b'{"a": {"b": 1}}')):
    put("image", f"text-{n}", b"\2" + struct.pack("<H", len(t)) + t)

# fuzz_control: records of op, share, three arguments, length, data.
def call(op, share=0, args=(0, 0, 0), data=b""):
    return bytes([op, share, *args]) + struct.pack("<H", len(data)) + data


H = 0xC0  # the last handle
put("control", "files", call(16, data=b"f") + call(17, args=(0, 0, 0), data=b"f") + call(19, args=(H, 0, 7)) + call(22, args=(H, 0, 0))
    + call(18, args=(H, 0, 0)))
put("control", "write", call(17, args=(3, 6, 0), data=b"new") + call(20, args=(H, 0, 0), data=b"text") + call(23, args=(H, 2, 0))
    + call(24, args=(H, 0, 0)) + call(19, args=(H, 0, 13)))
put("control", "directory", call(17, args=(5, 0, 0), data=b"d") + call(21, args=(H, 0, 0)) + call(34, args=(H, 0, 0)))
READ = call(19, args=(H, 0, 13))
for n, path in enumerate((b"up", b"d/up", b"dir/secret", b"../secret", b"dir/rw/../../secret", b"/etc/passwd", b"d/../f")):
    put("control", f"way-out-{n}", call(25, data=path) + call(16, data=path) + call(17, data=path) + READ)
    put("control", f"way-out-write-{n}", call(17, args=(3, 6, 0), data=path) + call(20, args=(H, 0, 0), data=b"x") + call(32, args=(6, 0, 0), data=path)
        + call(27, data=path))
put("control", "links", call(30, args=(0, 9, 0), data=b"../secretx") + call(17, data=b"x") + READ + call(31, args=(0, 1, 0), data=b"fh")
    + call(31, args=(0, 9, 0), data=b"../secrety") + call(29, args=(0, 9, 0), data=b"../secretz"))
put("control", "names", call(26, args=(6, 0, 0), data=b"m") + call(29, args=(0, 1, 0), data=b"mn") + call(28, data=b"n") + call(27, data=b"f")
    + call(32, args=(6, 0, 0), data=b"d") + call(33, args=(1, 2, 0), data=b"d"))
put("control", "read-only", call(17, 1, (3, 6, 0), b"f") + call(27, 1, data=b"f") + call(26, 1, (6, 0, 0), b"x") + call(29, 1, (0, 1, 0), b"fg"))
put("control", "wrong", call(255, data=bytes(47)) + call(255, data=bytes(60)) + call(99) + call(16, 200) + call(0) + call(16, data=b"a\0b"))

# fuzz_kvm_call: what 0 to 2 are, then op, length, four arguments (an index of a table, or a number), and the host's answers.
for op in (1, 16, 17, 19, 65, 66, 67, 68, 69, 70, 64, 79, 200):
    for fd in (0, 1, 2, 3):
        put("kvm_call", f"op-{op}-{fd}", bytes([fd, 3 - fd, 1, op, 16, 0, fd, 4 + fd, 0, 0]) + bytes(range(1, 40)))
put("kvm_call", "longest", bytes([0, 0, 0, 66, 0, 255, 1, 0, 0, 0]) + bytes(40))
put("kvm_call", "too-long", bytes([0, 0, 0, 67, 10, 1, 4, 0, 0]) + bytes(40))

# fuzz_erofs: small images in several layouts.
with tempfile.TemporaryDirectory() as d:
    src = os.path.join(d, "src")
    os.makedirs(os.path.join(src, "a/b"))
    open(os.path.join(src, "f"), "wb").write(b"x" * 5000)
    open(os.path.join(src, "a/g"), "wb").write(b"y" * 10)
    os.symlink("f", os.path.join(src, "l"))
    for i in range(60):
        open(os.path.join(src, f"a/b/entry{i:03}"), "wb").close()
    for n, extra in enumerate(([], ["-Enoinline_data"], ["-Eforce-inode-extended"], ["-T0"])):
        path = os.path.join(d, "i")
        subprocess.run(["mkfs.erofs", "--quiet", "-x-1", *extra, path, src], check=True, stdout=subprocess.DEVNULL)
        os.makedirs(os.path.join(out, "erofs"), exist_ok=True)
        shutil.move(path, os.path.join(out, "erofs", f"layout-{n}"))
