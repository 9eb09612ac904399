# SPDX-License-Identifier: MIT
import concurrent.futures, time
pool = concurrent.futures.ThreadPoolExecutor(2)
def work(n):
    time.sleep(0.05 * n)
    print("task", n, flush=True)
for n in (1, 3):
    pool.submit(work, n)
print("main done", flush=True)
