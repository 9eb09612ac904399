# SPDX-License-Identifier: MIT
# Both die at the end; the callback is a builtin, so no cycle hides it.
import weakref
class Thing: pass
thing = Thing()
ref = weakref.ref(thing, lambda r: print("callback"))
