# SPDX-License-Identifier: MIT
import csv, sys
first = csv
del sys.modules["csv"]
import csv
print(first is csv, csv.__name__, csv.__spec__.name, csv.__spec__.origin)
import importlib, difflib
first = difflib
print(importlib.reload(difflib) is first, difflib.__spec__.loader.name)
