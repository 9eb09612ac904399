# SPDX-License-Identifier: MIT
print("with a BOM", __file__[-15:])
