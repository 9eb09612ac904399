/* SPDX-License-Identifier: MIT */
/* What an image is made of when it is not a directory: unpacked into one, which is removed afterwards. */
#ifndef MONITOR_IMAGE_SOURCE_H
#define MONITOR_IMAGE_SOURCE_H

#include "store.h"

struct image_source {
    char dir[PATH_MAX]; /* temporary; "" when there is none */
    char root[PATH_MAX];
};

/*
 * Debian packages, their names with commas between them, and all that they depend on, from the archives that this
 * host's apt knows. Runs apt-get, dpkg-deb, tar; see image_packages.sh for what is done and what is not.
 */
int image_source_packages(struct image_source *source, const char *packages, void (*tick)(void *arg), void *arg,
                          struct thaw_error *err);
/* Removes what was unpacked. */
void image_source_remove(struct image_source *source);

#endif
