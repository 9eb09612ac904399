# SPDX-License-Identifier: MIT
# Objects kept in library modules that may be older than the program.
import json, logging, collections
class Noisy:
    def __init__(self, name): self.name = name
    def __del__(self): print("del", self.name)
json.thing = Noisy("json")
collections.thing = Noisy("collections")
