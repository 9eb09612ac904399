# SPDX-License-Identifier: MIT
def run():
    try:
        yield 1
    finally:
        print("generator closed")
g = run()
next(g)
