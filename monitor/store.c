/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "store.h"

#define XXH_INLINE_ALL
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

bool store_name_valid(const char *name)
{
    size_t n = strlen(name);

    if (n == 0 || n > STORE_NAME_MAX || name[0] == '.' || name[0] == '-')
        return false;
    return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == n;
}

int store_path(char *dst, struct thaw_error *err, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(dst, PATH_MAX, fmt, ap);
    va_end(ap);
    if (n < 0 || n >= PATH_MAX)
        return thaw_error_set(err, THAW_STATUS_FAILED, ENAMETOOLONG, "path too long: %.200s...", dst);
    return 0;
}

/* The search path is walked at each start: plain copying, without printf. */
/* dst may be dir. */
static bool path_join(char *dst, const char *dir, const char *name, const char *suffix)
{
    size_t d = strlen(dir), n = strlen(name), s = strlen(suffix);

    if (d + 1 + n + s + 1 > PATH_MAX)
        return false;
    if (dst != dir)
        memcpy(dst, dir, d);
    dst[d] = '/';
    memcpy(dst + d + 1, name, n);
    memcpy(dst + d + 1 + n, suffix, s + 1);
    return true;
}

static char *path_dup(const char *dir, const char *rest)
{
    size_t a = strlen(dir), b = strlen(rest);
    char *p = malloc(a + b + 1);

    if (p) {
        memcpy(p, dir, a);
        memcpy(p + a, rest, b + 1);
    }
    return p;
}

/* XDG's rule: a relative path in its variables is to be ignored. */
static const char *getenv_absolute(const char *name)
{
    const char *v = getenv(name);

    return v && v[0] == '/' ? v : NULL;
}

/* A user without a home gets a directory in /tmp, where others can write: it must be his and his alone. malloc'ed. */
static char *fallback_dir(struct thaw_error *err)
{
    struct stat st;
    char dir[32];

    snprintf(dir, sizeof dir, "/tmp/thaw-%u", (unsigned)getuid());
    if (mkdir(dir, 0700) < 0 && errno != EEXIST) {
        thaw_error_set(err, THAW_STATUS_FAILED, errno, "cannot make %s: %s; set HOME", dir, strerror(errno));
        return NULL;
    }
    if (lstat(dir, &st) < 0 || !S_ISDIR(st.st_mode) || st.st_uid != getuid() || (st.st_mode & 077)) {
        thaw_error_set(err, THAW_STATUS_FAILED, EACCES,
                       "%s is not a directory of this user alone; remove it, or set HOME", dir);
        return NULL;
    }
    return strdup(dir);
}

int thaw_store_open(struct thaw_store **res, struct thaw_error *err)
{
    struct thaw_store *s = calloc(1, sizeof *s);
    const char *data = getenv_absolute("XDG_DATA_HOME"), *cache = getenv_absolute("XDG_CACHE_HOME");
    const char *home = getenv_absolute("HOME"), *path = getenv("THAW_IMAGE_PATH");
    char *fallback = NULL;

    if (!s)
        goto oom;
    if (path && *path && !(s->image_path = strdup(path)))
        goto oom;
    if ((!data || !cache) && !home) {
        fallback = fallback_dir(err);
        if (!fallback) {
            thaw_store_close(s);
            return -1;
        }
    }
    s->data =
        data ? path_dup(data, "/thaw") : path_dup(home ? home : fallback, home ? "/.local/share/thaw" : "/data/thaw");
    s->cache =
        cache ? path_dup(cache, "/thaw") : path_dup(home ? home : fallback, home ? "/.cache/thaw" : "/cache/thaw");
    free(fallback);
    if (!s->data || !s->cache)
        goto oom;
    *res = s;
    return 0;
oom:
    thaw_store_close(s);
    return thaw_error_set(err, THAW_STATUS_FAILED, ENOMEM, "out of memory");
}

void thaw_store_close(struct thaw_store *s)
{
    if (!s)
        return;
    free(s->image_path);
    free(s->data);
    free(s->cache);
    free(s);
}

/* ---- images ---- */

bool store_image_dir(const struct thaw_store *store, unsigned i, char *dst)
{
    const char *p = store->image_path;
    ssize_t n;

    for (; p && *p; p += *p == ':') {
        size_t len = strcspn(p, ":");

        if (len > 0 && i-- == 0) {
            if (len >= PATH_MAX)
                return false;
            memcpy(dst, p, len);
            dst[len] = 0;
            return true;
        }
        p += len;
    }
    if (i == 0)
        return path_join(dst, store->data, "images", "");
    if (i > 2)
        return false;
    n = readlink("/proc/self/exe", dst, PATH_MAX - 32);
    if (n <= 0)
        return false;
    while (n > 0 && dst[n - 1] != '/')
        n--;
    strcpy(dst + n, i == 1 ? "images" : "../lib/thaw/images");
    return true;
}

static int image_not_openable(struct thaw_error *err, const char *path)
{
    int e = errno;

    return thaw_error_set(err, THAW_STATUS_FAILED, e, "cannot open image %s: %s", path, strerror(e));
}

int store_image_open(const struct thaw_store *store, const char *name, char *dst, struct thaw_error *err)
{
    int fd;

    if (strchr(name, '/')) {
        if (strlen(name) >= PATH_MAX)
            return thaw_error_set(err, THAW_STATUS_FAILED, ENAMETOOLONG, "path of the image is too long");
        strcpy(dst, name);
        fd = open(dst, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        return fd < 0 ? image_not_openable(err, dst) : fd;
    }
    if (!store_name_valid(name))
        return thaw_error_set(err, THAW_STATUS_FAILED, EINVAL, "'%s' is not a name of an image", name);
    for (unsigned i = 0; store_image_dir(store, i, dst); i++) {
        if (!path_join(dst, dst, name, ".erofs"))
            continue;
        fd = open(dst, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd >= 0)
            return fd;
        if (errno != ENOENT && errno != ENOTDIR && errno != EACCES)
            return image_not_openable(err, dst);
    }
    store_image_dir(store, 0, dst);
    return thaw_error_set(err, THAW_STATUS_FAILED, ENOENT,
                          "no image '%s' in %s or beside thaw; `thaw image build --from DIR %s` makes one", name, dst,
                          name);
}

int store_image_new_dir(const struct thaw_store *store, char *dst, struct thaw_error *err)
{
    char path[PATH_MAX];

    if (!store_image_dir(store, 0, dst))
        return thaw_error_set(err, THAW_STATUS_FAILED, ENAMETOOLONG, "path of the image directory is too long");
    if (store_path(path, err, "%s/x", dst) < 0)
        return -1;
    return store_make_parents(path, err);
}

/* ---- snapshots ---- */

int store_snapshot_named(const struct thaw_store *store, const char *name, bool make, char *dst, struct thaw_error *err)
{
    if (strchr(name, '/'))
        return store_path(dst, err, "%s", name);
    if (!store_name_valid(name))
        return thaw_error_set(err, THAW_STATUS_FAILED, EINVAL, "'%s' is not a name of a snapshot", name);
    if (store_path(dst, err, "%s/snapshots/%s.snap", store->data, name) < 0)
        return -1;
    return make ? store_make_parents(dst, err) : 0;
}

/* Beside a named snapshot: the path of the image that it was made from. */
#define IMAGE_SUFFIX ".image"

int store_snapshot_image(const struct thaw_store *store, const char *name, char *image)
{
    char path[PATH_MAX], beside[PATH_MAX];
    struct thaw_error err;
    ssize_t n;
    int fd;

    if (store_snapshot_named(store, name, false, path, &err) < 0 ||
        (size_t)snprintf(beside, sizeof beside, "%s" IMAGE_SUFFIX, path) >= sizeof beside)
        return -1;
    fd = open(beside, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    n = fd < 0 ? -1 : read(fd, image, PATH_MAX);
    if (fd >= 0)
        close(fd);
    if (n <= 0 || n == PATH_MAX || memchr(image, 0, (size_t)n) || image[0] != '/')
        return -1;
    image[n] = 0;
    return 0;
}

void store_snapshot_image_set(const char *snapshot, const char *image)
{
    char beside[PATH_MAX], target[PATH_MAX];
    size_t len;
    int fd;

    if ((size_t)snprintf(beside, sizeof beside, "%s" IMAGE_SUFFIX, snapshot) >= sizeof beside ||
        !realpath(image, target))
        return;
    len = strlen(target);
    unlink(beside);
    fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0 && write(fd, target, len) != (ssize_t)len)
        unlink(beside);
    if (fd >= 0)
        close(fd);
}

int store_snapshot_auto(const struct thaw_store *store, const char *image, const struct snapshot_key *key, char *dst,
                        struct thaw_error *err)
{
    const char *base = strrchr(image, '/');
    uint64_t h = XXH3_64bits(key, sizeof *key);
    char tail[STORE_NAME_MAX + 32];
    size_t n;

    base = base ? base + 1 : image;
    n = strcspn(base, ".");
    if (n > STORE_NAME_MAX)
        n = STORE_NAME_MAX;
    memcpy(tail, base, n);
    tail[n++] = '-';
    for (int i = 60; i >= 0; i -= 4)
        tail[n++] = "0123456789abcdef"[h >> i & 15];
    tail[n] = 0;
    if (!path_join(dst, store->cache, "snapshots", "") || !path_join(dst, dst, tail, ".snap"))
        return thaw_error_set(err, THAW_STATUS_FAILED, ENAMETOOLONG, "path of the cache is too long: %.200s",
                              store->cache);
    return 0;
}

int store_snapshot_dirs(const struct thaw_store *store, char *automatic, char *named, struct thaw_error *err)
{
    if (store_path(automatic, err, "%s/snapshots", store->cache) < 0)
        return -1;
    return store_path(named, err, "%s/snapshots", store->data);
}

int store_stamp_path(const struct thaw_store *store, const char *path, char *dst, struct thaw_error *err)
{
    return store_path(dst, err, "%s/stamps/%016llx", store->cache, (unsigned long long)XXH3_64bits(path, strlen(path)));
}

/* ---- files ---- */

int store_make_parents(const char *path, struct thaw_error *err)
{
    char dir[PATH_MAX];

    if (store_path(dir, err, "%s", path) < 0)
        return -1;
    for (char *p = dir + 1; (p = strchr(p, '/')); p++) {
        *p = 0;
        if (mkdir(dir, 0700) < 0 && errno != EEXIST && access(dir, F_OK) < 0)
            return thaw_error_set(err, THAW_STATUS_FAILED, errno, "cannot make the directory %s: %s", dir,
                                  strerror(errno));
        *p = '/';
    }
    return 0;
}

int store_lock(const char *path)
{
    char name[PATH_MAX];
    int fd, e;

    if ((size_t)snprintf(name, sizeof name, "%s.lock", path) >= sizeof name) {
        errno = ENAMETOOLONG;
        return -1;
    }
    fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
    if (fd < 0)
        return -1;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        e = errno;
        close(fd);
        errno = e;
        return -1;
    }
    return fd;
}

static void remove_beside(const char *path, const char *suffix)
{
    char name[PATH_MAX];

    if ((size_t)snprintf(name, sizeof name, "%s%s", path, suffix) < sizeof name)
        unlink(name);
}

int store_remove(const char *path)
{
    int ret = unlink(path), e = errno;

    remove_beside(path, ".stamp");
    remove_beside(path, IMAGE_SUFFIX);
    errno = e;
    return ret;
}

static int compare_names(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

int store_list(const char *dir, const char *suffix, int (*fn)(void *arg, const char *dir, const char *name), void *arg)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    char **names = NULL;
    size_t count = 0, room = 0, slen = strlen(suffix);
    int ret = 0;

    if (!d)
        return errno == ENOENT || errno == ENOTDIR ? 0 : -1;
    while ((e = readdir(d))) {
        size_t n = strlen(e->d_name);

        if (n <= slen || strcmp(e->d_name + n - slen, suffix) != 0 || e->d_name[0] == '.')
            continue;
        if (count == room) {
            size_t more = room ? room * 2 : 16;
            char **p = realloc(names, more * sizeof *names);

            if (!p)
                break;
            names = p;
            room = more;
        }
        if (!(names[count] = strndup(e->d_name, n - slen)))
            break;
        count++;
    }
    closedir(d);
    if (count > 1)
        qsort(names, count, sizeof *names, compare_names);
    for (size_t i = 0; i < count; i++) {
        if (ret == 0)
            ret = fn(arg, dir, names[i]);
        free(names[i]);
    }
    free(names);
    return ret;
}

#define PRUNE_MAX 256
struct prune {
    unsigned count;
    struct {
        int64_t mtime;
        char path[256];
    } file[PRUNE_MAX];
};

static int prune_add(void *arg, const char *dir, const char *name)
{
    struct prune *p = arg;
    char path[PATH_MAX];
    struct stat st;

    if (p->count == PRUNE_MAX)
        return 0;
    if ((size_t)snprintf(path, sizeof path, "%s/%s.snap", dir, name) >= sizeof p->file[0].path || lstat(path, &st) < 0)
        return 0;
    strcpy(p->file[p->count].path, path);
    p->file[p->count++].mtime = (int64_t)st.st_mtim.tv_sec;
    return 0;
}

void store_prune(const struct thaw_store *store, unsigned keep)
{
    struct prune *p = malloc(sizeof *p);
    char dir[PATH_MAX];

    if (!p)
        return;
    p->count = 0;
    if ((size_t)snprintf(dir, sizeof dir, "%s/snapshots", store->cache) < sizeof dir)
        store_list(dir, ".snap", prune_add, p);
    while (p->count > keep) {
        unsigned oldest = 0;

        for (unsigned i = 1; i < p->count; i++)
            if (p->file[i].mtime < p->file[oldest].mtime)
                oldest = i;
        store_remove(p->file[oldest].path);
        remove_beside(p->file[oldest].path, ".lock");
        p->file[oldest] = p->file[--p->count];
    }
    free(p);
}
