#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes a container image for images.bats: container.py oci|docker FILE [HOSTILE]

Two layers over this host's busybox; HOSTILE adds a third with an entry that tries to leave the image.
"""
import gzip
import hashlib
import io
import json
import sys
import tarfile


def add(archive, name, data):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


def layer(entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, kind, data in entries:
            info = tarfile.TarInfo(name)
            info.mode = 0o755
            if kind == "file":
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
                continue
            info.type = {"dir": tarfile.DIRTYPE, "symlink": tarfile.SYMTYPE, "link": tarfile.LNKTYPE,
                         "device": tarfile.CHRTYPE}[kind]
            info.linkname = data or ""
            archive.addfile(info)
    return out.getvalue()


def oci(archive, layers, config):
    def blob(data):
        digest = hashlib.sha256(data).hexdigest()
        add(archive, "blobs/sha256/" + digest, data)
        return {"digest": "sha256:" + digest, "size": len(data)}

    layers = [blob(gzip.compress(data)) for data in layers]
    config = blob(json.dumps({"architecture": "amd64", "os": "linux", "config": config}).encode())
    manifest = blob(json.dumps({"schemaVersion": 2, "config": config, "layers": layers}).encode())
    other = dict(manifest, digest="sha256:" + "0" * 64, platform={"os": "linux", "architecture": "arm64"})
    add(archive, "index.json", json.dumps({"schemaVersion": 2, "manifests": [other, manifest]}).encode())


def docker(archive, layers, config):
    names = []
    for i, data in enumerate(layers):
        names.append(f"{i}/layer.tar")
        add(archive, names[-1], data)
    add(archive, "config.json", json.dumps({"config": config}).encode())
    add(archive, "manifest.json", json.dumps([{"Config": "config.json", "Layers": names}]).encode())


with open("/bin/busybox", "rb") as f:
    busybox = f.read()
layers = [
    layer([("bin", "dir", None), ("bin/busybox", "file", busybox), ("bin/sh", "symlink", "busybox"),
           ("etc/", "dir", None), ("etc/changed", "file", b"old\n"), ("etc/removed", "file", b"x"),
           ("emptied", "dir", None), ("emptied/old", "file", b"x"), ("var", "dir", None), ("run", "dir", None),
           ("var/run", "symlink", "/run"), ("hard", "link", "etc/changed"), ("dev/null", "device", None)]),
    layer([("etc/.wh.removed", "file", b""), ("emptied/new", "file", b"x"), ("emptied/.wh..wh..opq", "file", b""),
           ("var/run/pid", "file", b"1\n"), ("etc/changed", "file", b"new\n")]),
]
hostile = {
    "dotdot": [("../evil", "file", b"x")],
    "inner-dotdot": [("etc/../../evil", "file", b"x")],
    "absolute": [("/evil", "file", b"x")],
    "through-link": [("out", "symlink", "../../../../../../../../.."), ("out/evil", "file", b"x")],
    "through-absolute-link": [("out", "symlink", "/"), ("out/evil", "file", b"x")],
    "hard-link": [("hard2", "link", "../../../../../../../../etc/passwd")],
    "whiteout": [("..wh.x/../.wh.evil", "file", b"")],
}
if len(sys.argv) > 3:
    layers.append(layer(hostile[sys.argv[3]]))
how = {"Entrypoint": ["/bin/sh", "-c"],
       "Cmd": ["echo $GREETING; pwd; echo /emptied/* /etc/*; busybox cat /run/pid /etc/changed /hard"],
       "Env": ["PATH=/bin", "GREETING=hello you"], "WorkingDir": "/var"}
with tarfile.open(sys.argv[2], "w") as archive:
    {"oci": oci, "docker": docker}[sys.argv[1]](archive, layers, how)
