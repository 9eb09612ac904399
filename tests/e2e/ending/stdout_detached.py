# SPDX-License-Identifier: MIT
import sys
print("before", flush=True)
buffer = sys.stdout.detach()
buffer.write(b"after\n")
