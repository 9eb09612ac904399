# SPDX-License-Identifier: MIT
OWN = True
