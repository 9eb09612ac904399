# SPDX-License-Identifier: MIT
import sys
class Bad:
    def __str__(self): raise ValueError("no text")
sys.exit(Bad())
