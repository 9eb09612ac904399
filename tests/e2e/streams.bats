#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What goes in and out: arguments, environment, standard streams, signals.
load helper

both() { # runs the rest of the words for a cold start and a restored one
    "$@" --cold
    "$@"
}

@test "argv reaches the program, everything after FILE is its own" {
    echo 'import sys; print(sys.argv[1:])' >a.py
    check() {
        run --separate-stderr thaw run $1 a.py --cold -c '' 'a b' -- $'x\ny' é
        [ "$status" -eq 0 ]
        is "['--cold', '-c', '', 'a b', '--', 'x\\ny', 'é']"
    }
    both check
}

@test "argv that is not UTF-8 reaches the program byte for byte" {
    run thaw run -c 'import os,sys; print(os.fsencode(sys.argv[1]))' $'\xff\xfe'
    is "b'\\xff\\xfe'"
}

@test "200 KB of arguments pass, more than a megabyte is an error of one line" {
    big=$(head -c 100000 /dev/zero | tr '\0' x)
    run thaw run -c 'import sys; print(len(sys.argv), len(sys.argv[1]))' "$big" "$big"
    is "3 100000"
    args=(); for _ in 1 2 3 4 5 6 7 8 9 10 11; do args+=("$big"); done
    run --separate-stderr thaw run -c 'print(1)' "${args[@]}"
    [ "$status" -eq 125 ]
    one_line "$stderr"
}

@test "the host's environment is not passed on" {
    export THAW_TEST_SECRET=hush
    check() {
        run thaw run $1 -c 'import os; print(sorted(os.environ))'
        [ "$status" -eq 0 ]
        [[ $output != *SECRET* ]]
        [[ $output != *BATS* ]]
        is "['HOME', 'LANG', 'PATH']"
    }
    both check
}

@test "--env sets a variable, and passes one on" {
    export THAW_TEST_PASSED='on and=on'
    check() {
        run thaw run $1 --env A=1 --env B= --env THAW_TEST_PASSED --env NO_SUCH_ONE -e A=2 \
            -c 'import os; print([os.environ.get(n) for n in ("A", "B", "THAW_TEST_PASSED", "NO_SUCH_ONE")])'
        is "['2', '', 'on and=on', None]"
    }
    both check
}

@test "--env of a PYTHON variable works as natively" {
    run thaw run --env PYTHONUNBUFFERED=1 --env PYTHONHASHSEED=0 -c 'import sys; print(sys.flags.hash_randomization, sys.stdout.write_through)'
    is "0 True"
}

@test "stdin reaches the program" {
    check() {
        run thaw run $1 -c 'import sys; print(sys.stdin.read().upper())' <<<"words"
        is WORDS
    }
    both check
}

@test "input() reads lines, and raises EOFError at the end" {
    run --separate-stderr thaw run -c 'print(input("? ")); input()' < <(echo one)
    [ "$status" -eq 1 ]
    is "? one"
    has EOFError "$stderr"
}

@test "stdin that is a file is read from where it stands" {
    printf 'one\ntwo\nthree\n' >f
    run bash -c "{ read line; '$THAW' run -c 'import sys; print(sys.stdin.read().split())'; } <f"
    is "['two', 'three']"
}

@test "closed standard streams are no trouble" {
    run bash -c "'$THAW' run -c 'print(7)' <&-"
    is 7
    run thaw run -c 'import sys; sys.exit(3)' >&- 2>&-
    [ "$status" -eq 3 ]
}

@test "stdout and stderr are apart" {
    check() {
        run --separate-stderr thaw run $1 -c 'import sys; print("out"); print("err", file=sys.stderr)'
        is out
        [ "$stderr" = err ]
    }
    both check
}

@test "all 256 byte values pass through stdin and stdout unchanged, 3 MB of them" {
    python3 -c 'import sys; sys.stdout.buffer.write(bytes(range(256)) * 12000)' >in
    thaw run -c 'import sys,shutil; shutil.copyfileobj(sys.stdin.buffer, sys.stdout.buffer)' <in >out
    cmp in out
    cat in | thaw run -c 'import sys,shutil; shutil.copyfileobj(sys.stdin.buffer, sys.stdout.buffer)' | cmp in -
}

@test "stderr is binary-clean" {
    thaw run -c 'import sys; sys.stderr.buffer.write(bytes(range(256)))' 2>err
    python3 -c 'import sys; sys.stdout.buffer.write(bytes(range(256)))' | cmp err -
}

@test "output to a file is appended where the caller's offset is" {
    { echo a; thaw run -c 'print("b")'; echo c; } >f
    [ "$(cat f)" = $'a\nb\nc' ]
}

@test "a reader that goes away ends the program with BrokenPipeError, as natively" {
    set +o pipefail
    thaw run -c 'while True: print("y")' 2>err | head -n 1 >out
    st=${PIPESTATUS[0]}
    [ "$(cat out)" = y ]
    # 1 for the exception; 120 if the ending found something left that it could not write either.
    python3 -c 'while True: print("y")' 2>native | head -n 1 >/dev/null
    [ "$st" -eq "${PIPESTATUS[0]}" ] || [ "$st" -eq 1 ] || [ "$st" -eq 120 ]
    grep -q BrokenPipeError err
}

@test "SIGPIPE, not ignored, kills the program by 13 when its reader goes away" {
    set +o pipefail
    thaw run -c 'import signal; signal.signal(signal.SIGPIPE, signal.SIG_DFL)
while True: print("y")' 2>err | head -n 1 >/dev/null
    [ "${PIPESTATUS[0]}" -eq 141 ]
    [ ! -s err ]
}

@test "a pipe gets block buffering: nothing comes before the flush" {
    python3 "$TESTS/e2e/buffering.py" pipe "$THAW"
}

@test "a terminal gets line buffering: each line comes at once" {
    python3 "$TESTS/e2e/buffering.py" terminal "$THAW"
}

@test "isatty() and the terminal's size are the caller's" {
    python3 "$TESTS/e2e/terminal.py" size "$THAW"
    run thaw run -c 'import os; print([os.isatty(i) for i in range(3)])' </dev/null 2>/dev/null
    is "[False, False, False]"
}

@test "Ctrl-C on a terminal reaches the program as SIGINT: KeyboardInterrupt" {
    python3 "$TESTS/e2e/terminal.py" interrupt "$THAW"
}

@test "Ctrl-C on a terminal while the program computes" {
    python3 "$TESTS/e2e/terminal.py" interrupt-busy "$THAW"
}

@test "the interactive prompt works on a terminal, and Ctrl-D ends it" {
    python3 "$TESTS/e2e/terminal.py" prompt "$THAW"
}

@test "SIGINT sent to thaw alone reaches the program" {
    thaw run -c 'import time
print("ready", flush=True)
try: time.sleep(30)
except KeyboardInterrupt: print("interrupted")' >out 2>err &
    pid=$!
    for _ in $(seq 200); do grep -q ready out && break; sleep 0.05; done
    # a background job of a shell without job control ignores SIGINT: as natively, so does the program
    kill -TERM $pid
    wait $pid && st=0 || st=$?
    [ "$st" -eq 143 ]
    python3 - "$THAW" <<'P'
import signal, subprocess, sys
p = subprocess.Popen([sys.argv[1], "run", "-c", """
import time
try:
    print('ready', flush=True)
    time.sleep(30)
except KeyboardInterrupt: print('interrupted')"""], stdout=subprocess.PIPE, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
assert p.stdout.readline() == b"ready\n"
p.send_signal(signal.SIGINT)
assert p.stdout.read() == b"interrupted\n"
assert p.wait() == 0
P
}

@test "SIGTERM, SIGHUP, SIGUSR1 can be handled by the program" {
    python3 - "$THAW" <<'P'
import signal, subprocess, sys
for s in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
    p = subprocess.Popen([sys.argv[1], "run", "-c", f"""
import os, signal, sys
def f(n, frame):
    os.write(1, b'got %d\\n' % n)
    sys.exit(9)
signal.signal({int(s)}, f)
print('ready', flush=True)
while True: signal.pause()"""], stdout=subprocess.PIPE)
    assert p.stdout.readline() == b"ready\n"
    p.send_signal(s)
    assert p.stdout.read() == b"got %d\n" % s, s
    assert p.wait() == 9
P
}

@test "output written before a crash is not lost" {
    run thaw run -c 'import os; os.write(1, b"before\n"); os.abort()'
    [ "$status" -eq 134 ]
    has before
}

@test "two programs in one pipe line" {
    run bash -c "'$THAW' run -c 'for i in range(20000): print(i)' | '$THAW' run -c 'import sys; print(sum(map(int, sys.stdin)))'"
    is 199990000
}
