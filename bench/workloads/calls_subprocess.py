# SPDX-License-Identifier: MIT
import subprocess

print(sum(subprocess.run(["/bin/true"]).returncode for _ in range(50)))
