/* SPDX-License-Identifier: MIT */
/*
 * A directory that is filled from archives whose names, links and types are not to be trusted. Whatever an entry says,
 * nothing is touched outside of the directory: every path is resolved by openat2(2) with RESOLVE_IN_ROOT, so that ".."
 * and links, absolute ones too, lead no further than to it.
 */
#ifndef OCI_TREE_H
#define OCI_TREE_H

#include <stdbool.h>
#include <stddef.h>

struct tree;

/* path must exist. NULL with errno. */
struct tree *tree_open(const char *path);
void tree_close(struct tree *tree);

/*
 * Unpacks a tar archive, plain or compressed, which is opened below the directory `from` of which it may not lead out
 * either; NULL: an ordinary path. layer: names that begin with ".wh." take away what earlier layers brought. Devices,
 * FIFOs and sockets are left out, as are owners and extended attributes. Returns 0, or -1 after a line on stderr.
 */
int tree_unpack(struct tree *tree, const struct tree *from, const char *archive, bool layer);

/* Modes and times of directories, once nothing is to be put into them any more. */
int tree_finish(struct tree *tree);

/* A file of at most max bytes, NUL-terminated, malloc'ed; NULL after a line on stderr. */
char *tree_read(const struct tree *tree, const char *path, size_t max);
bool tree_has(const struct tree *tree, const char *path);

#endif
