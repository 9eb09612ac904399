/* SPDX-License-Identifier: MIT */
/*
 * The vDSO (see vdso(7)): time without a system call. Runs in user mode, in the program's own address space. How a clock
 * is read is the machine's: read_clock() of its vdso_clock.h.
 */
#include "thaw_abi.h"

struct timespec {
    int64_t sec, nsec;
};
struct timeval {
    int64_t sec, usec;
};

#define CLOCK_REALTIME 0
#define CLOCK_MONOTONIC 1
#define NSEC_PER_SEC 1000000000
#define NR_clock_gettime 228
#define NR_clock_getres 229

int __vdso_clock_gettime(int clock, struct timespec *ts);
int __vdso_clock_getres(int clock, struct timespec *ts);
int __vdso_gettimeofday(struct timeval *tv, void *tz);
int64_t __vdso_time(int64_t *t);

static long syscall2(long nr, long a0, long a1)
{
    long ret;
    __asm__ volatile("syscall" : "=a"(ret) : "a"(nr), "D"(a0), "S"(a1) : "rcx", "r11", "memory");
    return ret;
}

#include "vdso_clock.h"

int __vdso_clock_gettime(int clock, struct timespec *ts) { return read_clock(clock, ts); }
int __vdso_clock_getres(int clock, struct timespec *ts) { return (int)syscall2(NR_clock_getres, clock, (long)ts); }

int __vdso_gettimeofday(struct timeval *tv, void *tz)
{
    struct timespec ts;
    int ret = tv ? read_clock(CLOCK_REALTIME, &ts) : 0;
    if (!ret && tv) {
        tv->sec = ts.sec;
        tv->usec = ts.nsec / 1000;
    }
    if (tz)
        *(int64_t *)tz = 0; /* struct timezone: UTC */
    return ret;
}

int64_t __vdso_time(int64_t *t)
{
    struct timespec ts;
    if (read_clock(CLOCK_REALTIME, &ts))
        return -1;
    if (t)
        *t = ts.sec;
    return ts.sec;
}

int clock_gettime(int, struct timespec *) __attribute__((weak, alias("__vdso_clock_gettime")));
int gettimeofday(struct timeval *, void *) __attribute__((weak, alias("__vdso_gettimeofday")));
int64_t time(int64_t *) __attribute__((weak, alias("__vdso_time")));
