# SPDX-License-Identifier: MIT
# logging flushes at exit after the callbacks registered once it had been imported.
import atexit
atexit.register(print, "registered before the import")
import logging, logging.handlers, sys
atexit.register(print, "registered after the import")
class Noisy(logging.StreamHandler):
    def close(self):
        print("handler closed")
        super().close()
logging.getLogger().addHandler(Noisy(sys.stdout))
