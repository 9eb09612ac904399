# SPDX-License-Identifier: MIT
"""The access log's lines, in the "common log format"."""
import re
from datetime import datetime
from typing import Iterable, NamedTuple

LINE = re.compile(
    r'(?P<address>\S+) \S+ \S+ \[(?P<time>[^\]]+)\] "(?P<method>[A-Z]+) (?P<path>\S+) HTTP/[\d.]+" '
    r"(?P<status>\d{3}) (?P<size>\d+|-)"
)


class Entry(NamedTuple):
    address: str
    time: datetime
    path: str
    status: int
    size: int


def parse(lines: Iterable[str]) -> tuple[list[Entry], int]:
    """The entries, and how many lines were none."""
    entries, rejected = [], 0
    for line in lines:
        found = LINE.match(line)
        if not found:
            rejected += bool(line.strip())
            continue
        size = 0 if found["size"] == "-" else int(found["size"])
        time = datetime.strptime(found["time"], "%d/%b/%Y:%H:%M:%S %z")
        entries.append(Entry(found["address"], time, found["path"].partition("?")[0], int(found["status"]), size))
    return entries, rejected
