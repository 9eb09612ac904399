# SPDX-License-Identifier: MIT
import argparse, ast, base64, collections, configparser, contextlib, copy, csv, dataclasses, datetime, decimal
import difflib, enum, fractions, functools, gzip, hashlib, hmac, html, inspect, io, ipaddress, itertools, json
import logging, math, operator, pathlib, pickle, pprint, queue, random, re, shlex, shutil, statistics, string
import struct, tempfile, textwrap, threading, timeit, tomllib, traceback, typing, unittest, urllib.parse, uuid
import xml.etree.ElementTree, zipfile, zlib
@dataclasses.dataclass
class Point:
    x: int
    y: typing.Optional[int] = None
class Color(enum.Enum):
    RED = 1
print(Point(1), Color.RED, pickle.loads(pickle.dumps(Point(3, 4))), copy.deepcopy([Point(5)]))
print(decimal.Decimal("1.10") + 1, fractions.Fraction(3, 6), statistics.median([3, 1, 2]))
print(json.dumps({"z": [1.5, None]}), ast.unparse(ast.parse("a+b")), inspect.signature(Point))
print(xml.etree.ElementTree.fromstring("<a><b/></a>")[0].tag, urllib.parse.quote("a b"), html.escape("<"))
print(gzip.decompress(gzip.compress(b"x" * 100)) == b"x" * 100, tomllib.loads("a = 1"))
random.seed(7)
print(random.random(), random.sample(range(100), 3), uuid.uuid5(uuid.NAMESPACE_DNS, "thaw"))
print(textwrap.fill("one two three", 8), shlex.split("a 'b c'"), ipaddress.ip_network("10.0.0.0/30").num_addresses)
logging.basicConfig(format="%(levelname)s:%(name)s:%(message)s")
logging.getLogger("x").warning("to stderr")
parser = argparse.ArgumentParser(prog="used")
parser.add_argument("--n", type=int)
class Test(unittest.TestCase):
    def test_one(self):
        self.assertEqual(1, 1)
result = unittest.TextTestRunner(stream=io.StringIO()).run(unittest.defaultTestLoader.loadTestsFromTestCase(Test))
print(result)
parser.parse_args(["--n", "many"])
