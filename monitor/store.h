/* SPDX-License-Identifier: MIT */
/* Where images, snapshots and stamps lie on the host. */
#ifndef MONITOR_STORE_H
#define MONITOR_STORE_H

#include "sandbox.h"

#include <limits.h>

/* Each is NULL where the environment does not say. */
struct thaw_store {
    char *image_path; /* THAW_IMAGE_PATH: directories with ':' between them */
    char *data;       /* ends in "/thaw" */
    char *cache;
};

#define STORE_NAME_MAX 64

/* True for the name of an image or a snapshot: letters, digits, '.', '_', '-', the first one no '.' or '-'. */
bool store_name_valid(const char *name);

/* dst is of PATH_MAX bytes in all that follows; -1 with err (ENAMETOOLONG). */
int store_path(char *dst, struct thaw_error *err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/*
 * Opens NAME.erofs in the first directory of the search path that has it, read-only; its path to dst. -1 with err;
 * err->error is ENOENT if no directory has it. A name with a '/' is a path.
 */
int store_image_open(const struct thaw_store *store, const char *name, char *dst, struct thaw_error *err);
/* Number i of the search path's directories, from 0; false: there are no more. */
bool store_image_dir(const struct thaw_store *store, unsigned i, char *dst);
/* The directory new images go to; made if need be. */
int store_image_new_dir(const struct thaw_store *store, char *dst, struct thaw_error *err);

/* The file of a named snapshot (or the path, if name has a '/'); make: create its directory. */
int store_snapshot_named(const struct thaw_store *store, const char *name, bool make, char *dst,
                         struct thaw_error *err);
/* The file of the automatic snapshot for image and key. Creates nothing. */
/* The path of the image that a named snapshot was made from, into image (PATH_MAX bytes): 0, or -1: it is not known. */
int store_snapshot_image(const struct thaw_store *store, const char *name, char *image);
/* Remembers it. Should that fail, users have to name the image. */
void store_snapshot_image_set(const char *snapshot, const char *image);
int store_snapshot_auto(const struct thaw_store *store, const char *image, const struct snapshot_key *key, char *dst,
                        struct thaw_error *err);
/* The directories of the automatic and the named ones. */
int store_snapshot_dirs(const struct thaw_store *store, char *automatic, char *named, struct thaw_error *err);
/* What a stamp for the file at path is named in the cache, for files in directories that are not the user's. */
int store_stamp_path(const struct thaw_store *store, const char *path, char *dst, struct thaw_error *err);

/* Makes the directories above path, 0700. */
int store_make_parents(const char *path, struct thaw_error *err);
/* Takes the lock of path (a file beside it, PATH.lock) without waiting: a descriptor to close; -1 errno EWOULDBLOCK
 * if another process has it. */
int store_lock(const char *path);
/* Removes a snapshot or an image file with its stamp; 0 or -1 with errno of the file itself. */
int store_remove(const char *path);
/* Removes the oldest automatic snapshots, but for the keep newest. */
void store_prune(const struct thaw_store *store, unsigned keep);

/* Calls fn for each file of dir whose name ends in suffix, in order of name; name is without the suffix. */
int store_list(const char *dir, const char *suffix, int (*fn)(void *arg, const char *dir, const char *name), void *arg);

#endif
