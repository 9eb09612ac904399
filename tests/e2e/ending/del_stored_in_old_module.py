# SPDX-License-Identifier: MIT
import os, io
class Noisy:
    def __init__(self, name):
        self.name = name
    def __del__(self):
        print("del", self.name)
os.thing = Noisy("os")
