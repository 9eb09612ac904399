# SPDX-License-Identifier: MIT
print("never")
def broken(:
    pass
