/* SPDX-License-Identifier: MIT */
#ifndef CORE_SNAPSHOT_H
#define CORE_SNAPSHOT_H

#include "kernel.h"
#include "thaw_abi.h"

/* int $0x80 with eax=35: THAW_SNAPSHOT_TAKEN, THAW_SNAPSHOT_RESTORED or -errno (-ENOSYS: no snapshot is wanted here;
 * -EALREADY: the second call; -EBUSY: a second process or thread is alive, or a file of the host is open; boot->exit.text
 * says which). */
s64 snapshot_syscall(void);
/* This sandbox may yet be saved: what is in its memory now would be part of the snapshot. */
bool snapshot_may_come(void);

/* For machine_snapshot(): the list of memory that the monitor is to save, in ascending order. -E2BIG: too many. */
int snapshot_list_user(void); /* the current process's mappings, by their addresses */
int snapshot_add_region(u64 start, u64 len, u64 offset, u32 prot, u32 kind);

#endif
