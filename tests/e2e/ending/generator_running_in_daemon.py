# SPDX-License-Identifier: MIT
import threading, time
def run():
    try:
        while True:
            time.sleep(60)
            yield 1
    finally:
        print("never")
g = run()
threading.Thread(target=next, args=(g,), daemon=True).start()
time.sleep(0.1)
print("main done")
