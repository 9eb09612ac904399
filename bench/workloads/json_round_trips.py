# SPDX-License-Identifier: MIT
import json

order = {
    "id": 4711,
    "customer": {"name": "Ada", "tags": ["new", "eu"], "address": None},
    "items": [{"sku": "A-1", "price": 9.75, "count": 2}, {"sku": "B-2", "price": 0.5, "count": 40}],
    "paid": True,
}
for n in range(100_000):
    order["id"] = n
    order = json.loads(json.dumps(order))
print(order["id"])
