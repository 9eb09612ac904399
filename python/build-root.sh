#!/bin/sh
# SPDX-License-Identifier: MIT
# Makes the file tree of a Python image.
#   build-root.sh ROOT PROGRAM
# ROOT is made anew, with PROGRAM as its Python. The standard library is STDLIB's, by default that of this host's
# libpython3.11-stdlib, compiled by PYTHON, which must be of the same version; the time zones are this host's tzdata.
# With MINIMAL=1 the root holds the program, encodings/, and what start-up imports, no more. COMPILE=checked has imports
# compare each compiled file with its source, as Python does by default. TESTS=1 keeps the library's own tests, and gives
# them the shell and the tools that some run (busybox).
set -eu

if [ $# -ne 2 ]; then
	echo "usage: build-root.sh ROOT PROGRAM" >&2
	exit 2
fi
root=$1
launcher=$2
here=$(dirname "$0")
version=${PYTHON_VERSION:-3.11}
python=${PYTHON:-/usr/bin/python$version}
stdlib=/usr/lib/python$version
source=${STDLIB:-$stdlib}

for need in "$launcher" "$source/os.py" "$python"; do
	if [ ! -e "$need" ]; then
		echo "build-root.sh: $need: missing (packages libpython$version-stdlib, python$version-minimal)" >&2
		exit 1
	fi
done
case $root in
'' | / | /usr | /home | "$HOME") echo "build-root.sh: refusing to replace $root" >&2 && exit 1 ;;
esac

new=$root.new
rm -rf "$new"
umask 022
mkdir -p "$new/usr/lib/thaw" "$new/usr/bin" "$new/usr/share" "$new/usr/lib/python3/dist-packages" \
	"$new/etc" "$new/tmp" "$new/proc" "$new/dev" "$new/sys" "$new/root" "$new/work" "$new/home" "$new/mnt" \
	"$new/var/tmp" "$new/run"
chmod 1777 "$new/tmp" "$new/var/tmp"
chmod 0700 "$new/root"
ln -s usr/lib "$new/lib"
ln -s usr/bin "$new/bin"

if [ "${TESTS:-}" = 1 ]; then
	install -m 0755 "$(command -v busybox)" "$new/usr/bin/busybox"
	for name in $("$new/usr/bin/busybox" --list); do
		[ "$name" = busybox ] || ln -s busybox "$new/usr/bin/$name"
	done
fi
install -m 0755 "$launcher" "$new/usr/lib/thaw/python"
for name in python3 "python$version"; do
	ln -s ../lib/thaw/python "$new/usr/bin/$name"
done

# The standard library less what no program in a sandbox runs, and less extension modules, which a
# static program cannot load. Compiled files that the host may have are of another kind than ours.
# Empty lib-dynload and /usr/local's dist-packages keep sys.path as Debian has it.
mkdir -p "$new$stdlib" "$new$stdlib/lib-dynload" "$new/usr/local/lib/python$version/dist-packages"
(cd "$source" && tar -cf - \
	$([ "${TESTS:-}" = 1 ] || echo "--exclude=./test --exclude=./*/test --exclude=./*/tests") --exclude=./idlelib --exclude=./tkinter \
	--exclude=./turtledemo --exclude=./turtle.py --exclude=./ensurepip --exclude=./lib-dynload \
	--exclude='./config-*' --exclude='__pycache__' --exclude='*.pyc' --exclude='*.so' --exclude='*.a' \
	--exclude=./sitecustomize.py --exclude=./EXTERNALLY-MANAGED \
	.) | tar -xf - -C "$new$stdlib"
# A link into /etc on Debian.
[ ! -f "$source/sitecustomize.py" ] || cat "$source/sitecustomize.py" >"$new$stdlib/sitecustomize.py"
cp -R "$here/snapshot_restore_py" "$new/usr/lib/python3/dist-packages/"
find "$new/usr" -name __pycache__ -prune -exec rm -rf {} +
find "$new$stdlib" -type f -perm /111 -exec chmod a-x {} + # a few of CPython's sources have it

if [ "${MINIMAL:-}" = 1 ]; then
	# Of the library: encodings/ and the files of what a start imports (frozen modules have files as well: tracebacks and
	# the search for the library look for them).
	keep=$("$python" -I -c 'import os, sys
library = os.path.dirname(os.__file__)
for m in list(sys.modules.values()):
    f = getattr(m, "__file__", None)
    if f and f.startswith(library + "/"): print(os.path.relpath(f, library))')
	mv "$new$stdlib" "$new.library"
	mkdir -p "$new$stdlib/lib-dynload" # without it Python says that it cannot find it
	cp -R "$new.library/encodings" "$new$stdlib/"
	for file in $keep; do
		mkdir -p "$new$stdlib/$(dirname "$file")"
		cp "$new.library/$file" "$new$stdlib/$file"
	done
	rm -rf "$new.library" "$new/usr/lib/python3" "$new/usr/local" "$new/home" "$new/mnt" "$new/run" "$new/var"
fi

# Unchecked: the image never changes, so an import need not look at the source's time. The path
# written into the code is the guest's.
"$python" -I -S -m compileall -q -j 0 --invalidation-mode "$(
	case ${COMPILE:-unchecked} in checked) echo checked-hash ;; *) echo unchecked-hash ;; esac
)" -s "$new" -p / "$new$stdlib" $([ "${MINIMAL:-}" = 1 ] || echo "$new/usr/lib/python3/dist-packages") ||
	[ "${TESTS:-}" = 1 ] # tests have files that are to fail

if [ -d /usr/share/zoneinfo ] && [ "${MINIMAL:-}" != 1 ]; then
	mkdir "$new/usr/share/zoneinfo"
	(cd /usr/share/zoneinfo && tar -chf - --hard-dereference --exclude=./posix --exclude=./right \
		--exclude=./posixrules --exclude=./localtime .) | tar -xf - -C "$new/usr/share/zoneinfo"
fi
# Without its files C.UTF-8 is no locale for a C library, and Python falls back to its UTF-8 mode.
if [ -d /usr/lib/locale/C.utf8 ]; then
	mkdir "$new/usr/lib/locale"
	cp -R /usr/lib/locale/C.utf8 "$new/usr/lib/locale/"
fi
[ ! -d "$new/usr/share/zoneinfo" ] || ln -s /usr/share/zoneinfo/Etc/UTC "$new/etc/localtime"
echo Etc/UTC >"$new/etc/timezone"

cat >"$new/etc/passwd" <<'EOF'
root:x:0:0:root:/root:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
EOF
cat >"$new/etc/group" <<'EOF'
root:x:0:
nogroup:x:65534:
EOF
cat >"$new/etc/hosts" <<'EOF'
127.0.0.1 localhost
::1 localhost ip6-localhost
127.0.1.1 thaw
EOF
echo thaw >"$new/etc/hostname"
# Files only: a static program cannot load other name services.
cat >"$new/etc/nsswitch.conf" <<'EOF'
passwd: files
group: files
hosts: files dns
services: files
protocols: files
EOF
# What netbase gives: names of services and protocols.
for file in services protocols; do
	cp /etc/$file "$new/etc/$file"
done
cat >"$new/etc/os-release" <<'EOF'
PRETTY_NAME="Thaw sandbox (Debian 12 standard library)"
NAME="Thaw"
ID=thaw
ID_LIKE=debian
VERSION_ID="12"
EOF

find "$new" -exec touch -h -d @315619200 {} + # as build-image.sh
rm -rf "$root"
mv "$new" "$root"
