# SPDX-License-Identifier: MIT
import signal, sys, time
def handler(number, frame):
    print("handled", number)
    sys.exit(11)
signal.signal(signal.SIGINT, handler)
print("ready", flush=True)
time.sleep(30)
