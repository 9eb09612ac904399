#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The cold-boot set, step by step: builds each, measures all of them interleaved, writes the table of docs/cpython.md.

    steps.py build BUILD [STEP...]        the programs, in BUILD/steps (hours on a small machine)
    steps.py measure BUILD [--runs N]     a cold boot of hello after each step, beside native python3; BUILD/steps.json
    steps.py table BUILD [--update]       the figures as a table; --update: into docs/cpython.md

A step is what is built, what its root holds, and with what words it is started. Steps that were not built are left out.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
NATIVE = ["/usr/bin/python3", "-S", "-E", "-I", "-B"]
CLASSIC = "-O2"
FAST = "-O3 -fomit-frame-pointer -fno-unwind-tables -fno-asynchronous-unwind-tables"
ALL_ON = dict(LINK="nopie", OPT=FAST, DOC="1", GOTOS="1", FREEZE="1", LTO="0", PGO="0")

# What is built: a name and the make variables that differ from the finished set.
BUILDS = {
    "pie": dict(LINK="pie", OPT=CLASSIC, FREEZE="0"),
    "nopie": dict(OPT=CLASSIC, FREEZE="0"),
    "flags": dict(FREEZE="0"),
    "nodoc": dict(FREEZE="0", DOC="0"),
    "nogotos": dict(FREEZE="0", GOTOS="0"),
    "frozen": dict(),
    "lto": dict(LTO="1"),
    "pgo": dict(PGO="1"),
    "pgolto": dict(PGO="1", LTO="1"),
}

# (what the row says, build, strip, root, words before the program, environment, run as plain CPython would end)
STEPS = [
    ("static, position-independent, -O2, unwind tables, docstrings", "pie", "debug", "py", [], [], True),
    ("+ fixed address (no PIE)", "nopie", "debug", "py", [], [], True),
    ("+ -O3, no frame pointers, no unwind tables", "flags", "debug", "py", [], [], True),
    ("  (no docstrings)", "nodoc", "debug", "py", [], [], True),
    ("  (computed gotos off)", "nogotos", "debug", "py", [], [], True),
    ("+ --strip-all instead of --strip-debug", "flags", "all", "py", [], [], True),
    ("+ the library compiled, unchecked", "flags", "all", "full", [], [], True),
    ("+ minimal root", "flags", "all", "minimal", [], [], True),
    ("+ -S", "flags", "all", "minimal", ["-S"], [], True),
    ("+ PYTHONHASHSEED=0", "flags", "all", "minimal", ["-S"], ["PYTHONHASHSEED=0"], True),
    ("+ encodings frozen in", "frozen", "all", "minimal", ["-S"], ["PYTHONHASHSEED=0"], True),
    ("+ an ending that leaves memory alone", "frozen", "all", "minimal", ["-S"], ["PYTHONHASHSEED=0"], False),
    ("  (the same with LTO)", "lto", "all", "minimal", ["-S"], ["PYTHONHASHSEED=0"], False),
    ("  (with PGO)", "pgo", "all", "minimal", ["-S"], ["PYTHONHASHSEED=0"], False),
    ("  (with PGO and LTO)", "pgolto", "all", "minimal", ["-S"], ["PYTHONHASHSEED=0"], False),
    ("  (with the full root, -S -E -I)", "frozen", "all", "full", ["-S", "-E", "-I"], [], False),
    ("  (with the full root, site and all)", "frozen", "all", "full", [], [], False),
]


def run(*words, **kw):
    return subprocess.run(words, check=True, **kw)


def build(top, names):
    for name in names or BUILDS:
        variables = dict(ALL_ON, **BUILDS[name])
        out = os.path.join(top, "steps", name)
        print("steps.py: building", name, flush=True)
        run("make", "-s", "-C", HERE, "build", f"-j{os.cpu_count()}", f"BUILD={top}", f"OUT={out}",
            "CORE=" + os.environ.get("CORE", ""), *[f"{k}={v}" for k, v in variables.items()])  # fmt: skip


def prepare(top, step):
    """The image of a step; returns (image, file size, relocations)."""
    _, name, strip, root, _, _, _ = step
    out = os.path.join(top, "steps", name)
    tree = os.path.join(out, f"root-{root}-{strip}")
    image = tree + ".erofs"
    program = os.path.join(out, "python." + strip)
    if not os.path.exists(program):
        run("strip", "--strip-" + strip, "-o", program, os.path.join(out, "python.debug"))
    if not os.path.exists(image):
        library = os.path.join(out, "src", "Lib")
        version = os.popen(f"sed -n 's/^VERSION=[[:space:]]*//p' {out}/obj/Makefile").read().strip()
        env = dict(os.environ, PYTHON_VERSION=version, STDLIB=library, PYTHON=os.path.join(out, "obj", "python"),
                   COMPILE="checked" if root == "py" else "unchecked", MINIMAL="1" if root == "minimal" else "")  # fmt: skip
        run("sh", os.path.join(HERE, "build-root.sh"), tree, program, env=env)
        run("mkfs.erofs", "-T0", "-U", "7468617f-0000-4000-8000-707974686f6e", "--all-root", "-Enoinline_data", "-x-1",
            "--quiet", image, tree)  # fmt: skip
        run(os.path.join(top, "thaw"), "image", "seal", image)
    relocations = subprocess.run(["readelf", "-rW", program], capture_output=True, text=True).stdout.count("R_X86_64_")
    return image, os.path.getsize(program), os.path.getsize(image), relocations


def measure(top, runs):
    work = os.path.join(top, "steps", "work")
    os.makedirs(work, exist_ok=True)
    hello = os.path.join(work, "hello.py")
    with open(hello, "w") as f:
        f.write('print("hello")\n')
    spawn = os.path.join(top, "bench", "spawn")
    os.makedirs(os.path.dirname(spawn), exist_ok=True)
    run("gcc", "-std=gnu17", "-O2", "-o", spawn, os.path.join(HERE, "..", "bench", "spawn.c"))
    thaw = os.path.join(top, "thaw")
    commands, rows = [NATIVE + [hello]], [dict(what="native python3 -S -E -I")]
    for step in STEPS:
        what, name, strip, root, words, env, full = step
        if not os.path.exists(os.path.join(top, "steps", name, "python.debug")):
            continue
        image, size, image_size, relocations = prepare(top, step)
        settings = [w for e in env + (["THAW_FULL_FINALIZE=1"] if full else []) for w in ("--env", e)]
        commands.append([thaw, "exec", "--image", image, "-v", f"{work}:/work:ro", *settings, "--", "/usr/bin/python3",
                         *words, "/work/hello.py"])  # fmt: skip
        rows.append(dict(what=what, size=size, image=image_size, relocations=relocations))
    finished = os.path.join(top, "images", "python-static.erofs")
    if os.path.exists(finished):
        for what, words in (("thaw run --cold", ["--cold"]), ("thaw run (restored)", [])):
            commands.append([thaw, "run", "--image", finished, *words, hello])
            rows.append(dict(what=what, size=os.path.getsize(os.path.join(top, "cpython", "python")),
                             image=os.path.getsize(finished)))  # fmt: skip
    for command in commands:
        got = run(*command, capture_output=True, text=True).stdout
        if got != "hello\n":
            sys.exit(f"steps.py: {command}: printed {got!r}")
    line = []
    for command in commands:
        line += (["++"] if line else []) + command
    done = run(spawn, "-n", str(runs), "-w", "3", *line, capture_output=True, text=True)
    times = [[] for _ in rows]
    faults = [[] for _ in rows]
    for text in done.stdout.splitlines():
        _, i, ns, status, _, _, minor, _ = map(int, text.split()[:8])
        if status == 0:
            times[i].append(ns)
            faults[i].append(minor)
    for i, row in enumerate(rows):
        if len(times[i]) < runs * 0.9:
            sys.exit(f"steps.py: {row['what']}: only {len(times[i])} of {runs} runs ended well")
        row["p50"] = statistics.median(times[i])
        # Each against the native run of its own round.
        row["ratio"] = statistics.median(t / n for t, n in zip(times[i], times[0]))
        row["faults"] = statistics.median(faults[i])
    result = dict(runs=runs, load=os.getloadavg()[0], rows=rows, when=os.popen("date -u '+%Y-%m-%d %H:%M UTC'").read().strip())
    with open(os.path.join(top, "steps.json"), "w") as f:
        json.dump(result, f, indent=1)


def table(top, update):
    with open(os.path.join(top, "steps.json")) as f:
        result = json.load(f)
    out = [
        f"{result['when']}, {result['runs']} runs of each in turns, load average {result['load']:.1f} at the end.",
        "",
        "| after this step | p50, ms | ratio to native | program, MB | image, MB | relocations |",
        "|---|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        mb = lambda key: f"{row[key] / 1e6:.1f}" if key in row else ""
        out.append(f"| {row['what'].strip()} | {row['p50'] / 1e6:.1f} | {row['ratio']:.2f} | {mb('size')} | {mb('image')} "
                   f"| {row.get('relocations', '')} |")  # fmt: skip
    text = "\n".join(out) + "\n"
    if not update:
        sys.stdout.write(text)
        return
    page = os.path.join(HERE, "..", "docs", "cpython.md")
    with open(page) as f:
        before, mark, rest = f.read().partition("<!-- steps: made by python/steps.py table --update -->\n")
    after = rest.partition("<!-- end of steps -->\n")
    with open(page, "w") as f:
        f.write(before + mark + "\n" + text + "\n" + after[1] + after[2])


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("what", choices=["build", "measure", "table"])
    parser.add_argument("build")
    parser.add_argument("steps", nargs="*")
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--update", action="store_true")
    args = parser.parse_args()
    top = os.path.abspath(args.build)
    if args.what == "build":
        build(top, args.steps)
    elif args.what == "measure":
        measure(top, args.runs)
    else:
        table(top, args.update)


if __name__ == "__main__":
    main()
