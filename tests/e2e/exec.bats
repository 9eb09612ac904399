#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# `thaw exec`: static programs that each prove one property of the kernel, and a stock one, busybox.
load helper

setup() {
    home_shared
    mkdir -p "$BATS_TEST_TMPDIR/work/root"
    cd "$BATS_TEST_TMPDIR/work"
}

guest() {
    cp "$GUEST/$1" root/
    run --separate-stderr thaw exec --timeout $(ms 60000) --root root -- "/$@"
    [ "$output" = SUCCESS ] || { printf '%s\n' "$output" "$stderr" >&2; return 1; }
    [ "$status" -eq 0 ]
    [ -z "$stderr" ]
}

@test "files: open, read, write, seek, truncate, stat, dup, bad pointers" { guest files; }
@test "credentials: setuid and its kin, groups, permissions of files, signals, set-user-ID programs" { guest credentials; }
@test "directories: mkdir, rmdir, links, each rule of rename, 2,500 entries" { guest directories; }
@test "mmap, munmap, mprotect, mremap, madvise, brk, and the kernel's memory is not to be had" { guest memory_map; }
@test "a program that jumps into the kernel's text gets the documented system calls and nothing else; none on kvm" {
    if [ "$(machine)" = process ]; then
        guest gate
    else
        cp "$GUEST/gate" root/
        run thaw exec --root root -- /gate
        [ "$status" -eq 139 ]
    fi
}
@test "hot system calls: registers, flags, threads, signals, forks, code that changes; rewritten on process" {
    name=$(machine)
    [ -n "$name" ]
    guest direct "$name"
}
@test "a storm of signals from many threads" { guest signal_storm; }
@test "signals: masks, queues, nesting, alternate stack, EINTR, SA_RESTART, sigwait" { guest signals; }
@test "threads and futexes" { guest threads; }
@test "clocks, sleeps and interval timers" { guest timers; }
@test "pipes" { guest pipes; }
@test "poll, select, epoll" { guest polling; }
@test "Unix sockets: pairs, names, backlog, datagrams, files and credentials sent along, limits" { guest unix_sockets; }
@test "TCP on the loopback: connecting, closing, resets, ports, urgent data, IPv4 on IPv6, no way out" { guest tcp_sockets; }
@test "UDP on the loopback: messages, errors, groups, control data; the one interface" { guest udp_sockets; }
@test "a storm on sockets from many threads leaves none behind" { guest socket_storm; }
@test "pseudo-terminals: lines, editing, echo, raw mode, flow control, window size, closing" { guest ptys; }
@test "inotify: what happens to a directory and its files" { guest watching; }
@test "signalfd, splice, tee, seals, /proc/net" { guest event_files; }
@test "/proc and /dev show the sandbox" { guest procfs a b; }
@test "execve" { guest exec; }
@test "fork, vfork, posix_spawn, wait, groups, sessions, orphans, stops, pidfds" { guest processes; }
@test "memory that processes share, and futexes in it" { guest shared_memory; }
@test "fork, exec, exit, signals, futexes, mmap and close race in many threads: nothing is lost, nothing is left" { guest torture 4; }
@test "the snapshot call is ENOSYS where none was asked for" { guest snapshot_call; }
@test "unknown system calls are ENOSYS" { guest unknown_calls; }

bb() { # WORDS: stdout and status of busybox in the sandbox
    local b
    b=$(type -P busybox) || skip "no busybox here"
    cp "$b" root/busybox
    run --separate-stderr thaw exec --root root "${options[@]}" -- /busybox "$@"
}

@test "busybox: echo, cat, wc, sort, grep, sed, awk, sha256sum, gzip give what they give on the host" {
    seq 5000 >root/numbers
    b=$(type -P busybox) || skip "no busybox here"
    cp "$b" root/busybox
    for line in "echo a b" "cat /numbers" "wc /numbers" "sort -rn /numbers" "grep -c 7 /numbers" "sed s/1/x/g /numbers" \
        "awk {s+=\$1}END{print(s)} /numbers" "sha256sum /numbers" "gzip -c /numbers" "od -x /numbers" "uname -m" "tail -n3 /numbers"; do
        thaw exec --root root -- /busybox $line >got
        (cd root; set -f; busybox ${line//\/numbers/numbers}) >want
        sed 's, /numbers, numbers,' got | cmp - <(sed 's, /numbers, numbers,' want) || { echo "$line" >&2; false; }
    done
}

@test "busybox: a shell works on the sandbox's own files" {
    options=()
    bb sh -c 'cd /tmp && echo x >f && echo y >>f && read l <f && echo $l && [ -f f ] && pwd && [ ! -e /tmp/none ]'
    is $'x\n/tmp'
    [ "$status" -eq 0 ]
}

@test "busybox: a shell's pipelines, subshells, background jobs, traps and statuses are as on the host" {
    seq 2000 >root/numbers
    b=$(type -P busybox) || skip "no busybox here"
    cp "$b" root/busybox
    cat >root/script <<'EOF'
b=/busybox
$b cat $N | $b grep 7 | $b sort -rn | $b head -n 3
x=$($b seq 3 | while read i; do echo "<$i>"; done); echo "$x"
(exit 7); echo $?
$b false || echo failed
$b sleep 0.2 & p=$!
kill -0 $p && echo alive
kill $p; wait $p; echo $?
for i in 2 5 8; do ($b sleep 0.$i; echo $i) & done; wait; echo all
trap 'echo trapped' USR1; kill -USR1 $$; echo after
$b sh -c 'kill -9 $$'; echo $?
$b none 2>/dev/null; echo $?
echo one two | { read a c; echo "$c $a"; }
$b yes | $b head -n 2
exec $b echo last
EOF
    N=/numbers thaw exec --root root --env N -- /busybox sh /script >got
    sed "s,=/busybox,=$b," root/script | N=$PWD/root/numbers busybox sh >want
    cmp got want
}

@test "the root is read-only on the host: what is written goes to memory" {
    echo host >root/f
    options=()
    bb sh -c 'echo guest >/f; read x </f; echo $x; echo new >/new'
    is guest
    [ "$(cat root/f)" = host ]
    [ ! -e root/new ]
}

@test "--cwd, --env and -v of exec" {
    mkdir root/d share; echo s >share/f
    options=(--cwd /d --env A=b -v share:/mnt:ro)
    bb sh -c 'pwd; echo $A; read x </mnt/f; echo $x; echo y >/mnt/g || echo refused'
    is $'/d\nb\ns\nrefused'
    [ ! -e share/g ]
}

@test "a program is found through PATH, and through the shebang of a script" {
    mkdir -p root/bin
    b=$(type -P busybox) || skip "no busybox here"
    cp "$b" root/bin/busybox; ln -s busybox root/bin/sh
    printf '#!/bin/sh\necho script $1\n' >root/bin/s; chmod 755 root/bin/s
    run thaw exec --root root -- busybox echo 5
    is 5
    run thaw exec --root root -- s 6
    is "script 6"
    printf '#!/bin/sh\nread name </proc/$$/comm; echo $name\n' >root/bin/s
    run thaw exec --root root -- s
    is s
}

@test "the root cannot be left by .. or by a link" {
    echo secret >secret; ln -s ../secret root/up; ln -s "$PWD/secret" root/abs
    options=()
    bb cat /up /abs /../secret /../../../../../../etc/hostname
    [ "$status" -ne 0 ]
    is ""
}

@test "an image can be the root" {
    b=$(type -P busybox) || skip "no busybox here"
    command -v mkfs.erofs >/dev/null || skip "no mkfs.erofs here"
    export XDG_DATA_HOME=$PWD/data
    cp "$b" root/busybox
    thaw image build --from root box
    run thaw exec --image box -- /busybox echo from an image
    is "from an image"
}

@test "--strace prints each call with its result on stderr, and does not disturb stdout" {
    cp "$GUEST/files" root/
    run --separate-stderr thaw exec --strace --root root -- /files
    is SUCCESS
    has 'open("/tmp/none", ' "$stderr"
    has '= -ENOENT' "$stderr"
    has 'exit_group(0' "$stderr"
}
