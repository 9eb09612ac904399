#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Programs that nobody here wrote, from Debian's packages (the image `programs`, tests/programs.mk): they do their work and
# leave a sandbox that still works.
load helper

# programs SCRIPT: by the image's shell, under set -e; then the same sandbox is asked for something else.
programs() {
    thaw run --image programs --memory 1G --timeout "$(ms 300000)" -c '
import os, subprocess, sys
os.environ.update(GIT_AUTHOR_NAME="a", GIT_AUTHOR_EMAIL="a@b", GIT_COMMITTER_NAME="a", GIT_COMMITTER_EMAIL="a@b")
status = subprocess.run(["sh", "-ec", sys.argv[1]], cwd="/tmp").returncode
assert sum(range(1000)) == 499500 and subprocess.run(["true"]).returncode == 0
children = [p for p in os.listdir("/proc") if p.isdigit() and int(p) != os.getpid()]
assert not children, children
sys.exit(status)' "$1"
}

@test "git: commits, clones, pushes, merges, fsck, gc" {
    run programs '
git init -q -b main a; cd a
for i in $(seq 40); do seq $((i * 50)) >f$i; git add f$i; git commit -qm "number $i"; done
git clone -q . ../b; cd ../b
git checkout -qb side HEAD~3; echo x >side; git add side; git commit -qm side
git checkout -q main; git merge -qm both side; git push -q origin main:theirs
git fsck --strict; git gc -q; git status --short
git -C ../a log --oneline theirs | wc -l
cd ../a; git diff --stat HEAD~2 | tail -n 1; git archive HEAD | tar tf - | wc -l'
    [ "$status" -eq 0 ]
    has 42
    has "2 files changed, 3950 insertions(+)"
}

@test "gcc: compiles, links and runs a program with threads" {
    run programs '
cat >h.c <<E
#include <pthread.h>
#include <stdio.h>
static void *sum(void *p) { long s = 0; for (long i = 0; i < *(long *)p; i++) s += i; *(long *)p = s; return p; }
int main(void)
{
    pthread_t t[8]; long n[8];
    for (int i = 0; i < 8; i++) { n[i] = 1000 * (i + 1); if (pthread_create(&t[i], 0, sum, &n[i])) return 1; }
    for (int i = 0; i < 8; i++) { pthread_join(t[i], 0); printf("%ld ", n[i]); }
    puts(""); return 7;
}
E
for flags in -O0 "-O2 -flto" "-O2 -static" "-Os -fno-omit-frame-pointer -pie"; do
    gcc -Wall -Werror $flags -o h h.c -pthread; set +e; ./h; [ $? = 7 ] || exit 1; set -e
done'
    [ "$status" -eq 0 ]
    [ "$(grep -c '^499500 1999000 ' <<<"$output")" -eq 4 ]
}

@test "sqlite3: a database of 100 MB in a file, indexed, checked, halved, vacuumed" {
    rows=$((100000 / ${THAW_TEST_SLOW:-1}))
    run programs "
sqlite3 db 'create table t(a integer primary key, b text);
with recursive c(x) as (select 1 union all select x + 1 from c where x < $rows)
insert into t select x, hex(randomblob(500)) from c;
create index i on t(a, length(b)); select count(*), sum(length(b)) from t; pragma integrity_check;'
stat -c %s db
sqlite3 db 'pragma journal_mode=wal; delete from t where a % 2; vacuum; select count(*) from t; pragma integrity_check;'"
    [ "$status" -eq 0 ]
    has "$rows|${rows}000"
    has $'\n'"$((rows / 2))"
    [ "$(grep -c '^ok$' <<<"$output")" -eq 2 ]
    [ "$(sed -n 3p <<<"$output")" -ge $((rows * 1000)) ]
}

@test "busybox: its shell, find, awk, sed, sort, tar and gzip in pipelines" {
    run programs '
[ "$(busybox --list | wc -l)" -gt 200 ]
mkdir -p in/deep; for i in $(busybox seq 300); do echo "line $i" >in/deep/$i; done
cat >s <<"E"
busybox find in -type f | busybox sort | busybox xargs busybox cat | busybox awk "{ s += \$2 } END { print s }"
busybox tar cf - in | busybox gzip -c >in.tar.gz; busybox rm -r in; busybox gunzip -c in.tar.gz | busybox tar xf -
busybox find in -type f | busybox wc -l
busybox sed -n s/line/zeile/p in/deep/300
busybox md5sum in/deep/1 >m; busybox md5sum -c m
E
busybox sh -e s'
    [ "$status" -eq 0 ]
    has 45150
    has $'\n300'
    has "zeile 300"
    has "in/deep/1: OK"
}

@test "stress-ng: cpu, vm, futex, pipe, sock, fork, pthread, timer, sigq and mmap, each for a second" {
    run programs '
for s in cpu vm futex pipe sock fork pthread timer sigq mmap; do
    stress-ng --$s 2 --timeout 1s --temp-path /tmp --vm-bytes 32M --mmap-bytes 16M >out 2>&1 || { echo "$s: $?"; cat out; exit 1; }
    echo "$s ok"
done'
    [ "$status" -eq 0 ] || { echo "$output"; false; }
    [ "$(grep -c ' ok$' <<<"$output")" -eq 10 ]
}

@test "work of every kind leaves nothing behind: memory, files, inodes, tasks" {
    run thaw run --image programs --memory 1G --timeout "$(ms 300000)" "$TESTS/e2e/leaks.py" "$((48 / ${THAW_TEST_SLOW:-1} + 6))"
    has "nothing is left"
    [ "$status" -eq 0 ]
}
