/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "image.h"

#include "json.h"
#include "page_cache.h"
#include "tool.h"

#define XXH_INLINE_ALL
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#define EROFS_MAGIC_OFFSET 1024
#define EROFS_MAGIC 0xe0f5e1e2u
#define EROFS_MIN_SIZE 4096
#define SIDECAR_MAX (256u << 10)
#define CONFIG_STRING_MAX 4096 /* as the reader of sidecars has it */

int image_checksum(int fd, uint64_t size, uint8_t checksum[16])
{
    XXH3_state_t *state = XXH3_createState();
    XXH128_canonical_t canonical;
    size_t chunk = 1u << 18;
    unsigned char *buf = malloc(chunk);
    uint64_t off = 0;
    int ret = -1;

    if (!state || !buf) {
        errno = ENOMEM;
        goto out;
    }
    if (!fdatasync(fd)) /* a sandbox then maps a program's text with an entry for each 2 MiB */
        page_cache_huge(fd, 0, size);
    XXH3_128bits_reset(state);
    while (off < size) {
        ssize_t n = pread(fd, buf, size - off < chunk ? (size_t)(size - off) : chunk, (off_t)off);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            if (n == 0)
                errno = EIO; /* it became shorter meanwhile */
            goto out;
        }
        XXH3_128bits_update(state, buf, (size_t)n);
        off += (uint64_t)n;
    }
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state));
    memcpy(checksum, canonical.digest, 16);
    ret = 0;
out:
    free(buf);
    XXH3_freeState(state);
    return ret;
}

/* ---- the sidecar ---- */

static int sidecar_path(char *dst, const char *path, struct thaw_error *err)
{
    size_t n = strlen(path);

    if (n > 6 && strcmp(path + n - 6, ".erofs") == 0)
        n -= 6;
    return store_path(dst, err, "%.*s.json", (int)n, path);
}

struct sidecar {
    struct image_info *info;
    unsigned seen; /* one bit a member */
};

/* "arg.N", "env.N" and "workdir": how a container image is to be started. */
static bool sidecar_config(struct image_info *info, const char *key, const char *value)
{
    size_t n = strlen(value);
    char tag;

    if (strncmp(key, "arg.", 4) == 0)
        tag = 'A';
    else if (strncmp(key, "env.", 4) == 0)
        tag = 'E';
    else if (strcmp(key, "workdir") == 0)
        tag = 'W';
    else
        return false;
    if (n + 2 > sizeof info->config - info->config_len)
        return false;
    info->config[info->config_len++] = tag;
    memcpy(info->config + info->config_len, value, n + 1);
    info->config_len += n + 1;
    return true;
}

static bool sidecar_put_config(struct json *j, const struct image_info *info)
{
    unsigned args = 0, envs = 0;
    char key[32];

    for (size_t at = 0; at < info->config_len; at += strlen(info->config + at) + 1) {
        const char *string = info->config + at + 1;

        if (strlen(info->config + at) > CONFIG_STRING_MAX)
            return false;
        switch (info->config[at]) {
        case 'A': snprintf(key, sizeof key, "arg.%u", args++); break;
        case 'E': snprintf(key, sizeof key, "env.%u", envs++); break;
        case 'W': strcpy(key, "workdir"); break;
        default: return false;
        }
        json_string(j, key, string);
    }
    return true;
}

static bool sidecar_member(void *arg, const char *key, const char *value, bool is_number)
{
    struct sidecar *s = arg;
    static const char *const keys[] = {"size", "created", "xxh128", "source"};
    unsigned i;

    for (i = 0; i < 4 && strcmp(key, keys[i]) != 0; i++)
        ;
    if (i == 4 && !is_number)
        return sidecar_config(s->info, key, value);
    if (i == 4 || (s->seen & 1u << i) || is_number != (i < 2))
        return false;
    s->seen |= 1u << i;
    errno = 0;
    switch (i) {
    case 0: s->info->size = strtoull(value, NULL, 10); return errno == 0;
    case 1: s->info->created = strtoull(value, NULL, 10); return errno == 0;
    case 2:
        if (strlen(value) != 32 || strspn(value, "0123456789abcdef") != 32)
            return false;
        for (unsigned j = 0; j < 16; j++) {
            char pair[3] = {value[2 * j], value[2 * j + 1], 0};

            s->info->checksum[j] = (uint8_t)strtoul(pair, NULL, 16);
        }
        return true;
    default:
        if (strlen(value) >= sizeof s->info->source)
            return false;
        strcpy(s->info->source, value);
        return true;
    }
}

int image_info_read(struct image_info *info, const char *path, struct thaw_error *err)
{
    struct sidecar s = {.info = info};
    char side[PATH_MAX], *text;
    const char *base = strrchr(path, '/');
    ssize_t n;
    bool good;
    int fd;

    memset(info, 0, sizeof *info);
    base = base ? base + 1 : path;
    snprintf(info->name, sizeof info->name, "%.*s", (int)strcspn(base, "."), base);
    if (store_path(info->path, err, "%s", path) < 0 || sidecar_path(side, path, err) < 0)
        return -1;
    fd = open(side, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return thaw_error_set(
            err, THAW_STATUS_FAILED, errno,
            "cannot open %s, which describes the image: %s; build the image anew with `thaw image build`", side,
            strerror(errno));
    text = malloc(SIDECAR_MAX);
    n = text ? read(fd, text, SIDECAR_MAX) : -1;
    close(fd);
    good = n >= 0 && n < (ssize_t)SIDECAR_MAX && json_parse(text, (size_t)n, sidecar_member, &s) && s.seen == 15;
    free(text);
    if (!good)
        return thaw_error_set(err, THAW_STATUS_FAILED, EBADMSG,
                              "%s does not describe an image; build the image anew with `thaw image build`", side);
    return 0;
}

static int write_all(int fd, const char *buf, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, buf, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        buf += n;
        len -= (size_t)n;
    }
    return 0;
}

/* Writes it to the temporary name, synced. */
static int sidecar_write(const struct image_info *info, const char *temp, struct thaw_error *err)
{
    char *text = malloc(SIDECAR_MAX), hex[33];
    struct json j;
    int fd = -1, len, ret = -1;

    if (!text)
        return thaw_error_set(err, THAW_STATUS_FAILED, ENOMEM, "out of memory");

    for (unsigned i = 0; i < 16; i++)
        snprintf(hex + 2 * i, 3, "%02x", info->checksum[i]);
    json_begin(&j, text, SIDECAR_MAX);
    json_number(&j, "size", info->size);
    json_number(&j, "created", info->created);
    json_string(&j, "xxh128", hex);
    json_string(&j, "source", info->source);
    bool fits = sidecar_put_config(&j, info);
    len = json_end(&j);
    if (len < 0 || !fits) {
        thaw_error_set(err, THAW_STATUS_FAILED, ENAMETOOLONG,
                       "path of the source, or what the image says about its start, is too long");
        goto out;
    }
    fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0) {
        thaw_error_set(err, THAW_STATUS_FAILED, errno, "cannot make %s: %s", temp, strerror(errno));
        goto out;
    }
    ret = write_all(fd, text, (size_t)len);
    if (ret == 0)
        ret = fsync(fd);
    if (ret < 0)
        thaw_error_set(err, THAW_STATUS_FAILED, errno, "cannot write %s: %s", temp, strerror(errno));
    close(fd);
out:
    free(text);
    return ret;
}

/* ---- opening ---- */

static int image_verify(struct image *image, const char *stamp, struct thaw_error *err)
{
    struct image_info *info = malloc(sizeof *info);
    uint32_t magic = 0;
    int ret = -1;

    if (!info)
        return thaw_error_set(err, THAW_STATUS_FAILED, ENOMEM, "out of memory");
    if (pread(image->fd, &magic, sizeof magic, EROFS_MAGIC_OFFSET) != sizeof magic || magic != EROFS_MAGIC) {
        thaw_error_set(err, THAW_STATUS_FAILED, EBADMSG, "image %s is damaged or not an EROFS image; build it anew",
                       image->path);
        goto out;
    }
    if (image_info_read(info, image->path, err) < 0)
        goto out;
    if (info->size != image->size) {
        thaw_error_set(err, THAW_STATUS_FAILED, EBADMSG,
                       "image %s is damaged: it has %llu bytes and should have %llu; build it anew", image->path,
                       (unsigned long long)image->size, (unsigned long long)info->size);
        goto out;
    }
    if (image_checksum(image->fd, image->size, image->checksum) < 0) {
        thaw_error_set(err, THAW_STATUS_FAILED, errno, "cannot read image %s: %s", image->path, strerror(errno));
        goto out;
    }
    if (memcmp(image->checksum, info->checksum, 16) != 0) {
        thaw_error_set(err, THAW_STATUS_FAILED, EBADMSG, "image %s is damaged: wrong checksum; build it anew",
                       image->path);
        goto out;
    }
    if (stamp)
        stamp_write(stamp, image->fd, image->checksum);
    ret = 0;
out:
    free(info);
    return ret;
}

/*
 * Verifies and leaves a stamp: beside the image if this user can write there, else in his cache, so that an image
 * that root installed is not read through at each start.
 */
static int image_verify_stamp(struct image *image, const char *in_cache, struct thaw_error *err)
{
    char dir[PATH_MAX];
    struct thaw_error ignored;
    char *slash;

    strcpy(dir, image->path);
    slash = strrchr(dir, '/');
    strcpy(slash ? slash + 1 : dir, ".");
    if (access(dir, W_OK) == 0)
        return image_verify(image, image->path, err);
    return image_verify(image, store_make_parents(in_cache, &ignored) == 0 ? in_cache : NULL, err);
}

/* What is left to do when no stamp lies beside the image. */
static int image_open_unstamped(struct image *image, const struct thaw_store *store, bool full, struct thaw_error *err)
{
    char in_cache[PATH_MAX];

    if (store_stamp_path(store, image->path, in_cache, err) < 0)
        return -1;
    if (!full && stamp_valid(in_cache, image->fd, image->checksum))
        return 0;
    return image_verify_stamp(image, in_cache, err);
}

/* Opens the file; its path is kept no longer than it is. */
static int image_open_file(struct image *image, const struct thaw_store *store, const char *name,
                           struct thaw_error *err)
{
    char path[PATH_MAX];

    image->path = NULL;
    image->fd = store_image_open(store, name, path, err);
    if (image->fd < 0)
        return -1;
    image->path = strdup(path);
    return image->path ? 0 : thaw_error_set(err, THAW_STATUS_FAILED, ENOMEM, "out of memory");
}

int image_open(struct image *image, const struct thaw_store *store, const char *name, bool full, struct thaw_error *err)
{
    struct stat st;

    if (image_open_file(image, store, name, err) < 0)
        goto bad;
    if (fstat(image->fd, &st) < 0) {
        thaw_error_set(err, THAW_STATUS_FAILED, errno, "cannot open image %s: %s", image->path, strerror(errno));
        goto bad;
    }
    if (!S_ISREG(st.st_mode) || st.st_size < EROFS_MIN_SIZE) {
        thaw_error_set(err, THAW_STATUS_FAILED, EBADMSG, "image %s is damaged or not an EROFS image; build it anew",
                       image->path);
        goto bad;
    }
    image->size = (uint64_t)st.st_size;
    if (!full && stamp_valid(image->path, image->fd, image->checksum))
        return 0;
    if (image_open_unstamped(image, store, full, err) < 0)
        goto bad;
    return 0;
bad:
    image_close(image);
    return -1;
}

void image_close(struct image *image)
{
    if (image->fd >= 0)
        close(image->fd);
    image->fd = -1;
    free(image->path);
    image->path = NULL;
}

/* ---- building ---- */

struct mkfs_progress {
    const char *temp;
    void (*progress)(void *arg, uint64_t bytes);
    void *arg;
};

static void mkfs_tick(void *arg)
{
    struct mkfs_progress *p = arg;
    struct stat st;

    if (p->progress && stat(p->temp, &st) == 0)
        p->progress(p->arg, (uint64_t)st.st_size);
}

static int run_mkfs(const char *temp, const char *from, void (*progress)(void *, uint64_t), void *arg,
                    struct thaw_error *err)
{
    /* No inline data, so that every page of every file can be mapped; times as they are, by which Python knows whether
     * byte code belongs to its source. */
    char *const argv[] = {"mkfs.erofs",       "--all-root", "--quiet",
                          "--preserve-mtime", "-x-1",       "-Enoinline_data,force-inode-extended",
                          (char *)temp,       (char *)from, NULL};
    char *const env[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", NULL};
    static const char *const places[] = {"/usr/bin/mkfs.erofs",       "/usr/sbin/mkfs.erofs",       "/sbin/mkfs.erofs",
                                         "/usr/local/bin/mkfs.erofs", "/usr/local/sbin/mkfs.erofs", NULL};
    struct mkfs_progress p = {temp, progress, arg};
    struct tool tool = {.places = places, .argv = argv, .env = env, .tick = mkfs_tick, .tick_arg = &p};
    int ret = tool_run(&tool);

    if (ret < 0)
        return thaw_error_set(err, THAW_STATUS_FAILED, errno,
                              "cannot run mkfs.erofs: %s; it is in the package erofs-utils", strerror(errno));
    if (ret > 0)
        return thaw_error_set(err, THAW_STATUS_FAILED, EIO, "mkfs.erofs could not make an image of %s: %s", from,
                              tool.line[0] ? tool.line : "no reason given");
    return 0;
}

static int sync_dir(const char *file)
{
    char dir[PATH_MAX];
    char *slash;
    int fd, ret;

    strcpy(dir, file);
    slash = strrchr(dir, '/');
    strcpy(slash ? slash + 1 : dir, ".");
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ret = fsync(fd);
    close(fd);
    return ret;
}

static int image_build_path(struct image_info *info, const char *from, const char *label,
                            void (*progress)(void *, uint64_t), void *arg, struct thaw_error *err)
{
    char temp[PATH_MAX], side_temp[PATH_MAX], side[PATH_MAX];
    struct stat st;
    int fd = -1, ret = -1;

    if (stat(from, &st) < 0 || !S_ISDIR(st.st_mode))
        return thaw_error_set(err, THAW_STATUS_FAILED, errno ? errno : ENOTDIR, "%s is not a directory", from);
    if (label ? store_path(info->source, err, "%s", label) < 0 : !realpath(from, info->source))
        return label ? -1 : thaw_error_set(err, THAW_STATUS_FAILED, errno, "cannot find %s: %s", from, strerror(errno));
    /* mkfs.erofs 1.5 truncates what is there: a fresh name, in the directory of the image so that rename works. */
    if (store_path(temp, err, "%s.tmp.%ld", info->path, (long)getpid()) < 0 ||
        store_path(side_temp, err, "%s.json", temp) < 0 || sidecar_path(side, info->path, err) < 0)
        return -1;
    unlink(temp);
    unlink(side_temp);
    fd = open(temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return thaw_error_set(err, THAW_STATUS_FAILED, errno, "cannot make %s: %s", temp, strerror(errno));
    if (run_mkfs(temp, from, progress, arg, err) < 0)
        goto out;
    if (fsync(fd) < 0 || fstat(fd, &st) < 0) {
        thaw_error_set(err, THAW_STATUS_FAILED, errno, "cannot write %s: %s", temp, strerror(errno));
        goto out;
    }
    info->size = (uint64_t)st.st_size;
    info->created = (uint64_t)time(NULL);
    if (image_checksum(fd, info->size, info->checksum) < 0) {
        thaw_error_set(err, THAW_STATUS_FAILED, errno, "cannot read %s: %s", temp, strerror(errno));
        goto out;
    }
    if (sidecar_write(info, side_temp, err) < 0)
        goto out;
    /*
     * Two renames cannot be one: between them the old sidecar would belie the new image. So the sidecar first goes
     * away; an image without one is refused, with the advice to build it anew.
     */
    unlink(side);
    if (rename(temp, info->path) < 0 || rename(side_temp, side) < 0 || sync_dir(info->path) < 0) {
        thaw_error_set(err, THAW_STATUS_FAILED, errno, "cannot put the image at %s: %s", info->path, strerror(errno));
        goto out;
    }
    stamp_write(info->path, fd, info->checksum);
    ret = 0;
out:
    if (ret < 0) {
        unlink(temp);
        unlink(side_temp);
    }
    close(fd);
    return ret;
}

int image_build(const struct thaw_store *store, const char *name, const char *from, const char *label,
                const struct image_source *source, void (*progress)(void *arg, uint64_t bytes), void *arg,
                struct thaw_error *err)
{
    struct image_info *info = calloc(1, sizeof *info);
    char dir[PATH_MAX];
    int ret = -1;

    if (!info)
        return thaw_error_set(err, THAW_STATUS_FAILED, ENOMEM, "out of memory");
    if (source) {
        memcpy(info->config, source->config, source->config_len);
        info->config_len = source->config_len;
    }
    if (strchr(name, '/'))
        ret = store_path(info->path, err, "%s", name);
    else if (!store_name_valid(name))
        thaw_error_set(err, THAW_STATUS_FAILED, EINVAL,
                       "'%s' is not a name for an image: letters, digits, '.', '_' and '-' only", name);
    else if (store_image_new_dir(store, dir, err) == 0)
        ret = store_path(info->path, err, "%s/%s.erofs", dir, name);
    if (ret == 0)
        ret = image_build_path(info, from, label, progress, arg, err);
    free(info);
    return ret;
}

int image_seal(const struct thaw_store *store, const char *file, struct thaw_error *err)
{
    struct image_info *info = calloc(1, sizeof *info);
    char side[PATH_MAX], temp[PATH_MAX];
    uint32_t magic = 0;
    struct stat st;
    int fd = -1, ret = -1;

    (void)store;
    if (!info)
        return thaw_error_set(err, THAW_STATUS_FAILED, ENOMEM, "out of memory");
    if (store_path(info->path, err, "%s", file) < 0 || sidecar_path(side, file, err) < 0 ||
        store_path(temp, err, "%s.tmp.%ld", side, (long)getpid()) < 0)
        goto out;
    fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) < 0) {
        thaw_error_set(err, THAW_STATUS_FAILED, errno, "cannot open image %s: %s", file, strerror(errno));
        goto out;
    }
    if (!S_ISREG(st.st_mode) || st.st_size < EROFS_MIN_SIZE ||
        pread(fd, &magic, sizeof magic, EROFS_MAGIC_OFFSET) != sizeof magic || magic != EROFS_MAGIC) {
        thaw_error_set(err, THAW_STATUS_FAILED, EINVAL, "%s is not an EROFS image; mkfs.erofs makes them", file);
        goto out;
    }
    info->size = (uint64_t)st.st_size;
    info->created = (uint64_t)st.st_mtime;
    if (!realpath(file, info->source) || fsync(fd) < 0 || image_checksum(fd, info->size, info->checksum) < 0) {
        thaw_error_set(err, THAW_STATUS_FAILED, errno, "cannot read image %s: %s", file, strerror(errno));
        goto out;
    }
    if (sidecar_write(info, temp, err) < 0)
        goto out;
    if (rename(temp, side) < 0 || sync_dir(side) < 0) {
        thaw_error_set(err, THAW_STATUS_FAILED, errno, "cannot make %s: %s", side, strerror(errno));
        unlink(temp);
        goto out;
    }
    stamp_write(file, fd, info->checksum);
    ret = 0;
out:
    if (fd >= 0)
        close(fd);
    free(info);
    return ret;
}

int image_remove(const struct thaw_store *store, const char *name, struct thaw_error *err)
{
    char path[PATH_MAX], side[PATH_MAX];
    int fd = store_image_open(store, name, path, err);

    if (fd < 0)
        return -1;
    close(fd);
    if (sidecar_path(side, path, err) < 0)
        return -1;
    if (store_remove(path) < 0)
        return thaw_error_set(err, THAW_STATUS_FAILED, errno, "cannot remove %s: %s", path, strerror(errno));
    unlink(side);
    return 0;
}
