# SPDX-License-Identifier: MIT
import threading, time
class Noisy:
    def __del__(self):
        print("del of a daemon's local")
def work():
    local = Noisy()
    time.sleep(60)
    print("never")
threading.Thread(target=work, daemon=True).start()
time.sleep(0.1)
class Mine:
    def __del__(self):
        print("del of main's")
mine = Mine()
print("main done")
