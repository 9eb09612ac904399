/* SPDX-License-Identifier: MIT */
#ifndef MONITOR_FILTER_H
#define MONITOR_FILTER_H

#include <linux/filter.h>
#include <stddef.h>
#include <sys/types.h>

#define FILTER_MAX 256

/* Writes the seccomp filter of a sandbox process to prog (FILTER_MAX entries): what docs/security.md lists. It allows
 * no signal until filter_set_pid() puts the sandbox's own pid into it. Number of instructions. */
size_t filter_build(struct sock_filter *prog);
void filter_set_pid(struct sock_filter *prog, size_t len, pid_t pid);

#endif
