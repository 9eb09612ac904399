/* SPDX-License-Identifier: MIT */
/* Time: the host's clocks. Monotonic time is the sandbox's own: it starts at boot and goes on after a restore. */
#include "process.h"
#include "timer.h"

static u64 monotonic_offset; /* guest = host + offset, modulo 2^64 */

static void offset_set(u64 offset)
{
    monotonic_offset = offset;
    boot->vdso.monotonic_offset = (s64)offset;
}

static u64 frozen_at;
static u64 cpu_offset; /* CPU time that the process had used when its snapshot was taken */
static u64 cpu_frozen;

u64 host_clock(int id)
{
    struct host_timespec ts;
    if (host_syscall(HOST_clock_gettime, (u64)id, (u64)&ts, 0, 0, 0, 0))
        return 0;
    return (u64)ts.sec * 1000000000ull + (u64)ts.nsec;
}

u64 machine_clock(int id)
{
    u64 now = host_clock(id);
    host_vdso_reading();
    if (id == CLOCK_MONOTONIC)
        return now + monotonic_offset;
    return id == CLOCK_PROCESS_CPUTIME_ID && thread_info()->space == &first_space ? now + cpu_offset : now;
}

u64 machine_timestamp(void) { return host_clock(CLOCK_MONOTONIC); }

u64 clock_to_host(u64 guest) { return guest - monotonic_offset; }

void clock_init(void)
{
    /* One second of uptime: programs take 0 for "not set". */
    offset_set(1000000000ull - host_clock(CLOCK_MONOTONIC));
}

void clock_freeze(void)
{
    frozen_at = machine_clock(CLOCK_MONOTONIC);
    cpu_frozen = machine_clock(CLOCK_PROCESS_CPUTIME_ID);
}

void clock_thaw(void)
{
    offset_set(frozen_at - host_clock(CLOCK_MONOTONIC));
    cpu_offset = cpu_frozen;
    host_vdso_forget();
}

/* The timer is the host process's that set it last. */
static struct space *timer_space;
static bool timer_lost;

void clock_process_ends(struct space *s)
{
    if (timer_space != s)
        return;
    timer_space = NULL;
    timer_lost = true;
    for (u32 slot = 0; slot < NR_SLOTS; slot++) { /* one that stays sets it anew on its way */
        struct thread_info *ti = thread_of_slot(slot);
        if (ti && ti->task && ti->space == &first_space) {
            machine_kick(ti->task);
            return;
        }
    }
}

void clock_check(void)
{
    if (!timer_lost)
        return;
    timer_lost = false;
    timer_rearm();
}

void machine_set_timer(u64 deadline)
{
    struct {
        s64 interval_sec, interval_usec, sec, usec;
    } it = {0, 0, 0, 0};
    timer_space = deadline ? thread_info()->space : NULL;
    if (deadline) {
        u64 now = machine_clock(CLOCK_MONOTONIC);
        u64 us = deadline > now ? (deadline - now + 999) / 1000 : 1;
        it.sec = (s64)(us / 1000000);
        it.usec = (s64)(us % 1000000);
    }
    host_syscall(HOST_setitimer, 0, (u64)&it, 0, 0, 0, 0);
}
