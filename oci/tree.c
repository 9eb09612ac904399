/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "tree.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ENTRIES_MAX 4000000u
#define BYTES_MAX (64ull << 30)
#define READ_BLOCK (1u << 18)
#define WHITEOUT ".wh."
#define WHITEOUT_OPAQUE ".wh..wh..opq"

struct directory {
    char *path;
    mode_t mode;
    struct timespec mtime;
};

struct tree {
    int fd;
    struct directory *directories;
    size_t directory_count, directory_room;
    uint64_t entries, bytes;
};

struct tree *tree_open(const char *path)
{
    struct tree *t = calloc(1, sizeof *t);

    if (t && (t->fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0) {
        free(t);
        return NULL;
    }
    return t;
}

void tree_close(struct tree *t)
{
    for (size_t i = 0; i < t->directory_count; i++)
        free(t->directories[i].path);
    free(t->directories);
    close(t->fd);
    free(t);
}

static int fail(const char *what, const char *path, const char *why)
{
    fprintf(stderr, "%s: %.300s%s%s\n", what, path, why ? ": " : "", why ? why : "");
    return -1;
}

static int in_root(const struct tree *t, const char *path, uint64_t flags)
{
    struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};

    return (int)syscall(SYS_openat2, t->fd, *path ? path : ".", &how, sizeof how);
}

/* Writes the name without "/" and "." in it to dst; false: it has a "..", or is too long. */
static bool name_clean(char dst[PATH_MAX], const char *name)
{
    size_t n = 0;

    while (*name) {
        size_t len = strcspn(name, "/");

        if (len == 2 && name[0] == '.' && name[1] == '.')
            return false;
        if (len > NAME_MAX || n + len + 2 > PATH_MAX)
            return false;
        if (len > 0 && (len > 1 || name[0] != '.')) {
            if (n > 0)
                dst[n++] = '/';
            memcpy(dst + n, name, len);
            n += len;
        }
        name += len;
        name += *name == '/';
    }
    dst[n] = 0;
    return true;
}

/* The directory at a clean path, made with those above it where it is missing. */
static int directory_open(const struct tree *t, const char *path)
{
    int fd = in_root(t, path, O_PATH | O_DIRECTORY);

    for (const char *p = path; fd < 0 && errno == ENOENT && *p;) {
        char part[PATH_MAX], *slash;
        const char *next = strchr(p, '/');
        size_t n = next ? (size_t)(next - path) : strlen(path);

        memcpy(part, path, n);
        part[n] = 0;
        p = next ? next + 1 : path + n;
        int there = in_root(t, part, O_PATH | O_DIRECTORY);
        if (there < 0 && errno == ENOENT) {
            slash = strrchr(part, '/');
            if (slash)
                *slash = 0;
            int above = in_root(t, slash ? part : "", O_PATH | O_DIRECTORY);
            if (above < 0 || mkdirat(above, slash ? slash + 1 : part, 0755) < 0)
                there = -1;
            else
                there = dup(above);
            if (above >= 0)
                close(above);
        }
        if (there < 0)
            return -1;
        close(there);
        if (!*p) {
            fd = in_root(t, path, O_PATH | O_DIRECTORY);
            break;
        }
    }
    return fd;
}

/* Parts a clean, non-empty path: the directory above (open), and the last name. */
static int parent_open(const struct tree *t, const char *path, const char **base)
{
    char dir[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;

    memcpy(dir, path, n);
    dir[n] = 0;
    *base = slash ? slash + 1 : path;
    return directory_open(t, dir);
}

/* Removes name and, if it is a directory, all in it (keep_self: only that). A missing one is fine. */
static int remove_at(int parent, const char *name, bool keep_self)
{
    if (!keep_self && (unlinkat(parent, name, 0) == 0 || errno == ENOENT))
        return 0;
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    int ret = 0;

    if (!dir) {
        if (fd >= 0)
            close(fd);
        return keep_self && (errno == ENOENT || errno == ENOTDIR) ? 0 : -1;
    }
    for (struct dirent *d; ret == 0 && (d = readdir(dir));)
        if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
            ret = remove_at(dirfd(dir), d->d_name, false);
    closedir(dir);
    return ret < 0 || keep_self ? ret : unlinkat(parent, name, AT_REMOVEDIR);
}

/* ---- entries ---- */

static struct timespec entry_mtime(struct archive_entry *e)
{
    return (struct timespec){archive_entry_mtime(e), archive_entry_mtime_nsec(e)};
}

static int put_directory(struct tree *t, struct archive_entry *e, const char *path)
{
    const char *base;
    struct stat st;

    if (t->directory_count == t->directory_room) {
        size_t room = t->directory_room ? t->directory_room * 2 : 256;
        struct directory *d = realloc(t->directories, room * sizeof *d);
        if (!d)
            return -1;
        t->directories = d;
        t->directory_room = room;
    }
    if (*path) {
        int parent = parent_open(t, path, &base);
        if (parent < 0)
            return -1;
        bool there = fstatat(parent, base, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
        int ret = there ? 0 : remove_at(parent, base, false);
        if (ret == 0 && !there)
            ret = mkdirat(parent, base, 0755);
        close(parent);
        if (ret < 0)
            return -1;
    }
    char *copy = strdup(path);
    if (!copy)
        return -1;
    t->directories[t->directory_count++] = (struct directory){copy, archive_entry_mode(e) & 07777, entry_mtime(e)};
    return 0;
}

static int put_data(struct tree *t, struct archive *a, int fd)
{
    const void *block;
    size_t len;
    int64_t offset;
    int r;

    while ((r = archive_read_data_block(a, &block, &len, &offset)) == ARCHIVE_OK) {
        t->bytes += len;
        if (t->bytes > BYTES_MAX || offset < 0) {
            errno = EFBIG;
            return -1;
        }
        while (len > 0) {
            ssize_t n = pwrite(fd, block, len, offset);
            if (n < 0 && errno == EINTR)
                continue;
            if (n <= 0)
                return -1;
            block = (const char *)block + n;
            offset += n;
            len -= (size_t)n;
        }
    }
    if (r != ARCHIVE_EOF) {
        errno = EBADMSG;
        return -1;
    }
    return 0;
}

static int put_file(struct tree *t, struct archive *a, struct archive_entry *e, int parent, const char *base)
{
    int64_t size = archive_entry_size(e);
    int fd = openat(parent, base, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    struct timespec times[2] = {entry_mtime(e), entry_mtime(e)};
    int ret;

    if (fd < 0)
        return -1;
    ret = put_data(t, a, fd);
    if (ret == 0 && size > 0 && (uint64_t)size <= BYTES_MAX)
        ret = ftruncate(fd, size); /* a hole at the end */
    /* Who makes the image must be able to read it; in the sandbox root can anyway. */
    if (ret == 0)
        ret = fchmod(fd, (archive_entry_mode(e) & 07777) | 0400);
    if (ret == 0)
        ret = futimens(fd, times);
    close(fd);
    return ret;
}

static int put_link(struct tree *t, const char *target, int parent, const char *base)
{
    char path[PATH_MAX];
    const char *name;
    struct stat st;

    if (!name_clean(path, target) || !*path) {
        errno = EINVAL;
        return -1;
    }
    int from = parent_open(t, path, &name), ret = -1;
    if (from < 0)
        return -1;
    if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        if (S_ISDIR(st.st_mode))
            errno = EPERM;
        else
            ret = linkat(from, name, parent, base, 0);
    }
    close(from);
    return ret;
}

static int put_entry(struct tree *t, struct archive *a, struct archive_entry *e, const char *path)
{
    const char *link = archive_entry_hardlink(e), *symlink = archive_entry_symlink(e), *base;
    mode_t type = archive_entry_filetype(e);
    int parent, ret;

    if (!link && type == AE_IFDIR)
        return put_directory(t, e, path);
    if (!*path)
        return 0;
    if (!link && type != AE_IFREG && type != AE_IFLNK)
        return 0;
    parent = parent_open(t, path, &base);
    if (parent < 0)
        return -1;
    /* A link to itself must not remove what it is to lead to. */
    char target[PATH_MAX];
    if (link && name_clean(target, link) && strcmp(target, path) == 0)
        ret = 0;
    else if ((ret = remove_at(parent, base, false)) == 0)
        ret = link               ? put_link(t, link, parent, base)
              : type == AE_IFLNK ? symlinkat(symlink ? symlink : "", parent, base)
                                 : put_file(t, a, e, parent, base);
    int error = errno;
    close(parent);
    errno = error;
    return ret;
}

/* ---- whiteouts ---- */

static const char *last_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static bool is_whiteout(const char *path) { return strncmp(last_name(path), WHITEOUT, sizeof WHITEOUT - 1) == 0; }

/* What the layer's whiteouts name goes, before anything of the layer comes. */
static int apply_whiteout(struct tree *t, const char *path)
{
    const char *name = last_name(path), *base;
    bool opaque = strcmp(name, WHITEOUT_OPAQUE) == 0;
    char victim[PATH_MAX];
    size_t n = (size_t)(name - path);

    memcpy(victim, path, n);
    if (opaque)
        victim[n ? n - 1 : 0] = 0;
    else
        strcpy(victim + n, name + sizeof WHITEOUT - 1);
    if (!opaque && (strcmp(victim + n, "") == 0 || strcmp(victim + n, ".") == 0 || strcmp(victim + n, "..") == 0))
        return 0;
    if (!*victim) /* the root itself is opaque */
        return remove_at(t->fd, ".", true);
    char dir[PATH_MAX];
    const char *slash = strrchr(victim, '/');
    snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - victim) : 0, victim);
    base = slash ? slash + 1 : victim;
    int parent = in_root(t, dir, O_PATH | O_DIRECTORY);
    if (parent < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : -1;
    int ret = remove_at(parent, base, opaque);
    close(parent);
    return ret;
}

/* ---- archives ---- */

static int walk(struct tree *t, int fd, const char *name, bool layer, bool whiteouts)
{
    struct archive *a = archive_read_new();
    struct archive_entry *e;
    int r, ret = 0;

    if (!a)
        return fail(name, "out of memory", NULL);
    archive_read_support_filter_all(a);
    archive_read_support_format_tar(a);
    if (lseek(fd, 0, SEEK_SET) < 0 || archive_read_open_fd(a, fd, READ_BLOCK) != ARCHIVE_OK) {
        ret = fail(name, "not a tar archive", archive_error_string(a));
        archive_read_free(a);
        return ret;
    }
    while (ret == 0 && (r = archive_read_next_header(a, &e)) != ARCHIVE_EOF) {
        const char *entry = r >= ARCHIVE_WARN ? archive_entry_pathname(e) : NULL;
        char path[PATH_MAX];

        if (r == ARCHIVE_RETRY)
            continue;
        if (!entry) {
            ret = fail(name, "damaged archive", archive_error_string(a));
        } else if (++t->entries > ENTRIES_MAX) {
            ret = fail(name, "too many entries", NULL);
        } else if (!name_clean(path, entry)) {
            ret = fail(name, "an entry's name leads out of the image, or is too long", entry);
        } else if (layer && is_whiteout(path)) {
            if (whiteouts && apply_whiteout(t, path) < 0)
                ret = fail("cannot remove what a layer takes away", entry, strerror(errno));
        } else if (!whiteouts && put_entry(t, a, e, path) < 0) {
            ret = fail("cannot unpack", entry, strerror(errno));
        }
    }
    archive_read_free(a);
    return ret;
}

int tree_unpack(struct tree *t, const struct tree *from, const char *archive, bool layer)
{
    int fd = from ? in_root(from, archive, O_RDONLY) : open(archive, O_RDONLY | O_CLOEXEC);
    struct stat st;
    int ret = 0;

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        ret = fail("cannot open", archive, fd < 0 ? strerror(errno) : "not a regular file");
        goto out;
    }
    if (layer)
        ret = walk(t, fd, archive, true, true);
    if (ret == 0)
        ret = walk(t, fd, archive, layer, false);
out:
    if (fd >= 0)
        close(fd);
    return ret;
}

int tree_finish(struct tree *t)
{
    /* Deepest last made, first done: a directory that may not be searched would hide those below. */
    for (size_t i = t->directory_count; i-- > 0;) {
        const struct directory *d = &t->directories[i];
        struct timespec times[2] = {d->mtime, d->mtime};
        int fd = in_root(t, d->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);

        if (fd < 0)
            continue; /* a later layer has taken it away, or put something else there */
        if (fchmod(fd, d->mode | 0500) < 0 || futimens(fd, times) < 0) {
            fail("cannot set the mode of", d->path, strerror(errno));
            close(fd);
            return -1;
        }
        close(fd);
    }
    return 0;
}

bool tree_has(const struct tree *t, const char *path)
{
    int fd = in_root(t, path, O_PATH);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

char *tree_read(const struct tree *t, const char *path, size_t max)
{
    int fd = in_root(t, path, O_RDONLY);
    FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;
    char *buf = f ? malloc(max + 1) : NULL;
    size_t n;

    if (!buf) {
        fail("cannot read", path, strerror(errno));
        if (f)
            fclose(f);
        else if (fd >= 0)
            close(fd);
        return NULL;
    }
    n = fread(buf, 1, max + 1, f);
    if (ferror(f) || n > max) {
        fail("cannot read", path, n > max ? "too large" : strerror(errno));
        fclose(f);
        free(buf);
        return NULL;
    }
    fclose(f);
    buf[n] = 0;
    return buf;
}
