# SPDX-License-Identifier: MIT
import atexit, io, sys
class Tee(io.StringIO):
    def flush(self):
        sys.__stderr__.write("flush called\n")
sys.stdout = Tee()
print("swallowed")
