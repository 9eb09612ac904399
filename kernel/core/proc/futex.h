/* SPDX-License-Identifier: MIT */
#ifndef CORE_FUTEX_H
#define CORE_FUTEX_H

#include "kernel.h"

struct task;

/* Wakes at most n waiters on the futex at uaddr in the calling process; their number. */
int futex_wake(u64 uaddr, int n);
/* The calling thread ends: what it still holds is marked and passed on (robust list, PI futexes). */
void futex_exit(struct task *t);

#endif
