/* SPDX-License-Identifier: MIT */
#ifndef MONITOR_PROCESS_H
#define MONITOR_PROCESS_H

#include "sandbox.h"

#include <signal.h>

/* host_vdso.c: all zero where it cannot be used. */
struct thaw_vdso host_vdso_find(void);

/* Blocks the signals from outside, which wait until the kernel runs; those it raises itself must not wait. */
void process_signals_block(sigset_t *outside, sigset_t *old);

/* ---- in the child ---- */
uint64_t process_data_limit(uint64_t memory_limit);        /* RLIMIT_DATA for that much memory of the guest's */
void process_kernel_ready(void);                           /* brings the kernel's text into the page tables */
void process_kernel_enter(void) __attribute__((noreturn)); /* kernel and boot area are in their places */

#endif
