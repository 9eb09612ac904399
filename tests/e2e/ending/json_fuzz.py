# SPDX-License-Identifier: MIT
# json, in and out, over random and damaged documents: results and error messages.
import collections, decimal, hashlib, json, random, sys
from json import decoder, encoder, scanner

random.seed(20)
verbose = "verbose" in sys.argv
digest, count = hashlib.sha256(), 0

def note(*what):
    global digest, count
    line = ascii(what)
    if verbose:
        print(line)
    digest.update(line.encode())
    count += 1
    if count % 2000 == 0:
        print(count, digest.hexdigest()[:16])

def attempt(name, f, *args, **kwargs):
    try:
        result = f(*args, **kwargs)
    except RecursionError:
        note(name, "RecursionError")
    except Exception as e:
        note(name, type(e).__name__, str(e))
    else:
        note(name, result)

ALPHABET = ["a", "Z", "0", " ", '"', "\\", "/", "\n", "\t", "\x00", "\x1f", "\x7f", "\x80", "\xe9", "\u20ac",
            "\ud800", "\udc00", "\uffff", "\U0001f600", "\U0010ffff"]

def text():
    return "".join(random.choice(ALPHABET) for _ in range(random.randrange(8)))

class Int(int):
    def __repr__(self): return "no"
class Float(float):
    def __repr__(self): return "no"
class Str(str):
    pass
class Odd:
    def __repr__(self): return "odd"

def value(depth):
    kind = random.randrange(16 if depth else 11)
    if kind < 3: return text()
    if kind == 3: return random.randrange(-1000, 1000)
    if kind == 4: return random.getrandbits(random.choice([31, 63, 64, 65, 300])) * random.choice([1, -1])
    if kind == 5: return random.choice([0.0, -0.0, 1.5, 1e16, 1e-7, 123456789.123, 1e300, random.random()])
    if kind == 6: return random.choice([True, False, None])
    if kind == 7: return random.choice([float("inf"), float("-inf")])
    if kind == 8: return random.choice([Int(7), Float(2.5), Str("s\u20ac")])
    if kind == 9: return random.choice([[], {}, (), ""])
    if kind == 10: return Odd() if random.random() < 0.1 else 5
    if kind < 14: return random.choice([list, tuple])(value(depth - 1) for _ in range(random.randrange(4)))
    keys = [text, lambda: 3, lambda: 2.5, lambda: None, lambda: True, lambda: Int(4), lambda: float("inf")]
    made = {}
    for _ in range(random.randrange(5)):
        key = random.choice(keys)() if random.random() < 0.3 else text()
        made[key if random.random() < 0.98 else (1, 2)] = value(depth - 1)
    return collections.OrderedDict(made) if random.random() < 0.2 else made

OPTIONS = [{}, {"ensure_ascii": False}, {"sort_keys": True}, {"skipkeys": True}, {"allow_nan": False},
           {"separators": (",", ":")}, {"check_circular": False}, {"default": lambda o: {"odd": [1]}},
           {"indent": 1}, {"separators": ("\u20ac", "\U0001f600"), "ensure_ascii": False}]
PIECES = ['{', '}', '[', ']', ',', ':', '"', '\\', ' ', '\n', '\t', 'true', 'false', 'null', 'nul', 'NaN', 'Infinity',
          '-Infinity', '-', '-I', '0', '1', '00', '-0', '1.', '.5', '1.5', '1e', '1e5', '1E+', '1e-3', '0e0', '-1',
          '"a"', '"a":', '"\\n"', '"\\u12"', '"\\u20ac"', '"\\ud83d\\ude00"', '"\\ud83dx"', '"\\ud83d\\u0041"',
          '"\\ud83d\\u00"', '"\\uD83D\\uDE0g"', '"\\x"', '\u20ac', '"\u20ac"', '"\x01"', '99999999999999999999', '\ufeff', 'x']

for _ in range(6000):
    o = value(3)
    options = random.choice(OPTIONS)
    attempt("dumps", json.dumps, o, **options)
    try:
        document = json.dumps(o, default=str, skipkeys=True)
    except Exception as e:
        document = "[]"
    attempt("loads", json.loads, document)
    if document:
        at = random.randrange(len(document))
        damaged = random.choice([document[:at], document[:at] + random.choice(PIECES) + document[at:],
                                 document[:at] + document[at + 1:]])
        attempt("damaged", json.loads, damaged, strict=random.random() < 0.7)
for _ in range(8000):
    attempt("pieces", json.loads, "".join(random.choice(PIECES) for _ in range(random.randrange(7))))
for _ in range(3000):
    s = '"' + "".join(random.choice(['a', '"', '\\', 'u', '\\u', 'd83d', 'de00', '00', '\\n', '\u20ac', '\x02', '/'])
                      for _ in range(random.randrange(9)))
    attempt("scanstring", decoder.scanstring, s, 1, random.random() < 0.5)
for options in ({"parse_float": decimal.Decimal}, {"parse_int": float}, {"object_hook": lambda d: sorted(d)},
                {"object_pairs_hook": lambda p: p}, {"object_pairs_hook": collections.OrderedDict},
                {"parse_constant": lambda c: "<" + c + ">"}, {"parse_float": str, "parse_int": str},
                {"object_hook": lambda d: 1 / 0}):
    attempt("hooks", json.loads, '{"a": [1, 2.5, -3e2, {"b": NaN}], "a": -Infinity, "c": {}, "d": 12345678901234567890}', **options)
circular = [1]; circular.append(circular)
nested = {}; nested["x"] = nested
attempt("circular", json.dumps, circular)
attempt("circular", json.dumps, nested)
attempt("deep", json.dumps, circular, check_circular=False)
attempt("deep", json.loads, "[" * 100000)
attempt("deep", json.loads, '{"a":' * 100000)
attempt("default", json.dumps, Odd())
attempt("default", json.dumps, Odd(), default=lambda o: o)
attempt("default raises", json.dumps, [Odd()], default=lambda o: 1 / 0)
attempt("bytes", json.loads, '{"\u20ac": 1}'.encode("utf-16"))
attempt("type", json.loads, 5)
for f in (encoder.encode_basestring, encoder.encode_basestring_ascii):
    attempt("basestring", f, "".join(map(chr, list(range(300)) + [0x2028, 0xd800, 0x10000])))
    attempt("basestring", f, 5)
attempt("end", decoder.scanstring, "abc", 7)
attempt("end", decoder.scanstring, "abc", -1)
scan = scanner.make_scanner(json.JSONDecoder())
attempt("scan", scan, "[1] x", 0)
attempt("scan", scan, "", 0)
attempt("scan", scan, "1", -1)
attempt("digits", json.loads, "1" * 5000)
attempt("iterencode", lambda: "".join(json.JSONEncoder().iterencode([1, {"a": (2.5, None)}])))
attempt("float keys", json.dumps, {float("nan"): 1}, allow_nan=False)
attempt("nan", json.dumps, [float("nan")])
print(count, digest.hexdigest())
