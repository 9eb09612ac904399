/* SPDX-License-Identifier: MIT */
/* Clocks and sleeping: clock_gettime(2), nanosleep(2), times(2). */
#include "timer.h"

#include "signal.h"
#include "syscall.h"

#define CLOCKS_PER_SEC 100

int get_timespec(u64 *ns, u64 uaddr)
{
    struct timespec ts;
    if (copy_from_user(&ts, (const void __user *)uaddr, sizeof(ts)))
        return -EFAULT;
    if (ts.tv_sec < 0 || ts.tv_nsec < 0 || ts.tv_nsec >= (s64)NSEC_PER_SEC)
        return -EINVAL;
    *ns = (u64)ts.tv_sec >= TIME_MAX_NS / NSEC_PER_SEC ? TIME_MAX_NS : (u64)ts.tv_sec * NSEC_PER_SEC + (u64)ts.tv_nsec;
    return 0;
}

static struct timespec timespec_of(u64 ns)
{
    return (struct timespec){(s64)(ns / NSEC_PER_SEC), (s64)(ns % NSEC_PER_SEC)};
}

int put_timespec(u64 uaddr, u64 ns)
{
    struct timespec ts = timespec_of(ns);
    return copy_to_user((void __user *)uaddr, &ts, sizeof(ts)) ? -EFAULT : 0;
}

int clock_resolve(s32 clock, int *machine_id)
{
    if (clock < 0) {
        pid_t id = ~(clock >> 3);
        bool thread = clock & 4;
        if ((clock & 3) == 3)
            return -EINVAL;
        if (id && id != (thread ? current->tid : current->process->pid))
            return -EINVAL;
        *machine_id = thread ? CLOCK_THREAD_CPUTIME_ID : CLOCK_PROCESS_CPUTIME_ID;
        return 0;
    }
    switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_REALTIME_ALARM:
    case CLOCK_TAI: *machine_id = CLOCK_REALTIME; return 0;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_BOOTTIME:
    case CLOCK_BOOTTIME_ALARM: *machine_id = CLOCK_MONOTONIC; return 0;
    case CLOCK_PROCESS_CPUTIME_ID:
    case CLOCK_THREAD_CPUTIME_ID: *machine_id = clock; return 0;
    default: return -EINVAL;
    }
}

SYSCALL(clock_gettime)
{
    int id, err = clock_resolve((s32)a0, &id);
    return err ? err : put_timespec(a1, machine_clock(id));
}

SYSCALL(clock_getres)
{
    int id, err = clock_resolve((s32)a0, &id);
    if (err || !a1)
        return err;
    return put_timespec(a1, a0 == CLOCK_REALTIME_COARSE || a0 == CLOCK_MONOTONIC_COARSE ? 4000000 : 1);
}

/* The wall clock is the host's. */
SYSCALL(clock_settime)
{
    u64 ns;
    int id, err = clock_resolve((s32)a0, &id);
    if (err || id != CLOCK_REALTIME)
        return -EINVAL;
    err = get_timespec(&ns, a1);
    return err ? err : -EPERM;
}

SYSCALL(settimeofday) { return -EPERM; }

SYSCALL(gettimeofday)
{
    if (a0) {
        u64 now = machine_clock(CLOCK_REALTIME);
        s64 tv[2] = {(s64)(now / NSEC_PER_SEC), (s64)(now % NSEC_PER_SEC / NSEC_PER_USEC)};
        if (copy_to_user((void __user *)a0, tv, sizeof(tv)))
            return -EFAULT;
    }
    if (a1 && clear_user((void __user *)a1, 8)) /* struct timezone: UTC */
        return -EFAULT;
    return 0;
}

SYSCALL(time)
{
    s64 now = (s64)(machine_clock(CLOCK_REALTIME) / NSEC_PER_SEC);
    if (a0 && copy_to_user((void __user *)a0, &now, sizeof(now)))
        return -EFAULT;
    return now;
}

/* The machine does not split processor time: it is all the user's. */
SYSCALL(times)
{
    u64 tick = NSEC_PER_SEC / CLOCKS_PER_SEC;
    /* utime, stime, and the same of children */
    s64 tms[4] = {(s64)(machine_clock(CLOCK_PROCESS_CPUTIME_ID) / tick), 0,
                  (s64)(current->process->child_cpu_time / tick), 0};
    if (a0 && copy_to_user((void __user *)a0, tms, sizeof(tms)))
        return -EFAULT;
    return (s64)(machine_clock(CLOCK_MONOTONIC) / tick);
}

/* ---- sleeping ---- */

/* Until the deadline (CLOCK_MONOTONIC ns): 0, or -ERESTARTSYS when a signal came. */
static int sleep_until(u64 deadline)
{
    for (;;) {
        machine_block_prepare();
        if (signal_pending(current))
            return -ERESTARTSYS;
        if (machine_clock(CLOCK_MONOTONIC) >= deadline)
            return 0;
        machine_block(deadline);
    }
}

static s64 sleep_relative(u64 ureq, u64 urem)
{
    struct task *t = current;
    u64 ns, deadline;
    int err = get_timespec(&ns, ureq);

    if (err)
        return err;
    deadline = t->restart_deadline ? t->restart_deadline : deadline_after(machine_clock(CLOCK_MONOTONIC), ns);
    if (!sleep_until(deadline))
        return 0;
    if (urem) {
        u64 now = machine_clock(CLOCK_MONOTONIC);
        err = put_timespec(urem, deadline > now ? deadline - now : 0);
        if (err)
            return err;
    }
    t->restart_deadline = deadline;
    return -ERESTART_RESTARTBLOCK;
}

SYSCALL(nanosleep) { return sleep_relative(a0, a1); }

/* Processor time passes only while others of the process run: look at it now and then. */
static s64 sleep_cpu(u64 target, u64 urem, bool absolute)
{
    u64 cpus = max(machine_boot()->cpus, 1u);
    for (;;) {
        u64 used = machine_clock(CLOCK_PROCESS_CPUTIME_ID);
        if (used >= target)
            return 0;
        u64 step = max((target - used) / cpus, 1000 * NSEC_PER_USEC);
        if (!sleep_until(deadline_after(machine_clock(CLOCK_MONOTONIC), step)))
            continue;
        if (absolute)
            return -ERESTARTNOHAND;
        used = machine_clock(CLOCK_PROCESS_CPUTIME_ID);
        if (urem && put_timespec(urem, target > used ? target - used : 0))
            return -EFAULT;
        return -EINTR;
    }
}

SYSCALL(clock_nanosleep)
{
    bool absolute = a1 & TIMER_ABSTIME;
    u64 ns;
    int id, err = clock_resolve((s32)a0, &id);

    if (err || id == CLOCK_THREAD_CPUTIME_ID)
        return -EINVAL;
    if (a1 & ~(u64)TIMER_ABSTIME)
        return -EINVAL;
    err = get_timespec(&ns, a2);
    if (err)
        return err;
    if (id == CLOCK_PROCESS_CPUTIME_ID)
        return sleep_cpu(absolute ? ns : deadline_after(machine_clock(id), ns), a3, absolute);
    if (!absolute)
        return sleep_relative(a2, a3);
    if (id == CLOCK_REALTIME)
        ns = clock_wall_to_monotonic(ns);
    return sleep_until(ns) ? -ERESTARTNOHAND : 0;
}
