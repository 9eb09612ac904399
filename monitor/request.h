/* SPDX-License-Identifier: MIT */
/* Builds struct thaw_request: what a start brings. */
#ifndef MONITOR_REQUEST_H
#define MONITOR_REQUEST_H

#include "sandbox.h"

struct request_mount {
    const char *guest;
    uint32_t flags; /* THAW_SHARE_* */
};

struct request_source {
    const char *exe;             /* what is executed: a guest path, or a name to be found in PATH; NULL: argv[0] */
    const char *const *argv;     /* NULL-terminated */
    const char *const *defaults; /* "NAME=VALUE", NULL-terminated; env below replaces what it names */
    const char *const *env;      /* may be NULL; of several of one name the last counts */
    const char *cwd;
    uint32_t umask;
    uint32_t stdio_tty;
    const struct request_mount *mounts;
    size_t mount_count;
};

/* malloc'ed, the caller's to free. E2BIG: more than THAW_REQUEST_MAX bytes; EINVAL: a path that is not absolute, an
 * environment entry without a name or a '=', no argv, too many mounts. */
struct thaw_request *request_build(const struct request_source *source, struct thaw_error *err);

#endif
