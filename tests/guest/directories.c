/* SPDX-License-Identifier: MIT */
/* Directories: mkdir, rmdir, chdir, a big one listed whole, links, and each rule of rename(2). */
#define _GNU_SOURCE
#include "guest.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void touch(const char *path) { CHECK(close(open(path, O_WRONLY | O_CREAT, 0644)) == 0); }

static void big(void)
{
    enum { N = 2500 };
    static char seen[N];
    char name[512];
    int n = 0;
    DIR *d;

    CHECK(mkdir("/tmp/big", 0755) == 0);
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "/tmp/big/some-file-%05d", i);
        touch(name);
    }
    CHECK((d = opendir("/tmp/big")));
    for (struct dirent *e; (e = readdir(d));) {
        int i;
        if (e->d_name[0] == '.')
            continue;
        CHECK(sscanf(e->d_name, "some-file-%d", &i) == 1 && i >= 0 && i < N && !seen[i]++);
        CHECK(e->d_type == DT_REG || e->d_type == DT_UNKNOWN);
        n++;
        if (i % 3 == 0) { /* removing while listing must not lose others */
            snprintf(name, sizeof name, "/tmp/big/%s", e->d_name);
            CHECK(unlink(name) == 0);
        }
    }
    CHECK(n == N);
    rewinddir(d);
    for (n = 0; readdir(d);)
        n++;
    CHECK(n == N - (N + 2) / 3 + 2);
    closedir(d);
}

static void renames(void)
{
    struct stat a, b;

    CHECK(mkdir("/tmp/r", 0755) == 0 && mkdir("/tmp/r/d", 0755) == 0 && mkdir("/tmp/r/full", 0755) == 0);
    touch("/tmp/r/f");
    touch("/tmp/r/g");
    touch("/tmp/r/full/x");
    CHECK(stat("/tmp/r/f", &a) == 0 && rename("/tmp/r/f", "/tmp/r/g") == 0 && stat("/tmp/r/g", &b) == 0);
    CHECK(a.st_ino == b.st_ino);
    FAILS(access("/tmp/r/f", F_OK), ENOENT);
    FAILS(rename("/tmp/r/none", "/tmp/r/x"), ENOENT);
    FAILS(rename("/tmp/r/g", "/tmp/r/d"), EISDIR);
    FAILS(rename("/tmp/r/d", "/tmp/r/g"), ENOTDIR);
    FAILS(rename("/tmp/r/d", "/tmp/r/full"), ENOTEMPTY);
    FAILS(rename("/tmp/r", "/tmp/r/d/below"), EINVAL);
    CHECK(rename("/tmp/r/full", "/tmp/r/d") == 0 && access("/tmp/r/d/x", F_OK) == 0);
    CHECK(rename("/tmp/r/g", "/tmp/r/g") == 0);
    CHECK(link("/tmp/r/g", "/tmp/r/h") == 0 && rename("/tmp/r/g", "/tmp/r/h") == 0);
    CHECK(access("/tmp/r/g", F_OK) == 0 && access("/tmp/r/h", F_OK) == 0); /* two names of one file: nothing happens */
    FAILS(syscall(SYS_renameat2, AT_FDCWD, "/tmp/r/g", AT_FDCWD, "/tmp/r/h", 1 /* RENAME_NOREPLACE */), EEXIST);
    /* an ancestor moved: ".." follows */
    CHECK(mkdir("/tmp/r/a", 0755) == 0 && mkdir("/tmp/r/a/b", 0755) == 0 && chdir("/tmp/r/a/b") == 0);
    CHECK(rename("/tmp/r/a", "/tmp/r/z") == 0);
    char cwd[256];
    CHECK(getcwd(cwd, sizeof cwd) && !strcmp(cwd, "/tmp/r/z/b"));
    CHECK(chdir("..") == 0 && getcwd(cwd, sizeof cwd) && !strcmp(cwd, "/tmp/r/z"));
    CHECK(chdir("/") == 0);
}

int main(void)
{
    char buf[64];
    struct stat st;

    CHECK(mkdir("/tmp/d", 0750) == 0 && stat("/tmp/d", &st) == 0 && S_ISDIR(st.st_mode) && (st.st_mode & 0777) == 0750);
    FAILS(mkdir("/tmp/d", 0750), EEXIST);
    FAILS(mkdir("/tmp/no/d", 0750), ENOENT);
    touch("/tmp/d/f");
    FAILS(rmdir("/tmp/d"), ENOTEMPTY);
    FAILS(rmdir("/tmp/d/f"), ENOTDIR);
    FAILS(unlink("/tmp/d"), EISDIR);
    CHECK(unlink("/tmp/d/f") == 0 && rmdir("/tmp/d") == 0);
    FAILS(stat("/tmp/d", &st), ENOENT);
    CHECK(symlink("target", "/tmp/l") == 0 && readlink("/tmp/l", buf, sizeof buf) == 6 && !memcmp(buf, "target", 6));
    FAILS(open("/tmp/l", O_RDONLY), ENOENT);
    FAILS(open("/tmp/l", O_RDONLY | O_NOFOLLOW), ELOOP);
    CHECK(lstat("/tmp/l", &st) == 0 && S_ISLNK(st.st_mode) && st.st_size == 6);
    touch("/tmp/target");
    CHECK(stat("/tmp/l", &st) == 0 && S_ISREG(st.st_mode));
    CHECK(symlink("loop2", "/tmp/loop1") == 0 && symlink("loop1", "/tmp/loop2") == 0);
    FAILS(open("/tmp/loop1", O_RDONLY), ELOOP);
    int d = open("/tmp", O_RDONLY | O_DIRECTORY);
    CHECK(d >= 0 && faccessat(d, "target", R_OK, 0) == 0 && fstatat(d, "l", &st, AT_SYMLINK_NOFOLLOW) == 0);
    CHECK(openat(d, "made", O_WRONLY | O_CREAT, 0600) >= 0 && unlinkat(d, "made", 0) == 0);
    CHECK(fchdir(d) == 0 && access("target", F_OK) == 0);
    FAILS(access("/tmp/target/", F_OK), ENOTDIR);
    CHECK(access("/../../tmp/./target", F_OK) == 0);
    renames();
    big();
    return success();
}
