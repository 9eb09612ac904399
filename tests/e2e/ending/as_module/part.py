# SPDX-License-Identifier: MIT
print(__name__, __package__)
raise ValueError("in a module")
