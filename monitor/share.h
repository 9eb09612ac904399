/* SPDX-License-Identifier: MIT */
/* What the rest of libthaw asks of share.c besides the contract in sandbox.h. */
#ifndef MONITOR_SHARE_H
#define MONITOR_SHARE_H

#include "sandbox.h"

/* Room for one request and one reply with their data; page-aligned. Lives as long as the set. NULL: no memory. */
#define SHARE_PACKET (sizeof(struct thaw_call) + THAW_CALL_DATA_MAX)
#define SHARE_BUFFERS (2 * (THAW_CALL_DATA_MAX + THAW_PAGE_SIZE))
unsigned char *share_buffers(struct share_set *set);

/* False: the host's kernel has no openat2(2), without which no directory can be shared safely. */
bool share_supported(void);
bool share_set_writable(const struct share_set *set);
unsigned share_set_count(const struct share_set *set);
/* The descriptor of share i, still the set's; -1: no such share. */
int share_set_fd(const struct share_set *set, unsigned i, bool *rdonly, bool *is_file);

#endif
