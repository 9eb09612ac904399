#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# CPython's build with the snapshot call in it: what must be there is, and what is missing ends it with one line.
# CPYTHON: a finished build (build/cpython).
load ../e2e/helper

PYTHON_DIR=$(cd "$TESTS/../python" && pwd)
CPYTHON=${CPYTHON:-$TESTS/../build/cpython}

setup_file() {
    [ -x "$CPYTHON/python" ] || skip "no built CPython (make -C python build)"
    # The makefile is changed in here, and only the last link is done again.
    cp -a "$CPYTHON/obj" "$BATS_FILE_TMPDIR/obj"
    export OBJ=$BATS_FILE_TMPDIR/obj
    OBJECTS=$(sed -n 's/^MODULE_OBJS=\(.*\)\\$/\1/p' "$OBJ/Makefile")
    export OBJECTS
}

# relink [WORD...]: the program once more, from the makefile as it is; then what the build itself checks. That the
# makefile has changed is no reason to freeze the library again.
relink() {
    rm -f "$OBJ/python"
    make -C "$OBJ" -o Makefile -o Modules/getbuildinfo.o -o Programs/_freeze_module -o _bootstrap_python python "$@" \
        >"$OBJ/relink.log" 2>&1 || { tail -n 5 "$OBJ/relink.log" && return 1; }
    sh "$PYTHON_DIR/check-linked.sh" "$OBJ/python"
}

# reshape ASSIGNMENT: MODULE_OBJS as configure might have written it (printf's notation), without our objects.
reshape() {
    printf "$1" >"$OBJ/list"
    python3 - "$CPYTHON/obj/Makefile" "$OBJ/list" >"$OBJ/Makefile.new" <<'EOF'
import re, sys
text, form = open(sys.argv[1]).read(), open(sys.argv[2]).read()
text, n = re.subn(r"^MODULE_OBJS=(?:.*\\\n)*.*\n", lambda m: form, text, flags=re.M)
assert n == 1
sys.stdout.write(text)
EOF
    cp "$OBJ/Makefile.new" "$OBJ/Makefile"
    touch -r "$CPYTHON/obj/Makefile" "$OBJ/Makefile"
}

works() {
    python3 "$PYTHON_DIR/module_objs.py" add "$OBJ/Makefile" $OBJECTS
    touch -r "$CPYTHON/obj/Makefile" "$OBJ/Makefile"
    relink
    [ "$("$OBJ/python" -S -c 'print(6 * 7)')" = 42 ]
}

@test "the program has the symbol, the gate and a call of it" {
    run nm "$CPYTHON/python.debug"
    [ "$(grep -c ' T thaw_snapshot$' <<<"$output")" -eq 1 ]
    run objdump -d --no-show-raw-insn --disassemble=thaw_snapshot "$CPYTHON/python.debug"
    has '$0x23,%eax'
    has 'int    $0x80'
    objdump -d --no-show-raw-insn "$CPYTHON/python.debug" | grep -E 'call .*<thaw_snapshot>'
}

@test "it is static, at a fixed address, with nothing to relocate and all symbols stripped" {
    run readelf -hW "$CPYTHON/python"
    has "EXEC (Executable file)"
    run readelf -lW "$CPYTHON/python"
    [[ $output != *INTERP* && $output != *DYNAMIC* ]]
    # What is left are glibc's own choices of memcpy and the like (IRELATIVE).
    [ "$(readelf -rW "$CPYTHON/python" | grep -c R_X86_64_ | cat)" = "$(readelf -rW "$CPYTHON/python" | grep -c R_X86_64_IRELATIV)" ]
    run nm "$CPYTHON/python"
    has "no symbols"
}

@test "MODULE_OBJS in one line: the list stays intact" {
    reshape 'MODULE_OBJS= Modules/config.o Modules/main.o Modules/gcmodule.o\n'
    works
}

@test "MODULE_OBJS in many lines, the last with a backslash: the list stays intact" {
    reshape 'MODULE_OBJS=\t\\\n\t\tModules/config.o \\\n\t\tModules/main.o \\\n\t\tModules/gcmodule.o \\\n\n'
    works
}

@test "MODULE_OBJS in many lines, the last without a backslash: the list stays intact" {
    reshape 'MODULE_OBJS=\\\nModules/config.o\\\nModules/main.o\\\nModules/gcmodule.o\n'
    works
}

@test "an object left out: the build fails with one line" {
    reshape 'MODULE_OBJS= Modules/config.o Modules/main.o Modules/gcmodule.o\n'
    run python3 "$PYTHON_DIR/module_objs.py" check "$OBJ/Makefile" $OBJECTS
    [ "$status" -eq 1 ]
    [ "${#lines[@]}" -eq 1 ]
    has "MODULE_OBJS holds Modules/thaw/thaw_snapshot.o 0 times"
    run relink
    [ "$status" -ne 0 ]
}

@test "a main.c without the patch: the build fails with one line" {
    cp -p "$OBJ/Modules/main.o" "$OBJ/main.kept"
    cp -p "$CPYTHON/obj/Makefile" "$OBJ/Makefile"
    # As the patch leaves it for others: nothing of it is compiled in.
    flags=$(sed -n 's/^CONFIGURE_CFLAGS_NODIST=//p' "$OBJ/Makefile")
    rm "$OBJ/Modules/main.o"
    make -C "$OBJ" Modules/main.o CONFIGURE_CFLAGS_NODIST="$flags -U__thaw__" >/dev/null
    run relink
    mv "$OBJ/main.kept" "$OBJ/Modules/main.o"
    [ "$status" -eq 1 ]
    [ "${#lines[@]}" -eq 1 ]
    has "thaw_snapshot" # nothing calls it, so the linker has dropped it
}

@test "with link-time optimisation the symbol and the call are still there" {
    cp -p "$CPYTHON/obj/Makefile" "$OBJ/Makefile"
    flags=$(sed -n 's/^CONFIGURE_CFLAGS_NODIST=//p' "$OBJ/Makefile")
    rm -f "$OBJ/Modules/main.o" "$OBJ/Programs/python.o"
    make -C "$OBJ" Modules/main.o Programs/python.o CONFIGURE_CFLAGS_NODIST="$flags -flto" >/dev/null
    readelf -SW "$OBJ/Modules/main.o" | grep -q gnu.lto_
    relink LDFLAGS="-flto=2"
}

@test "a second make changes nothing" {
    before=$(cd "$CPYTHON" && stat -c '%n %Y' python python.debug obj/Makefile obj/python obj/config.status src/Modules/main.c)
    make -s -C "$PYTHON_DIR" build BUILD="$(dirname "$CPYTHON")" ${PYTHON_SRC:+PYTHON_SRC="$PYTHON_SRC"}
    after=$(cd "$CPYTHON" && stat -c '%n %Y' python python.debug obj/Makefile obj/python obj/config.status src/Modules/main.c)
    [ "$before" = "$after" ]
}

@test "with THAW_SNAPSHOT=1 on plain Linux the interpreter goes on" {
    [ ! -e /dev/thaw ]
    run env THAW_SNAPSHOT=1 "$CPYTHON/obj/python" -c 'import sys; print(sys.argv)' a b
    is "['-c', 'a', 'b']"
}

@test "users, groups, services and hosts are looked up without the modules that nsswitch.conf may name" {
    run "$CPYTHON/python" -c '
import grp, pwd, socket
for look_up in pwd.getpwnam, grp.getgrnam:
    try: look_up("nobody-of-this-name")
    except KeyError: pass
    else: raise SystemExit(1)
print(pwd.getpwuid(0).pw_name, grp.getgrgid(0).gr_name, socket.getservbyname("http"), socket.gethostbyname("localhost"))'
    is "root root 80 127.0.0.1"
}

@test "the C modules are linked in" {
    run "$CPYTHON/obj/python" -I -W ignore -c '
import sys
for name in """_asyncio _bz2 _contextvars _csv _ctypes _curses _datetime _decimal _elementtree _hashlib _json _lzma
    _multiprocessing _pickle _posixshmem _posixsubprocess _queue _random _socket _sqlite3 _ssl _struct _uuid _zoneinfo array
    audioop binascii cmath fcntl grp math mmap pyexpat readline resource select syslog termios unicodedata zlib""".split():
    if name not in sys.builtin_module_names: print("missing", name)
    __import__(name)
import asyncio, bz2, ctypes, decimal, hashlib, lzma, sqlite3, ssl, zlib
assert decimal.Decimal is __import__("_decimal").Decimal
assert hashlib.sha256.__module__ == "_hashlib" or "openssl" in repr(hashlib.sha256)
assert sqlite3.connect(":memory:").execute("select 6 * 7").fetchone() == (42,)
assert ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(lambda x: x + 1)(41) == 42
assert ssl.create_default_context() and asyncio.run(asyncio.sleep(0, 42)) == 42
assert lzma.decompress(lzma.compress(b"x")) == bz2.decompress(bz2.compress(b"x")) == zlib.decompress(zlib.compress(b"x"))
'
    is ""
}
