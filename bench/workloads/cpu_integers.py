# SPDX-License-Identifier: MIT
total = 0
for n in range(6_000_000):
    total = (total * 31 + n) & 0xFFFFFFFF
print(total)
