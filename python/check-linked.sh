#!/bin/sh
# SPDX-License-Identifier: MIT
# Does a linked interpreter (not stripped) hold the snapshot helper, and call it?
#   check-linked.sh PROGRAM
set -eu

fail() {
	echo "check-linked.sh: $1: $2; was it linked with MODULE_OBJS as module_objs.py left it, and main.c built with -D__thaw__?" >&2
	exit 1
}
nm "$1" | grep -q ' T thaw_snapshot$' || fail "$1" "no symbol thaw_snapshot"
objdump -d --no-show-raw-insn --disassemble=thaw_snapshot "$1" | grep -q 'int *\$0x80' ||
	fail "$1" "thaw_snapshot is not the helper (no int \$0x80 in it)"
objdump -d --no-show-raw-insn "$1" | grep -Eq '\<(call|jmp)\>.*<thaw_snapshot>' || fail "$1" "nothing calls thaw_snapshot"
