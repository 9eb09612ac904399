#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs python/Makefile where nothing of the host's but its kernel takes part.
#   container.sh docker|podman|chroot BUILD OUT SOURCE WORD...
# BUILD and SOURCE are seen at the same paths; OUT, below BUILD, is where the result goes; WORDs are make's.
set -eu

engine=$1
build=$2
out=$3
source=$4
shift 4
repo=$(cd "$(dirname "$0")/.." && pwd)

fail() {
	echo "container.sh: $*" >&2
	exit 1
}
case $out in "$build"/*) ;; *) fail "$out: has to be below $build" ;; esac
mkdir -p "$out"
jobs=${JOBS:-$(nproc)}

case $engine in
docker | podman)
	command -v "$engine" >/dev/null || fail "$engine: not installed; CONTAINER=chroot needs root and debootstrap only"
	"$engine" build -q -t thaw-python -f "$repo/python/Containerfile" "$repo" >/dev/null ||
		fail "$engine cannot build python/Containerfile; does its daemon run?"
	# As oneself: the result shall not be root's.
	"$engine" run --rm --network none --user "$(id -u):$(id -g)" -v "$repo:$repo:ro" -v "$build:$build" \
		-v "$source:$source:ro" "thaw-python" \
		make -j"$jobs" -C "$repo/python" BUILD="$build" OUT="$out" PYTHON_SRC="$source" "$@"
	;;
chroot)
	[ "$(id -u)" = 0 ] || fail "chroot: needs root"
	root=$build/chroot
	if [ ! -e "$root/.complete" ]; then
		command -v debootstrap >/dev/null || fail "debootstrap: not installed"
		rm -rf "$root"
		packages=$(grep -v '^#' "$repo/python/packages.txt" | tr '\n' ',')
		debootstrap --variant=minbase --include="${packages}tzdata" bookworm "$root" \
			"${DEBIAN_MIRROR:-http://deb.debian.org}/debian" >"$build/debootstrap.log" 2>&1 ||
			fail "debootstrap failed, see $build/debootstrap.log"
		touch "$root/.complete"
	fi
	# Mounts of a name space of its own: they are gone when it ends, however it ends.
	for dir in "$repo" "$build" "$source"; do mkdir -p "$root$dir"; done
	unshare --mount sh -eu -c '
		root=$1 repo=$2 build=$3 source=$4
		shift 4
		mount --make-rprivate /
		mount --rbind "$repo" "$root$repo"
		mount --rbind "$build" "$root$build"
		mount --rbind "$source" "$root$source"
		mount -t proc proc "$root/proc"
		mount --rbind /dev "$root/dev"
		exec chroot "$root" /usr/bin/env -i PATH=/usr/bin:/bin:/usr/sbin:/sbin HOME=/ LC_ALL=C.UTF-8 make "$@"
	' sh "$root" "$repo" "$build" "$source" \
		-j"$jobs" -C "$repo/python" BUILD="$build" OUT="$out" PYTHON_SRC="$source" "$@"
	;;
*) fail "CONTAINER=$engine: docker, podman or chroot" ;;
esac
