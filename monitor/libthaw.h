/* SPDX-License-Identifier: MIT */
/* What the thaw command reaches of libthaw besides its public header. */
#ifndef MONITOR_LIBTHAW_H
#define MONITOR_LIBTHAW_H

#include "image.h"
#include "store.h"

struct thaw_image {
    struct image image;
    char name[STORE_NAME_MAX + 1]; /* for the automatic snapshot's name */
    struct image_info *info;       /* what thaw_image_defaults() has read, or NULL */
    const char **defaults;         /* its argv, NULL, its env, NULL */
};

struct thaw_snapshot {
    struct snapshot snapshot;
};

/* The directories a sandbox may reach. */
int sandbox_proc(struct thaw_sandbox *s); /* its descriptor of /proc, -1: none */
struct share_set *sandbox_shares(struct thaw_sandbox *sandbox);
/* Has fn called when the sandbox's snapshot has been made (or could not be) and before the program goes on. */
void sandbox_on_snapshot(struct thaw_sandbox *sandbox, void (*fn)(void *arg), void *arg);

/* thaw_sandbox_start(), which may take the process spawned (spawned.h) for the sandbox's. */
int sandbox_start_spawned(struct thaw_store *store, const struct thaw_start *start, struct spawned *spawned,
                          struct thaw_sandbox **sandbox, struct thaw_error *err);

/* Says in err's line what is wrong with the snapshot file at path. */
int snapshot_result_error(enum snapshot_result result, const char *path, struct thaw_error *err);

#endif
