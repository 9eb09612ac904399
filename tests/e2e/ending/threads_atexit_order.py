# SPDX-License-Identifier: MIT
# Threads are joined before the atexit callbacks.
import atexit, threading, time
atexit.register(print, "atexit")
def work():
    time.sleep(0.1)
    print("thread done")
threading.Thread(target=work).start()
