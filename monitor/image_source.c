/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "image_source.h"

#include "tool.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PACKAGES_MAX 256

extern const char image_packages_script[]; /* image_packages.sh, NUL-terminated: image_packages.S */

static int source_create(struct image_source *s, struct thaw_error *err)
{
    const char *tmp = getenv("TMPDIR");

    if (store_path(s->dir, err, "%s/thaw-image.XXXXXX", tmp && *tmp ? tmp : "/var/tmp") < 0)
        return -1;
    if (!mkdtemp(s->dir)) {
        int e = errno;

        s->dir[0] = 0;
        return thaw_error_set(err, THAW_STATUS_FAILED, e, "cannot make a directory in %s: %s; set TMPDIR",
                              tmp && *tmp ? tmp : "/var/tmp", strerror(e));
    }
    if (store_path(s->root, err, "%s/root", s->dir) < 0)
        return -1;
    if (mkdir(s->root, 0755) < 0)
        return thaw_error_set(err, THAW_STATUS_FAILED, errno, "cannot make %s: %s", s->root, strerror(errno));
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path) < 0 && errno != ENOENT ? -1 : 0;
}

/* A directory that its owner may not write to would keep what is in it. */
static int open_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)ftw;
    if ((type == FTW_D || type == FTW_DNR) && (st->st_mode & 0700) != 0700)
        return chmod(path, 0700);
    return 0;
}

void image_source_remove(struct image_source *s)
{
    if (!s->dir[0])
        return;
    nftw(s->dir, open_one, 32, FTW_PHYS);
    nftw(s->dir, remove_one, 32, FTW_PHYS | FTW_DEPTH);
    s->dir[0] = 0;
}

/* What is installed with thaw: beside the executable while it has not been, else in ../lib/thaw. */
static int installed_path(char *dst, const char *name, struct thaw_error *err)
{
    char exe[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);

    if (n <= 0)
        return thaw_error_set(err, THAW_STATUS_FAILED, errno, "cannot find where thaw lies: is /proc mounted?");
    exe[n] = 0;
    *strrchr(exe, '/') = 0;
    if (store_path(dst, err, "%s/%s", exe, name) < 0)
        return -1;
    if (access(dst, F_OK) == 0)
        return 0;
    if (store_path(dst, err, "%s/../lib/thaw/%s", exe, name) < 0)
        return -1;
    if (access(dst, F_OK) == 0)
        return 0;
    return thaw_error_set(err, THAW_STATUS_FAILED, ENOENT, "%s is missing: thaw is not installed as a whole", dst);
}

/* A name of a package, perhaps with =VERSION or /SUITE behind it; nothing that apt-get would take for an option. */
static bool package_name_valid(const char *name)
{
    return name[0] && strchr("abcdefghijklmnopqrstuvwxyz0123456789", name[0]) &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.+-=/:~") == strlen(name) &&
           name[strlen(name) - 1] != '-';
}

int image_source_packages(struct image_source *s, const char *packages, void (*tick)(void *arg), void *arg,
                          struct thaw_error *err)
{
    static const char *const places[] = {"/bin/sh", "/usr/bin/sh", NULL};
    char work[PATH_MAX], agent[PATH_MAX], exe[PATH_MAX] = "", *list = NULL, *save = NULL;
    char *argv[PACKAGES_MAX + 10] = {"sh", "-c", (char *)image_packages_script, "thaw-packages", exe, s->root,
                                     work, agent};
    struct tool tool = {.places = places, .argv = argv, .env = environ, .tick = tick, .tick_arg = arg};
    int n = 8, ret = -1;

    s->dir[0] = 0;
    list = strdup(packages);
    if (!list)
        return thaw_error_set(err, THAW_STATUS_FAILED, ENOMEM, "out of memory");
    for (char *name = strtok_r(list, ", ", &save); name; name = strtok_r(NULL, ", ", &save)) {
        if (!package_name_valid(name)) {
            thaw_error_set(err, THAW_STATUS_FAILED, EINVAL, "'%.100s' is not the name of a Debian package", name);
            goto out;
        }
        if (n == PACKAGES_MAX + 8) {
            thaw_error_set(err, THAW_STATUS_FAILED, E2BIG, "more than %d packages are named", PACKAGES_MAX);
            goto out;
        }
        argv[n++] = name;
    }
    if (n == 8) {
        thaw_error_set(err, THAW_STATUS_FAILED, EINVAL, "--packages names no package");
        goto out;
    }
    if (installed_path(agent, "python-agent", err) < 0 || source_create(s, err) < 0 ||
        store_path(work, err, "%s/work", s->dir) < 0)
        goto out;
    ret = (int)readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (ret <= 0 || mkdir(work, 0700) < 0) {
        ret = thaw_error_set(err, THAW_STATUS_FAILED, errno, "cannot make %s: %s", work, strerror(errno));
        goto out;
    }
    ret = tool_run(&tool);
    if (ret < 0)
        thaw_error_set(err, THAW_STATUS_FAILED, errno, "cannot run sh: %s", strerror(errno));
    else if (ret > 0)
        ret = thaw_error_set(err, THAW_STATUS_FAILED, EIO, "cannot unpack the packages %s: %s", packages,
                             tool.line[0] ? tool.line : "no reason given");
out:
    free(list);
    return ret;
}

int image_source_archive(struct image_source *s, const char *file, struct thaw_error *err)
{
    char tool_path[PATH_MAX], work[PATH_MAX];
    const char *places[] = {tool_path, NULL};
    char *argv[] = {"thaw-oci", (char *)file, s->root, work, NULL};
    char *const env[] = {"LC_ALL=C.UTF-8", NULL};
    struct tool tool = {.places = places, .argv = argv, .env = env, .out = s->config, .out_size = sizeof s->config};
    int ret;

    s->dir[0] = 0;
    if (installed_path(tool_path, "thaw-oci", err) < 0 || source_create(s, err) < 0 ||
        store_path(work, err, "%s/work", s->dir) < 0)
        return -1;
    if (mkdir(work, 0700) < 0)
        return thaw_error_set(err, THAW_STATUS_FAILED, errno, "cannot make %s: %s", work, strerror(errno));
    ret = tool_run(&tool);
    s->config_len = tool.out_len;
    if (ret < 0)
        return thaw_error_set(err, THAW_STATUS_FAILED, errno, "cannot run %s: %s", tool_path, strerror(errno));
    if (ret > 0)
        return thaw_error_set(err, THAW_STATUS_FAILED, EBADMSG, "cannot unpack %s: %s", file,
                              tool.line[0] ? tool.line : "no reason given");
    return 0;
}
