/* SPDX-License-Identifier: MIT */
#ifndef CORE_PIDFD_H
#define CORE_PIDFD_H

#include "kernel.h"

struct file;
struct process;

/* A file that stands for p and can be polled for its end; flags: O_NONBLOCK or 0. ERR_PTR. */
struct file *pidfd_file(struct process *p, u32 flags);
/* What descriptor fd stands for, with a reference; ERR_PTR(-EBADF). *nonblock: the file has O_NONBLOCK. */
struct process *pidfd_process(int fd, bool *nonblock);

#endif
