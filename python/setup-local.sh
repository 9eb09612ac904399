#!/bin/sh
# SPDX-License-Identifier: MIT
# Writes Modules/Setup.local for a build with every module linked in, from the Setup.stdlib that configure made.
#   setup-local.sh SOURCE BUILD [tests]
# Left out: what needs a library that has no static form or that a sandbox has no use for (Tk, NIS, sound), and
# modules that must be shared. With "tests" CPython's own test modules are linked in as well, those that can be static.
set -eu

src=$1
setup=$2/Modules/Setup.stdlib
[ -f "$setup" ] || { echo "setup-local.sh: $setup: missing; has configure run?" >&2 && exit 1; }

echo '*static*'
sed -e '/^\*shared\*/,$d' -e '/^#/d' -e '/^\*/d' -e '/^$/d' "$setup" |
	grep -vE '^(nis|ossaudiodev|_tkinter|_gdbm|_dbm|_ctypes|_curses|_curses_panel|readline|_sqlite3|_test[a-z]*|_xxtest[a-z]*|xx[a-z_0-9]*)( |$)'

if [ "${3:-}" = tests ]; then
	sed -n -e '/^\*shared\*/,$d' -e 's/^#\(_test[a-z]* .*\.c.*\)/\1/p' "$setup"
fi

# What Setup.stdlib of 3.11 leaves to setup.py, or later versions to shared libraries.
ctypes=
for name in _ctypes callbacks callproc stgdict cfield; do
	[ ! -f "$src/Modules/_ctypes/$name.c" ] || ctypes="$ctypes _ctypes/$name.c"
done
echo "_ctypes$ctypes -DHAVE_FFI_PREP_CIF_VAR -DHAVE_FFI_PREP_CLOSURE_LOC -DHAVE_FFI_CLOSURE_ALLOC -lffi"
echo "_sqlite3 $(cd "$src/Modules" && ls _sqlite/*.c | tr '\n' ' ') -I\$(srcdir)/Modules/_sqlite -lsqlite3 -lm"
echo '_curses _cursesmodule.c -I/usr/include/ncursesw -lncursesw -ltinfo'
echo '_curses_panel _curses_panel.c -I/usr/include/ncursesw -lpanelw -lncursesw -ltinfo'
echo 'readline readline.c -lreadline -ltinfo'
