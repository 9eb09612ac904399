# SPDX-License-Identifier: MIT
def outer():
    inner()
def inner():
    return {}["missing"]
outer()
