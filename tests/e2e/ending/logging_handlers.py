# SPDX-License-Identifier: MIT
import logging, logging.handlers, os, sys
class Stream(logging.StreamHandler):
    def flush(self): super().flush()
    def close(self):
        print("handler closed")
        super().close()
memory = logging.handlers.MemoryHandler(100, target=logging.StreamHandler(sys.stdout))
logging.basicConfig(level=logging.INFO, handlers=[Stream(sys.stdout), memory], format="%(levelname)s %(message)s")
logging.info("hello")
