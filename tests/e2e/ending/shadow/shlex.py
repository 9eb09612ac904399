# SPDX-License-Identifier: MIT
print("own shlex imported")
OWN = True
