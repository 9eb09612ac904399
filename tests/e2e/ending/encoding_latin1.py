# -*- coding: latin-1 -*-
# SPDX-License-Identifier: MIT
print(ascii("café"))
