/* SPDX-License-Identifier: MIT */
/* Mounts an EROFS image with the kernel's own code and goes through all of it. For tests; needs no kernel header. */
#ifndef EROFS_WALK_H
#define EROFS_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct erofs_found {
    const char *path; /* from the root, "" for itself */
    uint32_t mode, nlink, uid, gid;
    uint64_t size, ino, rdev, mtime_ns;
    const unsigned char *data; /* of a file or a link; at most the budget's share of it */
    size_t len;
    int error; /* what reading it answered, 0 or -errno */
};

struct erofs_budget {
    unsigned entries; /* visited in all: directories may lead in circles */
    size_t bytes;     /* read of each file */
};

/* 0, or what mounting answered. Errors below are counted in *errors; a name that is listed but not found too. */
int erofs_walk(const void *image, size_t size, struct erofs_budget budget,
               void (*fn)(void *arg, const struct erofs_found *e), void *arg, unsigned *errors);

/* Blocks of the kernel's heap in use. */
long erofs_walk_leaks(void);
/* No messages about damaged images. */
void erofs_walk_quiet(void);

#endif
