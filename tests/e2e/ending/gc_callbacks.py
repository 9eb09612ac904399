# SPDX-License-Identifier: MIT
import gc
count = 0
def callback(phase, info):
    global count
    if phase == "stop" and info["generation"] == 2:
        print("collected")
gc.collect()
gc.callbacks.append(callback)
class Noisy:
    def __del__(self):
        print("del")
thing = Noisy()
