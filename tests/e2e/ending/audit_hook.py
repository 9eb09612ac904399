import os
import sys


def hook(event, args, write=os.write):
    if event.startswith(("gc.", "cpython.")):
        write(1, event.encode() + b"\n")


sys.addaudithook(hook)
print("the program's last line", flush=True)
