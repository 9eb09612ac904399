/* SPDX-License-Identifier: MIT */
/* Timers of the kernel: one queue over the machine's single timer. */
#ifndef CORE_TIMER_H
#define CORE_TIMER_H

#include "kernel.h"

#define NSEC_PER_SEC 1000000000ull
#define NSEC_PER_USEC 1000ull

#define CLOCK_REALTIME 0
#define CLOCK_MONOTONIC 1
#define CLOCK_PROCESS_CPUTIME_ID 2
#define CLOCK_THREAD_CPUTIME_ID 3
#define CLOCK_MONOTONIC_RAW 4
#define CLOCK_REALTIME_COARSE 5
#define CLOCK_MONOTONIC_COARSE 6
#define CLOCK_BOOTTIME 7
#define CLOCK_REALTIME_ALARM 8
#define CLOCK_BOOTTIME_ALARM 9
#define CLOCK_TAI 11
#define TIMER_ABSTIME 1

struct timespec {
    s64 tv_sec, tv_nsec;
};
struct itimerspec {
    struct timespec interval, value;
};

/* fn runs with the lock held, in any task's context; it may set the timer again. It must not block. */
struct ktimer {
    struct list_head list; /* in the queue while set */
    u64 deadline;          /* CLOCK_MONOTONIC ns; valid while set */
    u64 wall;              /* the deadline is this CLOCK_REALTIME time; 0: it is not tied to the wall clock */
    void (*fn)(struct ktimer *t);
};

void timer_init(struct ktimer *t, void (*fn)(struct ktimer *t));
void timer_set(struct ktimer *t, u64 deadline);  /* CLOCK_MONOTONIC ns, 0 is taken as "at once" */
void timer_set_wall(struct ktimer *t, u64 wall); /* CLOCK_REALTIME ns */
void timer_cancel(struct ktimer *t);
static inline bool timer_is_set(const struct ktimer *t) { return !list_empty(&t->list); }
/* After a restore: the wall clock has jumped and the machine has forgotten its timer. */
void timer_rearm(void);

/* A deadline on the wall clock as one of CLOCK_MONOTONIC, as things stand now; at least 1. */
u64 clock_wall_to_monotonic(u64 wall);

/* ---- user mode's times: sys/time.c ---- */

/* A timespec from user mode as nanoseconds, very long ones cut off at about 292 years; 0, -EFAULT, -EINVAL. */
int get_timespec(u64 *ns, u64 uaddr);
int put_timespec(u64 uaddr, u64 ns);
/* now + ns, without overflow, never 0. */
static inline u64 deadline_after(u64 now, u64 ns)
{
    u64 sum;
    return check_add(now, ns, &sum) ? ~0ull : sum ? sum : 1;
}
#define TIME_MAX_NS 0x7fffffffffffffffull

/*
 * User mode's clock as one of the machine's four. Negative ones are processor time: ~pid << 3, bit 2 for a thread, the
 * low two bits 0 to 2 for what is counted. Only the caller's own are known. 0 or -EINVAL.
 */
int clock_resolve(s32 clock, int *machine_id);

/* ---- timers of a process: proc/itimer.c ---- */
struct process;
struct posix_timer;
struct siginfo;
/* The signal of a POSIX timer was taken off its queue: sets the overrun count, starts the next period. */
void posix_timer_delivered(struct posix_timer *pt, struct siginfo *info);
void process_timers_delete(struct process *p); /* exit: all */
void process_timers_exec(struct process *p);   /* execve: POSIX timers go, setitimer's stay */

#endif
