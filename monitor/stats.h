/* SPDX-License-Identifier: MIT */
/* --stats FILE: what a start took, as JSON. */
#ifndef MONITOR_STATS_H
#define MONITOR_STATS_H

#include "sandbox.h"

/* process_ns: when thaw's main() began. Writes to fd; -1 with errno. */
int stats_write(int fd, const struct thaw_statistics *s, const struct thaw_status *status, uint64_t process_ns);

#endif
