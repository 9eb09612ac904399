/* SPDX-License-Identifier: MIT */
/* For kernel/vdso. */
static int read_clock(int clock, struct timespec *ts) { return (int)syscall2(NR_clock_gettime, clock, (long)ts); }
