# SPDX-License-Identifier: MIT
import contextlib
@contextlib.contextmanager
def manager():
    try:
        yield
    finally:
        print("left")
m = manager()
m.__enter__()
