/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "script.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void path_normalise(char *path)
{
    char *out = path, *in = path;

    while (*in) {
        size_t n;

        while (*in == '/')
            in++;
        n = strcspn(in, "/");
        if (n == 2 && in[0] == '.' && in[1] == '.') {
            while (out > path && *--out != '/')
                ;
        } else if (n > 0 && !(n == 1 && in[0] == '.')) {
            *out++ = '/';
            memmove(out, in, n);
            out += n;
        }
        in += n;
    }
    if (out == path)
        *out++ = '/';
    *out = 0;
}

/* Folders that the sandbox has of its own; sharing the host's over them would break it. */
static bool is_sandbox_dir(const char *dir)
{
    static const char *const own[] = {"/",        "/bin",     "/dev",          "/dev/shm", "/etc",    "/lib", "/lib64",
                                      "/proc",    "/root",    "/run",          "/sbin",    "/sys",    "/tmp", "/usr",
                                      "/usr/bin", "/usr/lib", "/usr/lib/thaw", "/var",     "/var/tmp"};

    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (strcmp(dir, own[i]) == 0)
            return true;
    return strncmp(dir, "/proc/", 6) == 0 || strncmp(dir, "/dev/", 5) == 0 || strncmp(dir, "/sys/", 5) == 0 ||
           strncmp(dir, "/usr/lib/python3", 16) == 0;
}

static int too_long(struct thaw_error *err)
{
    return thaw_error_set(err, THAW_STATUS_FAILED, ENAMETOOLONG, "path of the script is too long");
}

static int out_of_memory(struct thaw_error *err)
{
    return thaw_error_set(err, THAW_STATUS_FAILED, ENOMEM, "out of memory");
}

/* The folder of what a link leads to, as a second share. */
static int add_target(struct script *s, const char *file, struct thaw_error *err)
{
    char *real = realpath(file, NULL), *slash;

    if (!real)
        return 0; /* it leads nowhere: Python will say so */
    slash = strrchr(real, '/');
    *slash = 0;
    if (is_sandbox_dir(real[0] ? real : "/")) {
        *slash = '/'; /* the file alone */
    } else if (s->mount_count > 0 && strcmp(real, s->mounts[0].guest) == 0) {
        free(real);
        return 0;
    }
    s->target_host = real;
    s->target_guest = strdup(real);
    if (!s->target_guest)
        return out_of_memory(err);
    s->mounts[s->mount_count++] = (struct thaw_mount){s->target_host, s->target_guest, true};
    return 0;
}

/* The absolute path of file, by text alone; malloc'ed. NULL with err. */
static char *absolute_path(const char *file, struct thaw_error *err)
{
    size_t len = strlen(file), at = 0;
    char *cwd = NULL, *path;

    if (file[0] != '/') {
        cwd = getcwd(NULL, 0);
        if (!cwd) {
            thaw_error_set(err, THAW_STATUS_FAILED, errno, "the current directory cannot be named: %s",
                           strerror(errno));
            return NULL;
        }
        at = strlen(cwd);
    }
    if (at + 1 + len + 1 > PATH_MAX) {
        too_long(err);
        free(cwd);
        return NULL;
    }
    path = malloc(at + 1 + len + 1);
    if (path) {
        if (cwd) {
            memcpy(path, cwd, at);
            path[at++] = '/';
        }
        memcpy(path + at, file, len + 1);
        path_normalise(path);
    } else {
        out_of_memory(err);
    }
    free(cwd);
    return path;
}

/* file's folder, as the user wrote it; malloc'ed. */
static char *folder_of(const char *file)
{
    const char *slash = strrchr(file, '/');
    size_t n = !slash ? 1 : slash == file ? 1 : (size_t)(slash - file);
    char *dir = malloc(n + 1);

    if (dir) {
        memcpy(dir, slash ? file : ".", n);
        dir[n] = 0;
    }
    return dir;
}

static char *script_variable(const char *path)
{
    static const char name[] = "THAW_SCRIPT=";
    char *v = malloc(sizeof name + strlen(path));

    if (v) {
        memcpy(v, name, sizeof name - 1);
        strcpy(v + sizeof name - 1, path);
    }
    return v;
}

int script_find(struct script *s, const char *file, struct thaw_error *err)
{
    char link[8], *slash;
    bool exists, is_link;

    memset(s, 0, sizeof *s);
    s->guest = absolute_path(file, err);
    if (!s->guest)
        return -1;
    s->host = folder_of(file);
    s->env = script_variable(s->guest);
    if (!s->host || !s->env)
        return out_of_memory(err);
    slash = strrchr(s->guest, '/');
    is_link = readlink(file, link, sizeof link) >= 0;
    exists = is_link || errno == EINVAL; /* what is there but is no link */
    if (!exists && errno != ENOENT && errno != ENOTDIR)
        return thaw_error_set(err, THAW_STATUS_FAILED, errno, "cannot reach %s: %s", file, strerror(errno));
    if (!exists && access(s->host, F_OK) < 0)
        return 0;
    if (slash == s->guest) {
        s->cwd = "/";
    } else {
        *slash = 0;
        s->cwd = s->guest;
    }
    if (is_sandbox_dir(s->cwd)) {
        if (!exists)
            return 0;
        /* The file alone. Both paths are needed whole. */
        free(s->host);
        s->host = strdup(file);
        s->target_guest = strdup(s->cwd);
        if (!s->host || !s->target_guest)
            return out_of_memory(err);
        s->cwd = s->target_guest;
        *slash = '/';
        s->mounts[s->mount_count++] = (struct thaw_mount){s->host, s->guest, true};
        return 0; /* the link, if it is one, is followed by sharing it */
    }
    s->mounts[s->mount_count++] = (struct thaw_mount){s->host, s->guest, true};
    return is_link ? add_target(s, file, err) : 0;
}

void script_free(struct script *s)
{
    free(s->host);
    free(s->guest);
    free(s->env);
    free(s->target_host);
    free(s->target_guest);
}
