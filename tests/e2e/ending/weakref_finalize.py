# SPDX-License-Identifier: MIT
import weakref
class Thing: pass
kept, dropped = Thing(), Thing()
weakref.finalize(kept, print, "finalize at exit")
weakref.finalize(dropped, print, "finalize now")
no = weakref.finalize(kept, print, "never")
no.atexit = False
del dropped
print("main done")
