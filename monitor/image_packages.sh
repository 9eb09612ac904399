# SPDX-License-Identifier: MIT
# Fills a directory with Debian packages and all that they depend on. Part of `thaw image build --packages`, which runs
# it as: sh -c TEXT thaw-packages THAW ROOT WORK AGENT PACKAGE...
#   THAW   the command, to run the packages' own Python in a sandbox
#   ROOT   the directory, empty
#   WORK   another, for downloads
#   AGENT  directory of what makes a Python image start from snapshots
#
# No root is needed: apt resolves against an empty list of installed packages that is kept in WORK, and what it
# downloads (and has checked against the archive's signatures) is unpacked with tar. Maintainer scripts are not run.
# Of what they would do, this is done here: the links of update-alternatives, byte code of Python modules, the first
# users and groups, the bundle of CA certificates.
set -eu
umask 022
export LC_ALL=C PATH="${PATH:-/usr/bin:/bin}:/usr/sbin:/sbin"
thaw=$1 root=$2 work=$3 agent=$4
shift 4

fail() {
	echo "$*" >&2
	exit 1
}
for tool in apt-get dpkg-deb tar; do
	command -v $tool >/dev/null || fail "$tool is not here: --packages needs a Debian system"
done

# ---- which packages, and their files ----

mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial"
: >"$work/status"
lists=/var/lib/apt/lists
apt() {
	apt-get -qq -y -o "Dir::State=$work/state" -o "Dir::State::status=$work/status" -o "Dir::State::lists=$lists" \
		-o "Dir::Cache=${THAW_PACKAGE_CACHE:-$work/cache}" -o "Dir::Log=$work" -o "Dir::Etc::preferences=/dev/null" \
		-o "Dir::Etc::preferencesparts=/dev/null" -o Debug::NoLocking=1 -o APT::Sandbox::User= \
		-o APT::Install-Recommends=0 -o APT::Get::AllowUnauthenticated=0 "$@"
}
[ -z "${THAW_PACKAGE_CACHE:-}" ] || mkdir -p "$THAW_PACKAGE_CACHE/archives/partial"
if ! ls $lists/*_Packages* >/dev/null 2>&1; then
	lists=$work/state/lists
	apt update >"$work/log" 2>&1 || fail "apt-get update: $(grep '^[EW]:' "$work/log" | tail -n 1)"
fi
# Of what lies in the archives' directory already no URI is printed: so let there be none.
apt -o "Dir::Cache=$work/cache" --print-uris install "$@" >"$work/uris" 2>"$work/log" ||
	fail "apt-get cannot resolve $*: $(grep '^E:' "$work/log" | tail -n 1)"
[ -s "$work/uris" ] || fail "apt-get names no file for $*"
apt --download-only install "$@" >"$work/log" 2>&1 ||
	fail "apt-get cannot download: $(grep '^E:' "$work/log" | tail -n 1)"

# ---- unpacking ----

for dir in bin sbin lib lib64; do # merged /usr, as every Debian system has it
	mkdir -p "$root/usr/$dir"
	ln -s "usr/$dir" "$root/$dir"
done
mkdir -p "$work/control" "$root/usr/share/thaw"
sed -n "s/^'[^']*' \([^ ]*\.deb\) .*/\1/p" "$work/uris" | while read -r deb; do
	file=${THAW_PACKAGE_CACHE:-$work/cache}/archives/$deb
	[ -f "$file" ] || fail "$deb: apt-get did not download it"
	dpkg-deb --fsys-tarfile "$file" | tar -xf - -C "$root" --no-same-owner --keep-directory-symlink \
		--exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' --exclude='./usr/share/lintian/*' \
		--exclude='./usr/share/locale/*' --exclude='./usr/share/info/*' --exclude='./dev/*'
	rm -rf "$work/control" && dpkg-deb -e "$file" "$work/control"
	echo "${deb%.deb}" >>"$root/usr/share/thaw/packages"
	# update-alternatives --install LINK NAME PATH PRIORITY, where all four are plain words.
	if [ -f "$work/control/postinst" ]; then
		sed -e ':a' -e '/\\$/{N;s/\\\n/ /;ba' -e '}' "$work/control/postinst" | tr '\t' ' ' |
			grep -o 'update-alternatives --install  *[^ ]*  *[^ ]*  *[^ ]*  *[0-9][0-9]*' | tr -d "\"'" |
			while read -r _ _ link _ path priority; do
				case "$link$path" in *[\$\`\;\|]*) continue ;; esac
				case $link in /*) ;; *) continue ;; esac
				echo "$priority $link $path" >>"$work/alternatives"
			done
	fi
done
sort -n "$work/alternatives" 2>/dev/null | while read -r _ link path; do # the highest priority comes last and stays
	[ -e "$root$path" ] || [ -L "$root$path" ] || continue
	mkdir -p "$root${link%/*}"
	[ -e "$root$link" ] && [ ! -L "$root$link" ] || ln -sfn "$path" "$root$link"
done
[ -e "$root/usr/bin/sh" ] || [ -L "$root/usr/bin/sh" ] || for sh in dash bash busybox; do
	[ -e "$root/usr/bin/$sh" ] && ln -s $sh "$root/usr/bin/sh" && break
done

# ---- what a system has besides packages ----

mkdir -p "$root/etc" "$root/tmp" "$root/proc" "$root/dev" "$root/sys" "$root/root" "$root/work" "$root/home" \
	"$root/mnt" "$root/run" "$root/var/tmp" "$root/usr/local/bin"
chmod 1777 "$root/tmp" "$root/var/tmp"
chmod 0700 "$root/root"
make() { [ -e "$root/etc/$1" ] || cat >"$root/etc/$1"; }
make passwd <<'EOF'
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
EOF
make group <<'EOF'
root:x:0:
daemon:x:1:
tty:x:5:
nogroup:x:65534:
EOF
make hosts <<'EOF'
127.0.0.1 localhost
::1 localhost ip6-localhost
127.0.1.1 thaw
EOF
echo thaw | make hostname
make nsswitch.conf <<'EOF'
passwd: files
group: files
hosts: files dns
services: files
protocols: files
EOF
[ -e "$root/etc/localtime" ] || ln -s /usr/share/zoneinfo/Etc/UTC "$root/etc/localtime"
if [ -d "$root/usr/share/ca-certificates" ]; then
	mkdir -p "$root/etc/ssl/certs"
	find "$root/usr/share/ca-certificates" -name '*.crt' | sort | xargs cat >"$root/etc/ssl/certs/ca-certificates.crt"
fi

# ---- Python ----

python=usr/bin/python3.11
if [ -x "$root/$python" ]; then
	mkdir -p "$root/usr/lib/thaw" "$root/usr/lib/python3/dist-packages" \
		"$root/usr/local/lib/python3.11/dist-packages"
	[ -e "$root/usr/bin/python3" ] || ln -s python3.11 "$root/usr/bin/python3"
	cp "$agent/python" "$agent"/_thaw.*.so "$root/usr/lib/thaw/"
	cp -R "$agent/snapshot_restore_py" "$root/usr/lib/python3/dist-packages/"
	find "$root/usr" -name __pycache__ -prune -exec rm -rf {} +
	# Its own Python compiles it. Unchecked: the image never changes, so an import need not look at the source's time.
	for dir in usr/lib/python3.11 usr/lib/python3; do
		"$thaw" exec --root "$root" --memory 1G -v "$root/$dir:/mnt/lib" -- "/$python" -I -S -m compileall -q \
			--invalidation-mode unchecked-hash -s /mnt/lib -p "/$dir" -x 'lib2to3/tests|test/bad|/bad_|badsyntax' \
			/mnt/lib >"$work/log" 2>&1 || fail "compiling /$dir: $(tail -n 1 "$work/log")"
	done
fi
