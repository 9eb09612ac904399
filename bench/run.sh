#!/bin/sh
# SPDX-License-Identifier: MIT
# `make bench`: builds the timing driver, runs bench.py with the system's own Python. BENCH holds options for it:
#   make bench BENCH='--quick --only hello'
set -eu
cd "$(dirname "$0")/.."
: "${BUILD:=build}"
spawn=$BUILD/bench/spawn
if [ ! "$spawn" -nt bench/spawn.c ]; then
	mkdir -p "$BUILD/bench"
	gcc -std=gnu17 -O2 -Wall -Wextra -Werror -o "$spawn" bench/spawn.c
fi
# shellcheck disable=SC2086
exec /usr/bin/python3 -I bench/bench.py --build "$BUILD" ${BENCH:-} "$@"
