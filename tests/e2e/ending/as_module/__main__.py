# SPDX-License-Identifier: MIT
import sys
print(__name__, __package__, sys.argv[0].endswith("as_module/__main__.py"), sys.argv[1:])
sys.exit(12)
