# SPDX-License-Identifier: MIT
try:
    1 / 0
except ZeroDivisionError as e:
    raise RuntimeError("second") from e
