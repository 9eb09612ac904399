# SPDX-License-Identifier: MIT
# sys.last_traceback keeps the locals alive until the end.
class Noisy:
    def __del__(self): print("del local")
def run():
    local = Noisy()
    raise ValueError("x")
run()
