/* SPDX-License-Identifier: MIT */
/*
 * The host's page cache. Sandboxes share what it holds of images and snapshots, and map it cheaply where it does so in
 * huge pages: those of a file that was written lately, or was read through a mapping that asks for them (MADV_HUGEPAGE)
 * on a file system that can. What is read otherwise, after a restart of the host say, comes in pages of 4 KiB, and a
 * start that maps these takes a fifth longer. Only matters of speed, so nothing here fails.
 */
#ifndef MONITOR_PAGE_CACHE_H
#define MONITOR_PAGE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct snapshot;

/* Reads what is in the page cache, see RWF_NOWAIT in readv(2). False with errno: EAGAIN if not all of it is there (or the
 * file ends before), EOPNOTSUPP if that cannot be told. Where part is missing the host begins to read it. */
bool page_cache_read(int fd, void *buf, size_t n, uint64_t off);
/* Has the page cache hold off to off + len, and the rest of the first and last 2 MiB, anew, in huge pages. Pages that are
 * mapped by somebody, just being read, or not yet on the disk, stay as they are. */
void page_cache_huge(int fd, uint64_t off, uint64_t len);
/* Should the host not have them in its page cache: has it read what a start from the snapshot is going to use of its
 * file and of the image. */
void page_cache_prepare(const struct snapshot *snapshot, int image_fd);

#endif
