/* SPDX-License-Identifier: MIT */
#ifndef MONITOR_PROCESS_H
#define MONITOR_PROCESS_H

#include "sandbox.h"

/* Where the kernel's writable memory lies: the only parts of its window that a snapshot may bring. */
struct kernel_ranges {
    uint64_t data_start, data_end;
};
struct kernel_ranges process_kernel_ranges(void);

/* host_vdso.c: all zero where it cannot be used. */
struct thaw_vdso host_vdso_find(void);

#endif
