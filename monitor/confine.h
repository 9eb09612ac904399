/* SPDX-License-Identifier: MIT */
/* The thaw command's own cage. */
#ifndef MONITOR_CONFINE_H
#define MONITOR_CONFINE_H

#include "sandbox.h"

/*
 * Gives up, for good and for the whole process, what serving one running sandbox does not need: privileges through
 * set-user-ID programs, capabilities (but for those that the shares need), and all system calls but the few of
 * tools/gen-monitor-filter.c. landlock: limit the file system to the shares as well. -1: it could not be done.
 */
int confine_self(const struct share_set *shares, int proc_fd, bool landlock, struct thaw_error *err);

#endif
