# SPDX-License-Identifier: MIT
import threading
class Noisy:
    def __init__(self, name): self.name = name
    def __del__(self): print("del", self.name)
local = threading.local()
local.thing = Noisy("main's")
def work():
    local.thing = Noisy("thread's")
t = threading.Thread(target=work)
t.start(); t.join()
