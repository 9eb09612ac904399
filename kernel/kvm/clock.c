/* SPDX-License-Identifier: MIT */
/*
 * Time. The host's clocks are asked for, with one call to the monitor; between two such calls the time stamp counter
 * carries them on, where it is fit for that. Monotonic time is the sandbox's own: it goes on after a restore.
 */
#include "kvm.h"

#define CLOCK_REALTIME 0
#define CLOCK_MONOTONIC 1
#define CLOCK_PROCESS_CPUTIME_ID 2
#define NSEC_PER_SEC 1000000000ull
/* The host may steer its clocks by a few hundred millionths: so long they are taken to run as the counter does. */
#define SYNC_NS NSEC_PER_SEC
/* When in a call the host's clocks were read is known to within its length. Another is made where the host let something
   else run meanwhile. */
#define SYNC_CALL_NS 500000
#define SYNC_CALLS 8

static u64 sync_tsc, sync_monotonic, sync_realtime; /* the host's, at one moment */
static u64 ns_per_tick;                             /* times 2^32; 0: the counter is of no use */
static u64 last_host;                               /* time does not go back where the counter was ahead */
static u64 monotonic_offset;                        /* guest = host + offset, modulo 2^64 */
static u64 frozen_at;
static u64 timer_deadline; /* core's */

static u64 ticks_ns(u64 ticks) { return (u64)((unsigned __int128)ticks * ns_per_tick >> 32); }

static void clock_sync(void)
{
    u64 shortest = ~0ull;
    int calls = 0;

    do {
        u64 before = rdtsc();
        monitor_call(THAW_CALL_CLOCK, 0, 0, 0);
        u64 took = rdtsc() - before;
        if (took >= shortest)
            continue;
        shortest = took;
        sync_tsc = before + took / 2;
        sync_monotonic = monitor_answer()->arg[0];
        sync_realtime = monitor_answer()->arg[1];
    } while (ticks_ns(shortest) > SYNC_CALL_NS && ++calls < SYNC_CALLS);
}

/* Nanoseconds since the last look at the host's clocks, which may be now. */
static u64 clock_elapsed(void)
{
    if (ns_per_tick) {
        u64 ns = ticks_ns(rdtsc() - sync_tsc);
        if (ns < SYNC_NS)
            return ns;
    }
    clock_sync();
    return 0;
}

static u64 host_monotonic(void)
{
    u64 ns = clock_elapsed();
    last_host = max(last_host, sync_monotonic + ns);
    return last_host;
}

static void clock_start(void)
{
    const u32 khz = kvm_page()->tsc_khz;

    ns_per_tick = khz ? (1000000ull << 32) / khz : 0;
    last_host = 0;
    clock_sync();
}

void clock_init(void)
{
    clock_start();
    /* One second of uptime: programs take 0 for "not set". */
    monotonic_offset = NSEC_PER_SEC - host_monotonic();
}

void clock_freeze(void) { frozen_at = clock_now(); }

void clock_thaw(void)
{
    clock_start();
    monotonic_offset = frozen_at - host_monotonic();
}

u64 clock_now(void) { return host_monotonic() + monotonic_offset; }
u64 clock_to_host(u64 monotonic) { return monotonic - monotonic_offset; }
u64 machine_timestamp(void) { return host_monotonic(); }

u64 machine_clock(int id)
{
    switch (id) {
    case CLOCK_REALTIME: {
        u64 ns = clock_elapsed();
        return sync_realtime + ns;
    }
    case CLOCK_MONOTONIC: return clock_now();
    case CLOCK_PROCESS_CPUTIME_ID: return thread_cpu_time(true);
    default: return thread_cpu_time(false);
    }
}

/* ---- core's timer ---- */

void machine_set_timer(u64 deadline) { timer_deadline = deadline; }
u64 clock_timer_deadline(void) { return timer_deadline; }

void clock_timer_check(void)
{
    if (timer_deadline && clock_now() >= timer_deadline) {
        timer_deadline = 0;
        timer_expired();
    }
}
