# SPDX-License-Identifier: MIT
raise ExceptionGroup("several", [ValueError(1), TypeError("two")])
