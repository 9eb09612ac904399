# SPDX-License-Identifier: MIT
"""Whole processes side by side: native Python, other sandboxes, Thaw. docs/benchmarks.md says how to read the figures.

Needs nothing but the standard library of the host's Python. Writes BUILD/bench.json and prints tables.
"""
import argparse
import datetime
import json
import math
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORKLOADS = ROOT / "bench" / "workloads"
HELLO = ROOT / "examples" / "hello"
PYTHON = "/usr/bin/python3"
# Without -I, which would hide the module beside the program; otherwise the same.
ISOLATED, ISOLATED_BESIDE = ["-I", "-B"], ["-E", "-s", "-B"]

BASELINE, COLD, RESTORED = "python3 -S -E -I", "thaw run --cold", "thaw run"
SMALL = "thaw run, python-small"

# What the project has set itself: a figure is to be at most this.
TARGETS = {
    "restored hello / native": 0.25,
    "restored hello, python-small / native": 0.25,
    "cold hello / native": 2.0,
    "CPU-bound work / native": 1.05,
    "programs of a suite / native": 1.05,
    "private MiB per live sandbox": 4.0,
    "snapshot MiB": 16.0,
    "1,000,000 os.getppid() / native": 2.0,
    "fork and wait / native": 3.0,
    "subprocess.run(/bin/true) / native": 3.0,
    "hashing by two threads / by one": 1 / 1.7,
    "start from a heap of 1600 MiB / of 16": 1.3,
    "restored with numpy and pandas / native import": 0.05,
}


class Skip(Exception):
    """Why a row cannot be measured here."""


class Bench:
    def __init__(self, options):
        self.options = options
        self.build = (ROOT / options.build).resolve()
        self.scratch = self.build / "bench"
        self.thaw = str(self.scratch / "installed" / "bin" / "thaw")
        self.spawn = str(self.scratch / "spawn")
        self.cache = self.scratch / "cache"
        self.environ = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": os.environ.get("HOME", "/"),
            "LANG": "C.UTF-8",
            # Snapshots of its own: nothing of an earlier run is measured, nothing of the user's is touched.
            "XDG_CACHE_HOME": str(self.cache),
        }
        self.results = {"rows": [], "skipped": {}, "targets": []}

    def say(self, text=""):
        print(text, flush=True)

    # ---- the commands ----

    def run(self, argv, stdin=None, timeout=120):
        with open(stdin or os.devnull, "rb") as source:
            return subprocess.run(argv, stdin=source, capture_output=True, env=self.environ, timeout=timeout)

    def commands(self, script, beside=False, native_only=False, small=False):
        """Name and argv of each way to run a script. The first is what the others are compared with."""
        isolated = ISOLATED_BESIDE if beside else ISOLATED
        script = str(script)
        bare = [PYTHON, "-S", *isolated, script] if beside else [PYTHON, "-S", "-E", *isolated, script]
        rows = [(BASELINE, bare), ("python3 -I", [PYTHON, *isolated, script])]
        if native_only:
            return rows[:1]
        bwrap, runsc = shutil.which("bwrap", path=self.environ["PATH"]), shutil.which("runsc", path=self.environ["PATH"])
        if bwrap:
            box = [bwrap, "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"]
            # A project below /tmp would be hidden by that.
            box += ["--ro-bind", str(ROOT), str(ROOT), "--unshare-all", "--die-with-parent"]
            rows.append(("bubblewrap", box + bare))
        else:
            self.results["skipped"]["bubblewrap"] = "not installed"
        if runsc:
            rows.append(("gVisor runsc", [runsc, "--rootless", "--network=none", "--ignore-cgroups", "do", *bare]))
        else:
            self.results["skipped"]["gVisor runsc"] = "not installed"
        rows.append((COLD, [self.thaw, "run", "--cold", script]))
        rows.append((RESTORED, [self.thaw, "run", script]))
        if small:
            rows.append((SMALL, [self.thaw, "run", *self.image("python-small"), script]))
        return rows

    def usable(self, rows, stdin):
        """The rows whose command gives the native output, and those reasons why others are left out."""
        wanted, kept = None, []
        for name, argv in rows:
            try:
                done = self.run(argv, stdin)
                if done.returncode != 0:
                    lines = done.stderr.decode(errors="replace").strip().splitlines()
                    raise Skip(f"exit status {done.returncode}: {lines[-1] if lines else 'no message'}"[:300])
                if wanted is not None and done.stdout != wanted:
                    raise Skip(f"its output differs: {done.stdout[:80]!r} and not {wanted[:80]!r}")
                wanted = done.stdout
                kept.append((name, argv))
            except subprocess.TimeoutExpired:
                self.skip(name, "took longer than two minutes")
            except Skip as reason:
                self.skip(name, str(reason))
            if not kept:
                raise Skip(f"the native run failed: {self.results['skipped'][name]}")
        return kept

    def skip(self, name, reason):
        self.results["skipped"][name] = reason
        self.say(f"  left out: {name}: {reason}")

    # ---- times ----

    def measure(self, workload, rows, rounds, warmups, stdin=None):
        """Runs of all rows in turn. Slow rows (gVisor) take part in fewer rounds, but in turn as well."""
        rows = self.usable(rows, stdin)
        argv = [self.spawn, "-n", str(rounds), "-w", str(warmups), "-t", "120"]
        if stdin:
            argv += ["-i", str(stdin)]
        slow = [row for row in rows if row[0] == "gVisor runsc"]
        samples = {name: [] for name, _ in rows}
        # A block of all rows, then the rest without the slow ones.
        with_slow = min(rounds, max(3, rounds // 10)) if slow else 0
        blocks = [(with_slow, rows)] if with_slow else []
        if rounds > with_slow:
            blocks.append((rounds - with_slow, [row for row in rows if row not in slow]))
        for count, block in blocks:
            argv[2] = str(count)
            words = []
            for _, command in block:
                words += [*command, "++"]
            done = subprocess.run(argv + words[:-1], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.environ)
            if done.returncode != 0:
                raise Skip(f"spawn: {done.stderr.decode(errors='replace').strip()[-300:]}")
            for line in done.stdout.decode().splitlines():
                _, index, ns, status, user, system, faults, rss = map(int, line.split())
                name = block[index][0]
                if status != 0:
                    raise Skip(f"{name}: a run ended with status {status}: {done.stderr.decode(errors='replace')[-300:]}")
                samples[name].append((ns, user + system, faults, rss))
        base = None
        for name, _ in rows:
            row = summary(workload, name, samples[name])
            base = base or row
            row["ratio"] = row["p50_ms"] / base["p50_ms"]
            self.results["rows"].append(row)
        self.print_rows(workload)

    def print_rows(self, workload):
        rows = [row for row in self.results["rows"] if row["workload"] == workload]
        self.say(f"  {'':<26} {'p50 ms':>9} {'p99 ms':>9} {'min ms':>9} {'runs':>5} {'/ native':>9} {'faults':>8}")
        for row in rows:
            self.say(
                f"  {row['command']:<26} {row['p50_ms']:>9.2f} {row['p99_ms']:>9.2f} {row['min_ms']:>9.2f} "
                f"{row['runs']:>5} {row['ratio']:>9.3f} {row['minor_faults']:>8}"
            )

    def row(self, workload, command):
        for row in self.results["rows"]:
            if row["workload"] == workload and row["command"] == command:
                return row
        return None

    def target(self, name, value, detail=""):
        limit = TARGETS[name]
        self.results["targets"].append(
            {"target": name, "at_most": limit, "measured": value, "met": value <= limit, "detail": detail}
        )

    def rounds(self, full, quick):
        return self.options.runs or (quick if self.options.quick else full)

    def bench_hello(self):
        rows = self.commands(WORKLOADS / "hello.py", small=True)
        self.measure("hello", rows, self.rounds(300, 40), 3)
        cold = self.row("hello", COLD)
        # The others leave little of the caches to what comes after them: beside native alone is the fair comparison.
        for name, workload, target in ((RESTORED, "hello by turns", "restored hello / native"),
                                       (SMALL, "hello by turns, small", "restored hello, python-small / native")):  # fmt: skip
            among = self.row("hello", name)
            if not among:
                continue
            self.say(f"\n{workload}: native and restored")
            self.measure(workload, [row for row in rows if row[0] in (BASELINE, name)], self.rounds(300, 40), 3)
            pair = self.row(workload, name)
            detail = f"p50 {pair['p50_ms']:.2f} ms; among all of the rows above {among['ratio']:.3f}"
            self.target(target, pair["ratio"], detail)
        if cold:
            self.target("cold hello / native", cold["ratio"], f"p50 {cold['p50_ms']:.2f} ms")
        self.results["phases"] = self.phases(WORKLOADS / "hello.py", self.rounds(50, 10))

    def bench_program(self):
        rows = self.commands(HELLO / "hello.py", beside=True)
        self.measure("program", rows, self.rounds(100, 15), 2, HELLO / "visits.log")

    def bench_json(self):
        self.measure("json", self.commands(WORKLOADS / "json_round_trips.py"), self.rounds(12, 3), 0)

    def worst(self, pattern, left_out=()):
        """Runs workloads in both images. What is slowest beside native Python: text, and the ratio in the default image."""
        ratios = {RESTORED: [], SMALL: []}
        for script in sorted(WORKLOADS.glob(pattern)):
            rows = [row for row in self.commands(script, small=True) if row[0] in (BASELINE, RESTORED, SMALL)]
            self.say(f"\n{script.stem}")
            self.measure(script.stem, rows, self.rounds(15, 3), 1)
            for name, found in ratios.items():
                row = self.row(script.stem, name)
                if row and (name, script.stem) not in left_out:
                    found.append((row["ratio"], script.stem))
        words = []
        for name, found in ratios.items():
            if found:
                mean = math.prod(ratio for ratio, _ in found) ** (1 / len(found))
                words.append("{}: worst {:.3f} ({}), mean {:.3f}".format(name, *max(found), mean))
        return (max(ratios[RESTORED])[0] if ratios[RESTORED] else None), "; ".join(words)

    def bench_cpu(self):
        # Natively OpenSSL computes hashes, in the small image CPython's own C does: another library, not other work.
        worst, words = self.worst("cpu_*.py", {(SMALL, "cpu_hashes")})
        if worst:
            self.target("CPU-bound work / native", worst, words)

    def bench_suite(self):
        """Programs of the kinds that pyperformance has."""
        worst, words = self.worst("suite_*.py")
        if worst:
            self.target("programs of a suite / native", worst, words)

    def bench_calls(self):
        targets = {"calls_getppid": "1,000,000 os.getppid() / native", "calls_fork": "fork and wait / native",
                   "calls_subprocess": "subprocess.run(/bin/true) / native"}  # fmt: skip
        for script in sorted(WORKLOADS.glob("calls_*.py")):
            rows = [row for row in self.commands(script) if row[0] in (BASELINE, COLD, RESTORED)]
            if script.stem == "calls_subprocess":
                # An image with a /bin/true in it.
                image = self.image("programs")
                rows = [(name, argv if name == BASELINE else [*argv[:2], *image, *argv[2:]]) for name, argv in rows]
            self.say(f"\n{script.stem}")
            self.measure(script.stem, rows, self.rounds(15, 3), 1)
            row = self.row(script.stem, RESTORED)
            if row and script.stem in targets:
                self.target(targets[script.stem], row["ratio"])

    def image(self, name):
        path = self.build / "images" / f"{name}.erofs"
        if (self.scratch / "installed/lib/thaw/images" / path.name).exists():
            return ["--image", name]
        if not path.exists():
            raise Skip(f"no image {path}: run `make test-images`")
        return ["--image", str(path)]

    def bench_threads(self):
        script = str(WORKLOADS / "threads_hash.py")
        thaw = [self.thaw, "run", script]
        native = [PYTHON, "-S", "-E", "-I", script]
        rows = [("python3, 1 thread", [*native, "1"]), ("python3, 2 threads", [*native, "2"]),
                ("thaw run, 1 thread", [*thaw, "1"]), ("thaw run, 2 threads", [*thaw, "2"])]  # fmt: skip
        self.measure("threads_hash", rows, self.rounds(15, 3), 1)
        one, two = (self.row("threads_hash", f"thaw run, {n}") for n in ("1 thread", "2 threads"))
        if one and two:
            native = [self.row("threads_hash", f"python3, {n}")["p50_ms"] for n in ("1 thread", "2 threads")]
            detail = f"natively {native[1] / native[0]:.3f}"
            self.target("hashing by two threads / by one", two["p50_ms"] / one["p50_ms"], detail)

    def bench_heaps(self):
        """A start that touches one MiB of what its snapshot holds, whose size should not matter."""
        sizes, rows = (16, 160, 1600), []
        touch = "for i in range(0, 1 << 20, 4096): data[i] += 1\nprint(data[0])"
        for size in sizes:
            warm = f"import builtins\nbuiltins.data = bytearray(b'x' * (1 << 20)) * {size}"
            name = f"heap-{size}"
            self.run([self.thaw, "snapshot", "remove", name])
            made = self.run([self.thaw, "snapshot", "create", name, "--memory", "4G", "--warm", warm])
            if made.returncode != 0:
                raise Skip(f"snapshot of {size} MiB: {made.stderr.decode(errors='replace').strip()[-300:]}")
            rows.append((f"{size} MiB", [self.thaw, "run", "--snapshot", name, "--memory", "4G", "-c", touch]))
        try:
            self.measure("heaps", rows, self.rounds(100, 10), 3)
            self.target("start from a heap of 1600 MiB / of 16", self.row("heaps", "1600 MiB")["ratio"])
        finally:
            for size in sizes:
                self.run([self.thaw, "snapshot", "remove", f"heap-{size}"])

    def bench_numpy(self):
        image = self.build / "bench" / "numpy.erofs"
        if not image.exists():
            raise Skip("its image is missing: `make bench-numpy` makes it and measures")
        script = str(WORKLOADS / "warm_numpy.py")
        made = self.run([self.thaw, "snapshot", "create", "bench-numpy", "--image", str(image), "--memory", "1G",
                         "--warm", "import numpy, pandas", "--train", script])  # fmt: skip
        if made.returncode != 0:
            raise Skip(f"snapshot: {made.stderr.decode(errors='replace').strip()[-300:]}")
        rows = [("python3 -I", [PYTHON, "-I", "-B", script]),
                ("thaw run, restored", [self.thaw, "run", "--snapshot", "bench-numpy", "--memory", "1G", script])]  # fmt: skip
        self.measure("warm_numpy", rows, self.rounds(30, 5), 2)
        row = self.row("warm_numpy", "thaw run, restored")
        if row:
            self.target("restored with numpy and pandas / native import", row["ratio"], f"p50 {row['p50_ms']:.1f} ms")

    def phases(self, script, runs):
        """Where a restored start's time goes, by its own account: medians of --stats."""
        path = self.scratch / "stats.json"
        found = {}
        for _ in range(runs):
            if self.run([self.thaw, "run", "--stats", str(path), str(script)]).returncode != 0:
                return None
            stats = json.loads(path.read_text())
            if stats.get("start") != "restored":
                continue
            flat = {name: value for name, value in stats.items() if isinstance(value, int)}
            flat.update({f"us {name}": value for name, value in stats.get("phases_us", {}).items()})
            for name, value in flat.items():
                found.setdefault(name, []).append(value)
        phases = {name: statistics.median(values) for name, values in found.items()}
        steps = [f"{name[3:]} {value:.0f}" for name, value in phases.items() if name.startswith("us ")]
        self.say(f"  a restored start, microseconds: {', '.join(steps)}")
        return phases

    # ---- memory ----

    def bench_memory(self):
        count = 20 if self.options.quick else 100
        code = "import sys; print('ready', flush=True); sys.stdin.read()"
        native = [PYTHON, "-S", "-E", "-I", "-c", code]
        restored = [self.thaw, "run", "-c", code]
        small = [self.thaw, "run", *self.image("python-small"), "-c", code]
        for argv in (restored, small):
            self.run([*argv[:-1], "pass"])  # there is a snapshot
        self.results["memory"] = {"alive": count}
        for name, argv in ((BASELINE, native), (RESTORED, restored), (SMALL, small)):
            try:
                figures = self.alive(argv, count)
            except Skip as reason:
                self.skip(f"memory of {name}", str(reason))
                continue
            self.results["memory"][name] = figures
            self.say(f"  {name}, {count} alive at once, KiB each (mean):")
            for part, kib in figures.items():
                self.say(
                    f"    {part:<9} proportional {kib['pss']:>8.0f}   private {kib['private']:>8.0f}   "
                    f"resident {kib['rss']:>8.0f}"
                )
        thaw, small = (self.results["memory"].get(name) for name in (RESTORED, SMALL))
        if thaw:
            detail = f"and {thaw['monitor']['private'] / 1024:.2f} MiB of its monitor"
            if small:
                detail += f"; python-small {small['sandbox']['private'] / 1024:.2f}"
            self.target("private MiB per live sandbox", thaw["sandbox"]["private"] / 1024, detail)

    def alive(self, argv, count):
        """Starts count of them, waits until each has said that it is ready, adds up their memory."""
        started, sums = [], {}
        try:
            for _ in range(count):
                started.append(
                    subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                     env=self.environ)
                )
            for process in started:
                if process.stdout.readline() != b"ready\n":
                    process.kill()
                    raise Skip(process.stderr.read().decode(errors="replace").strip()[-300:] or "no answer")
            time.sleep(0.2)
            for process in started:
                children = children_of(process.pid)
                add(sums.setdefault("monitor" if children else "process", {}), smaps(process.pid))
                for child in children:
                    add(sums.setdefault("sandbox", {}), smaps(child))
        finally:
            for process in started:
                if process.poll() is None:
                    process.stdin.close()
            for process in started:
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    process.wait()
        return {part: {name: kib / count for name, kib in total.items()} for part, total in sums.items()}

    def bench_size(self):
        self.run([self.thaw, "run", "-c", "pass"])
        snapshots = sorted(self.cache.glob("thaw/snapshots/python-[0-9a-f]*.snap"))
        if not snapshots:
            raise Skip("no snapshot was made")
        found = snapshots[-1].stat()
        mib = found.st_size / 2**20
        self.results["snapshot"] = {"bytes": found.st_size, "bytes_on_disk": found.st_blocks * 512}
        self.say(f"  snapshot {mib:.2f} MiB, {found.st_blocks * 512 / 2**20:.2f} MiB on disk")
        image = self.build / "images" / "python.erofs"
        if image.exists():
            self.results["image_bytes"] = image.stat().st_size
            self.say(f"  image    {image.stat().st_size / 2**20:.2f} MiB")
        self.say(f"  thaw     {os.path.getsize(self.thaw) / 2**20:.2f} MiB")
        self.results["thaw_bytes"] = os.path.getsize(self.thaw)
        self.target("snapshot MiB", mib)

    # ---- all of it ----

    def prepare(self):
        for need in (self.thaw, self.spawn):
            if not os.access(need, os.X_OK):
                sys.exit(f"bench: {need} is missing: run `make bench`")
        shutil.rmtree(self.cache, ignore_errors=True)
        self.cache.mkdir(parents=True)
        first = self.run([self.thaw, "run", "-c", "pass"])
        if first.returncode != 0:
            self.say(f"bench: thaw does not run: {first.stderr.decode(errors='replace').strip()}")
        # A stamp is given only to a file that has rested for a moment.
        time.sleep(0.3)
        self.run([self.thaw, "run", "-c", "pass"])

    def main(self):
        benches = {
            "hello": ("hello: print one line", self.bench_hello),
            "program": ("program: examples/hello, the program of `make hello`", self.bench_program),
            "json": ("json: 100,000 round trips", self.bench_json),
            "cpu": ("cpu: loops, calls, floats, objects, library code", self.bench_cpu),
            "suite": ("suite: programs of the kinds that pyperformance has", self.bench_suite),
            "memory": ("memory of sandboxes alive at once", self.bench_memory),
            "size": ("sizes", self.bench_size),
            "calls": ("calls: system calls, files, processes", self.bench_calls),
            "threads": ("threads: hashing by one and by two", self.bench_threads),
            "heaps": ("heaps: a start from a snapshot of 16, 160 and 1,600 MiB", self.bench_heaps),
            "numpy": ("numpy: restored after its import, and used", self.bench_numpy),
        }
        self.results.update(about())
        self.results["quick"] = self.options.quick
        self.prepare()
        machine = self.results["machine"]
        self.say(f"{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}; {self.results['date']}, "
                 f"commit {self.results['commit']}, load {machine['load_at_start']}")
        failed = False
        for name, (title, bench) in benches.items():
            # numpy's image is large, and made only when asked for.
            if name not in (self.options.only or benches) or (name == "numpy" and not self.options.only):
                continue
            self.say(f"\n{title}")
            try:
                bench()
            except Skip as reason:
                self.skip(name, str(reason))
                failed = True
        machine["load_at_end"] = load()
        self.print_targets()
        # A part does not replace the whole.
        path = self.build / ("bench.partial.json" if self.options.only else "bench.json")
        path.write_text(json.dumps(self.results, indent=2) + "\n")
        self.say(f"\nwritten to {path}")
        return 1 if failed else 0

    def print_targets(self):
        if self.results["targets"]:
            self.say("\ntargets")
        for t in self.results["targets"]:
            verdict = "met   " if t["met"] else "MISSED"
            self.say(f"  {verdict} {t['target']:<30} {t['measured']:>8.3f}  (at most {t['at_most']:g})  {t['detail']}")


BEGIN, END = "<!-- figures: made by bench/bench.py --update -->", "<!-- end of figures -->"


def markdown(results):
    """The figures of a run as docs/benchmarks.md shows them."""
    machine = results["machine"]
    out = [
        f"{results['date']}, commit {results['commit']}: {machine['cpu']}, {machine['cores']} cores, "
        f"{machine['memory_bytes'] / 2**30:.0f} GiB, Linux {machine['kernel']}; load average "
        f"{machine['load_at_start']:.1f} at the start, {machine.get('load_at_end', 0):.1f} at the end"
        f"{'; a quick run' if results['quick'] else ''}.",
    ]
    if results["targets"]:
        out += ["", "| target | at most | measured | |", "|---|---|---|---|"]
        for t in results["targets"]:
            verdict = "met" if t["met"] else "**missed**"
            detail = f"; {t['detail']}" if t["detail"] else ""
            out.append(f"| {t['target']} | {t['at_most']:g} | {t['measured']:.3f} | {verdict}{detail} |")
    if results["rows"]:
        out += ["", "| workload | how | p50 ms | p99 ms | min ms | runs | / native | page faults |"]
        out += ["|---|---|---|---|---|---|---|---|"]
        for r in results["rows"]:
            out.append(
                f"| {r['workload']} | {r['command']} | {r['p50_ms']:.2f} | {r['p99_ms']:.2f} | {r['min_ms']:.2f} | "
                f"{r['runs']} | {r['ratio']:.3f} | {r['minor_faults']} |"
            )
    memory = results.get("memory")
    if memory:
        out += ["", f"{memory['alive']} alive at once, KiB each:", ""]
        out += ["| | proportional | private | resident |", "|---|---|---|---|"]
        for name, parts in memory.items():
            if name != "alive":
                for part, kib in parts.items():
                    out.append(f"| {name}: {part} | {kib['pss']:.0f} | {kib['private']:.0f} | {kib['rss']:.0f} |")
    phases = results.get("phases")
    if phases:
        steps = ", ".join(f"{name[3:]} {value:.0f}" for name, value in phases.items() if name.startswith("us "))
        out += ["", f"Phases of a restored hello, microseconds, medians of `--stats`: {steps}."]
    if "snapshot" in results:
        out += [
            "",
            f"Snapshot {results['snapshot']['bytes'] / 2**20:.2f} MiB, image {results.get('image_bytes', 0) / 2**20:.2f} "
            f"MiB, `thaw` {results['thaw_bytes'] / 2**20:.2f} MiB.",
        ]
    if results["skipped"]:
        out += ["", "Left out: " + "; ".join(f"{name} ({why})" for name, why in results["skipped"].items()) + "."]
    return "\n".join(out)


def update(results, path):
    """Puts the figures between the two marks of a document."""
    text = path.read_text()
    before, mark, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not mark or not end:
        sys.exit(f"bench: {path} lacks the lines {BEGIN!r} and {END!r}")
    path.write_text(f"{before}{BEGIN}\n\n{markdown(results)}\n\n{END}{after}")


def percentile(values, p):
    """Nearest rank: with fewer than 100 values the 99th percentile is the largest."""
    values = sorted(values)
    return values[max(0, math.ceil(p / 100 * len(values)) - 1)]


def summary(workload, command, samples):
    ms = [sample[0] / 1e6 for sample in samples]
    return {
        "workload": workload,
        "command": command,
        "runs": len(ms),
        "p50_ms": statistics.median(ms),
        "p99_ms": percentile(ms, 99),
        "min_ms": min(ms),
        "mean_ms": statistics.fmean(ms),
        "cpu_ms": statistics.median(sample[1] for sample in samples) / 1e3,
        "minor_faults": int(statistics.median(sample[2] for sample in samples)),
        "max_rss_kib": int(statistics.median(sample[3] for sample in samples)),
    }


def children_of(pid):
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def smaps(pid):
    kib = {}
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
            name, number = line.split()[:2]
            kib[name.rstrip(":")] = int(number)
    except OSError as error:
        raise Skip(f"/proc/{pid}/smaps_rollup: {error.strerror}") from None
    return {"pss": kib["Pss"], "rss": kib["Rss"], "private": kib["Private_Clean"] + kib["Private_Dirty"]}


def add(total, more):
    for name, kib in more.items():
        total[name] = total.get(name, 0) + kib


def load():
    return os.getloadavg()[0]


def about():
    cpu = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
            break
    git = ["git", "--no-optional-locks", "-C", str(ROOT)]
    commit = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True)
    changed = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True)
    name = commit.stdout.strip() if commit.returncode == 0 else "none"
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": name + ("+changes" if changed.stdout.strip() else ""),
        "python": platform.python_version(),
        "machine": {
            "cpu": cpu,
            "cores": len(os.sched_getaffinity(0)),
            "kernel": platform.release(),
            "memory_bytes": pages,
            "load_at_start": load(),
        },
    }


def main():
    parser = argparse.ArgumentParser(description="Measures whole processes side by side.")
    parser.add_argument("--build", default="build", help="the build directory")
    parser.add_argument("--quick", action="store_true", help="few runs")
    parser.add_argument("--runs", type=int, help="runs of each row")
    parser.add_argument("--only", action="append", metavar="ROW",
                        choices=["hello", "program", "json", "cpu", "suite", "memory", "size", "calls", "threads", "heaps", "numpy"],
                        help="may be given repeatedly")
    parser.add_argument("--update", action="store_true",
                        help="measure nothing: write the figures of the last run to docs/benchmarks.md")
    options = parser.parse_args()
    if options.update:
        update(json.loads((ROOT / options.build / "bench.json").read_text()), ROOT / "docs" / "benchmarks.md")
        return
    sys.exit(Bench(options).main())


if __name__ == "__main__":
    main()
