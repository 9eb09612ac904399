/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
/*
 * The host file server: what the guest may do to the directories and files that its user shares with it.
 *
 * Every path is resolved by openat2(2) beneath the share's own descriptor, so the host's kernel sees to it that no
 * "..", no symbolic link and no rename under our feet leads out; the last component is never followed, since the
 * guest's kernel walks links itself. Numbers from the guest are checked here, once, before they are used.
 */
#include "share.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif
#ifndef AT_EMPTY_PATH
#define AT_EMPTY_PATH 0x1000
#endif

/* A handle's number is its index, plus a count in the upper bits that shows a stale one. */
#define HANDLE_MAX 1024u
#define HANDLE_SHIFT 10

struct handle {
    int fd; /* -1: free */
    uint16_t share;
    bool append; /* on a shared file, whose descriptor is shared with other handles */
    bool shared;
    uint32_t generation;
};

struct share {
    int fd;
    bool rdonly, is_file;
};

struct share_set {
    uid_t uid;
    unsigned count, handle_room, handle_hint;
    struct handle *handles;
    unsigned char *buffers; /* SHARE_BUFFERS bytes, mapped at the first call */
    struct share shares[THAW_SHARE_MAX];
};

/* ---- the set ---- */

struct share_set *share_set_create(void)
{
    struct share_set *set = calloc(1, sizeof *set);

    if (set)
        set->uid = geteuid();
    return set;
}

void share_set_free(struct share_set *set)
{
    if (!set)
        return;
    for (unsigned i = 0; i < set->handle_room; i++)
        if (set->handles[i].fd >= 0 && !set->handles[i].shared)
            close(set->handles[i].fd);
    for (unsigned i = 0; i < set->count; i++)
        close(set->shares[i].fd);
    if (set->buffers)
        munmap(set->buffers, SHARE_BUFFERS);
    free(set->handles);
    free(set);
}

unsigned char *share_buffers(struct share_set *set)
{
    if (!set->buffers) {
        void *p = mmap(NULL, SHARE_BUFFERS, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (p == MAP_FAILED)
            return NULL;
        set->buffers = p;
    }
    return set->buffers;
}

static int beneath_open(int dirfd, const char *path, uint64_t flags, uint64_t mode)
{
    struct open_how how = {
        /* With O_PATH nothing is opened, and openat2 refuses flags that would say how. */
        .flags = flags | O_CLOEXEC | O_NOFOLLOW | (flags & O_PATH ? 0 : O_NOCTTY),
        .mode = mode,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    long fd;

    /* EAGAIN: a rename elsewhere on the host made the walk uncertain. */
    for (int tries = 0;; tries++) {
        fd = syscall(SYS_openat2, dirfd, path, &how, sizeof how);
        if (fd >= 0 || errno != EAGAIN || tries == 16)
            break;
    }
    if (fd < 0) {
        /* EXDEV is what an attempt to leave the share gives: for the guest there is nothing there. */
        if (errno == EXDEV)
            errno = ENOENT;
        return -errno;
    }
    return (int)fd;
}

bool share_supported(void)
{
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_BENEATH};
    long fd = syscall(SYS_openat2, AT_FDCWD, ".", &how, sizeof how);

    if (fd >= 0)
        close((int)fd);
    return fd >= 0 || (errno != ENOSYS && errno != EPERM);
}

int share_add(struct share_set *set, const char *host_path, bool rdonly, struct thaw_error *err)
{
    struct share *s = &set->shares[set->count];
    struct stat st;
    int fd, e;

    if (set->count == THAW_SHARE_MAX)
        return thaw_error_set(err, THAW_STATUS_FAILED, E2BIG, "more than %u directories are shared", THAW_SHARE_MAX);
    /* A directory first: that is what is nearly always shared. NONBLOCK: a FIFO must not keep us waiting. */
    fd = open(host_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOTDIR) {
        if (stat(host_path, &st) == 0 && !S_ISREG(st.st_mode))
            return thaw_error_set(err, THAW_STATUS_FAILED, EINVAL,
                                  "cannot share %s: it is neither a directory nor a regular file", host_path);
        fd = open(host_path, (rdonly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        s->is_file = true;
        if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))) {
            close(fd);
            return thaw_error_set(err, THAW_STATUS_FAILED, EINVAL,
                                  "cannot share %s: it is neither a directory nor a regular file", host_path);
        }
    } else {
        s->is_file = false;
    }
    if (fd < 0) {
        e = errno;
        return thaw_error_set(err, THAW_STATUS_FAILED, e, "cannot share %s: %s", host_path, strerror(e));
    }
    if (set->count == 0 && !s->is_file && !share_supported()) {
        close(fd);
        return thaw_error_set(err, THAW_STATUS_FAILED, ENOSYS,
                              "cannot share %s safely: this host has no openat2 (Linux 5.6 or newer; some container "
                              "profiles block it)",
                              host_path);
    }
    s->fd = fd;
    s->rdonly = rdonly;
    return (int)set->count++;
}

bool share_set_writable(const struct share_set *set)
{
    for (unsigned i = 0; i < set->count; i++)
        if (!set->shares[i].rdonly)
            return true;
    return false;
}

unsigned share_set_count(const struct share_set *set) { return set->count; }

int share_set_fd(const struct share_set *set, unsigned i, bool *rdonly, bool *is_file)
{
    if (i >= set->count)
        return -1;
    *rdonly = set->shares[i].rdonly;
    *is_file = set->shares[i].is_file;
    return set->shares[i].fd;
}

/* ---- handles ---- */

static int64_t handle_add(struct share_set *set, unsigned share, int fd, bool shared, bool append)
{
    unsigned i, n;

    for (n = 0, i = set->handle_hint; n < set->handle_room; n++, i = (i + 1) % set->handle_room)
        if (set->handles[i].fd < 0)
            break;
    if (n == set->handle_room) {
        unsigned room = set->handle_room ? set->handle_room * 2 : 16;
        struct handle *p;

        if (set->handle_room == HANDLE_MAX)
            return -EMFILE;
        p = realloc(set->handles, room * sizeof *p);
        if (!p)
            return -ENOMEM;
        set->handles = p;
        i = set->handle_room;
        for (unsigned j = i; j < room; j++)
            p[j] = (struct handle){.fd = -1};
        set->handle_room = room;
    }
    set->handle_hint = (i + 1) % set->handle_room;
    set->handles[i].fd = fd;
    set->handles[i].share = (uint16_t)share;
    set->handles[i].shared = shared;
    set->handles[i].append = append;
    set->handles[i].generation = (set->handles[i].generation + 1) & 0xfffff;
    return (int64_t)set->handles[i].generation << HANDLE_SHIFT | i;
}

static struct handle *handle_get(struct share_set *set, unsigned share, uint64_t number)
{
    uint64_t i = number & (HANDLE_MAX - 1);

    if (i >= set->handle_room || set->handles[i].fd < 0 || set->handles[i].share != share ||
        set->handles[i].generation != number >> HANDLE_SHIFT)
        return NULL;
    return &set->handles[i];
}

static int handle_close(struct share_set *set, struct handle *h)
{
    int ret = h->shared ? 0 : close(h->fd);

    h->fd = -1;
    set->handle_hint = (unsigned)(h - set->handles);
    /* EINTR: on Linux the descriptor is gone all the same. */
    return ret < 0 && errno != EINTR ? -errno : 0;
}

/* ---- paths ---- */

/* Copies a path out of the packet and refuses what no path is; 0 or -errno. */
static int path_get(char dst[THAW_CALL_NAME_MAX], const void *data, size_t len)
{
    if (len > 0 && ((const char *)data)[len - 1] == 0)
        len--; /* a terminator may come along */
    if (len >= THAW_CALL_NAME_MAX)
        return -ENAMETOOLONG;
    if (memchr(data, 0, len))
        return -EINVAL;
    memcpy(dst, data, len);
    dst[len] = 0;
    return dst[0] == '/' ? -EINVAL : 0;
}

/* A path and the directory it is in: *name points at the last component, which must be a plain one, without a '/'
 * behind it. The directory is a descriptor to be given back with parent_put(), or -errno. */
static int parent_get(const struct share *s, char *path, const char **name)
{
    char *slash;
    int fd;

    if (s->is_file)
        return -ENOTDIR;
    slash = strrchr(path, '/');
    *name = slash ? slash + 1 : path;
    if ((*name)[0] == 0 || strcmp(*name, ".") == 0 || strcmp(*name, "..") == 0)
        return -EINVAL;
    if (strlen(*name) > NAME_MAX)
        return -ENAMETOOLONG;
    if (!slash)
        return s->fd;
    *slash = 0;
    fd = beneath_open(s->fd, path, O_PATH | O_DIRECTORY, 0);
    return fd;
}

static void parent_put(const struct share *s, int fd)
{
    if (fd >= 0 && fd != s->fd)
        close(fd);
}

static uint64_t time_ns(const struct timespec *ts)
{
    /* Times before 1970 have no place in an unsigned number. */
    if (ts->tv_sec < 0)
        return 0;
    return (uint64_t)ts->tv_sec * 1000000000u + (uint64_t)ts->tv_nsec;
}

static void stat_fill(const struct share_set *set, const struct stat *st, struct thaw_stat *out)
{
    memset(out, 0, sizeof *out);
    out->ino = st->st_ino;
    out->size = (uint64_t)st->st_size;
    out->blocks = (uint64_t)st->st_blocks;
    out->atime_ns = time_ns(&st->st_atim);
    out->mtime_ns = time_ns(&st->st_mtim);
    out->ctime_ns = time_ns(&st->st_ctim);
    out->mode = st->st_mode;
    out->nlink = (uint32_t)st->st_nlink;
    out->uid = st->st_uid == set->uid ? 0 : 65534;
    out->gid = st->st_uid == set->uid ? 0 : 65534;
}

/* Stats without following the last component. 0 or -errno. */
static int path_stat(const struct share *s, const char *path, struct stat *st)
{
    int fd, ret;

    if (path[0] == 0)
        return fstat(s->fd, st) < 0 ? -errno : 0;
    if (s->is_file)
        return -ENOTDIR;
    /* One component that is no ".." cannot lead out: a single call does. */
    if (!strchr(path, '/') && strcmp(path, "..") != 0)
        return fstatat(s->fd, path, st, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
    fd = beneath_open(s->fd, path, O_PATH, 0);
    if (fd < 0)
        return fd;
    ret = fstat(fd, st) < 0 ? -errno : 0;
    close(fd);
    return ret;
}

/* ---- the calls; share, length and read-only are checked by share_serve() ---- */

struct serve {
    struct share_set *set;
    const struct share *share;
    unsigned number;
    const struct thaw_call *call;
    const char *data;
    void *reply;
    uint32_t *reply_len;
    char path[THAW_CALL_NAME_MAX];
};

static int64_t serve_stat(struct serve *c)
{
    struct stat st;
    int ret = path_stat(c->share, c->path, &st);

    if (ret < 0)
        return ret;
    stat_fill(c->set, &st, c->reply);
    *c->reply_len = sizeof(struct thaw_stat);
    return 0;
}

static int64_t open_done(struct serve *c, int fd, bool shared, bool append)
{
    struct stat st;
    int64_t ret;

    if (fstat(fd, &st) < 0)
        ret = -errno;
    else if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        ret = -ENXIO;
    else
        ret = handle_add(c->set, c->number, fd, shared, append);
    if (ret < 0) {
        if (!shared)
            close(fd);
        return ret;
    }
    stat_fill(c->set, &st, c->reply);
    *c->reply_len = sizeof(struct thaw_stat);
    return ret;
}

static int64_t serve_open_file(struct serve *c, int flags)
{
    if (c->path[0])
        return -ENOTDIR;
    if (flags & O_DIRECTORY)
        return -ENOTDIR;
    if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
        return -EEXIST;
    if ((flags & O_TRUNC) && ftruncate(c->share->fd, 0) < 0)
        return -errno;
    return open_done(c, c->share->fd, true, flags & O_APPEND);
}

static int64_t serve_open(struct serve *c)
{
    const uint64_t allowed = O_ACCMODE | O_CREAT | O_EXCL | O_TRUNC | O_APPEND | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC |
                             O_NONBLOCK | O_NOCTTY | 0100000 /* O_LARGEFILE, which is 0 to us */;
    uint64_t raw = c->call->arg[1];
    int flags, ret;
    struct stat st;

    if ((raw & ~allowed) || (raw & O_ACCMODE) == O_ACCMODE)
        return -EINVAL;
    flags = (int)(raw & (O_ACCMODE | O_CREAT | O_EXCL | O_TRUNC | O_APPEND | O_DIRECTORY));
    if (c->share->rdonly && ((flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC)))
        return -EROFS;
    if (c->share->is_file)
        return serve_open_file(c, flags);
    /*
     * To open a device or a FIFO can have effects even if it is closed again at once, so the type is looked at before.
     * The guest cannot put one there in between: it can make none, and what the host's own users do in their
     * directory is theirs. open_done() looks once more.
     */
    ret = path_stat(c->share, c->path, &st);
    if (ret == 0) {
        if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
            return -EEXIST;
        if (S_ISLNK(st.st_mode))
            return -ELOOP;
        if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
            return -ENXIO;
        if (S_ISDIR(st.st_mode) && ((flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT)))
            return -EISDIR;
        if (!S_ISDIR(st.st_mode) && (flags & O_DIRECTORY))
            return -ENOTDIR;
    } else if (ret != -ENOENT || !(flags & O_CREAT)) {
        return ret;
    }
    if (flags & O_CREAT) {
        if (c->share->rdonly && ret == -ENOENT)
            return -EROFS;
        if (flags & O_DIRECTORY)
            return -EINVAL;
    }
    if (c->share->rdonly)
        flags &= ~(O_CREAT | O_EXCL);
    /* No set-user-ID: a guest must not leave a program behind that runs as its host's user. */
    ret = beneath_open(c->share->fd, c->path[0] ? c->path : ".", (uint64_t)(flags | O_NONBLOCK),
                       flags & O_CREAT ? c->call->arg[2] & 0777 : 0);
    return ret < 0 ? ret : open_done(c, ret, false, false);
}

static int64_t serve_pread(struct serve *c, struct handle *h)
{
    uint64_t off = c->call->arg[2], n = c->call->arg[3];
    ssize_t ret;

    if (off > INT64_MAX)
        return -EINVAL;
    if (n > THAW_CALL_DATA_MAX)
        n = THAW_CALL_DATA_MAX;
    do
        ret = pread(h->fd, c->reply, (size_t)n, (off_t)off);
    while (ret < 0 && errno == EINTR);
    if (ret < 0)
        return -errno;
    *c->reply_len = (uint32_t)ret;
    return ret;
}

static int64_t serve_pwrite(struct serve *c, struct handle *h)
{
    uint64_t off = c->call->arg[2];
    struct stat st;
    ssize_t ret;

    if (off > INT64_MAX)
        return -EINVAL;
    if (h->append) {
        if (fstat(h->fd, &st) < 0)
            return -errno;
        off = (uint64_t)st.st_size;
    }
    do
        ret = pwrite(h->fd, c->data, c->call->len, (off_t)off);
    while (ret < 0 && errno == EINTR);
    return ret < 0 ? -errno : ret;
}

/* getdents64's records are the contract's records; but a FIFO's or a device's type is as good as any: it is shown. */
_Static_assert(offsetof(struct thaw_dirent, name) == 19, "the layout is that of struct linux_dirent64");

static int64_t serve_readdir(struct serve *c, struct handle *h)
{
    uint64_t pos = c->call->arg[2];
    long n;

    if (pos > INT64_MAX)
        return -EINVAL;
    if (lseek(h->fd, (off_t)pos, SEEK_SET) < 0)
        return -errno;
    n = syscall(SYS_getdents64, h->fd, c->reply, THAW_CALL_DATA_MAX);
    if (n < 0)
        return -errno;
    *c->reply_len = (uint32_t)n;
    return n;
}

static int64_t serve_fstat(struct serve *c, struct handle *h)
{
    struct stat st;

    if (fstat(h->fd, &st) < 0)
        return -errno;
    stat_fill(c->set, &st, c->reply);
    *c->reply_len = sizeof(struct thaw_stat);
    return 0;
}

static int64_t serve_readlink(struct serve *c)
{
    const char *name;
    int fd = parent_get(c->share, c->path, &name);
    ssize_t n;

    if (fd < 0)
        return fd;
    n = readlinkat(fd, name, c->reply, THAW_CALL_NAME_MAX);
    if (n < 0)
        n = -errno;
    else
        *c->reply_len = (uint32_t)n;
    parent_put(c->share, fd);
    return n;
}

static int64_t serve_make_remove(struct serve *c)
{
    const char *name;
    int fd = parent_get(c->share, c->path, &name);
    int ret = -1;

    if (fd < 0)
        return fd;
    switch (c->call->op) {
    case THAW_CALL_MKDIR: ret = mkdirat(fd, name, c->call->arg[1] & 0777); break;
    case THAW_CALL_UNLINK: ret = unlinkat(fd, name, 0); break;
    case THAW_CALL_RMDIR: ret = unlinkat(fd, name, AT_REMOVEDIR); break;
    default: errno = EINVAL;
    }
    if (ret < 0)
        ret = -errno;
    parent_put(c->share, fd);
    return ret;
}

/* RENAME and LINK: two paths in one packet, the length of the first in arg[2]. */
static int64_t serve_two_paths(struct serve *c)
{
    char second[THAW_CALL_NAME_MAX];
    const char *old_name, *new_name;
    uint64_t first = c->call->arg[2];
    int from, to, ret;

    if (first > c->call->len)
        return -EINVAL;
    ret = path_get(c->path, c->data, (size_t)first);
    if (ret == 0)
        ret = path_get(second, c->data + first, (size_t)(c->call->len - first));
    if (ret < 0)
        return ret;
    if (c->call->op == THAW_CALL_RENAME && c->call->arg[1] != 0 && c->call->arg[1] != 1 /* RENAME_NOREPLACE */ &&
        c->call->arg[1] != 2 /* RENAME_EXCHANGE */)
        return -EINVAL;
    from = parent_get(c->share, c->path, &old_name);
    if (from < 0)
        return from;
    to = parent_get(c->share, second, &new_name);
    if (to < 0) {
        parent_put(c->share, from);
        return to;
    }
    if (c->call->op == THAW_CALL_LINK)
        ret = linkat(from, old_name, to, new_name, 0);
    else
        ret = (int)syscall(SYS_renameat2, from, old_name, to, new_name, (unsigned)c->call->arg[1]);
    if (ret < 0)
        ret = -errno;
    parent_put(c->share, to);
    parent_put(c->share, from);
    return ret;
}

static int64_t serve_symlink(struct serve *c)
{
    char target[THAW_CALL_NAME_MAX];
    const char *name;
    uint64_t first = c->call->arg[2];
    int fd, ret;

    if (first > c->call->len || first == 0)
        return -EINVAL;
    /* The target is text: it may well begin with a '/'. */
    if (first >= sizeof target)
        return -ENAMETOOLONG;
    memcpy(target, c->data, (size_t)first);
    target[first] = 0;
    if (strlen(target) + 1 < first)
        return -EINVAL;
    ret = path_get(c->path, c->data + first, (size_t)(c->call->len - first));
    if (ret < 0)
        return ret;
    fd = parent_get(c->share, c->path, &name);
    if (fd < 0)
        return fd;
    ret = symlinkat(target, fd, name) < 0 ? -errno : 0;
    parent_put(c->share, fd);
    return ret;
}

static int64_t serve_chmod(struct serve *c)
{
    mode_t mode = (mode_t)(c->call->arg[1] & 0777);
    struct stat st;
    int fd, ret;

    if (c->share->is_file || c->path[0] == 0) {
        if (c->path[0])
            return -ENOTDIR;
        return fchmod(c->share->fd, mode) < 0 ? -errno : 0;
    }
    fd = beneath_open(c->share->fd, c->path, O_PATH, 0);
    if (fd < 0)
        return fd;
    ret = (int)syscall(SYS_fchmodat2, fd, "", mode, AT_EMPTY_PATH);
    if (ret < 0)
        ret = -errno;
    /* Before Linux 6.6: only through a descriptor that is really open. */
    if (ret == -ENOSYS || ret == -EPERM) {
        ret = fstat(fd, &st) < 0 ? -errno : 0;
        if (ret == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
            ret = -EPERM;
        close(fd);
        if (ret < 0)
            return ret;
        fd = beneath_open(c->share->fd, c->path, O_RDONLY | O_NONBLOCK, 0);
        if (fd == -EACCES && S_ISREG(st.st_mode))
            fd = beneath_open(c->share->fd, c->path, O_WRONLY | O_NONBLOCK, 0);
        if (fd < 0)
            return fd;
        ret = fchmod(fd, mode) < 0 ? -errno : 0;
    }
    close(fd);
    return ret;
}

static struct timespec time_from_ns(uint64_t ns)
{
    if (ns == THAW_TIME_OMIT)
        return (struct timespec){.tv_nsec = UTIME_OMIT};
    return (struct timespec){.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};
}

static int64_t serve_utimens(struct serve *c)
{
    const struct timespec ts[2] = {time_from_ns(c->call->arg[1]), time_from_ns(c->call->arg[2])};
    const char *name;
    int fd, ret;

    if (c->path[0] == 0)
        return futimens(c->share->fd, ts) < 0 ? -errno : 0;
    fd = parent_get(c->share, c->path, &name);
    if (fd < 0)
        return fd;
    ret = utimensat(fd, name, ts, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
    parent_put(c->share, fd);
    return ret;
}

static int64_t serve_statfs(struct serve *c)
{
    struct thaw_statfs out;
    struct statfs st;

    if (fstatfs(c->share->fd, &st) < 0)
        return -errno;
    memset(&out, 0, sizeof out);
    out.bsize = (uint64_t)st.f_bsize;
    out.blocks = st.f_blocks;
    out.bfree = st.f_bfree;
    out.bavail = st.f_bavail;
    out.files = st.f_files;
    out.ffree = st.f_ffree;
    out.namelen = NAME_MAX;
    memcpy(c->reply, &out, sizeof out);
    *c->reply_len = sizeof out;
    return 0;
}

static int64_t serve_handle(struct serve *c)
{
    struct handle *h = handle_get(c->set, c->number, c->call->arg[1]);

    if (!h)
        return -EBADF;
    switch (c->call->op) {
    case THAW_CALL_CLOSE: return handle_close(c->set, h);
    case THAW_CALL_PREAD: return serve_pread(c, h);
    case THAW_CALL_PWRITE: return serve_pwrite(c, h);
    case THAW_CALL_READDIR: return serve_readdir(c, h);
    case THAW_CALL_FSTAT: return serve_fstat(c, h);
    case THAW_CALL_FTRUNCATE:
        if (c->call->arg[2] > INT64_MAX)
            return -EINVAL;
        return ftruncate(h->fd, (off_t)c->call->arg[2]) < 0 ? -errno : 0;
    case THAW_CALL_FSYNC: return fsync(h->fd) < 0 ? -errno : 0;
    default: return -ENOSYS;
    }
}

/* What a call does: whether it writes, and whether its data is one path. */
#define CALL_WRITES 1u
#define CALL_PATH 2u
#define CALL_HANDLE 4u

static unsigned call_kind(uint32_t op)
{
    switch (op) {
    case THAW_CALL_STAT:
    case THAW_CALL_OPEN:
    case THAW_CALL_READLINK: return CALL_PATH;
    case THAW_CALL_CLOSE:
    case THAW_CALL_PREAD:
    case THAW_CALL_READDIR:
    case THAW_CALL_FSTAT:
    case THAW_CALL_FSYNC: return CALL_HANDLE;
    case THAW_CALL_PWRITE:
    case THAW_CALL_FTRUNCATE: return CALL_HANDLE | CALL_WRITES;
    case THAW_CALL_MKDIR:
    case THAW_CALL_UNLINK:
    case THAW_CALL_RMDIR:
    case THAW_CALL_CHMOD:
    case THAW_CALL_UTIMENS: return CALL_PATH | CALL_WRITES;
    case THAW_CALL_RENAME:
    case THAW_CALL_LINK:
    case THAW_CALL_SYMLINK: return CALL_WRITES;
    default: return 0;
    }
}

int64_t share_serve(struct share_set *set, const struct thaw_call *call, const void *data, void *reply,
                    uint32_t *reply_len)
{
    unsigned kind = call_kind(call->op);
    struct serve c;
    int ret;

    *reply_len = 0;
    if (!set || call->arg[0] >= set->count)
        return -ENODEV;
    if (call->len > THAW_CALL_DATA_MAX)
        return -EINVAL;
    c.set = set;
    c.number = (unsigned)call->arg[0];
    c.share = &set->shares[c.number];
    c.call = call;
    c.data = data;
    c.reply = reply;
    c.reply_len = reply_len;
    if ((kind & CALL_WRITES) && c.share->rdonly)
        return -EROFS;
    if (kind & CALL_HANDLE)
        return serve_handle(&c);
    if ((kind & CALL_PATH) && (ret = path_get(c.path, data, call->len)) < 0)
        return ret;
    switch (call->op) {
    case THAW_CALL_STAT: return serve_stat(&c);
    case THAW_CALL_OPEN: return serve_open(&c);
    case THAW_CALL_READLINK: return serve_readlink(&c);
    case THAW_CALL_MKDIR:
    case THAW_CALL_UNLINK:
    case THAW_CALL_RMDIR: return serve_make_remove(&c);
    case THAW_CALL_RENAME:
    case THAW_CALL_LINK: return serve_two_paths(&c);
    case THAW_CALL_SYMLINK: return serve_symlink(&c);
    case THAW_CALL_CHMOD: return serve_chmod(&c);
    case THAW_CALL_UTIMENS: return serve_utimens(&c);
    case THAW_CALL_STATFS: return serve_statfs(&c);
    default: return -ENOSYS;
    }
}
