/* SPDX-License-Identifier: MIT */
/* Clocks and timers: monotonic never goes back, sleeps are never short, absolute sleeps, interval timers. */
#define _GNU_SOURCE
#include "guest.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static double now(clockid_t c)
{
    struct timespec ts;
    CHECK(clock_gettime(c, &ts) == 0 && ts.tv_nsec >= 0 && ts.tv_nsec < 1000000000);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static volatile sig_atomic_t ticks;
static void tick(int sig) { ticks++; }

int main(void)
{
    double last = 0;
    for (int i = 0; i < 100000; i++) {
        double t = now(CLOCK_MONOTONIC);
        CHECK(t >= last);
        last = t;
    }
    /* the call and what libc takes from the vDSO agree */
    struct timespec raw;
    CHECK(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &raw) == 0);
    double d = (double)raw.tv_sec + (double)raw.tv_nsec / 1e9 - last;
    CHECK(d >= -1e-6 && d < 1);
    CHECK(now(CLOCK_REALTIME) > 1.7e9 && now(CLOCK_BOOTTIME) > 0 && now(CLOCK_PROCESS_CPUTIME_ID) > 0);
    FAILS(syscall(SYS_clock_gettime, 99, &raw), EINVAL);
    FAILS(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, 8), EFAULT);

    static const long sleeps[] = {1, 1000, 1000000, 30000000};
    for (int i = 0; i < 4; i++) {
        struct timespec ts = {0, sleeps[i]};
        double a = now(CLOCK_MONOTONIC);
        CHECK(nanosleep(&ts, NULL) == 0);
        double took = now(CLOCK_MONOTONIC) - a;
        CHECK(took >= (double)sleeps[i] / 1e9 && took < 3);
    }
    FAILS(nanosleep(&(struct timespec){0, 1000000000}, NULL), EINVAL);
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_nsec += 20000000;
    if (at.tv_nsec >= 1000000000)
        at.tv_sec++, at.tv_nsec -= 1000000000;
    CHECK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == 0);
    CHECK(now(CLOCK_MONOTONIC) >= (double)at.tv_sec + (double)at.tv_nsec / 1e9 - 1e-6);

    signal(SIGALRM, tick);
    struct itimerval it = {{0, 10000}, {0, 10000}}, old;
    double a = now(CLOCK_MONOTONIC);
    CHECK(setitimer(ITIMER_REAL, &it, NULL) == 0);
    while (ticks < 10)
        pause();
    CHECK(now(CLOCK_MONOTONIC) - a >= 0.099);
    it = (struct itimerval){{0, 0}, {100, 0}};
    CHECK(setitimer(ITIMER_REAL, &it, &old) == 0 && old.it_interval.tv_usec == 10000);
    CHECK(getitimer(ITIMER_REAL, &old) == 0 && old.it_value.tv_sec >= 98);
    CHECK(alarm(0) >= 99);
    /* it fires in the middle of a computation, too */
    ticks = 0;
    it = (struct itimerval){{0, 0}, {0, 10000}};
    setitimer(ITIMER_REAL, &it, NULL);
    a = now(CLOCK_MONOTONIC);
    while (!ticks && now(CLOCK_MONOTONIC) - a < 5)
        ;
    CHECK(ticks == 1);
    struct timeval tv;
    CHECK(gettimeofday(&tv, NULL) == 0 && tv.tv_sec > 1700000000);
    return success();
}
