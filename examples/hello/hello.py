# SPDX-License-Identifier: MIT
"""Reads a web server's access log on standard input, writes a report as JSON on standard output.

Each client is named by a hash, so that the report can be passed on. The settings lie in a file beside this one, the
parser in a module beside it; intermediate results go through a file in /tmp.
"""
import hashlib
import json
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory

import accesslog


def pseudonym(address: str, salt: str) -> str:
    return hashlib.sha256(f"{salt}/{address}".encode()).hexdigest()[:12]


def summarise(entries: list[accesslog.Entry], settings: dict) -> dict:
    pages: dict[str, dict] = {}
    clients: dict[str, int] = {}
    hours: dict[str, int] = {}
    zone = timezone(timedelta(hours=settings["utc_offset_hours"]))
    for entry in entries:
        page = pages.setdefault(entry.path, {"requests": 0, "bytes": 0, "errors": 0})
        page["requests"] += 1
        page["bytes"] += entry.size
        page["errors"] += entry.status >= 400
        who = pseudonym(entry.address, settings["salt"])
        clients[who] = clients.get(who, 0) + 1
        hour = entry.time.astimezone(zone).strftime("%Y-%m-%d %H:00")
        hours[hour] = hours.get(hour, 0) + 1
    ranking = sorted(pages.items(), key=lambda item: (-item[1]["requests"], item[0]))
    times = [entry.time for entry in entries]
    return {
        "requests": len(entries),
        "span_seconds": int((max(times) - min(times)).total_seconds()) if times else 0,
        "top_pages": [{"path": path, **numbers} for path, numbers in ranking[: settings["top"]]],
        "busiest_client": max(sorted(clients), key=clients.__getitem__, default=None),
        "clients": len(clients),
        "per_hour": dict(sorted(hours.items())),
    }


def main(argv: list[str]) -> int:
    settings = json.loads(Path(__file__).with_name("settings.json").read_text())
    if len(argv) > 1:
        settings["top"] = int(argv[1])
    entries, rejected = accesslog.parse(sys.stdin)
    with TemporaryDirectory() as scratch:
        spool = Path(scratch, "summary.json")
        spool.write_text(json.dumps(summarise(entries, settings)))
        report = json.loads(spool.read_text())
    report["rejected_lines"] = rejected
    report["title"] = settings["title"]
    json.dump(report, sys.stdout, indent=2, sort_keys=True)
    print()
    newest = max((entry.time for entry in entries), default=datetime.fromtimestamp(0, timezone.utc))
    print(f"hello: {len(entries)} requests up to {newest.isoformat()}, {rejected} lines rejected", file=sys.stderr)
    return 0 if entries else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv))
