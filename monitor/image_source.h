/* SPDX-License-Identifier: MIT */
/* What an image is made of when it is not a directory: unpacked into one, which is removed afterwards. */
#ifndef MONITOR_IMAGE_SOURCE_H
#define MONITOR_IMAGE_SOURCE_H

#include "store.h"

#define IMAGE_CONFIG_MAX 32768

struct image_source {
    char dir[PATH_MAX]; /* temporary; "" when there is none */
    char root[PATH_MAX];
    /* How a container image is to be started: strings, each with its NUL: A and a word, in order; E and NAME=VALUE; W and
     * the working directory. */
    char config[IMAGE_CONFIG_MAX];
    size_t config_len;
};

/*
 * Debian packages, their names with commas between them, and all that they depend on, from the archives that this
 * host's apt knows. Runs apt-get, dpkg-deb, tar; see image_packages.sh for what is done and what is not.
 */
int image_source_packages(struct image_source *source, const char *packages, void (*tick)(void *arg), void *arg,
                          struct thaw_error *err);
/* A container image, as `docker save` and skopeo write it; unpacked by thaw-oci, a process of its own. */
int image_source_archive(struct image_source *source, const char *file, struct thaw_error *err);
/* Removes what was unpacked. */
void image_source_remove(struct image_source *source);

#endif
