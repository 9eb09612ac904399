# SPDX-License-Identifier: MIT
import threading, time
def work():
    time.sleep(0.1)
    print("thread ends after the traceback")
threading.Thread(target=work).start()
raise KeyError("main")
