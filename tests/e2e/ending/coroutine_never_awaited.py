# SPDX-License-Identifier: MIT
async def run():
    pass
c = run()
