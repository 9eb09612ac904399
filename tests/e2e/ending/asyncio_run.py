# SPDX-License-Identifier: MIT
import asyncio, atexit
async def main():
    async def agen():
        try:
            yield 1
        finally:
            print("async generator closed")
    async for _ in agen():
        break
    await asyncio.sleep(0.01)
    print("async done")
atexit.register(print, "atexit")
asyncio.run(main())
