# SPDX-License-Identifier: MIT
import sys
print(sorted(globals()))
print(__name__, __spec__, __cached__, __builtins__, __doc__, __package__)
print(type(__loader__).__name__, __loader__.name, __loader__.path == __file__)
print(__file__ == sys.path[0] + "/" + sys.argv[0].rsplit("/", 1)[-1], sys.argv[1:])
