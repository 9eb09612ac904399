/* SPDX-License-Identifier: MIT */
/* Root images: NAME.erofs, and NAME.json beside it, which says what the file must be. */
#ifndef MONITOR_IMAGE_H
#define MONITOR_IMAGE_H

#include "image_source.h"
#include "store.h"

struct image {
    int fd;
    uint64_t size;
    uint8_t checksum[16]; /* XXH128 of the whole file, canonical (big endian) */
    char *path;           /* the image's, until image_close() */
};

struct image_info {
    char path[PATH_MAX];
    char name[STORE_NAME_MAX + 1];
    uint64_t size, created; /* created: seconds since the epoch */
    uint8_t checksum[16];
    /* How to start it, from a container image: strings as in struct image_source. */
    char config[IMAGE_CONFIG_MAX];
    size_t config_len;
    char source[PATH_MAX]; /* the directory, or the packages, it was made from */
};

/* As thaw_image_open() has it. full: verify the checksum whatever a stamp says. */
int image_open(struct image *image, const struct thaw_store *store, const char *name, bool full,
               struct thaw_error *err);
void image_close(struct image *image);

/* Reads the sidecar of the image file at path. */
int image_info_read(struct image_info *info, const char *path, struct thaw_error *err);

/*
 * Makes image NAME from a directory with mkfs.erofs: to a temporary name, synced, renamed. progress is called, if not
 * NULL, with the bytes written so far, some times a second. All files belong to root in it. label: what the
 * sidecar names as its source, NULL: the directory; source: where how to start it comes from, or NULL.
 */
int image_build(const struct thaw_store *store, const char *name, const char *from, const char *label,
                const struct image_source *source, void (*progress)(void *arg, uint64_t bytes), void *arg,
                struct thaw_error *err);
/* Writes the sidecar of an EROFS file that was made by other means; file is its path. */
int image_seal(const struct thaw_store *store, const char *file, struct thaw_error *err);
int image_remove(const struct thaw_store *store, const char *name, struct thaw_error *err);

/* XXH128 of a whole file; -1 with errno. */
int image_checksum(int fd, uint64_t size, uint8_t checksum[16]);

#endif
