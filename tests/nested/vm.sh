#!/bin/bash
# SPDX-License-Identifier: MIT
# Runs a command in a VM whose KVM works: QEMU's software CPU emulates AMD's SVM, Debian's kernel drives it with
# kvm-amd. For hosts that have none; right, and slow (README.md).
#
#   tests/nested/vm.sh [OPTION...] [--] COMMAND [ARG...]
#
#   --user           as an ordinary user of the group kvm; else as root
#   --tree DIR       DIR is seen, read-only, as /src, which is the working directory; else that is /root
#   --timeout SEC    the whole of it may take this long (600)
#   --env NAME=VALUE sets a variable
#   --memory MIB     of the VM (2048)
#   --cpus N         of the VM (1)
#   --console FILE   the kernel's console goes there
#   --prepare        only fetch and make what a boot needs
#
# The command's output and errors come out as they are, its exit status is that of vm.sh. 124: the time is over;
# 125: the VM could not be made or broke, the end of its console is on standard error; 123: the VM stands still: for
# $NESTED_STILL seconds (120) none of its processes has run, though QEMU has. With 123 and 124 standard error says what
# the VM's processor and its processes were at. Everything that is kept lies in $BUILD/nested; NESTED_KERNEL names
# another linux-image package, or its .deb.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
BUILD=${BUILD:-$here/../../build}
keep=$BUILD/nested

fail() {
    printf 'vm.sh: %s\n' "$*" >&2
    exit 125
}

# ---- the kernel: downloaded, unpacked, not installed ----

# The newest of Debian's cloud kernels, which has few modules and starts fast.
kernel_package() {
    if [ -n "${NESTED_KERNEL:-}" ]; then
        echo "$NESTED_KERNEL"
    else
        apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9]\)/\1/p' | head -n 1
    fi
}

kernel_download() { # PACKAGE: its .deb into the working directory
    apt-get -qq -o APT::Sandbox::User=root download "$1" >&2 && return
    # The lists are absent or older than the archive.
    local root=
    [ "$(id -u)" -eq 0 ] || root=sudo
    $root apt-get -qq update >&2 && apt-get -qq -o APT::Sandbox::User=root download "$1" >&2
}

# vmlinux, which QEMU starts by its PVH entry in less time than a bzImage takes to unpack itself.
kernel_unpack() { # BZIMAGE VMLINUX
    python3 - "$1" "$2" <<'END'
import subprocess, sys
data = open(sys.argv[1], "rb").read()
for magic, tool in ((b"\x02\x21\x4c\x18", "lz4"), (b"\xfd7zXZ\0", "xz"), (b"\x28\xb5\x2f\xfd", "zstd"),
                    (b"\x1f\x8b\x08", "gzip")):
    at = data.find(magic)
    while at >= 0:
        # Something always follows, about which the tool complains once it has unpacked the kernel.
        try:
            out = subprocess.run([tool, "-dc"], input=data[at:], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
        except FileNotFoundError:
            sys.exit(tool + " is needed to unpack " + sys.argv[1])
        if out[:4] == b"\x7fELF":
            open(sys.argv[2], "wb").write(out)
            sys.exit(0)
        at = data.find(magic, at + 1)
sys.exit("no vmlinux in " + sys.argv[1])
END
}

kernel_make() {
    local package tmp
    # What was fetched once is good for ever; another is asked for by name.
    if [ -z "${NESTED_KERNEL:-}" ] && [ -e "$keep/kernel/vmlinux" ]; then
        kernel=$keep/kernel
        return
    fi
    kernel=$keep/kernel${NESTED_KERNEL:+-$(basename "$NESTED_KERNEL" .deb)}
    [ ! -e "$kernel/vmlinux" ] || return 0
    tmp=$kernel.tmp
    rm -rf "$tmp"
    mkdir -p "$tmp"
    package=$(kernel_package)
    [ -n "$package" ] || fail "apt-cache knows no linux-image-cloud-amd64: is this Debian, with package lists?"
    case $package in
    *.deb) cp "$package" "$tmp/" ;;
    *) (cd "$tmp" && kernel_download "$package") || fail "cannot download $package" ;;
    esac
    dpkg-deb -x "$tmp"/*.deb "$tmp/x" || fail "cannot unpack $package"
    kernel_unpack "$tmp"/x/boot/vmlinuz-* "$tmp/vmlinux" || fail "cannot unpack the kernel of $package"
    mkdir "$tmp/modules"
    find "$tmp/x" -name '*.ko' -exec mv -t "$tmp/modules" {} +
    rm -rf "$tmp/x" "$tmp"/*.deb "$kernel"
    mv "$tmp" "$kernel"
}

# ---- the first root: busybox, modules, init ----

modules_done=' '
module_add() { # NAME: and, before it, what it depends on. What is no module is built in.
    local file dep name=${1//-/_}
    case $modules_done in *" $name "*) return ;; esac
    modules_done+="$name "
    for file in "$kernel/modules/$name.ko" "$kernel/modules/${name//_/-}.ko" ''; do [ ! -e "$file" ] || break; done
    [ -n "$file" ] || return 0
    for dep in $(tr '\0' '\n' <"$file" | sed -n 's/^depends=//p' | tr , ' '); do module_add "$dep"; done
    cp "$file" "$first/modules/"
    basename "$file" >>"$first/modules/order"
}

initrd_make() {
    local first m
    initrd=$kernel/initrd
    if [ -e "$initrd" ] && [ "$initrd" -nt "$here/init" ] && [ "$initrd" -nt "$here/vm.sh" ]; then return; fi
    first=$kernel/first
    rm -rf "$first"
    mkdir -p "$first"/{bin,dev,proc,sys,root,modules}
    cp "$(command -v busybox)" "$first/bin/" || fail "no busybox: package busybox-static"
    cp "$here/init" "$first/init"
    chmod 755 "$first/init"
    for m in virtio_pci virtio_blk virtio_console virtio_rng erofs kvm_amd; do module_add $m; done
    (cd "$first" && find . | busybox cpio -o -H newc -R 0:0 2>/dev/null) >"$initrd.tmp"
    rm -rf "$first"
    mv "$initrd.tmp" "$initrd"
}

# ---- the root: an EROFS image of the host's own packages ----

root_packages() {
    local some
    some=$(grep -v '^#' "$here/packages.txt")
    # shellcheck disable=SC2086
    apt-cache depends --recurse --installed --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
        --no-enhances $some | grep -v '^[ <]' | sort -u | xargs dpkg-query -W -f '${db:Status-Abbrev} ${Package}:${Architecture} ${Version}\n' \
        2>/dev/null | sed -n 's/^ii *//p' || true
}

root_files() { # the packages' files; documentation is left out, what Python compiled at installation is added
    local tag
    tag=$(python3 -c 'import sys; print(sys.implementation.cache_tag)')
    dpkg -L "$@" | grep -Ev '^/usr/share/(doc|man|locale|info|lintian|bug)/|^/\.$|^$' | sort -u >"$stage.dpkg"
    { cat "$stage.dpkg"; sed -nE "s,^(/usr/lib/python3.*)/([^/]+)\.py$,\1/__pycache__/\2.$tag.pyc,p" "$stage.dpkg"; } |
        while IFS= read -r f; do
            if [ -e "$f" ] || [ -L "$f" ]; then printf '%s\n' "${f#/}"; fi
        done
    rm -f "$stage.dpkg"
}

root_make() {
    local list id stage n
    # Asking apt takes seconds: once per change of what is installed.
    if [ -e "$keep/root.erofs" ] && [ "$keep/root.erofs" -nt /var/lib/dpkg/status ] &&
        [ "$keep/root.erofs" -nt "$here/packages.txt" ] && [ "$keep/root.erofs" -nt "$here/vm.sh" ]; then return; fi
    list=$(root_packages)
    for n in $(grep -v '^#' "$here/packages.txt"); do
        grep -q "^$n:" <<<"$list" || fail "package $n is not installed: run scripts/install-deps.sh"
    done
    id=$(cat - "$here/packages.txt" "$here/vm.sh" <<<"$list" | sha256sum)
    if [ -e "$keep/root.erofs" ] && [ "$(cat "$keep/root.id" 2>/dev/null)" = "$id" ]; then
        touch "$keep/root.erofs"
        return
    fi
    stage=$keep/root.stage
    rm -rf "$stage"
    mkdir -p "$stage"/{dev,proc,sys,run,tmp,root,home,src,etc,usr/bin,usr/sbin,usr/lib,usr/lib64,var/tmp}
    for n in bin sbin lib lib64; do [ ! -L /$n ] || ln -s "usr/$n" "$stage/$n"; done
    # shellcheck disable=SC2046
    root_files $(awk '{print $1}' <<<"$list") |
        tar -C / --no-recursion --ignore-failed-read -cf - -T - 2>/dev/null |
        tar -C "$stage" --keep-directory-symlink -xf - || fail "cannot gather the VM's root"
    chmod -R u+rw "$stage"
    [ -e "$stage/usr/bin/awk" ] || ln -s mawk "$stage/usr/bin/awk"
    cp -L /etc/ld.so.cache "$stage/etc/"
    ln -sf /proc/mounts "$stage/etc/mtab"
    printf '%s\n' root:x:0:0:root:/root:/bin/bash user:x:1000:1000:user:/home/user:/bin/bash \
        nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin >"$stage/etc/passwd"
    printf '%s\n' root:x:0: tty:x:5: kvm:x:36:user user:x:1000: nogroup:x:65534: >"$stage/etc/group"
    printf '%s\n' 'passwd: files' 'group: files' 'hosts: files' >"$stage/etc/nsswitch.conf"
    printf '127.0.0.1 localhost\n' >"$stage/etc/hosts"
    printf 'root:*:1:0:99999:7:::\n' >"$stage/etc/shadow"
    chmod 600 "$stage/etc/shadow"
    mkfs.erofs --quiet --all-root "$keep/root.erofs.tmp" "$stage" >/dev/null || fail "mkfs.erofs failed"
    rm -rf "$stage"
    mv "$keep/root.erofs.tmp" "$keep/root.erofs"
    echo "$id" >"$keep/root.id"
}

# ---- one boot ----

quote() { [ $# -eq 0 ] || printf '%q ' "$@"; }

user=0 tree='' timeout=600 memory=2048 cpus=1 console='' prepare=0
env=()
while [ $# -gt 0 ]; do
    case $1 in
    --user) user=1 ;;
    --prepare) prepare=1 ;;
    --tree) tree=$2; shift ;;
    --timeout) timeout=$2; shift ;;
    --env) env+=("$2"); shift ;;
    --memory) memory=$2; shift ;;
    --cpus) cpus=$2; shift ;;
    --console) console=$2; shift ;;
    --help) sed -n '/^#   tests/,/^set/{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    --) shift; break ;;
    -*) fail "no option $1" ;;
    *) break ;;
    esac
    shift
done
[ $# -gt 0 ] || [ $prepare = 1 ] || fail "no command given"
command -v qemu-system-x86_64 >/dev/null || fail "no qemu-system-x86_64: package qemu-system-x86"

mkdir -p "$keep"
exec 8>"$keep/lock"
flock 8
kernel_make
initrd_make
root_make
exec 8>&-
[ $prepare = 0 ] || exit 0

work=$(mktemp -d "${TMPDIR:-/tmp}/thaw-nested.XXXXXX")
qemu='' watch=''
cleanup() {
    [ -z "$watch" ] || kill -TERM "$watch" 2>/dev/null || true
    [ -z "$qemu" ] || kill -KILL "$qemu" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
console=${console:-$work/console}
still=${NESTED_STILL:-120}
: >"$console"

# The job rides behind the initrd.
mkdir "$work/job"
{
    printf 'job_user=%d\njob_tree=%d\njob_timeout=%d\n' $user "$([ -n "$tree" ] && echo 1 || echo 0)" "$timeout"
    printf 'job_env=(%s)\n' "$(quote ${env[@]+"${env[@]}"})"
    printf 'job_command=(%s)\n' "$(quote "$@")"
} >"$work/job/job"
cp "$here/main" "$work/job/main"
{ cat "$initrd"; (cd "$work" && find job | busybox cpio -o -H newc -R 0:0 2>/dev/null); } >"$work/initrd"

disks=(-drive "file=$keep/root.erofs,if=none,id=root,format=raw,readonly=on" -device virtio-blk-pci,drive=root)
if [ -n "$tree" ]; then
    mkfs.erofs --quiet --all-root "$work/tree.erofs" "$tree" >/dev/null || fail "mkfs.erofs failed on $tree"
    disks+=(-drive "file=$work/tree.erofs,if=none,id=tree,format=raw,readonly=on" -device virtio-blk-pci,drive=tree)
fi

# The command's output and errors come by ports of their own, apart from the console, and its status by a third.
# Pipes, as QEMU wants them write-only, and would truncate files.
exec 3> >(exec cat) && cats=$!
exec 4> >(exec cat >&2) && cats+=" $!"
port() { # NAME DESCRIPTOR
    printf '%s\n' -chardev "file,id=$1,path=/dev/fdset/$2,append=on" -device "virtserialport,chardev=$1,name=thaw.$1"
}
: >"$work/status"
exec 5>"$work/status"
# What the VM says every few seconds as long as its processes run.
: >"$work/alive"
exec 7>"$work/alive"
mapfile -t ports < <(port out 1; port err 2; port status 3; port alive 4)
# QEMU's emulation of VMEXIT takes a bit out of the processor's pending interrupts without a lock, and with that, now and
# then, the timer's, which its APIC goes on to hold: a halted processor then waits for ever, until another comes.
mkfifo "$work/nudge.in" "$work/nudge.out"
ports+=(-chardev "pipe,id=nudge,path=$work/nudge" -device virtserialport,chardev=nudge,name=thaw.nudge)

qemu-system-x86_64 -M q35 -accel tcg -cpu EPYC,+svm -m "$memory" -smp "$cpus" -nodefaults -display none -no-reboot \
    -add-fd fd=3,set=1 -add-fd fd=4,set=2 -add-fd fd=5,set=3 -add-fd fd=7,set=4 \
    -chardev "socket,id=monitor,path=$work/monitor,server=on,wait=off" -mon chardev=monitor,mode=control \
    -chardev "file,id=console,path=$console" -serial chardev:console \
    -device virtio-serial-pci "${ports[@]}" -device virtio-rng-pci "${disks[@]}" \
    -kernel "$kernel/vmlinux" -initrd "$work/initrd" \
    -append "console=ttyS0 reboot=t panic=-1 quiet tsc=reliable random.trust_cpu=on mitigations=off" \
    </dev/null >"$work/qemu" 2>&1 &
qemu=$!
exec 3>&- 4>&- 5>&- 7>&-

# What the processors are at, by QEMU's monitor (QMP).
processors_show() {
    python3 - "$work/monitor" <<'END'
import json, socket, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(10)
s.connect(sys.argv[1])
f = s.makefile("rw")
f.readline()
def ask(command, **arguments):
    f.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
    f.flush()
    while "return" not in (answer := json.loads(f.readline())):
        if "error" in answer:
            return answer["error"]["desc"]
    return answer["return"]
ask("qmp_capabilities")
for _ in range(3):
    for command in "info registers -a", "info lapic":
        seen = ask("human-monitor-command", **{"command-line": command})
        print(*(s for s in map(str.strip, seen.splitlines()) if s.startswith(("CPU", "RIP", "CR0", "LVTT", "Timer", "ISR", "IRR"))),
              sep="\n")
END
}

# Ends QEMU when the time is over, or the VM stands still.
watch() {
    local now start said
    start=$(date +%s)
    while sleep 5; do
        echo >"$work/nudge.in"
        now=$(date +%s)
        said=$(stat -c %Y "$work/alive")
        if [ $((now - start)) -ge "$timeout" ]; then
            echo "was stopped after $timeout s" >"$work/late"
        elif [ $((now - said)) -ge "$still" ]; then
            echo "stands still: it was stopped after $((now - start)) s" >"$work/still"
        else
            continue
        fi
        { processors_show; tail -n 100 "$work/alive"; } >"$work/seen" 2>&1
        kill -KILL $qemu
        return
    done
}
watch >/dev/null 2>&1 & # its sleep is not to hold our output open
watch=$!
wait "$qemu" 2>/dev/null && broke= || broke="QEMU ended with status $?"
qemu=
kill -TERM $watch 2>/dev/null || true
watch=''
# shellcheck disable=SC2086
wait $cats 2>/dev/null || true

for why in late still; do
    [ -e "$work/$why" ] || continue
    printf 'vm.sh: the VM %s\n' "$(cat "$work/$why")" >&2
    tail -n 5 "$console" >&2
    cat "$work/seen" >&2
    [ $why = late ] && exit 124 || exit 123
done
status=$(cat "$work/status")
case $status in
'' | *[!0-9]*)
    tail -n 40 "$console" >&2
    cat "$work/qemu" >&2
    fail "the VM ended before the command did${broke:+ ($broke)}"
    ;;
esac
exit "$status"
