/* SPDX-License-Identifier: MIT */
/* Time: the host's clocks. Monotonic time is the sandbox's own: it starts at boot and goes on after a restore. */
#include "process.h"

#define CLOCK_REALTIME 0
#define CLOCK_MONOTONIC 1
#define CLOCK_PROCESS_CPUTIME_ID 2

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
    return id == CLOCK_MONOTONIC ? now + monotonic_offset : id == CLOCK_PROCESS_CPUTIME_ID ? now + cpu_offset : now;
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
}

void machine_set_timer(u64 deadline)
{
    struct {
        s64 interval_sec, interval_usec, sec, usec;
    } it = {0, 0, 0, 0};
    if (deadline) {
        u64 now = machine_clock(CLOCK_MONOTONIC);
        u64 us = deadline > now ? (deadline - now + 999) / 1000 : 1;
        it.sec = (s64)(us / 1000000);
        it.usec = (s64)(us % 1000000);
    }
    host_syscall(HOST_setitimer, 0, (u64)&it, 0, 0, 0, 0);
}
