#!/bin/sh
# SPDX-License-Identifier: MIT
# clang-format, cppcheck and clang-tidy over what is under version control. Called by `make lint`, which builds first what
# is generated. Status 0 if all are content.
set -u
cd "$(dirname "$0")/.." || exit 1
BUILD=${BUILD:-build}
bad=0

files() { git ls-files "$@" 2>/dev/null | while read -r f; do [ -f "$f" ] && echo "$f"; done; }

echo "lint: clang-format"
for f in $(files '*.c' '*.h'); do
	clang-format --dry-run -Werror "$f" >/dev/null 2>&1 || { echo "$f: not as clang-format would have it" && bad=1; }
done

echo "lint: cppcheck"
cppcheck -q --error-exitcode=1 --enable=warning,performance,portability --inline-suppr -Iinclude -Imonitor \
	--suppress=missingIncludeSystem $(files 'monitor/*.c' 'tools/*.c') || bad=1

echo "lint: clang-tidy"
clang-tidy --quiet $(files 'monitor/*.c') -- -std=gnu17 -Iinclude -Imonitor -I"$BUILD/generated" 2>/dev/null |
	grep -E '(warning|error):' && bad=1
clang-tidy --quiet $(files 'kernel/core/*.c') -- -std=gnu17 -ffreestanding -Iinclude -Ikernel -Ikernel/core \
	-Ikernel/core/fs -Ikernel/core/mm -Ikernel/core/proc -Ikernel/core/sys -Ikernel/core/lib 2>/dev/null |
	grep -E '(warning|error):' && bad=1
echo "lint: counts"
# The ceilings of tests/e2e/counts.txt only shrink.
git show HEAD:tests/e2e/counts.txt 2>/dev/null | awk '
	/^#/ { next }
	NR == FNR { old[$1 " " $2] = $3; next }
	{ now[$1 " " $2] = $3; if (($1 " " $2) in old && $3 > old[$1 " " $2]) { print FILENAME ": " $1 " " $2 " grew from " old[$1 " " $2] " to " $3; bad = 1 } }
	END { for (k in old) if (!(k in now)) { print "tests/e2e/counts.txt: " k " is gone"; bad = 1 }; exit bad }
' - tests/e2e/counts.txt || bad=1
exit $bad
