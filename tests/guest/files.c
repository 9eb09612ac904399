/* SPDX-License-Identifier: MIT */
/* Regular files: what open, read, write, seek, truncate and stat promise in their manual pages. */
#define _GNU_SOURCE
#include "guest.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

int main(void)
{
    char buf[64];
    struct stat st;
    int fd = open("/tmp/f", O_RDWR | O_CREAT | O_EXCL, 0640);

    CHECK(fd >= 0);
    FAILS(open("/tmp/f", O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
    FAILS(open("/tmp/none", O_RDONLY), ENOENT);
    FAILS(open("/tmp/f/x", O_RDONLY), ENOTDIR);
    FAILS(open("/tmp", O_WRONLY), EISDIR);
    FAILS(open("/tmp/f", O_RDONLY | O_DIRECTORY), ENOTDIR);
    CHECK(write(fd, "hello world", 11) == 11);
    CHECK(lseek(fd, 0, SEEK_CUR) == 11);
    CHECK(pread(fd, buf, 5, 6) == 5 && !memcmp(buf, "world", 5));
    CHECK(lseek(fd, 0, SEEK_CUR) == 11);
    CHECK(pwrite(fd, "W", 1, 6) == 1);
    CHECK(lseek(fd, -5, SEEK_END) == 6);
    CHECK(read(fd, buf, sizeof buf) == 5 && !memcmp(buf, "World", 5));
    CHECK(read(fd, buf, sizeof buf) == 0);
    FAILS(lseek(fd, -1, SEEK_SET), EINVAL);
    CHECK(fstat(fd, &st) == 0 && st.st_size == 11 && S_ISREG(st.st_mode) && (st.st_mode & 07777) == 0640);
    CHECK(st.st_nlink == 1 && st.st_uid == getuid());
    /* a hole reads as zeros */
    CHECK(pwrite(fd, "x", 1, 100000) == 1 && pread(fd, buf, 8, 50000) == 8 && !memcmp(buf, "\0\0\0\0\0\0\0\0", 8));
    CHECK(ftruncate(fd, 3) == 0 && fstat(fd, &st) == 0 && st.st_size == 3);
    CHECK(ftruncate(fd, 8) == 0 && pread(fd, buf, 64, 0) == 8 && !memcmp(buf, "hel\0\0\0\0\0", 8));
    /* O_APPEND goes to the end, wherever the offset is */
    int a = open("/tmp/f", O_WRONLY | O_APPEND);
    CHECK(a >= 0 && lseek(a, 0, SEEK_SET) == 0 && write(a, "end", 3) == 3 && fstat(a, &st) == 0 && st.st_size == 11);
    FAILS(read(a, buf, 1), EBADF);
    /* dup shares the offset, a second open does not */
    int d = dup(fd), o = open("/tmp/f", O_RDONLY);
    CHECK(lseek(fd, 4, SEEK_SET) == 4 && lseek(d, 0, SEEK_CUR) == 4 && lseek(o, 0, SEEK_CUR) == 0);
    FAILS(write(o, "x", 1), EBADF);
    /* vectors */
    struct iovec v[2] = {{"ab", 2}, {"cde", 3}};
    CHECK(lseek(fd, 0, SEEK_SET) == 0 && writev(fd, v, 2) == 5);
    char p[2], q[3];
    struct iovec r[2] = {{p, 2}, {q, 3}};
    CHECK(preadv(fd, r, 2, 0) == 5 && !memcmp(p, "ab", 2) && !memcmp(q, "cde", 3));
    /* a removed file lives until it is closed */
    CHECK(unlink("/tmp/f") == 0 && pread(fd, buf, 5, 0) == 5 && fstat(fd, &st) == 0 && st.st_nlink == 0);
    FAILS(open("/tmp/f", O_RDONLY), ENOENT);
    /* O_TRUNC, O_TMPFILE or its absence, O_CLOEXEC, F_DUPFD */
    CHECK(close(open("/tmp/g", O_WRONLY | O_CREAT | O_CLOEXEC, 0600)) == 0);
    int c = open("/tmp/g", O_RDWR | O_TRUNC | O_CLOEXEC);
    CHECK(fcntl(c, F_GETFD) == FD_CLOEXEC && (fcntl(c, F_GETFL) & O_ACCMODE) == O_RDWR);
    CHECK(fcntl(c, F_DUPFD, 50) == 50 && fcntl(50, F_GETFD) == 0);
    CHECK(dup2(c, 60) == 60 && dup3(c, 61, O_CLOEXEC) == 61 && fcntl(61, F_GETFD) == FD_CLOEXEC);
    CHECK(close(61) == 0);
    FAILS(close(61), EBADF);
    FAILS(read(-1, buf, 1), EBADF);
    FAILS(read(1000000, buf, 1), EBADF);
    /* bad memory is EFAULT, not a crash */
    CHECK(lseek(c, 0, SEEK_SET) == 0 && write(c, "abcd", 4) == 4 && lseek(c, 0, SEEK_SET) == 0);
    FAILS(read(c, (void *)8, 4), EFAULT);
    FAILS(write(c, (void *)0x700000800000, 4), EFAULT);
    FAILS(read(c, (void *)0xffff800000000000, 4), EFAULT);
    FAILS(open((char *)8, O_RDONLY), EFAULT);
    char name[5000];
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = 0;
    FAILS(open(name, O_RDONLY), ENAMETOOLONG);
    name[256] = 0;
    FAILS(open(name, O_RDONLY | O_CREAT, 0600), ENAMETOOLONG);
    /* the limit of descriptors */
    int last = 0, n = 0;
    while ((last = dup(c)) >= 0 && n < 100000)
        n++;
    CHECK(n < 100000);
    return success();
}
