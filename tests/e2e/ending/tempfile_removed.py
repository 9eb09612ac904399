# SPDX-License-Identifier: MIT
import atexit, os, tempfile
d = tempfile.TemporaryDirectory()
f = tempfile.NamedTemporaryFile("w")
f.write("x")
atexit.register(lambda: print(os.path.isdir(d.name), os.path.exists(f.name)))
