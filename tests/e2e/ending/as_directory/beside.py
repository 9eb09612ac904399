# SPDX-License-Identifier: MIT
print("beside imported")
