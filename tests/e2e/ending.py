#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares how programs run and end under a command with how they do under the native interpreter.

    ending.py [--only PATTERN] [--skip PATTERN]... [--jobs N] [--env NAME=VALUE]... COMMAND [WORD...]

COMMAND takes the place of python3: "build/thaw run", or the launcher itself. stdout, stderr and exit
status of every case must be the same. Prints TAP and, last, "N passed, N failed".
"""
import argparse
import concurrent.futures
import fnmatch
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "ending")
NATIVE = ["/usr/bin/python3"]
TIMEOUT = 60


class Case:
    """A way to start a program: words after python3, stdin, and where stdout goes."""

    def __init__(self, name, words, stdin=b"", stdout="pipe", interrupt=False, env=None, terminal=None):
        self.name, self.words, self.stdin, self.stdout = name, words, stdin, stdout
        self.interrupt, self.env, self.terminal = interrupt, env or {}, terminal


def cases(scratch):
    found = []
    stdin = {"stdin_read": b"one\ntwo\nthree\n\xc3\xa9"}
    interrupted = {"sigint_waits", "sigint_handled"}
    for file in sorted(os.listdir(HERE)):
        name, ext = os.path.splitext(file)
        if ext == ".py" and not name.startswith("helper_"):
            found.append(Case(name, [file, "arg", "--", "-x", "d\u00e9"], stdin.get(name, b""),
                              interrupt=name in interrupted))
    # Where stdout goes.
    for name in ("file_left_open", "del_global", "stdio_objects", "traceback_plain", "exit_int", "exit_str"):
        file = name + ".py"
        found += [Case(name + "_to_full", [file], stdout="full"),
                  Case(name + "_to_closed_pipe", [file], stdout="broken"),
                  Case(name + "_to_file", [file], stdout="file"),
                  Case(name + "_to_null", [file], stdout="null")]
    found += [Case("stdout_not_open", ["del_global.py"], stdout="none"),
              Case("big_output_to_full", ["-c", "print('x' * 100000)"], stdout="full"),
              Case("big_output_to_pipe", ["-c", "print('x' * 1000000)"]),
              Case("unbuffered_to_full", ["-c", "print(1)"], stdout="full", env={"PYTHONUNBUFFERED": "1"})]
    # Ways to name the program.
    code = "import sys; print(sys.argv, sys.path[0], __name__, sorted(globals()))"
    archive = os.path.join(scratch, "program.zip")
    with zipfile.ZipFile(archive, "w") as z:
        z.write(os.path.join(HERE, "as_directory/__main__.py"), "__main__.py")
        z.write(os.path.join(HERE, "as_directory/beside.py"), "beside.py")
    # A sandbox has the folder of a script, not the current one.
    beside = {"PYTHONPATH": HERE}
    found += [
        Case("code", ["-c", code, "a", "-c", "b"]),
        Case("code_joined", ["-cimport sys; print(sys.argv)", "a"]),
        Case("module_joined", ["-mjson.tool", "--compact"], stdin=b'{"b": [1, 2]}'),
        Case("code_exit", ["-c", "import sys; print(1); sys.exit('bye')"]),
        Case("code_error", ["-c", "def f():\n  1/0\nf()"]),
        Case("code_syntax_error", ["-c", "print(1"]),
        Case("code_empty", ["-c", ""]),
        Case("code_surrogate", ["-c", "import sys; print(ascii(sys.argv))", b"caf\xe9"]),
        Case("code_not_utf8", ["-c", b"print('\xe9')"]),
        Case("code_interrupted", ["-c", "raise KeyboardInterrupt"]),
        Case("module_stdlib", ["-m", "json.tool"], stdin=b'{"b": [1, 2]}'),
        Case("module_package", ["-m", "as_module", "x", "y"], env=beside),
        Case("module_part", ["-m", "as_module.part"], env=beside),
        Case("module_missing", ["-m", "no_such_module"]),
        Case("module_package_without_main", ["-m", "json"]),
        Case("module_interrupted", ["-m", "keyboard_interrupt"], env=beside),
        Case("library_shadowed", ["shadow/program.py"]),
        Case("directory", ["as_directory", "x"]),
        Case("directory_absolute", [os.path.join(HERE, "as_directory")]),
        Case("directory_without_main", ["no_main"]),
        Case("archive", [archive, "y"]),
        Case("file_absolute", [os.path.join(HERE, "main_namespace.py"), "z"]),
        Case("file_dotted", ["./main_namespace.py"]),
        Case("file_missing", ["no_such_file.py"]),
        Case("file_missing_folder", ["no/such/file.py"]),
        Case("stdin_program", ["-", "a", "b"], stdin=b"import sys; print(sys.argv, __file__, sorted(globals()))\n"),
        Case("stdin_program_bare", [], stdin=b"print(__name__)\nraise SystemExit(4)\n"),
        Case("stdin_program_error", ["-"], stdin=b"def f():\n    raise ValueError(1)\nf()\n"),
        Case("stdin_program_syntax_error", ["-"], stdin=b"a b\n"),
        Case("stdin_program_interrupted", ["-"], stdin=b"raise KeyboardInterrupt\n"),
        Case("stdin_program_empty", ["-"], stdin=b""),
        Case("stdin_program_finalises", ["-"], stdin=b"class N:\n    def __del__(self): print('del')\nn = N()\n"),
        Case("env_unbuffered", ["stdio_objects.py"], env={"PYTHONUNBUFFERED": "1"}),
        Case("env_io_encoding", ["stdio_objects.py"], env={"PYTHONIOENCODING": "latin-1:replace"}),
        Case("env_io_errors", ["stdio_objects.py"], env={"PYTHONIOENCODING": ":strict"}),
        Case("env_path", ["-c", "import sys; print(sys.path[:3]); import beside"],
             env={"PYTHONPATH": os.path.join(HERE, "as_directory") + ":" + HERE}),
        Case("env_warnings", ["resource_warning.py"], env={"PYTHONWARNINGS": "error::UserWarning,always"}),
        Case("env_warnings_default", ["-c", "import os,sys\nf=open('/dev/null')\nprint(sys.warnoptions)\ndel f"],
             env={"PYTHONWARNINGS": "default"}),
        Case("env_no_bytecode", ["-c", "import sys; print(sys.dont_write_bytecode)"],
             env={"PYTHONDONTWRITEBYTECODE": "1"}),
        Case("env_hash_seed", ["-c", "print(hash('a'), hash(b'thaw'))"], env={"PYTHONHASHSEED": "12345"}),
        Case("env_optimize", ["-c", "import sys; assert False; print(sys.flags.optimize)"], env={"PYTHONOPTIMIZE": "1"}),
        Case("env_seen", ["-c", "import os,posix\nprint(sorted(i for i in os.environ.items() if i[0] != 'PATH'), os.getenv('GIVEN'), posix.environ[b'GIVEN'])"],
             env={"GIVEN": "v\u00e9=1"}),
        Case("env_to_child", ["-c", "import os\nos.environ['NEW'] = 'n'\npid = os.fork()\n"
                              "if pid == 0: print(os.environ['NEW'], os.environ['GIVEN']); raise SystemExit(2)\n"
                              "print(os.waitpid(pid, 0)[1])"], env={"GIVEN": "g"}),
    ]
    # At a terminal.
    no_readline = {"PYTHONPATH": os.path.join(HERE, "noreadline"), "TERM": "dumb"}
    found += [
        Case("terminal_prompt", [], terminal=[b"1+1\n", b"import sys; sys.argv, sys.flags.interactive\n",
                                              b"1/0\n", b"exit(7)\n"], env=no_readline),
        Case("terminal_prompt_eof", [], terminal=[b"x = 1\n", b"\x04"], env=no_readline),
        Case("terminal_script", ["stdio_objects.py"], terminal=[]),
        Case("terminal_input", ["-c", "print(repr(input('name? ')))"], terminal=[b"thaw\n"], env=no_readline),
    ]
    return found


def run_pipes(command, case, env):
    out = err = None
    with tempfile.TemporaryFile() as file, tempfile.TemporaryFile() as errors:
        stdout, close = file, None
        preexec = None
        if case.stdout == "full":
            stdout = close = os.open("/dev/full", os.O_WRONLY)
        elif case.stdout == "null":
            stdout = close = os.open("/dev/null", os.O_WRONLY)
        elif case.stdout == "broken":
            read, stdout = os.pipe()
            close = stdout
            os.close(read)
        elif case.stdout == "none":
            preexec = lambda: os.close(1)
        elif case.stdout == "pipe":
            stdout = subprocess.PIPE
        child = subprocess.Popen(command + case.words, stdin=subprocess.PIPE, stdout=stdout,
                                 stderr=subprocess.PIPE if not case.interrupt else errors,
                                 env=env, cwd=HERE, preexec_fn=preexec)
        if close is not None:
            os.close(close)
        if case.interrupt:
            out = child.stdout.readline()
            time.sleep(0.1)
            child.send_signal(signal.SIGINT)
        try:
            more, err = child.communicate(case.stdin if not case.interrupt else None, TIMEOUT)
        except subprocess.TimeoutExpired:
            child.kill()
            more, err = child.communicate()
            err = (err or b"") + b"[timeout]"
        out = (out or b"") + (more or b"")
        if case.interrupt:
            errors.seek(0)
            err = errors.read()
        if case.stdout == "file":
            file.seek(0)
            out = file.read()
    return out, err, child.returncode


def run_terminal(command, case, env):
    """All three descriptors are one terminal; each line is typed when the program has prompted for it."""
    pid, master = pty.fork()
    if pid == 0:
        os.chdir(HERE)
        os.execvpe(command[0], command + case.words, env)
    out, lines, deadline = b"", list(case.terminal), time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        ready = select.select([master], [], [], 0.1)[0]
        if ready:
            try:
                data = os.read(master, 65536)
            except OSError:
                break
            if not data:
                break
            out += data
        elif lines and out.endswith((b">>> ", b"? ")):
            os.write(master, lines.pop(0))
    else:
        os.kill(pid, signal.SIGKILL)
    os.close(master)
    return out, b"", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def normalise(result, command):
    """Takes out what names the interpreter rather than the program, and addresses."""
    out, err, status = result
    for text in (command[0], "/usr/bin/python3", "/usr/lib/thaw/python"):
        err = err.replace(text.encode() + b": ", b"python3: ")
    out, err = (re.sub(rb"0x[0-9a-f]{6,}", b"0xADDRESS", t) for t in (out, err))
    # A prompt says when its Python was built.
    out, err = (re.sub(rb"(?m)^(Python 3[^(]*\(main, )[^)]*", rb"\1DATE", t) for t in (out, err))
    return out, err, status if status >= 0 else 128 - status


def run(command, case, extra):
    env = {"PATH": "/usr/bin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}
    words = list(command)
    if os.path.basename(command[0]) == "thaw":
        # The sandbox sees none of our environment; thaw itself wants to find its files.
        for name, value in case.env.items():
            words += ["--env", f"{name}={value}"]
            if name == "PYTHONPATH":
                for folder in value.split(":"):
                    words += ["-v", f"{folder}:{folder}:ro"]
        env.update({k: v for k, v in os.environ.items() if k.startswith(("THAW_", "XDG_", "HOME"))})
    else:
        env.update(case.env)
    env.update(extra)
    return normalise((run_terminal if case.terminal is not None else run_pipes)(words, case, env), command)


def show(label, value):
    text = value if isinstance(value, str) else value.decode(errors="backslashreplace")
    for line in text[:3000].splitlines() or [""]:
        print(f"#   {label} {line}")


def compare(command, case, extra):
    want = run(NATIVE, case, {})
    got = run(command, case, extra)
    return case, want, got


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="*")
    parser.add_argument("--skip", action="append", default=[], metavar="PATTERN")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--env", action="append", default=[], help="for the command alone")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    if not options.command:
        parser.error("no command")
    command = options.command
    found = shutil.which(command[0])
    if found is None:
        parser.error(f"{command[0]}: not found")
    command[0] = os.path.abspath(found)
    extra = dict(e.split("=", 1) for e in options.env)
    failed = passed = 0
    with tempfile.TemporaryDirectory() as scratch, concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        chosen = [c for c in cases(scratch) if fnmatch.fnmatch(c.name, options.only)
                  and not any(fnmatch.fnmatch(c.name, pattern) for pattern in options.skip)]
        print(f"1..{len(chosen)}")
        for number, (case, want, got) in enumerate(pool.map(lambda c: compare(command, c, extra), chosen), 1):
            if want == got:
                passed += 1
                print(f"ok {number} - {case.name}")
                continue
            failed += 1
            print(f"not ok {number} - {case.name}")
            for label, a, b in zip(("stdout", "stderr", "status"), want, got):
                if a != b:
                    show(f"{label} native:", str(a) if isinstance(a, int) else a)
                    show(f"{label} here:  ", str(b) if isinstance(b, int) else b)
    print(f"{passed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
