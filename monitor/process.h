/* SPDX-License-Identifier: MIT */
#ifndef MONITOR_PROCESS_H
#define MONITOR_PROCESS_H

#include "sandbox.h"

/* host_vdso.c: all zero where it cannot be used. */
struct thaw_vdso host_vdso_find(void);

#endif
