# SPDX-License-Identifier: MIT
print("package", __name__)
