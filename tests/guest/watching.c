/* SPDX-License-Identifier: MIT */
/* inotify: what happens to a directory and its files is told in order, with names and cookies; watches come and go. */
#define _GNU_SOURCE
#include "guest.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

static int in;

/* The next event is this one; its cookie. */
static uint32_t event(int wd, uint32_t mask, const char *name)
{
    static char buf[4096] __attribute__((aligned(8)));
    static size_t len, at;
    struct inotify_event *e;

    if (at == len) {
        ssize_t n = read(in, buf, sizeof buf);
        if (n <= 0) {
            fprintf(stderr, "no event, but %#x %s is due\n", mask, name);
            exit(1);
        }
        len = (size_t)n;
        at = 0;
    }
    e = (void *)(buf + at);
    at += sizeof *e + e->len;
    if (e->wd != wd || e->mask != mask || strcmp(e->len ? e->name : "", name)) {
        fprintf(stderr, "got %d %#x \"%s\", not %d %#x \"%s\"\n", e->wd, e->mask, e->len ? e->name : "", wd, mask,
                name);
        exit(1);
    }
    return e->cookie;
}

int main(void)
{
    const char *dir = "/tmp/watched";
    char buf[9];
    int d, f, w;

    CHECK(mkdir(dir, 0700) == 0 && chdir(dir) == 0 && (in = inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) >= 0);
    CHECK((d = inotify_add_watch(in, dir, IN_ALL_EVENTS)) > 0);
    FAILS(read(in, buf, sizeof buf), EAGAIN);
    FAILS(inotify_add_watch(in, "/tmp/none", IN_CREATE), ENOENT);
    FAILS(inotify_add_watch(0, dir, IN_CREATE), EINVAL);
    struct pollfd p = {in, POLLIN, 0};
    CHECK(poll(&p, 1, 0) == 0);
    CHECK((f = open("file", O_RDWR | O_CREAT, 0600)) >= 0 && poll(&p, 1, 0) == 1);
    FAILS(read(in, buf, sizeof buf), EINVAL); /* too small for it */
    CHECK(write(f, "text", 4) == 4 && pread(f, buf, 4, 0) == 4 && fchmod(f, 0644) == 0);
    close(f);
    event(d, IN_CREATE, "file");
    event(d, IN_OPEN, "file");
    event(d, IN_MODIFY, "file");
    event(d, IN_ACCESS, "file");
    event(d, IN_ATTRIB, "file");
    event(d, IN_CLOSE_WRITE, "file");
    CHECK(rename("file", "moved") == 0);
    uint32_t cookie = event(d, IN_MOVED_FROM, "file");
    CHECK(cookie && event(d, IN_MOVED_TO, "moved") == cookie);
    CHECK(mkdir("sub", 0700) == 0 && rmdir("sub") == 0);
    event(d, IN_CREATE | IN_ISDIR, "sub");
    event(d, IN_DELETE | IN_ISDIR, "sub");
    /* A file of its own; the same path is the same watch. */
    CHECK((w = inotify_add_watch(in, "moved", IN_MODIFY | IN_DELETE_SELF)) > d);
    CHECK(inotify_add_watch(in, "moved", IN_OPEN | IN_MASK_ADD) == w);
    CHECK(inotify_add_watch(in, dir, IN_DELETE) == d);
    CHECK(unlink("moved") == 0);
    event(w, IN_DELETE_SELF, "");
    event(w, IN_IGNORED, "");
    event(d, IN_DELETE, "moved");
    CHECK(inotify_rm_watch(in, d) == 0);
    event(d, IN_IGNORED, "");
    FAILS(inotify_rm_watch(in, d), EINVAL);
    CHECK((f = open("unseen", O_RDWR | O_CREAT, 0600)) >= 0 && close(f) == 0 && unlink("unseen") == 0);
    FAILS(read(in, buf, sizeof buf), EAGAIN);
    close(in);
    CHECK(chdir("/") == 0 && rmdir(dir) == 0);
    return success();
}
