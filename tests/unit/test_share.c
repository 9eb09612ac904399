/* SPDX-License-Identifier: MIT */
/* The host file server against a guest's kernel that wants out: every call, from the outside. */
#define _GNU_SOURCE
#include "share.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* DIR/ro, shared as 0 read-only; DIR/rw, shared as 1; DIR/file, shared as 2; DIR/rofile, as 3 read-only; DIR/secret,
 * not shared. */
struct world {
    char dir[32];
    struct share_set *set;
    unsigned char reply[THAW_CALL_DATA_MAX];
    uint32_t reply_len;
};

static char *path_in(const struct world *w, const char *name)
{
    static char path[256];

    snprintf(path, sizeof path, "%s/%s", w->dir, name);
    return path;
}

static void write_file(const struct world *w, const char *name, const char *text)
{
    FILE *f = fopen(path_in(w, name), "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void link_to(const struct world *w, const char *target, const char *name)
{
    assert_int_equal(symlink(target, path_in(w, name)), 0);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct thaw_error err;

    strcpy(w->dir, "/tmp/thaw-test-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    assert_int_equal(mkdir(path_in(w, "ro"), 0755) | mkdir(path_in(w, "rw"), 0755) | mkdir(path_in(w, "secret"), 0755) |
                         mkdir(path_in(w, "ro/sub"), 0755) | mkdir(path_in(w, "rw/sub"), 0755),
                     0);
    write_file(w, "secret/key", "secret");
    write_file(w, "ro/a", "hello");
    write_file(w, "ro/sub/b", "below");
    write_file(w, "rw/a", "hello");
    write_file(w, "file", "one file");
    write_file(w, "rofile", "one file");
    for (int i = 0; i < 2; i++) {
        const char *s = i ? "rw" : "ro";
        char name[64], target[128];

        snprintf(name, sizeof name, "%s/up", s);
        link_to(w, "..", name);
        snprintf(name, sizeof name, "%s/key", s);
        link_to(w, "../secret/key", name);
        snprintf(name, sizeof name, "%s/abs", s);
        snprintf(target, sizeof target, "%s/secret", w->dir);
        link_to(w, target, name);
        snprintf(name, sizeof name, "%s/root", s);
        link_to(w, "/", name);
        snprintf(name, sizeof name, "%s/self", s);
        link_to(w, "/proc/self", name);
        snprintf(name, sizeof name, "%s/inside", s);
        link_to(w, "sub", name);
        assert_int_equal(mkfifo(path_in(w, i ? "rw/fifo" : "ro/fifo"), 0600), 0);
    }
    w->set = share_set_create();
    assert_int_equal(share_add(w->set, path_in(w, "ro"), true, &err), 0);
    assert_int_equal(share_add(w->set, path_in(w, "rw"), false, &err), 1);
    assert_int_equal(share_add(w->set, path_in(w, "file"), false, &err), 2);
    assert_int_equal(share_add(w->set, path_in(w, "rofile"), true, &err), 3);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    char command[64];

    share_set_free(w->set);
    snprintf(command, sizeof command, "rm -rf %s", w->dir);
    assert_int_equal(system(command), 0);
    free(w);
    return 0;
}

static int64_t call_data(struct world *w, uint32_t op, uint64_t share, uint64_t a1, uint64_t a2, uint64_t a3,
                         const void *data, size_t len)
{
    struct thaw_call call = {.op = op, .len = (uint32_t)len, .arg = {share, a1, a2, a3}};
    /* Exactly as large as it says, so that the sanitizers see a read beyond it. */
    void *exact = malloc(len ? len : 1);
    int64_t ret;

    memcpy(exact, data, len);
    ret = share_serve(w->set, &call, exact, w->reply, &w->reply_len);
    free(exact);
    assert_true(w->reply_len <= THAW_CALL_DATA_MAX);
    return ret;
}

static int64_t call_path(struct world *w, uint32_t op, uint64_t share, const char *path, uint64_t a1, uint64_t a2)
{
    return call_data(w, op, share, a1, a2, 0, path, strlen(path));
}

static int64_t open_file(struct world *w, uint64_t share, const char *path, int flags)
{
    return call_path(w, THAW_CALL_OPEN, share, path, (uint64_t)flags, 0644);
}

static int64_t read_some(struct world *w, uint64_t share, int64_t handle, uint64_t off, uint64_t n)
{
    return call_data(w, THAW_CALL_PREAD, share, (uint64_t)handle, off, n, "", 0);
}

static void assert_still_secret(const struct world *w)
{
    struct stat st;
    char text[16] = "";
    int fd = open(path_in(w, "secret/key"), O_RDONLY);

    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_nlink, 1);
    assert_int_equal(read(fd, text, sizeof text), 6);
    assert_memory_equal(text, "secret", 6);
    close(fd);
}

/* What leads, or would lead, out of the share. */
static const char *const ways_out[] = {
    "..",
    "../secret/key",
    "sub/../../secret/key",
    "./../secret/key",
    "up/secret/key",
    "up",
    "key/",
    "abs/key",
    "root/etc/passwd",
    "root",
    "self/root",
    "sub/../..",
    "self/cwd/x",
    "sub/../up/secret",
    "../ro/../secret/key",
    "abs/../secret/key",
    "inside/../../secret/key",
};

static void test_no_path_leads_out(void **state)
{
    struct world *w = *state;

    for (uint64_t share = 0; share < 2; share++)
        for (size_t i = 0; i < sizeof ways_out / sizeof *ways_out; i++) {
            const char *p = ways_out[i];

            assert_true(open_file(w, share, p, O_RDONLY) < 0);
            assert_true(open_file(w, share, p, O_RDONLY | O_DIRECTORY) < 0);
            assert_true(open_file(w, share, p, O_RDWR) < 0);
            assert_true(open_file(w, share, p, O_RDWR | O_CREAT | O_TRUNC) < 0);
            if (strcmp(p, "up") != 0 && strcmp(p, "root") != 0) { /* links, which may be looked at */
                assert_true(call_path(w, THAW_CALL_STAT, share, p, 0, 0) < 0);
                assert_true(call_path(w, THAW_CALL_UTIMENS, share, p, 0, 0) < 0);
                assert_true(call_path(w, THAW_CALL_READLINK, share, p, 0, 0) < 0);
                assert_true(call_path(w, THAW_CALL_UNLINK, share, p, 0, 0) < 0);
            }
            assert_true(call_path(w, THAW_CALL_CHMOD, share, p, 0777, 0) < 0);
            assert_true(call_path(w, THAW_CALL_MKDIR, share, p, 0777, 0) < 0);
            assert_true(call_path(w, THAW_CALL_RMDIR, share, p, 0, 0) < 0);
        }
    assert_still_secret(w);
}

static int64_t call_two(struct world *w, uint32_t op, const char *first, const char *second, uint64_t flags)
{
    char both[512];

    snprintf(both, sizeof both, "%s%s", first, second);
    return call_data(w, op, 1, flags, strlen(first), 0, both, strlen(both));
}

static void test_nothing_is_moved_or_linked_in_or_out(void **state)
{
    struct world *w = *state;

    for (size_t i = 0; i < sizeof ways_out / sizeof *ways_out; i++) {
        const char *p = ways_out[i];

        if (strcmp(p, "up") == 0 || strcmp(p, "root") == 0)
            continue; /* links: they are moved themselves */
        assert_true(call_two(w, THAW_CALL_RENAME, p, "stolen", 0) < 0);
        assert_true(call_two(w, THAW_CALL_RENAME, "a", p, 0) < 0);
        assert_true(call_two(w, THAW_CALL_RENAME, "a", p, 2) < 0);
        assert_true(call_two(w, THAW_CALL_LINK, p, "stolen", 0) < 0);
        assert_true(call_two(w, THAW_CALL_LINK, "a", p, 0) < 0);
        assert_true(call_two(w, THAW_CALL_SYMLINK, "target", p, 0) < 0);
    }
    /* A hard link to a symbolic link is one to the link, not to what it leads to. */
    assert_int_equal(call_two(w, THAW_CALL_LINK, "key", "hard", 0), 0);
    assert_int_equal(open_file(w, 1, "hard", O_RDONLY), -ELOOP);
    assert_still_secret(w);
}

static void test_links_within_are_followed_but_not_the_last(void **state)
{
    struct world *w = *state;

    assert_true(open_file(w, 0, "sub/b", O_RDONLY) >= 0);
    assert_true(open_file(w, 0, "inside/b", O_RDONLY) >= 0);
    assert_true(open_file(w, 0, "sub/../a", O_RDONLY) >= 0);
    assert_int_equal(open_file(w, 0, "inside", O_RDONLY | O_DIRECTORY), -ELOOP);
    assert_int_equal(open_file(w, 0, "key", O_RDONLY), -ELOOP);
    assert_int_equal(call_path(w, THAW_CALL_STAT, 0, "key", 0, 0), 0);
    assert_true(S_ISLNK(((struct thaw_stat *)w->reply)->mode));
    assert_int_equal(call_path(w, THAW_CALL_READLINK, 0, "key", 0, 0), 13);
    assert_memory_equal(w->reply, "../secret/key", 13);
    assert_int_equal(call_path(w, THAW_CALL_CHMOD, 1, "key", 0777, 0) < 0, 1);
    assert_int_equal(call_path(w, THAW_CALL_CHMOD, 1, "inside", 0711, 0) < 0, 1);
    assert_int_equal(call_path(w, THAW_CALL_STAT, 1, "sub", 0, 0), 0);
    assert_int_equal(((struct thaw_stat *)w->reply)->mode & 0777, 0755);
    assert_still_secret(w);
}

static void test_odd_paths_are_refused(void **state)
{
    struct world *w = *state;
    char *big = malloc(THAW_CALL_DATA_MAX);

    memset(big, 'x', THAW_CALL_DATA_MAX);
    assert_int_equal(call_path(w, THAW_CALL_STAT, 0, "/", 0, 0), -EINVAL);
    assert_int_equal(call_path(w, THAW_CALL_STAT, 0, "/etc/passwd", 0, 0), -EINVAL);
    assert_int_equal(call_data(w, THAW_CALL_STAT, 0, 0, 0, 0, "a\0b", 3), -EINVAL);
    assert_int_equal(call_data(w, THAW_CALL_STAT, 0, 0, 0, 0, "a", 2), 0); /* one terminator is allowed */
    assert_int_equal(call_data(w, THAW_CALL_STAT, 0, 0, 0, 0, big, THAW_CALL_DATA_MAX), -ENAMETOOLONG);
    assert_int_equal(call_data(w, THAW_CALL_STAT, 0, 0, 0, 0, big, 4095), -ENAMETOOLONG);
    for (uint32_t op = THAW_CALL_MKDIR; op <= THAW_CALL_RMDIR; op++) {
        assert_true(call_path(w, op, 1, "", 0, 0) < 0);
        assert_true(call_path(w, op, 1, ".", 0, 0) < 0);
        assert_true(call_path(w, op, 1, "sub/.", 0, 0) < 0);
        assert_true(call_path(w, op, 1, "sub/..", 0, 0) < 0);
    }
    /* Lengths of the first of two paths that are beyond the data. */
    assert_int_equal(call_data(w, THAW_CALL_RENAME, 1, 0, 5, 0, "ab", 2), -EINVAL);
    assert_int_equal(call_data(w, THAW_CALL_LINK, 1, 0, UINT64_MAX, 0, "ab", 2), -EINVAL);
    assert_int_equal(call_data(w, THAW_CALL_SYMLINK, 1, 0, 3, 0, "ab", 2), -EINVAL);
    assert_int_equal(call_data(w, THAW_CALL_SYMLINK, 1, 0, 0, 0, "ab", 2), -EINVAL);
    assert_int_equal(call_data(w, THAW_CALL_SYMLINK, 1, 0, 5000, 0, big, 6000), -ENAMETOOLONG);
    assert_int_equal(call_data(w, THAW_CALL_RENAME, 1, 8, 1, 0, "ab", 2), -EINVAL);
    free(big);
}

static void test_a_read_only_share_takes_no_write(void **state)
{
    struct world *w = *state;
    static const uint32_t writers[] = {THAW_CALL_PWRITE, THAW_CALL_FTRUNCATE, THAW_CALL_MKDIR,   THAW_CALL_UNLINK,
                                       THAW_CALL_RMDIR,  THAW_CALL_RENAME,    THAW_CALL_SYMLINK, THAW_CALL_LINK,
                                       THAW_CALL_CHMOD,  THAW_CALL_UTIMENS};
    int64_t h = open_file(w, 0, "a", O_RDONLY), hf = open_file(w, 3, "", O_RDONLY);
    struct stat before, after;

    assert_true(h >= 0 && hf >= 0);
    assert_int_equal(stat(path_in(w, "ro"), &before), 0);
    for (size_t i = 0; i < sizeof writers / sizeof *writers; i++) {
        assert_int_equal(call_data(w, writers[i], 0, (uint64_t)h, 1, 0, "ab", 2), -EROFS);
        assert_int_equal(call_data(w, writers[i], 3, (uint64_t)hf, 0, 0, "ab", 2), -EROFS);
    }
    assert_int_equal(open_file(w, 0, "a", O_WRONLY), -EROFS);
    assert_int_equal(open_file(w, 0, "a", O_RDWR), -EROFS);
    assert_int_equal(open_file(w, 0, "a", O_RDONLY | O_TRUNC), -EROFS);
    assert_int_equal(open_file(w, 0, "new", O_RDONLY | O_CREAT), -EROFS);
    assert_true(open_file(w, 0, "a", O_RDONLY | O_CREAT) >= 0); /* it is there already */
    assert_int_equal(open_file(w, 3, "", O_RDWR), -EROFS);
    assert_int_equal(open_file(w, 3, "", O_RDONLY | O_TRUNC), -EROFS);
    assert_int_equal(stat(path_in(w, "ro"), &after), 0);
    assert_memory_equal(&before.st_mtim, &after.st_mtim, sizeof before.st_mtim);
    assert_int_equal(read_some(w, 0, h, 0, 100), 5);
    assert_memory_equal(w->reply, "hello", 5);
}

static void test_handles_that_were_never_given_are_bad(void **state)
{
    struct world *w = *state;
    int64_t h = open_file(w, 0, "a", O_RDONLY);
    static const uint32_t ops[] = {THAW_CALL_CLOSE, THAW_CALL_PREAD, THAW_CALL_READDIR, THAW_CALL_FSTAT,
                                   THAW_CALL_FSYNC};
    static const uint64_t bad[] = {0, 1, 2, 15, 16, 1023, 1024, 1025, UINT32_MAX, UINT64_MAX, 1ull << 40, 1ull << 63};

    assert_true(h >= 0);
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        for (size_t j = 0; j < sizeof bad / sizeof *bad; j++)
            if ((int64_t)bad[j] != h)
                assert_int_equal(call_data(w, ops[i], 0, bad[j], 0, 16, "", 0), -EBADF);
        /* Another share's handle is no handle, so that a writable share gives no way into a read-only one. */
        assert_int_equal(call_data(w, ops[i], 1, (uint64_t)h, 0, 16, "", 0), -EBADF);
    }
    assert_int_equal(call_data(w, THAW_CALL_PWRITE, 1, (uint64_t)h, 0, 0, "x", 1), -EBADF);
    assert_int_equal(call_data(w, THAW_CALL_CLOSE, 0, (uint64_t)h, 0, 0, "", 0), 0);
    assert_int_equal(call_data(w, THAW_CALL_CLOSE, 0, (uint64_t)h, 0, 0, "", 0), -EBADF);
    /* A number is not used again at once for another file. */
    assert_int_not_equal(open_file(w, 0, "sub/b", O_RDONLY), h);
    assert_int_equal(read_some(w, 0, h, 0, 5), -EBADF);
}

static void test_the_handle_table_is_bounded_and_leaks_nothing(void **state)
{
    struct world *w = *state;
    int64_t handles[2000], last = 0;
    size_t n = 0;

    while (n < 2000 && (last = open_file(w, 2, "", O_RDONLY)) >= 0)
        handles[n++] = last;
    assert_int_equal(n, 1024);
    assert_int_equal(last, -EMFILE);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(call_data(w, THAW_CALL_CLOSE, 2, (uint64_t)handles[i], 0, 0, "", 0), 0);
    for (size_t i = 0; i < 5000; i++) {
        int64_t h = open_file(w, 0, "a", O_RDONLY);

        assert_true(h >= 0);
        assert_int_equal(call_data(w, THAW_CALL_CLOSE, 0, (uint64_t)h, 0, 0, "", 0), 0);
    }
}

static void test_numbers_out_of_range_are_refused(void **state)
{
    struct world *w = *state;
    int64_t r = open_file(w, 0, "a", O_RDONLY), h = open_file(w, 1, "a", O_RDWR), d = open_file(w, 0, "", O_RDONLY);
    struct thaw_call call = {.op = THAW_CALL_STAT, .len = THAW_CALL_DATA_MAX + 1};

    assert_true(r >= 0 && h >= 0 && d >= 0);
    assert_int_equal(share_serve(w->set, &call, w->reply, w->reply, &w->reply_len), -EINVAL);
    assert_int_equal(read_some(w, 0, r, UINT64_MAX, 1), -EINVAL);
    assert_int_equal(read_some(w, 0, r, 1ull << 63, 1), -EINVAL);
    assert_int_equal(read_some(w, 0, r, INT64_MAX - 1, 1), 0);
    assert_int_equal(read_some(w, 0, r, 0, UINT64_MAX), 5); /* no more than a packet holds */
    assert_int_equal(read_some(w, 0, d, 0, 10), -EISDIR);
    assert_int_equal(call_data(w, THAW_CALL_PWRITE, 1, (uint64_t)h, UINT64_MAX, 0, "x", 1), -EINVAL);
    assert_int_equal(call_data(w, THAW_CALL_FTRUNCATE, 1, (uint64_t)h, 1ull << 63, 0, "", 0), -EINVAL);
    assert_int_equal(call_data(w, THAW_CALL_READDIR, 0, (uint64_t)d, UINT64_MAX, 0, "", 0), -EINVAL);
    assert_int_equal(call_data(w, THAW_CALL_READDIR, 0, (uint64_t)r, 0, 0, "", 0), -ENOTDIR);
    assert_int_equal(open_file(w, 0, "a", 03), -EINVAL);
    assert_int_equal(call_path(w, THAW_CALL_OPEN, 0, "a", UINT64_MAX, 0), -EINVAL);
    assert_int_equal(call_path(w, THAW_CALL_OPEN, 0, "a", O_PATH, 0), -EINVAL);
    assert_int_equal(call_path(w, THAW_CALL_OPEN, 1, "", 020000000 /* O_TMPFILE */ | O_RDWR, 0), -EINVAL);
    for (uint64_t share = 4; share < 100; share += 7)
        assert_int_equal(call_path(w, THAW_CALL_STAT, share, "a", 0, 0), -ENODEV);
    assert_int_equal(call_path(w, THAW_CALL_STAT, UINT64_MAX, "a", 0, 0), -ENODEV);
    assert_int_equal(call_path(w, THAW_CALL_STAT, 1ull << 32, "a", 0, 0), -ENODEV);
    for (uint32_t op = 0; op < 64; op++)
        if (op < THAW_CALL_STAT || op > THAW_CALL_STATFS)
            assert_int_equal(call_path(w, op, 0, "a", 0, 0), -ENOSYS);
    assert_int_equal(share_serve(NULL, &call, w->reply, w->reply, &w->reply_len), -ENODEV);
}

static void test_special_files_are_shown_but_not_opened(void **state)
{
    struct world *w = *state;
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int s = socket(AF_UNIX, SOCK_STREAM, 0);

    strcpy(addr.sun_path, path_in(w, "rw/socket"));
    assert_int_equal(bind(s, (struct sockaddr *)&addr, sizeof addr), 0);
    assert_int_equal(call_path(w, THAW_CALL_STAT, 0, "fifo", 0, 0), 0);
    assert_true(S_ISFIFO(((struct thaw_stat *)w->reply)->mode));
    assert_int_equal(open_file(w, 0, "fifo", O_RDONLY), -ENXIO); /* and does not wait for a writer */
    assert_int_equal(open_file(w, 1, "fifo", O_RDWR), -ENXIO);
    assert_int_equal(open_file(w, 1, "socket", O_RDWR), -ENXIO);
    close(s);
}

static void test_devices_are_not_opened_and_not_shared(void **state)
{
    struct world *w = *state;
    struct share_set *set = share_set_create();
    struct thaw_error err;

    assert_int_equal(share_add(set, "/dev/zero", true, &err), -1);
    assert_non_null(strstr(err.text, "/dev/zero"));
    assert_int_equal(share_add(set, path_in(w, "ro/fifo"), true, &err), -1);
    assert_int_equal(share_add(set, path_in(w, "none"), true, &err), -1);
    assert_int_equal(err.error, ENOENT);
    assert_int_equal(share_add(set, "/dev", true, &err), 0);
    share_set_free(w->set);
    w->set = set;
    assert_int_equal(open_file(w, 0, "zero", O_RDONLY), -ENXIO);
    assert_int_equal(open_file(w, 0, "null", O_RDONLY), -ENXIO);
}

static void test_a_shared_file_is_that_file_only(void **state)
{
    struct world *w = *state;
    int64_t h = open_file(w, 2, "", O_RDWR), a;

    assert_true(h >= 0);
    assert_int_equal(read_some(w, 2, h, 4, 100), 4);
    assert_memory_equal(w->reply, "file", 4);
    assert_int_equal(call_data(w, THAW_CALL_PWRITE, 2, (uint64_t)h, 0, 0, "ONE", 3), 3);
    assert_int_equal(read_some(w, 2, h, 0, 100), 8);
    assert_memory_equal(w->reply, "ONE file", 8);
    a = open_file(w, 2, "", O_WRONLY | O_APPEND);
    assert_int_equal(call_data(w, THAW_CALL_PWRITE, 2, (uint64_t)a, 0, 0, "!", 1), 1);
    assert_int_equal(read_some(w, 2, h, 8, 100), 1);
    assert_int_equal(call_path(w, THAW_CALL_STAT, 2, "", 0, 0), 0);
    assert_int_equal(((struct thaw_stat *)w->reply)->size, 9);
    assert_int_equal(open_file(w, 2, "x", O_RDONLY), -ENOTDIR);
    assert_int_equal(open_file(w, 2, "..", O_RDONLY), -ENOTDIR);
    assert_int_equal(open_file(w, 2, "", O_RDONLY | O_DIRECTORY), -ENOTDIR);
    assert_int_equal(call_path(w, THAW_CALL_STAT, 2, "../secret/key", 0, 0), -ENOTDIR);
    assert_int_equal(call_path(w, THAW_CALL_MKDIR, 2, "x", 0, 0), -ENOTDIR);
    assert_true(open_file(w, 2, "", O_RDWR | O_TRUNC) >= 0);
    assert_int_equal(read_some(w, 2, h, 0, 100), 0);
}

static void test_files_are_made_read_listed_and_removed(void **state)
{
    struct world *w = *state;
    int64_t h = open_file(w, 1, "sub/new", O_RDWR | O_CREAT | O_EXCL), d, n;
    bool seen = false;
    struct stat st;

    assert_true(h >= 0);
    assert_int_equal(open_file(w, 1, "sub/new", O_RDWR | O_CREAT | O_EXCL), -EEXIST);
    assert_int_equal(call_data(w, THAW_CALL_PWRITE, 1, (uint64_t)h, 3, 0, "abc", 3), 3);
    assert_int_equal(call_data(w, THAW_CALL_FSYNC, 1, (uint64_t)h, 0, 0, "", 0), 0);
    assert_int_equal(call_data(w, THAW_CALL_FTRUNCATE, 1, (uint64_t)h, 5, 0, "", 0), 0);
    assert_int_equal(call_data(w, THAW_CALL_FSTAT, 1, (uint64_t)h, 0, 0, "", 0), 0);
    assert_int_equal(((struct thaw_stat *)w->reply)->size, 5);
    assert_int_equal(((struct thaw_stat *)w->reply)->uid, 0);
    assert_int_equal(call_path(w, THAW_CALL_MKDIR, 1, "dir", 0755, 0), 0);
    assert_int_equal(call_two(w, THAW_CALL_RENAME, "sub/new", "dir/moved", 0), 0);
    assert_int_equal(call_two(w, THAW_CALL_RENAME, "a", "dir/moved", 1), -EEXIST);
    assert_int_equal(call_two(w, THAW_CALL_SYMLINK, "/any/thing", "dir/link", 0), 0);
    assert_int_equal(call_path(w, THAW_CALL_READLINK, 1, "dir/link", 0, 0), 10);
    assert_int_equal(call_path(w, THAW_CALL_UTIMENS, 1, "dir/moved", 1500000000123456789, THAW_TIME_OMIT), 0);
    assert_int_equal(call_path(w, THAW_CALL_STAT, 1, "dir/moved", 0, 0), 0);
    assert_int_equal(((struct thaw_stat *)w->reply)->atime_ns, 1500000000123456789);
    assert_int_equal(call_path(w, THAW_CALL_STATFS, 1, "", 0, 0), 0);
    assert_int_equal(w->reply_len, sizeof(struct thaw_statfs));

    /* No guest leaves a program behind that runs with its owner's rights. */
    assert_int_equal(call_path(w, THAW_CALL_CHMOD, 1, "dir/moved", 07755, 0), 0);
    assert_int_equal(stat(path_in(w, "rw/dir/moved"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
    assert_true(call_path(w, THAW_CALL_OPEN, 1, "setuid", O_CREAT | O_WRONLY, 06777) >= 0);
    assert_int_equal(stat(path_in(w, "rw/setuid"), &st), 0);
    assert_int_equal(st.st_mode & 07000, 0);

    d = open_file(w, 1, "dir", O_RDONLY | O_DIRECTORY);
    assert_true(d >= 0);
    n = call_data(w, THAW_CALL_READDIR, 1, (uint64_t)d, 0, 0, "", 0);
    assert_true(n > 0 && (uint32_t)n == w->reply_len);
    for (int64_t off = 0; off < n;) {
        const struct thaw_dirent *e = (const struct thaw_dirent *)(w->reply + off);

        assert_true(e->reclen >= 24 && e->reclen % 8 == 0);
        seen |= strcmp((const char *)e + offsetof(struct thaw_dirent, name), "moved") == 0;
        off += e->reclen;
        if (off == n)
            assert_int_equal(call_data(w, THAW_CALL_READDIR, 1, (uint64_t)d, e->next, 0, "", 0), 0);
    }
    assert_true(seen);
    assert_int_equal(call_path(w, THAW_CALL_RMDIR, 1, "dir", 0, 0), -ENOTEMPTY);
    assert_int_equal(call_path(w, THAW_CALL_UNLINK, 1, "dir/moved", 0, 0), 0);
    assert_int_equal(call_path(w, THAW_CALL_UNLINK, 1, "dir/link", 0, 0), 0);
    assert_int_equal(call_path(w, THAW_CALL_RMDIR, 1, "dir", 0, 0), 0);
}

/* Another process swaps a directory for a link out of the share, as fast as it can, while we walk through it. */
static void test_a_race_with_links_leads_nowhere(void **state)
{
    struct world *w = *state;
    pid_t pid = fork();
    unsigned reached = 0;

    if (pid == 0) {
        char a[256], b[256];

        strcpy(a, path_in(w, "rw/sub"));
        strcpy(b, path_in(w, "rw/abs"));
        for (;;)
            renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);
    }
    for (int i = 0; i < 20000; i++) {
        int64_t h = open_file(w, 1, "sub/key", O_RDONLY);

        if (h >= 0)
            reached++;
        if (call_path(w, THAW_CALL_STAT, 1, "sub/key", 0, 0) == 0)
            reached++;
        if (call_path(w, THAW_CALL_UNLINK, 1, "sub/key", 0, 0) == 0)
            reached++;
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    assert_int_equal(reached, 0);
    assert_still_secret(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_no_path_leads_out, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_is_moved_or_linked_in_or_out, setup, teardown),
        cmocka_unit_test_setup_teardown(test_links_within_are_followed_but_not_the_last, setup, teardown),
        cmocka_unit_test_setup_teardown(test_odd_paths_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_read_only_share_takes_no_write, setup, teardown),
        cmocka_unit_test_setup_teardown(test_handles_that_were_never_given_are_bad, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_handle_table_is_bounded_and_leaks_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_numbers_out_of_range_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_special_files_are_shown_but_not_opened, setup, teardown),
        cmocka_unit_test_setup_teardown(test_devices_are_not_opened_and_not_shared, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_shared_file_is_that_file_only, setup, teardown),
        cmocka_unit_test_setup_teardown(test_files_are_made_read_listed_and_removed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_race_with_links_leads_nowhere, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
