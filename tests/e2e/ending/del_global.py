# SPDX-License-Identifier: MIT
class Noisy:
    def __init__(self, name):
        self.name = name
    def __del__(self):
        print("del", self.name)
first = Noisy("first")
second = Noisy("second")
_private = Noisy("private")
holder = [Noisy("in list"), {"key": Noisy("in dict")}]
