/* SPDX-License-Identifier: MIT */
/* The virtual file system by its system calls: names, the overlay over an EROFS image, tmpfs, locks, descriptors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "calls.h"
#include "host_share.h"
#include "vfs.h"
/* clang-format off */
#define CALLS(X)                                                                                                       \
    X(open) X(openat) X(creat) X(close) X(close_range) X(memfd_create) X(read) X(write) X(readv) X(writev) X(pread64)  \
    X(pwrite64) X(preadv2) X(pwritev2) X(lseek) X(sendfile) X(copy_file_range) X(fsync) X(stat) X(lstat) X(fstat)      \
    X(newfstatat) X(statx) X(access) X(faccessat2) X(statfs) X(fstatfs) X(getdents64) X(mkdir) X(mkdirat) X(rmdir)     \
    X(unlink) X(unlinkat) X(rename) X(renameat2) X(link) X(linkat) X(symlink) X(readlink) X(readlinkat) X(mknod)       \
    X(chdir) X(fchdir) X(getcwd) X(chroot) X(umask) X(chmod) X(fchmod) X(fchmodat2) X(chown) X(lchown) X(utimensat)    \
    X(utimes) X(truncate) X(ftruncate) X(fallocate) X(dup) X(dup2) X(dup3) X(fcntl) X(flock) X(ioctl) X(setxattr)      \
    X(getxattr) X(listxattr)
/* clang-format on */
#define DECLARE(name) s64 sys_##name(u64, u64, u64, u64, u64, u64);
CALLS(DECLARE)
#define AT (u64) AT_FDCWD

/* ---- helpers ---- */

static int op(const char *name, u32 flags) { return (int)sys(open, P(name), flags, 0644); }
static s64 cl(int fd) { return sys(close, (u64)fd); }

static int opened(const char *name, u32 flags)
{
    int fd = op(name, flags);

    if (fd < 0)
        fail_msg("open %s: %d", name, fd);
    return fd;
}

static void put(const char *name, const char *text)
{
    int fd = opened(name, O_WRONLY | O_CREAT | O_TRUNC);

    assert_int_equal(sys(write, (u64)fd, P(text), strlen(text)), strlen(text));
    cl(fd);
}

static const char *get(const char *name)
{
    static char buf[4096];
    int fd = op(name, O_RDONLY);
    s64 n;

    if (fd < 0)
        return "(cannot be opened)";
    n = sys(read, (u64)fd, P(buf), sizeof(buf) - 1);
    buf[n < 0 ? 0 : n] = 0;
    cl(fd);
    return buf;
}

static struct kstat st(const char *name)
{
    struct kstat s;

    memset(&s, 0, sizeof(s));
    assert_int_equal(sys(lstat, P(name), P(&s)), 0);
    return s;
}

static int no(const char *name) /* the errno of lstat */
{
    struct kstat s;

    return -(int)sys(lstat, P(name), P(&s));
}

static s64 md(const char *name) { return sys(mkdir, P(name), 0777); }
static s64 rd(const char *name) { return sys(rmdir, P(name)); }
static s64 ul(const char *name) { return sys(unlink, P(name)); }
static s64 mv(const char *a, const char *b) { return sys(rename, P(a), P(b)); }
static s64 ln(const char *a, const char *b) { return sys(link, P(a), P(b)); }
static s64 sl(const char *a, const char *b) { return sys(symlink, P(a), P(b)); }

/* Names in a directory, sorted, with spaces between; without dots. */
static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }
static const char *ls_with(const char *name, size_t size)
{
    static char out[65536], buf[65536];
    static char *names[4096];
    int fd = opened(name, O_RDONLY | O_DIRECTORY), count = 0;
    s64 n;
    size_t used = 0;
    static char store[65536];

    while ((n = sys(getdents64, (u64)fd, P(buf), size)) > 0)
        for (s64 at = 0; at < n;) {
            u16 reclen;
            char *entry = buf + at + 19;

            memcpy(&reclen, buf + at + 16, 2);
            if (strcmp(entry, ".") && strcmp(entry, "..")) {
                names[count++] = strcpy(store + used, entry);
                used += strlen(entry) + 1;
            }
            at += reclen;
        }
    assert_int_equal(n, 0);
    cl(fd);
    qsort(names, (size_t)count, sizeof(*names), by_name);
    *out = 0;
    for (int i = 0, at = 0; i < count; i++)
        at += sprintf(out + at, "%s%s", i ? " " : "", names[i]);
    return out;
}
static const char *ls(const char *name) { return ls_with(name, 32768); }

static const char *cwd(void)
{
    static char buf[4096];

    assert_true(sys(getcwd, P(buf), sizeof(buf)) > 0);
    return buf;
}

/* ---- walking ---- */

static void test_names_are_walked(void **state)
{
    char deep[300], name[5000];
    int fd;

    assert_int_equal(md("/tmp/w"), 0);
    assert_int_equal(md("/tmp/w/a"), 0);
    put("/tmp/w/f", "x");
    assert_int_equal(no("/tmp/w/a/../f"), 0);
    assert_int_equal(no("/tmp//w/./a///../f"), 0);
    assert_int_equal(no("/../../tmp/w/f"), 0);
    assert_int_equal(no("/tmp/w/f/"), ENOTDIR);
    assert_int_equal(no("/tmp/w/f/."), ENOTDIR);
    assert_int_equal(no("/tmp/w/f/.."), ENOTDIR);
    assert_int_equal(no("/tmp/w/none/../f"), ENOENT);
    assert_int_equal(no(""), ENOENT);
    assert_int_equal(sys(stat, 0, P(name)), -EFAULT);
    memset(deep, 'n', 256);
    deep[256] = 0;
    snprintf(name, sizeof(name), "/tmp/%s", deep);
    assert_int_equal(no(name), ENAMETOOLONG);
    deep[255] = 0;
    snprintf(name, sizeof(name), "/tmp/%s", deep);
    assert_int_equal(no(name), ENOENT);
    memset(name, '/', 4096);
    name[4096] = 0;
    assert_int_equal(no(name), ENAMETOOLONG);
    name[4095] = 0;
    assert_int_equal(no(name), 0);

    fd = opened("/tmp/w/a", O_RDONLY | O_DIRECTORY);
    assert_int_equal(sys(fchdir, (u64)fd), 0);
    assert_string_equal(cwd(), "/tmp/w/a");
    assert_int_equal(no("../f"), 0);
    assert_int_equal(no(".."), 0);
    assert_int_equal(sys(chdir, P("../f")), -ENOTDIR);
    assert_int_equal(sys(chdir, P("..")), 0);
    assert_string_equal(cwd(), "/tmp/w");
    assert_int_equal(sys(chdir, P("../..")), 0);
    assert_string_equal(cwd(), "/");
    assert_int_equal(sys(faccessat2, (u64)fd, P("../f"), 4, 0), 0);
    assert_int_equal(sys(faccessat2, (u64)fd, P("../f"), 1, 0), -EACCES);
    assert_int_equal(sys(faccessat2, 99, P("f"), 4, 0), -EBADF);
    assert_int_equal(sys(faccessat2, 99, P("/tmp"), 4, 0), 0);
    cl(fd);
    fd = opened("/tmp/w/f", O_RDONLY);
    assert_int_equal(sys(openat, (u64)fd, P("x"), O_RDONLY), -ENOTDIR);
    cl(fd);
    assert_int_equal(sys(getcwd, P(name), 1), -ERANGE);
    assert_int_equal(sys(chroot, P("/tmp")), -EPERM);
    ul("/tmp/w/f");
    assert_int_equal(sys(chdir, P("/tmp/w/a")), 0);
    assert_int_equal(rd("/tmp/w/a"), 0);
    assert_int_equal(sys(getcwd, P(name), 100), -ENOENT);
    assert_int_equal(op("new", O_CREAT | O_WRONLY), -ENOENT);
    assert_int_equal(sys(chdir, P("/")), 0);
    rd("/tmp/w");
}

static void test_links_are_followed(void **state)
{
    char buf[64];
    int fd;

    md("/tmp/l");
    md("/tmp/l/d");
    put("/tmp/l/f", "file");
    assert_int_equal(sl("f", "/tmp/l/s"), 0);
    assert_int_equal(sl("/tmp/l/d/", "/tmp/l/sd"), 0);
    assert_int_equal(sl("loop2", "/tmp/l/loop1"), 0);
    assert_int_equal(sl("loop1", "/tmp/l/loop2"), 0);
    assert_int_equal(sl("made", "/tmp/l/dangling"), 0);
    assert_int_equal(sl("", "/tmp/l/empty"), -ENOENT);
    assert_int_equal(sl("x", "/tmp/l/s"), -EEXIST);
    assert_string_equal(get("/tmp/l/s"), "file");
    assert_int_equal(no("/tmp/l/s/"), ENOTDIR);
    assert_int_equal(no("/tmp/l/sd/../s"), 0);
    assert_int_equal(op("/tmp/l/loop1", O_RDONLY), -ELOOP);
    assert_int_equal(op("/tmp/l/s", O_RDONLY | O_NOFOLLOW), -ELOOP);
    assert_int_equal(op("/tmp/l/sd", O_RDONLY | O_NOFOLLOW | O_DIRECTORY), -ENOTDIR);
    assert_int_equal(op("/tmp/l/s", O_CREAT | O_EXCL | O_WRONLY), -EEXIST);
    assert_int_equal(op("/tmp/l/dangling", O_CREAT | O_EXCL | O_WRONLY), -EEXIST);
    assert_int_equal(op("/tmp/l/dangling", O_RDONLY), -ENOENT);
    put("/tmp/l/dangling", "new");
    assert_string_equal(get("/tmp/l/made"), "new");
    assert_int_equal(sys(readlink, P("/tmp/l/s"), P(buf), 64), 1);
    assert_int_equal(sys(readlink, P("/tmp/l/sd"), P(buf), 3), 3);
    assert_int_equal(sys(readlink, P("/tmp/l/f"), P(buf), 64), -EINVAL);
    assert_int_equal(sys(readlink, P("/tmp/l/s"), P(buf), 0), -EINVAL);
    assert_int_equal(st("/tmp/l/s").st_size, 1);
    assert_int_equal(st("/tmp/l/s").st_mode, S_IFLNK | 0777);
    fd = opened("/tmp/l/s", O_PATH | O_NOFOLLOW);
    assert_int_equal(sys(readlinkat, (u64)fd, P(""), P(buf), 64), 1);
    assert_int_equal(sys(read, (u64)fd, P(buf), 1), -EBADF);
    assert_int_equal(sys(fchmod, (u64)fd, 0600), -EBADF);
    cl(fd);
    /* by descriptor, through /proc */
    fd = opened("/tmp/l/f", O_RDONLY);
    snprintf(buf, sizeof(buf), "/proc/self/fd/%d", fd);
    assert_string_equal(get(buf), "file");
    ul("/tmp/l/f");
    assert_string_equal(get(buf), "file");
    {
        char target[64] = {0};

        assert_true(sys(readlink, P(buf), P(target), 63) > 0);
        assert_string_equal(target, "/tmp/l/f (deleted)");
    }
    assert_int_equal(op(buf, O_RDONLY | O_CREAT), fd + 1);
    cl(fd + 1);
    cl(fd);
    /* a chain of 40 is followed, 41 is too much */
    put("/tmp/l/c0", "end");
    for (int i = 1; i <= 41; i++) {
        char from[32], to[32];

        snprintf(to, sizeof(to), "c%d", i - 1);
        snprintf(from, sizeof(from), "/tmp/l/c%d", i);
        assert_int_equal(sl(to, from), 0);
    }
    assert_string_equal(get("/tmp/l/c40"), "end");
    assert_int_equal(op("/tmp/l/c41", O_RDONLY), -ELOOP);
    for (int i = 0; i <= 41; i++) {
        snprintf(buf, sizeof(buf), "/tmp/l/c%d", i);
        assert_int_equal(ul(buf), 0);
    }
    ul("/tmp/l/s"), ul("/tmp/l/sd"), ul("/tmp/l/loop1"), ul("/tmp/l/loop2"), ul("/tmp/l/made"), ul("/tmp/l/dangling");
    rd("/tmp/l/d");
    assert_int_equal(rd("/tmp/l"), 0);
}

/* ---- open ---- */

static void test_open_answers_as_linux_does(void **state)
{
    char buf[16];
    int fd, fd2;

    md("/tmp/o");
    assert_int_equal(op("/tmp/o", O_WRONLY), -EISDIR);
    assert_int_equal(op("/tmp/o", O_RDONLY | O_CREAT), -EISDIR);
    assert_int_equal(op("/tmp/o/x/", O_WRONLY | O_CREAT), -EISDIR);
    assert_int_equal(op("/tmp/o/.", O_WRONLY | O_CREAT), -EISDIR);
    assert_int_equal(op("/tmp/o/none", O_RDWR), -ENOENT);
    assert_int_equal(op("/tmp/o/none/x", O_RDWR | O_CREAT), -ENOENT);
    assert_int_equal(op("/proc/none", O_RDWR | O_CREAT), -EACCES);
    sys(umask, 027);
    fd = (int)sys(open, P("/tmp/o/f"), O_WRONLY | O_CREAT | O_EXCL, 0777);
    assert_int_equal(sys(umask, 022), 027);
    assert_int_equal(st("/tmp/o/f").st_mode, S_IFREG | 0750);
    assert_int_equal(op("/tmp/o/f", O_WRONLY | O_CREAT | O_EXCL), -EEXIST);
    assert_int_equal(op("/tmp/o/f", O_DIRECTORY), -ENOTDIR);
    assert_int_equal(op("/tmp/o/f/x", O_RDONLY), -ENOTDIR);
    assert_int_equal(sys(read, (u64)fd, P(buf), 1), -EBADF);
    assert_int_equal(sys(fcntl, (u64)fd, 3), O_WRONLY | O_LARGEFILE);
    assert_int_equal(sys(write, (u64)fd, P("abc"), 3), 3);
    assert_int_equal(sys(write, (u64)fd, 16, 3), -EFAULT);
    /* O_APPEND writes at the end whatever the position */
    fd2 = opened("/tmp/o/f", O_RDWR | O_APPEND);
    assert_int_equal(sys(write, (u64)fd, P("def"), 3), 3);
    assert_int_equal(sys(write, (u64)fd2, P("ghi"), 3), 3);
    assert_int_equal(sys(lseek, (u64)fd2, 0, 1), 9);
    assert_int_equal(sys(pwrite64, (u64)fd2, P("j"), 1, 0), 1);
    assert_int_equal(sys(lseek, (u64)fd2, 0, 0), 0);
    assert_int_equal(sys(read, (u64)fd2, P(buf), 16), 10);
    assert_memory_equal(buf, "abcdefghij", 10);
    cl(fd2);
    fd2 = opened("/tmp/o/f", O_RDWR | O_TRUNC);
    assert_int_equal(st("/tmp/o/f").st_size, 0);
    assert_int_equal(sys(lseek, (u64)fd2, (u64)-1, 0), -EINVAL);
    assert_int_equal(sys(lseek, (u64)fd2, 0, 9), -EINVAL);
    cl(fd2);
    cl(fd);
    fd = opened("/tmp/o", O_RDONLY);
    assert_int_equal(sys(read, (u64)fd, P(buf), 1), -EISDIR);
    assert_int_equal(sys(write, (u64)fd, P(buf), 1), -EBADF);
    cl(fd);
    /* without a name, until one is given */
    assert_int_equal(op("/tmp/o", O_TMPFILE | O_RDONLY), -EINVAL);
    fd = opened("/tmp/o", O_TMPFILE | O_RDWR);
    sys(write, (u64)fd, P("tmp"), 3);
    assert_string_equal(ls("/tmp/o"), "f");
    snprintf(buf, sizeof(buf), "/proc/self/fd/%d", fd);
    assert_int_equal(sys(linkat, AT, P(buf), AT, P("/tmp/o/named"), AT_SYMLINK_FOLLOW), 0);
    cl(fd);
    assert_string_equal(get("/tmp/o/named"), "tmp");
    assert_int_equal(st("/tmp/o/named").st_nlink, 1);
    /* gone names cannot come back */
    fd = opened("/tmp/o/named", O_RDONLY);
    ul("/tmp/o/named");
    assert_int_equal(sys(linkat, AT, P(buf), AT, P("/tmp/o/again"), AT_SYMLINK_FOLLOW), -ENOENT);
    cl(fd);
    fd = (int)sys(memfd_create, P("mem"), 1);
    assert_int_equal(sys(fcntl, (u64)fd, 1), 1);
    assert_int_equal(sys(write, (u64)fd, P("mem"), 3), 3);
    assert_int_equal(sys(pread64, (u64)fd, P(buf), 16, 1), 2);
    assert_int_equal(sys(fcntl, (u64)fd, 1033, 1), -EPERM); /* it cannot be sealed */
    cl(fd);
    ul("/tmp/o/f");
    assert_int_equal(rd("/tmp/o"), 0);
}

/* ---- making, removing, moving ---- */

static void test_removing_answers_as_linux_does(void **state)
{
    md("/tmp/r");
    assert_int_equal(md("/tmp/r"), -EEXIST);
    assert_int_equal(md("/tmp/r/"), -EEXIST);
    assert_int_equal(md("/"), -EEXIST);
    assert_int_equal(md("/tmp/r/."), -EEXIST);
    assert_int_equal(md("/tmp/r/d/"), 0);
    put("/tmp/r/f", "");
    assert_int_equal(md("/tmp/r/f/x"), -ENOTDIR);
    assert_int_equal(st("/tmp/r").st_nlink, 3);
    assert_int_equal(rd("/tmp/r"), -ENOTEMPTY);
    assert_int_equal(rd("/tmp/r/."), -EINVAL);
    assert_int_equal(rd("/tmp/r/d/.."), -ENOTEMPTY);
    assert_int_equal(rd("/"), -EBUSY);
    assert_int_equal(rd("/proc"), -EBUSY);
    assert_int_equal(rd("/tmp/r/f"), -ENOTDIR);
    assert_int_equal(ul("/tmp/r/d"), -EISDIR);
    assert_int_equal(ul("/tmp/r/f/"), -ENOTDIR);
    assert_int_equal(ul("/tmp/r/none"), -ENOENT);
    assert_int_equal(ul("/"), -EISDIR);
    assert_int_equal(sys(unlinkat, AT, P("/tmp/r/d"), AT_REMOVEDIR), 0);
    assert_int_equal(sys(unlinkat, AT, P("/tmp/r/f"), 1), -EINVAL);
    assert_int_equal(sys(mknod, P("/tmp/r/p"), S_IFIFO | 0600), 0);
    assert_int_equal(st("/tmp/r/p").st_mode, S_IFIFO | 0600);
    assert_int_equal(sys(mknod, P("/tmp/r/d2"), S_IFDIR | 0600), -EPERM);
    assert_int_equal(sys(mknod, P("/tmp/r/q/"), S_IFREG), -ENOENT);
    assert_int_equal(ln("/tmp/r/f", "/tmp/r/g"), 0);
    assert_int_equal(st("/tmp/r/g").st_nlink, 2);
    assert_int_equal(st("/tmp/r/g").st_ino, st("/tmp/r/f").st_ino);
    assert_int_equal(ln("/tmp/r/f", "/tmp/r/g"), -EEXIST);
    assert_int_equal(ln("/tmp/r", "/tmp/r/h"), -EPERM);
    assert_int_equal(ln("/tmp/r/f", "/etc/h"), -EXDEV);
    assert_int_equal(ln("/tmp/r/f", "/tmp/r/h/"), -ENOENT);
    ul("/tmp/r/f"), ul("/tmp/r/g"), ul("/tmp/r/p");
    assert_int_equal(rd("/tmp/r"), 0);
}

static void test_renaming_answers_as_linux_does(void **state)
{
    struct kstat before;
    int fd;

    md("/tmp/m"), md("/tmp/m/a"), md("/tmp/m/a/b"), md("/tmp/m/e");
    put("/tmp/m/f", "f");
    put("/tmp/m/g", "g");
    assert_int_equal(mv("/tmp/m/none", "/tmp/m/x"), -ENOENT);
    assert_int_equal(mv("/tmp/m/a", "/tmp/m/a/b/c"), -EINVAL);
    assert_int_equal(mv("/tmp/m/a", "/tmp/m/a"), 0);
    assert_int_equal(mv("/tmp/m/a/b", "/tmp/m/a"), -ENOTEMPTY);
    assert_int_equal(mv("/tmp/m/e", "/tmp/m/a"), -ENOTEMPTY);
    assert_int_equal(mv("/tmp/m/f", "/tmp/m/a"), -EISDIR);
    assert_int_equal(mv("/tmp/m/a", "/tmp/m/f"), -ENOTDIR);
    assert_int_equal(mv("/tmp/m/f", "/tmp/m/h/"), -ENOTDIR);
    assert_int_equal(mv("/tmp/m/f/", "/tmp/m/h"), -ENOTDIR);
    assert_int_equal(mv("/tmp/m/a/.", "/tmp/m/h"), -EBUSY);
    assert_int_equal(mv("/tmp/m/a", "/tmp/m/.."), -EBUSY);
    assert_int_equal(mv("/proc", "/p"), -EBUSY);
    assert_int_equal(mv("/tmp/m/f", "/dev/shm/f"), -EXDEV);
    assert_int_equal(mv("/tmp/m/a", "/tmp/m/e"), 0);
    assert_string_equal(ls("/tmp/m"), "e f g");
    assert_string_equal(ls("/tmp/m/e"), "b");
    assert_int_equal(st("/tmp/m").st_nlink, 3);
    assert_int_equal(mv("/tmp/m/e/b", "/tmp/m/b/"), 0);
    assert_int_equal(st("/tmp/m").st_nlink, 4);
    /* an open file keeps its contents when its name is taken over, and shows it */
    fd = opened("/tmp/m/g", O_RDONLY);
    assert_int_equal(mv("/tmp/m/f", "/tmp/m/g"), 0);
    assert_string_equal(get("/tmp/m/g"), "f");
    {
        char c;
        struct kstat s;

        assert_int_equal(sys(read, (u64)fd, P(&c), 1), 1);
        assert_int_equal(c, 'g');
        assert_int_equal(sys(fstat, (u64)fd, P(&s)), 0);
        assert_int_equal(s.st_nlink, 0);
    }
    cl(fd);
    /* two links to one file: nothing happens */
    assert_int_equal(ln("/tmp/m/g", "/tmp/m/g2"), 0);
    assert_int_equal(mv("/tmp/m/g", "/tmp/m/g2"), 0);
    assert_int_equal(no("/tmp/m/g"), 0);
    ul("/tmp/m/g2");
    put("/tmp/m/x", "x");
    assert_int_equal(sys(renameat2, AT, P("/tmp/m/x"), AT, P("/tmp/m/g"), 1), -EEXIST);
    assert_int_equal(sys(renameat2, AT, P("/tmp/m/x"), AT, P("/tmp/m/y"), 3), -EINVAL);
    assert_int_equal(sys(renameat2, AT, P("/tmp/m/x"), AT, P("/tmp/m/y"), 2), -ENOENT);
    assert_int_equal(sys(renameat2, AT, P("/tmp/m/x"), AT, P("/tmp/m/y"), 1), 0);
    put("/tmp/m/e/in", "in");
    before = st("/tmp/m/y");
    assert_int_equal(sys(renameat2, AT, P("/tmp/m/y"), AT, P("/tmp/m/e"), 2), 0);
    assert_int_equal(st("/tmp/m/e").st_ino, before.st_ino);
    assert_string_equal(get("/tmp/m/y/in"), "in");
    assert_string_equal(get("/tmp/m/e"), "x");
    /* the working directory follows */
    sys(chdir, P("/tmp/m/y"));
    assert_int_equal(mv("/tmp/m/y", "/tmp/m/b/z"), 0);
    assert_string_equal(cwd(), "/tmp/m/b/z");
    assert_string_equal(get("in"), "in");
    assert_int_equal(mv("../../b", "./x"), -EINVAL);
    sys(chdir, P("/"));
    ul("/tmp/m/b/z/in"), rd("/tmp/m/b/z"), rd("/tmp/m/b"), ul("/tmp/m/e"), ul("/tmp/m/g");
    assert_int_equal(rd("/tmp/m"), 0);
}

static void test_big_directories_list_whole(void **state)
{
    char name[64];
    const char *all;
    int n = 0;

    md("/tmp/big");
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "/tmp/big/file%04d", i);
        put(name, "");
    }
    for (int i = 0; i < 1000; i += 2) {
        snprintf(name, sizeof(name), "/tmp/big/file%04d", i);
        assert_int_equal(ul(name), 0);
    }
    all = ls_with("/tmp/big", 300);
    for (const char *p = all; (p = strstr(p, "file")); p += 8)
        assert_int_equal(atoi(p + 4), 2 * n++ + 1);
    assert_int_equal(n, 500);
    /* removing what was listed while listing goes on */
    {
        int fd = opened("/tmp/big", O_RDONLY | O_DIRECTORY);
        char buf[256];
        s64 got;

        n = 0;
        while ((got = sys(getdents64, (u64)fd, P(buf), sizeof(buf))) > 0)
            for (s64 at = 0; at < got; at += *(u16 *)(buf + at + 16))
                if (buf[at + 19] != '.') {
                    snprintf(name, sizeof(name), "/tmp/big/%s", buf + at + 19);
                    assert_int_equal(ul(name), 0);
                    n++;
                }
        assert_int_equal(n, 500);
        assert_int_equal(sys(getdents64, (u64)fd, P(buf), 10), 0);
        sys(lseek, (u64)fd, 0, 0);
        assert_int_equal(sys(getdents64, (u64)fd, P(buf), 10), -EINVAL);
        assert_int_equal(rd("/tmp/big"), 0);
        assert_int_equal(sys(getdents64, (u64)fd, P(buf), 256), -ENOENT);
        cl(fd);
    }
}

/* ---- contents ---- */

static void test_sparse_files(void **state)
{
    static char buf[200000], zero[5000];
    struct kstat s;
    int fd = opened("/tmp/sparse", O_RDWR | O_CREAT);

    assert_int_equal(sys(pwrite64, (u64)fd, P("end"), 3, 1ull << 40), 3);
    sys(fstat, (u64)fd, P(&s));
    assert_int_equal(s.st_size, (1ll << 40) + 3);
    assert_true(s.st_blocks <= 8 * 8);
    assert_int_equal(sys(pread64, (u64)fd, P(buf), 5000, 1ull << 39), 5000);
    assert_memory_equal(buf, zero, 5000);
    assert_int_equal(sys(pread64, (u64)fd, P(buf), 100, 1ull << 40), 3);
    assert_memory_equal(buf, "end", 3);
    assert_int_equal(sys(lseek, (u64)fd, 0, 3), 1ll << 40);
    assert_int_equal(sys(lseek, (u64)fd, 0, 4), 0);
    assert_int_equal(sys(lseek, (u64)fd, 1ull << 40, 4), (1ll << 40) + 3);
    assert_int_equal(sys(lseek, (u64)fd, 1ull << 41, 3), -ENXIO);
    assert_int_equal(sys(ftruncate, (u64)fd, 100000), 0);
    sys(fstat, (u64)fd, P(&s));
    assert_int_equal(s.st_blocks, 0);
    assert_int_equal(sys(lseek, (u64)fd, 0, 3), -ENXIO);
    /* what lies behind a shorter end is zero when it grows again */
    memset(buf, 'x', sizeof(buf));
    assert_int_equal(sys(pwrite64, (u64)fd, P(buf), 150000, 0), 150000);
    assert_int_equal(sys(ftruncate, (u64)fd, 5001), 0);
    assert_int_equal(sys(ftruncate, (u64)fd, 200000), 0);
    assert_int_equal(sys(pread64, (u64)fd, P(buf), 200000, 0), 200000);
    for (int i = 0; i < 200000; i++)
        if (buf[i] != (i < 5001 ? 'x' : 0))
            fail_msg("byte %d", i);
    memset(buf, 'y', 20000);
    sys(pwrite64, (u64)fd, P(buf), 20000, 0);
    assert_int_equal(sys(fallocate, (u64)fd, 3, 1000, 10000), 0);
    sys(pread64, (u64)fd, P(buf), 20000, 0);
    for (int i = 0; i < 20000; i++)
        if (buf[i] != (i >= 1000 && i < 11000 ? 0 : 'y'))
            fail_msg("byte %d", i);
    assert_int_equal(sys(fallocate, (u64)fd, 1, 0, 300000), 0);
    assert_int_equal(sys(lseek, (u64)fd, 0, 2), 200000);
    assert_int_equal(sys(fallocate, (u64)fd, 0, 0, 300000), 0);
    assert_int_equal(sys(lseek, (u64)fd, 0, 2), 300000);
    assert_int_equal(sys(fallocate, (u64)fd, 0, 0, 1ull << 60), -ENOSPC);
    assert_int_equal(sys(fallocate, (u64)fd, 0, (u64)-1, 1), -EINVAL);
    assert_int_equal(sys(ftruncate, (u64)fd, (u64)-1), -EINVAL);
    assert_int_equal(sys(truncate, P("/tmp/sparse"), 7), 0);
    assert_int_equal(st("/tmp/sparse").st_size, 7);
    assert_int_equal(sys(truncate, P("/tmp"), 0), -EISDIR);
    assert_int_equal(sys(truncate, P("/dev/null"), 0), -EINVAL);
    cl(fd);
    ul("/tmp/sparse");
}

struct iov {
    const void *base;
    u64 len;
};

static void test_vectors_and_copies(void **state)
{
    static char big[300000], back[300000];
    char a[4] = {0}, b[8] = {0};
    struct iov w[] = {{"ab", 2}, {"", 0}, {"cdef", 4}}, r[] = {{a, 3}, {b, 8}}, bad[] = {{"ab", 2}, {(void *)8, 2}};
    int fd = opened("/tmp/v", O_RDWR | O_CREAT), out = opened("/tmp/v2", O_RDWR | O_CREAT);
    s64 off = 2, off2 = 0;

    assert_int_equal(sys(writev, (u64)fd, P(w), 3), 6);
    assert_int_equal(sys(preadv2, (u64)fd, P(r), 2, 0, 0, 0), 6);
    assert_memory_equal(a, "abc", 3);
    assert_memory_equal(b, "def", 3);
    assert_int_equal(sys(preadv2, (u64)fd, P(r), 2, (u64)-1, 0, 0), 0);
    assert_int_equal(sys(preadv2, (u64)fd, P(r), 2, 0, 0, 0x100), -EOPNOTSUPP);
    assert_int_equal(sys(pwritev2, (u64)fd, P(w), 1, 0, 0, 16), 2);
    assert_int_equal(sys(lseek, (u64)fd, 0, 2), 8);
    assert_int_equal(sys(writev, (u64)fd, P(w), 1025), -EINVAL);
    assert_int_equal(sys(writev, (u64)fd, P(bad), 2), -EFAULT);
    assert_int_equal(sys(writev, 77, 0, 0), -EBADF);
    for (size_t i = 0; i < sizeof(big); i++)
        big[i] = (char)(i * 7 + (i >> 8));
    assert_int_equal(sys(pwrite64, (u64)fd, P(big), sizeof(big), 0), sizeof(big));
    assert_int_equal(sys(pread64, (u64)fd, P(back), sizeof(back), 0), sizeof(big));
    assert_memory_equal(big, back, sizeof(big));
    assert_int_equal(sys(sendfile, (u64)out, (u64)fd, P(&off), 1000000), sizeof(big) - 2);
    assert_int_equal(off, sizeof(big));
    assert_int_equal(sys(pread64, (u64)out, P(back), sizeof(back), 0), sizeof(big) - 2);
    assert_memory_equal(big + 2, back, sizeof(big) - 2);
    off = 0;
    assert_int_equal(sys(copy_file_range, (u64)fd, P(&off), (u64)out, P(&off2), 100000, 0), 100000);
    assert_int_equal(off2, 100000);
    off = 0, off2 = 10;
    assert_int_equal(sys(copy_file_range, (u64)fd, P(&off), (u64)fd, P(&off2), 100, 0), -EINVAL);
    off2 = 400000;
    assert_int_equal(sys(copy_file_range, (u64)fd, P(&off), (u64)fd, P(&off2), 100, 0), 100);
    assert_int_equal(sys(copy_file_range, (u64)fd, P(&off), (u64)out, P(&off2), 1, 1), -EINVAL);
    cl(fd), cl(out), ul("/tmp/v"), ul("/tmp/v2");
}

static void test_attributes(void **state)
{
    s64 times[4] = {-5, 300, 1ll << 32, 999999999};
    struct kstat s;
    u8 sx[256];

    put("/tmp/at", "x");
    assert_int_equal(sys(chmod, P("/tmp/at"), 06755), 0);
    assert_int_equal(st("/tmp/at").st_mode, S_IFREG | 06755);
    assert_int_equal(sys(chown, P("/tmp/at"), 5, (u64)-1), 0);
    s = st("/tmp/at");
    assert_int_equal(s.st_mode, S_IFREG | 0755);
    assert_int_equal(s.st_uid, 5);
    assert_int_equal(s.st_gid, 0);
    assert_int_equal(sys(utimensat, AT, P("/tmp/at"), P(times), 0), 0);
    s = st("/tmp/at");
    assert_int_equal((s64)s.st_atime, -5);
    assert_int_equal(s.st_atime_nsec, 300);
    assert_int_equal(s.st_mtime, 1ll << 32);
    assert_int_equal(s.st_mtime_nsec, 999999999);
    times[1] = (1l << 30) - 2;
    times[3] = (1l << 30) - 1;
    assert_int_equal(sys(utimensat, AT, P("/tmp/at"), P(times), 0), 0);
    assert_int_equal((s64)st("/tmp/at").st_atime, -5);
    assert_true(st("/tmp/at").st_mtime < 1ull << 32);
    times[1] = 1000000000;
    assert_int_equal(sys(utimensat, AT, P("/tmp/at"), P(times), 0), -EINVAL);
    assert_int_equal(sys(utimes, P("/tmp/none"), 0), -ENOENT);
    assert_int_equal(sys(statx, AT, P("/tmp/at"), AT_SYMLINK_NOFOLLOW, 0xfff, P(sx)), 0);
    assert_int_equal(sx[40], 1); /* size */
    assert_int_equal(sys(setxattr, P("/tmp/at"), P("user.x"), P("v"), 1, 0), -EOPNOTSUPP);
    assert_int_equal(sys(listxattr, P("/tmp/at"), 0, 0), 0);
    assert_int_equal(sys(getxattr, P("/tmp/none"), P("user.x"), 0, 0), -ENOENT);
    sl("at", "/tmp/atl");
    assert_int_equal(sys(fchmodat2, AT, P("/tmp/atl"), 0, AT_SYMLINK_NOFOLLOW), -EOPNOTSUPP);
    assert_int_equal(sys(lchown, P("/tmp/atl"), 9, 9), 0);
    assert_int_equal(st("/tmp/atl").st_uid, 9);
    assert_int_equal(st("/tmp/at").st_uid, 5);
    ul("/tmp/at"), ul("/tmp/atl");
}

static void test_limits_of_a_tmpfs(void **state)
{
    struct {
        u64 type, bsize, blocks, bfree, rest[11];
    } fs, after;
    static char page[4096];
    int fd = opened("/tmp/full", O_RDWR | O_CREAT);
    s64 n, written = 0;

    assert_int_equal(sys(statfs, P("/tmp"), P(&fs)), 0);
    assert_int_equal(fs.type, 0x01021994);
    while ((n = sys(write, (u64)fd, P(page), 4096)) == 4096)
        written += n;
    assert_int_equal(n, -ENOSPC);
    assert_true(written > 1 << 20);
    sys(fstatfs, (u64)fd, P(&after));
    assert_int_equal(after.bfree, 0);
    cl(fd);
    ul("/tmp/full");
    sys(statfs, P("/tmp"), P(&after));
    assert_int_equal(after.bfree, fs.bfree);
    current->process->rlimit[RLIMIT_FSIZE].cur = 10;
    fd = opened("/tmp/full", O_RDWR | O_CREAT);
    assert_int_equal(sys(write, (u64)fd, P(page), 100), 10);
    assert_int_equal(sys(write, (u64)fd, P(page), 100), -EFBIG);
    assert_int_equal(fake_signals_sent(), sigmask(25));
    current->process->rlimit[RLIMIT_FSIZE].cur = RLIM_INFINITY;
    cl(fd);
    ul("/tmp/full");
}

/* ---- the overlay ---- */

static void test_the_image_shows_through_and_is_copied_up(void **state)
{
    struct kstat before = st("/etc/motd"), after;
    char c[8];
    int fd, fd2;
    u64 image_offset;
    struct file *f;

    assert_string_equal(get("/etc/motd"), "hello");
    assert_string_equal(ls("/etc"), "link motd sub");
    fd = opened("/etc/motd", O_RDONLY);
    f = fd_get(fd);
    /* small files may lie in their inode: what counts is that the image is asked */
    f->op->map_image(f, 0, 4096, &image_offset);
    fd2 = opened("/usr/big", O_RDONLY);
    file_put(f);
    f = fd_get(fd2);
    assert_true(f->op->map_image(f, 0, 8192, &image_offset));
    file_put(f);
    cl(fd2);
    assert_int_equal(sys(chmod, P("/etc/motd"), 0600), 0);
    after = st("/etc/motd");
    assert_int_equal(after.st_mode, S_IFREG | 0600);
    assert_int_equal(after.st_ino, before.st_ino);
    assert_int_equal(after.st_dev, before.st_dev);
    assert_int_equal(after.st_mtime, before.st_mtime);
    assert_string_equal(get("/etc/motd"), "hello");
    fd2 = opened("/etc/motd", O_RDWR | O_APPEND);
    assert_int_equal(sys(write, (u64)fd2, P("!!"), 2), 2);
    assert_int_equal(sys(pread64, (u64)fd, P(c), 8, 0), 7); /* opened before, sees it */
    cl(fd2), cl(fd);
    assert_int_equal(st("/etc/motd").st_size, 7);
    assert_string_equal(ls("/etc"), "link motd sub");
    assert_int_equal(st("/etc/motd").st_ino, before.st_ino);
    f = file_open("/etc/motd", O_RDONLY, 0);
    assert_false(f->op->map_image(f, 0, 4096, &image_offset));
    file_put(f);
    put("/etc/sub/one", "replaced");
    assert_string_equal(get("/etc/sub/one"), "replaced");
    assert_string_equal(get("/etc/link"), "hello!!");
    dentry_shrink(NULL); /* nothing depends on the cache */
    assert_string_equal(get("/etc/sub/one"), "replaced");
    assert_int_equal(st("/etc/motd").st_ino, before.st_ino);
    assert_int_equal(sys(truncate, P("/etc/sub/two"), 1), 0);
    assert_string_equal(get("/etc/sub/two"), "t");
}

static void test_what_is_removed_from_the_image_stays_away(void **state)
{
    u64 ino;
    int fd;
    char c[8] = {0};
    struct kstat s;

    assert_string_equal(ls("/opt"), "dir empty f g");
    fd = opened("/opt/f", O_RDONLY);
    assert_int_equal(ul("/opt/f"), 0);
    assert_int_equal(no("/opt/f"), ENOENT);
    assert_int_equal(sys(read, (u64)fd, P(c), 8), 1);
    sys(fstat, (u64)fd, P(&s));
    assert_int_equal(s.st_nlink, 0);
    assert_int_equal(sys(fchmod, (u64)fd, 0640), 0); /* copied up without a name */
    sys(fstat, (u64)fd, P(&s));
    assert_int_equal(s.st_mode, S_IFREG | 0640);
    assert_int_equal(sys(pread64, (u64)fd, P(c), 8, 0), 1);
    cl(fd);
    assert_string_equal(ls("/opt"), "dir empty g");
    dentry_shrink(NULL);
    assert_int_equal(no("/opt/f"), ENOENT);
    put("/opt/f", "again");
    assert_string_equal(get("/opt/f"), "again");
    assert_string_equal(ls("/opt"), "dir empty f g");
    assert_int_equal(ul("/opt/f"), 0);
    assert_int_equal(no("/opt/f"), ENOENT);
    assert_int_equal(rd("/opt/dir"), -ENOTEMPTY);
    assert_int_equal(mv("/opt/dir", "/opt/dir2"), -EXDEV);
    assert_int_equal(ul("/opt/dir/x"), 0);
    assert_int_equal(ul("/opt/dir/y"), 0);
    assert_int_equal(rd("/opt/dir"), 0);
    assert_int_equal(no("/opt/dir"), ENOENT);
    /* a new directory of that name is empty */
    assert_int_equal(md("/opt/dir"), 0);
    assert_string_equal(ls("/opt/dir"), "");
    assert_int_equal(no("/opt/dir/x"), ENOENT);
    dentry_shrink(NULL);
    assert_int_equal(no("/opt/dir/x"), ENOENT);
    put("/opt/dir/x", "new");
    ino = st("/opt/dir/x").st_ino;
    dentry_shrink(NULL);
    assert_int_equal(st("/opt/dir/x").st_ino, ino);
    assert_int_equal(mv("/opt/dir", "/opt/dir2"), 0);
    assert_string_equal(get("/opt/dir2/x"), "new");
    assert_string_equal(ls("/opt"), "dir2 empty g");
    assert_int_equal(mv("/opt/dir2", "/opt/empty"), 0);
    assert_string_equal(ls("/opt"), "empty g");
    /* a file of the image moves, its place stays empty */
    ino = st("/opt/g").st_ino;
    assert_int_equal(mv("/opt/g", "/opt/h"), 0);
    assert_int_equal(no("/opt/g"), ENOENT);
    assert_string_equal(get("/opt/h"), "g");
    assert_int_equal(st("/opt/h").st_ino, ino);
    assert_string_equal(ls("/opt"), "empty h");
    assert_int_equal(ln("/opt/h", "/opt/g"), 0);
    assert_int_equal(st("/opt/g").st_nlink, 2);
    put("/opt/g", "both");
    dentry_shrink(NULL);
    assert_string_equal(get("/opt/h"), "both");
    assert_int_equal(st("/opt/g").st_ino, st("/opt/h").st_ino);
    assert_int_equal(sys(renameat2, AT, P("/opt/h"), AT, P("/etc/link"), 2), 0);
    assert_string_equal(get("/etc/link"), "both");
    assert_int_equal(st("/opt/h").st_mode, S_IFLNK | 0777);
}

static void test_entries_match_stat(void **state)
{
    static const char *const dirs[] = {"/", "/etc", "/opt", "/usr", "/dev", "/tmp"};
    char buf[4096], name[512];

    for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
        int fd = opened(dirs[i], O_RDONLY | O_DIRECTORY), dots = 0;
        s64 n;

        while ((n = sys(getdents64, (u64)fd, P(buf), sizeof(buf))) > 0)
            for (s64 at = 0; at < n; at += *(u16 *)(buf + at + 16)) {
                struct kstat s;
                u64 ino;

                memcpy(&ino, buf + at, 8);
                dots += buf[at + 19] == '.';
                snprintf(name, sizeof(name), "%s/%s", dirs[i], buf + at + 19);
                s = st(name);
                if (s.st_dev == st(dirs[i]).st_dev)
                    assert_int_equal(s.st_ino, ino);
                assert_int_equal((s.st_mode & S_IFMT) >> 12, (u8)buf[at + 18]);
            }
        assert_int_equal(dots, 2);
        cl(fd);
    }
}

/* ---- descriptors and locks ---- */

static void test_descriptors(void **state)
{
    int a = opened("/dev/null", O_RDONLY | O_CLOEXEC), b, fds[40];
    s32 on = 1;

    assert_int_equal(a, 0);
    assert_int_equal(sys(fcntl, (u64)a, 1), 1);
    assert_int_equal(sys(dup, (u64)a), 1);
    assert_int_equal(sys(fcntl, 1, 1), 0);
    assert_int_equal(sys(dup2, (u64)a, (u64)a), a);
    assert_int_equal(sys(fcntl, (u64)a, 1), 1);
    assert_int_equal(sys(dup3, (u64)a, (u64)a, 0), -EINVAL);
    assert_int_equal(sys(dup3, (u64)a, 200, O_CLOEXEC), 200);
    assert_int_equal(sys(fcntl, 200, 1), 1);
    assert_int_equal(sys(dup2, 99, 5), -EBADF);
    assert_int_equal(sys(dup2, (u64)a, 1 << 20), -EBADF);
    assert_int_equal(sys(fcntl, (u64)a, 1030, 100), 100);
    assert_int_equal(sys(fcntl, (u64)a, 0, 100), 101);
    assert_int_equal(sys(fcntl, (u64)a, 0, 1 << 20), -EINVAL);
    assert_int_equal(sys(ioctl, 101, 0x5451), 0);
    assert_int_equal(sys(fcntl, 101, 1), 1);
    assert_int_equal(sys(ioctl, 101, 0x5421, P(&on)), 0);
    assert_int_equal(sys(fcntl, 101, 3) & O_NONBLOCK, O_NONBLOCK);
    assert_int_equal(sys(fcntl, 101, 4, 0), 0);
    assert_int_equal(sys(fcntl, 101, 3) & O_NONBLOCK, 0);
    assert_int_equal(sys(ioctl, 101, 0x5401, P(&on)), -ENOTTY);
    assert_int_equal(sys(close_range, 100, 300, 4), 0);
    assert_int_equal(sys(fcntl, 100, 1), 1);
    assert_int_equal(sys(close_range, 2, ~0u, 0), 0);
    assert_int_equal(sys(close_range, 5, 4, 0), -EINVAL);
    assert_int_equal(cl(100), -EBADF);
    files_close_on_exec(current->process->files);
    assert_int_equal(cl(0), -EBADF);
    assert_int_equal(cl(1), 0);
    current->process->rlimit[RLIMIT_NOFILE].cur = 40;
    for (b = 0; b < 40; b++)
        assert_int_equal(fds[b] = op("/dev/null", O_RDONLY), b);
    assert_int_equal(op("/dev/null", O_RDONLY), -EMFILE);
    cl(17), cl(5);
    assert_int_equal(op("/dev/null", O_RDONLY), 5);
    assert_int_equal(op("/dev/null", O_RDONLY), 17);
    sys(close_range, 0, ~0u, 0);
    current->process->rlimit[RLIMIT_NOFILE].cur = 1024;
}

struct flk {
    s16 type, whence;
    s32 pad;
    s64 start, len;
    s32 pid, pad2;
};

static s64 lock(int fd, u32 cmd, s16 type, s64 start, s64 len)
{
    struct flk l = {.type = type, .start = start, .len = len};

    return sys(fcntl, (u64)fd, cmd, P(&l));
}

static struct flk lock_get(int fd, s16 type, s64 start, s64 len)
{
    struct flk l = {.type = type, .start = start, .len = len};

    assert_int_equal(sys(fcntl, (u64)fd, 36, P(&l)), 0);
    return l;
}

static int unlock_fd;
static void unlock_later(void *arg)
{
    fake_sleep_ms(50);
    sys(flock, (u64)unlock_fd, 8);
    lock(unlock_fd, 37, 2, 0, 0);
}

static void test_locks(void **state)
{
    int a = opened("/tmp/lock", O_RDWR | O_CREAT), b = opened("/tmp/lock", O_RDWR), c;
    struct files *mine = current->process->files, *other;
    struct flk l;
    struct task *t;

    assert_int_equal(sys(flock, (u64)a, 2), 0);
    assert_int_equal(sys(flock, (u64)b, 1 | 4), -EAGAIN);
    assert_int_equal(sys(flock, (u64)a, 1), 0);
    assert_int_equal(sys(flock, (u64)b, 1 | 4), 0);
    assert_int_equal(sys(flock, (u64)b, 2 | 4), -EAGAIN);
    assert_int_equal(sys(flock, (u64)b, 8), 0);
    assert_int_equal(sys(flock, (u64)a, 3), -EINVAL);
    unlock_fd = a;
    t = fake_thread(unlock_later, NULL);
    assert_int_equal(sys(flock, (u64)b, 2), 0); /* waits */
    fake_join(t);
    c = (int)sys(dup, (u64)b);
    cl(b);
    assert_int_equal(sys(flock, (u64)a, 2 | 4), -EAGAIN); /* the copy still has it */
    sys(flock, (u64)c, 8);
    b = c;

    /* OFD locks on ranges, by two open files */
    assert_int_equal(lock(a, 37, 1, 0, 100), 0);
    assert_int_equal(lock(b, 37, 1, 50, 10), -EAGAIN);
    assert_int_equal(lock(b, 37, 1, 100, 10), 0);
    assert_int_equal(lock(a, 37, 2, 40, 20), 0); /* leaves [0,40) and [60,100) */
    assert_int_equal(lock(b, 37, 0, 40, 20), 0);
    l = lock_get(b, 0, 0, 0);
    assert_int_equal(l.type, 1);
    assert_int_equal(l.start, 0);
    assert_int_equal(l.len, 40);
    assert_int_equal(l.pid, -1);
    l = lock_get(b, 0, 45, 30);
    assert_int_equal(l.start, 60);
    assert_int_equal(l.len, 40);
    assert_int_equal(lock(b, 37, 2, 0, 0), 0);
    assert_int_equal(lock(a, 37, 1, 40, 20), 0); /* grows together */
    l = lock_get(b, 0, 0, 0);
    assert_int_equal(l.len, 100);
    t = fake_thread(unlock_later, NULL);
    assert_int_equal(lock(b, 38, 1, 0, 0), 0); /* waits */
    fake_join(t);
    lock(b, 37, 2, 0, 0);

    /* POSIX locks: one process sees none of its own, another does; any close drops them */
    other = files_clone(mine);
    assert_int_equal(lock(a, 6, 1, 10, 10), 0);
    assert_int_equal(lock(b, 6, 1, 0, 0), 0);
    current->process->files = other;
    assert_int_equal(lock(b, 6, 0, 5, 1), -EAGAIN);
    l = (struct flk){.type = 1};
    assert_int_equal(sys(fcntl, (u64)b, 5, P(&l)), 0);
    assert_int_equal(l.pid, 2);
    assert_int_equal(l.len, 0);
    current->process->files = mine;
    c = opened("/tmp/lock", O_RDONLY);
    assert_int_equal(lock(c, 6, 1, 0, 0), -EBADF);
    cl(c);
    current->process->files = other;
    assert_int_equal(lock(b, 6, 1, 0, 0), 0);
    current->process->files = mine;
    /* EDEADLK needs two waiters; a signal ends the wait of one */
    current->pending.set = sigmask(10);
    assert_int_equal(lock(a, 7, 1, 0, 0), -ERESTARTSYS);
    current->pending.set = 0;
    files_put(other);
    assert_int_equal(lock(a, 6, 1, 0, 0), 0);
    cl(a), cl(b);
    ul("/tmp/lock");
}

/* ---- shares ---- */

static char share_dir[] = "/tmp/thaw-vfs-XXXXXX";

static s64 serve(struct thaw_call *call, const void *data, void *reply, size_t reply_size)
{
    static char buf[THAW_CALL_DATA_MAX];

    host_share_serve(call, data, buf);
    call->len = (u32)min((size_t)call->len, reply_size);
    if (call->len)
        memcpy(reply, buf, call->len);
    return call->ret;
}

static int mount_shares(const char *const paths[], const u32 flags[], u32 count)
{
    static _Alignas(8) char area[4096];
    struct thaw_request *req = (void *)area;
    struct thaw_share *shares = (void *)(req + 1);
    u32 at = sizeof(*req) + count * sizeof(*shares);

    memset(area, 0, sizeof(area));
    req->share_count = count;
    req->share_off = sizeof(*req);
    for (u32 i = 0; i < count; i++) {
        shares[i] = (struct thaw_share){at, flags[i]};
        at += (u32)sprintf(area + at, "%s", paths[i]) + 1;
    }
    req->size = at;
    return vfs_mount_shares(req);
}

static bool count_mounts(void *arg, const struct mount_info *info)
{
    ++*(int *)arg;
    return true;
}

static void test_shares_come_and_go(void **state)
{
    char name[300];
    FILE *f;
    int fd, mounts = 0, later = 0;

    assert_int_equal(host_share_add(share_dir, true), 0);
    snprintf(name, sizeof(name), "%s/a.py", share_dir);
    f = fopen(name, "w");
    fputs("print(1)", f);
    fclose(f);
    assert_int_equal(host_share_add(name, false), 1);

    vfs_for_each_mount(count_mounts, &mounts);
    assert_int_equal(
        mount_shares((const char *[]){"/home/me/src", "/home/me/one.py"}, (u32[]){THAW_SHARE_RDONLY, 0}, 2), 0);
    vfs_for_each_mount(count_mounts, &later);
    assert_int_equal(later, mounts + 2);
    assert_string_equal(get("/home/me/src/a.py"), "print(1)");
    assert_string_equal(get("/home/me/one.py"), "print(1)");
    assert_string_equal(ls("/home/me"), "one.py src");
    assert_int_equal(op("/home/me/src/a.py", O_RDWR), -EROFS);
    assert_int_equal(op("/home/me/src/new", O_RDWR | O_CREAT), -EROFS);
    assert_int_equal(md("/home/me/src/new"), -EROFS);
    assert_int_equal(ul("/home/me/src/a.py"), -EROFS);
    assert_int_equal(sys(chmod, P("/home/me/src/a.py"), 0), -EROFS);
    assert_int_equal(sys(access, P("/home/me/src/a.py"), 2), -EROFS);
    assert_int_equal(rd("/home/me/src"), -EBUSY);
    put("/home/me/one.py", "print(2)");
    f = fopen(name, "r");
    assert_int_equal(fgetc(f), 'p');
    fseek(f, 6, SEEK_SET);
    assert_int_equal(fgetc(f), '2');
    fclose(f);
    assert_int_equal(sys(chdir, P("/home/me/src")), 0);
    assert_string_equal(cwd(), "/home/me/src");
    assert_int_equal(sys(chdir, P("..")), 0);
    assert_string_equal(cwd(), "/home/me");
    assert_int_equal(sys(chdir, P("/")), 0);
    /* the next start brings others, and leaves no trace of these */
    fd = opened("/home/me/src/a.py", O_RDONLY);
    assert_int_equal(mount_shares((const char *[]){"/tmp"}, (u32[]){THAW_SHARE_RDONLY}, 1), 0);
    assert_int_equal(no("/home"), ENOENT);
    cl(fd);
    assert_string_equal(get("/tmp/a.py"), "print(2)");
    put("/tmp/mine", "x"); /* writable all the same */
    assert_string_equal(ls("/tmp"), "a.py mine");
    { /* a host directory below an overlay: the host sees nothing of what happens above */
        struct kstat before = st("/tmp/a.py");

        fd = opened("/tmp/a.py", O_RDWR | O_APPEND);
        assert_int_equal(sys(write, (u64)fd, P("#"), 1), 1);
        cl(fd);
        assert_string_equal(get("/tmp/a.py"), "print(2)#");
        assert_int_equal(st("/tmp/a.py").st_ino, before.st_ino);
        assert_int_equal(mv("/tmp/a.py", "/tmp/b.py"), 0);
        assert_int_equal(no("/tmp/a.py"), ENOENT);
        assert_string_equal(get("/tmp/b.py"), "print(2)#");
        assert_string_equal(ls("/tmp"), "b.py mine");
        dentry_shrink(NULL);
        assert_int_equal(no("/tmp/a.py"), ENOENT);
        f = fopen(name, "r");
        assert_non_null(f);
        fseek(f, 0, SEEK_END);
        assert_int_equal(ftell(f), 8);
        fclose(f);
    }
    assert_int_equal(mount_shares((const char *[]){"//"}, (u32[]){THAW_SHARE_RDONLY}, 1), -EINVAL);
    assert_int_equal(mount_shares((const char *[]){"relative"}, (u32[]){THAW_SHARE_RDONLY}, 1), -EINVAL);
    assert_int_equal(mount_shares(NULL, NULL, 0), 0);
    assert_int_equal(no("/tmp/a.py"), ENOENT);
    later = 0;
    vfs_for_each_mount(count_mounts, &later);
    assert_int_equal(later, mounts);
    unlink(name);
}

/* ---- want of memory ---- */

static void put_oom(const char *name, const char *text)
{
    int fd = op(name, O_WRONLY | O_CREAT | O_TRUNC);

    if (fd < 0)
        return;
    sys(write, (u64)fd, P(text), strlen(text));
    cl(fd);
}
static void try_everything(void)
{
    int fd;

    md("/tmp/oom");
    md("/opt/oom");
    sl("x", "/tmp/oom/s");
    fd = op("/tmp/oom/f", O_RDWR | O_CREAT);
    if (fd >= 0) {
        sys(pwrite64, (u64)fd, P("xxxxxxxx"), 8, 1 << 22);
        lock(fd, 37, 1, 0, 10);
        lock(fd, 37, 0, 3, 2);
        cl(fd);
    }
    sys(chmod, P("/usr/lib/deep/file"), 0600);
    ul("/usr/lib/deep/other");
    fd = op("/usr/lib/deep", O_RDONLY);
    if (fd >= 0) {
        char buf[4096];

        sys(getdents64, (u64)fd, P(buf), sizeof(buf));
        cl(fd);
    }
    ln("/tmp/oom/f", "/tmp/oom/g");
    mv("/tmp/oom/g", "/tmp/oom/h");
    mv("/usr/lib/deep/file", "/usr/lib/deep/moved");
    put_oom("/usr/lib/deep/file", "again");
    fd = (int)sys(memfd_create, P("m"), 0);
    if (fd >= 0)
        cl(fd);
    fake_alloc_fail = 0;
    ul("/tmp/oom/s"), ul("/tmp/oom/f"), ul("/tmp/oom/g"), ul("/tmp/oom/h"), rd("/tmp/oom"), rd("/opt/oom");
}

static void test_no_failed_allocation_leaks_or_crashes(void **state)
{
    long before;

    try_everything();
    dentry_shrink(NULL);
    before = fake_allocated;
    for (long n = 1; n < 300; n++) {
        fake_alloc_fail = n;
        try_everything();
        fake_alloc_fail = 0;
        dentry_shrink(NULL);
        if (fake_allocated > before + 4) /* whiteouts and copies that came later stay */
            fail_msg("allocation %ld: %ld blocks left, %ld before", n, fake_allocated, before);
    }
}

/* ---- frame ---- */

static long allocated;
static int setup(void **state)
{
    dentry_shrink(NULL);
    allocated = fake_allocated;
    return 0;
}

static int teardown(void **state)
{
    sys(close_range, 0, ~0u, 0);
    dentry_shrink(NULL);
    if (fake_allocated != allocated)
        print_message("%ld blocks before, %ld after\n", allocated, fake_allocated);
    return fake_allocated == allocated ? 0 : -1;
}

static int group_setup(void **state)
{
    char dir[] = "/tmp/thaw-vfs-image-XXXXXX", cmd[1000], name[64];
    struct thaw_boot *boot;
    void *image;
    size_t size;
    FILE *f;
    int fd;

    if (!mkdtemp(dir) || !mkdtemp(share_dir))
        return -1;
    snprintf(cmd, sizeof(cmd),
             "cd %s && mkdir root && cd root && mkdir -p etc/sub opt/dir opt/empty usr/lib/deep && printf hello "
             ">etc/motd && "
             "ln -s motd etc/link && printf one >etc/sub/one && printf two >etc/sub/two && printf f >opt/f && "
             "printf g >opt/g && printf x >opt/dir/x && printf y >opt/dir/y && "
             "printf deep >usr/lib/deep/file && printf o >usr/lib/deep/other && "
             "head -c 50000 /dev/zero >usr/big && cd .. && mkfs.erofs --quiet i.erofs root >/dev/null 2>&1",
             dir);
    if (system(cmd))
        return -1;
    snprintf(name, sizeof(name), "%s/i.erofs", dir);
    f = fopen(name, "rb");
    image = f ? aligned_alloc(4096, 4u << 20) : NULL;
    if (!image)
        return -1;
    size = fread(image, 1, 4u << 20, f);
    fclose(f);
    snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
    if (system(cmd))
        return -1;
    fake_init();
    fake_monitor = serve;
    fake_image = image;
    boot = machine_boot();
    boot->image_size = size;
    boot->memory_limit = 16u << 20;
    current->process->files = files_create();
    current->process->fs = fs_create();
    current->process->rlimit[RLIMIT_NOFILE] = (struct rlimit){1024, 4096};
    for (int i = 0; i < RLIM_NLIMITS; i++)
        if (i != RLIMIT_NOFILE)
            current->process->rlimit[i] = (struct rlimit){RLIM_INFINITY, RLIM_INFINITY};
    if (vfs_init(boot) < 0)
        return -1;
    /* what is made once, at first use */
    fd = (int)sys(memfd_create, P("m"), 0);
    sys(write, (u64)fd, P(cmd), 1000);
    bounce_put(bounce_get());
    return (int)cl(fd);
}

static int group_teardown(void **state)
{
    host_share_free();
    rmdir(share_dir);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_names_are_walked),
        TEST(test_links_are_followed),
        TEST(test_open_answers_as_linux_does),
        TEST(test_removing_answers_as_linux_does),
        TEST(test_renaming_answers_as_linux_does),
        TEST(test_big_directories_list_whole),
        TEST(test_sparse_files),
        TEST(test_vectors_and_copies),
        TEST(test_attributes),
        TEST(test_limits_of_a_tmpfs),
        TEST(test_descriptors),
        TEST(test_locks),
        TEST(test_shares_come_and_go),
        cmocka_unit_test(test_the_image_shows_through_and_is_copied_up),
        cmocka_unit_test(test_what_is_removed_from_the_image_stays_away),
        TEST(test_entries_match_stat),
        cmocka_unit_test(test_no_failed_allocation_leaks_or_crashes),
    };

    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
