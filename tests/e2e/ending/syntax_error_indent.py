# SPDX-License-Identifier: MIT
if True:
    a = 1
      b = 2
