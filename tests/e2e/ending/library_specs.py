# SPDX-License-Identifier: MIT
import importlib.util
for name in ("csv", "configparser", "unittest.mock", "no_such_thing"):
    spec = importlib.util.find_spec(name)
    print(name, spec and (spec.name, spec.origin, type(spec.loader).__name__, spec.has_location))
import configparser, xml.etree.ElementTree as tree, asyncio
for m in (configparser, tree, asyncio):
    print(m.__name__, m.__file__, m.__package__, m.__spec__.origin, type(m.__loader__).__name__, m.__spec__.parent)
