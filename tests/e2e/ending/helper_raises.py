# SPDX-License-Identifier: MIT
def go():
    raise LookupError("in the helper")
