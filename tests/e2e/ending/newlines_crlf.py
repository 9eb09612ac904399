# SPDX-License-Identifier: MIT
print("one")
print("two", end="")