#!/bin/sh
# SPDX-License-Identifier: MIT
# `make bench`: builds the timing driver, installs what is to be timed as `make install` does, and runs bench.py with the
# system's own Python. BENCH holds options for it:
#   make bench BENCH='--quick --only hello'
set -eu
cd "$(dirname "$0")/.."
: "${BUILD:=build}"
spawn=$BUILD/bench/spawn
if [ ! "$spawn" -nt bench/spawn.c ]; then
	mkdir -p "$BUILD/bench"
	gcc -std=gnu17 -O2 -Wall -Wextra -Werror -o "$spawn" bench/spawn.c
fi
rm -rf "$BUILD/bench/installed"
make --no-print-directory -s install DESTDIR= PREFIX="$(cd "$BUILD" && pwd)/bench/installed"
sync # writing all that back takes the processors' time as well
# shellcheck disable=SC2086
exec /usr/bin/python3 -I bench/bench.py --build "$BUILD" ${BENCH:-} "$@"
