# SPDX-License-Identifier: MIT
# A module beside the script hides the library's of the same name, also from other library modules.
import base64, sys
print(base64.OWN, base64.__file__.endswith("shadow/base64.py"))
try:
    import secrets
    print(secrets.token_hex.__name__)
except (ImportError, AttributeError) as e:
    print(type(e).__name__, e)
import subprocess, shlex
print(shlex.OWN)
import difflib, csv
print(difflib.SequenceMatcher(None, "ab", "abc").ratio())
