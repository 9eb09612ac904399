#!/bin/sh
# SPDX-License-Identifier: MIT
# Usage: build-image.sh ROOT IMAGE
# Makes the EROFS image of a root that has the launcher in it. The launcher begins at a multiple of 2 MiB of the image,
# as its text does of its address space, so that the host can map it by huge pages; a file of zeros before it sees to that.
set -eu

root=$1
image=$2
launcher=/usr/lib/thaw/python
pad=$root/usr/lib/thaw/align
huge=2097152

# Fixed times and UUID: the same root gives the same image. A time that zip archives can hold: after 1980. No inline data, so that every file's pages can be mapped; no
# extended attributes.
time=315619200
make_image() {
	touch -h -d "@$time" "$root/usr/lib/thaw"
	mkfs.erofs -T"$time" -U 7468617f-0000-4000-8000-707974686f6e --all-root -Enoinline_data -x-1 --quiet "$image" "$root"
}

# Where the launcher lies within a huge page.
launcher_offset() {
	dump.erofs -e --path="$launcher" "$image" |
		awk -v huge="$huge" '$1 == "0:" && / 0\.\./ { sub(/^.*\| *[0-9]+ *: */, ""); sub(/\.\..*$/, ""); print $0 % huge }'
}

rm -f "$pad"
truncate -s 4096 "$pad"
make_image
off=$(launcher_offset)
[ -n "$off" ] || { echo "build-image.sh: $launcher is not in $image in one piece" >&2; exit 1; }
truncate -s $((4096 + (huge - off) % huge)) "$pad"
make_image
[ "$(launcher_offset)" = 0 ] || { echo "build-image.sh: $launcher is not at a multiple of 2 MiB: no huge pages for it" >&2; }
