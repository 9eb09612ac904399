# SPDX-License-Identifier: MIT
import atexit
atexit.register(print, "registered first")
atexit.register(print, "registered second")
@atexit.register
def late():
    print("registered third")
    atexit.register(print, "registered in a callback")
print("main")
