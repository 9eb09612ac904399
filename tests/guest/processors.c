/* SPDX-License-Identifier: MIT */
/*
 * Threads on several processors, as many as the first argument says: they run at once, all get their turns, and what one
 * does to memory holds for all of them from the moment the call has returned. With another argument the processors are
 * the host's: others use them too, so that times say nothing.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <cpuid.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096
#define SLICE_MS 10 /* of the kvm machine's kernel: so long threads that spin take turns on one processor */
#define ROUNDS 12
#define FORKS 10
#define THREADS_MAX 16

static int processors;
static bool shared;
static atomic_bool stop;

static int64_t now_ms(clockid_t clock)
{
    struct timespec ts;
    CHECK(clock_gettime(clock, &ts) == 0);
    return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void sleep_ms(long ms) { nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL); }

static void counted(void)
{
    cpu_set_t set;
    CHECK(sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) == processors);
    CHECK(sysconf(_SC_NPROCESSORS_ONLN) == processors);
    CHECK(sched_getcpu() >= 0 && sched_getcpu() < processors);
}

/* ---- two threads hand a number to and fro without a system call ---- */

#define HANDS 100
static atomic_int ball;
static atomic_uint seen; /* bit n: processor n, by its APIC id */

static void see(void)
{
    unsigned a, b, c, d;
    CHECK(__get_cpuid(1, &a, &b, &c, &d));
    atomic_fetch_or(&seen, 1u << (b >> 24 & 31));
}

/* first: 0 or 1 */
static void hand(int first)
{
    for (int i = first; i < 2 * HANDS; i += 2) {
        while (atomic_load(&ball) != i)
            __builtin_ia32_pause();
        if (i % 16 == first)
            see();
        atomic_store(&ball, i + 1);
    }
}

static void *other_hand(void *arg)
{
    hand(1);
    return NULL;
}

static void at_once(void)
{
    int64_t began = now_ms(CLOCK_MONOTONIC);
    pthread_t t;

    CHECK(pthread_create(&t, NULL, other_hand, NULL) == 0);
    hand(0);
    CHECK(pthread_join(t, NULL) == 0);
    if (shared)
        return;
    CHECK(processors == 1 || now_ms(CLOCK_MONOTONIC) - began < 2 * HANDS * SLICE_MS * 9 / 10);
    CHECK(__builtin_popcount(atomic_load(&seen)) == (processors > 1 ? 2 : 1));
}

/* ---- more threads than processors ---- */

static atomic_long turns[THREADS_MAX];

static void *spin(void *arg)
{
    while (!atomic_load(&stop))
        atomic_fetch_add((atomic_long *)arg, 1);
    return NULL;
}

static void spinners(pthread_t *t, int n)
{
    atomic_store(&stop, false);
    for (int i = 0; i < n; i++)
        CHECK(pthread_create(&t[i], NULL, spin, &turns[i]) == 0);
}

static void spinners_end(pthread_t *t, int n)
{
    atomic_store(&stop, true);
    for (int i = 0; i < n; i++)
        CHECK(pthread_join(t[i], NULL) == 0);
}

static void in_turns(void)
{
    int n = processors * 2;
    pthread_t t[THREADS_MAX];

    spinners(t, n);
    int64_t began = now_ms(CLOCK_MONOTONIC), used = now_ms(CLOCK_PROCESS_CPUTIME_ID);
    for (int i = 0; i < 10; i++)
        sleep_ms(30); /* a thread that has slept gets its turn among those that never do */
    used = now_ms(CLOCK_PROCESS_CPUTIME_ID) - used;
    int64_t wall = now_ms(CLOCK_MONOTONIC) - began;
    spinners_end(t, n);
    CHECK(shared || wall < 10 * (30 + 2 * n * SLICE_MS) * 4);
    CHECK(shared || (used > wall * processors - wall / 2 && used < wall * processors + wall / 2));
    for (int i = 0; i < n; i++)
        CHECK(atomic_load(&turns[i]) > 0);
}

/* ---- what a reader sees of a page once another thread has changed it ---- */

enum change { UNMAP, PROTECT, MAP_OVER, DISCARD, MOVE, COPY_ON_WRITE, CHANGES };

static volatile unsigned char *page;
static atomic_int phase; /* 0: of no account; else even: as it was; odd: changed */
static atomic_int reached;
static unsigned char before, after; /* what is to be read; after is of no account where it must fault */
static bool must_fault;
static sigjmp_buf faulted;

static void on_fault(int sig) { siglongjmp(faulted, 1); }

static void *reader(void *arg)
{
    for (;;) {
        volatile int p = atomic_load(&phase);
        volatile unsigned char got = 0, want = p & 1 ? after : before;
        volatile bool faults = p & 1 && must_fault;
        bool fault = sigsetjmp(faulted, 1);

        if (atomic_load(&stop))
            return NULL;
        if (!fault)
            got = *page;
        if (p == 0 || p != atomic_load(&phase))
            continue;
        CHECK(fault == faults && (fault || got == want));
        atomic_store(&reached, p);
    }
}

static void await(int p)
{
    atomic_store(&phase, p);
    while (atomic_load(&reached) != p)
        sched_yield();
    atomic_store(&phase, 0);
}

static void changed(void)
{
    unsigned char *at = mmap(NULL, 4 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct sigaction sa = {.sa_handler = on_fault};
    pthread_t t;

    CHECK(at != MAP_FAILED && sigaction(SIGSEGV, &sa, NULL) == 0);
    page = at;
    atomic_store(&stop, false);
    CHECK(pthread_create(&t, NULL, reader, NULL) == 0);
    for (int i = 0; i < ROUNDS * CHANGES; i++) {
        enum change change = i % CHANGES;
        int hold[2];
        pid_t child = 0;

        before = (unsigned char)(i * 2 + 1), after = change == DISCARD ? 0 : (unsigned char)(i * 2 + 2);
        CHECK(mmap(at, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at);
        *at = before;
        must_fault = change == UNMAP || change == PROTECT || change == MOVE;
        await(2 * i + 2);
        switch (change) {
        case UNMAP: CHECK(munmap(at, PAGE) == 0); break;
        case PROTECT: CHECK(mprotect(at, PAGE, PROT_NONE) == 0); break;
        case MOVE: CHECK(mremap(at, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at + 2 * PAGE) == at + 2 * PAGE); break;
        case DISCARD: CHECK(madvise(at, PAGE, MADV_DONTNEED) == 0); break;
        case MAP_OVER: {
            unsigned char *other = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            CHECK(other != MAP_FAILED);
            *other = after;
            CHECK(mremap(other, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at) == at);
            break;
        }
        default: /* a child has the old page as well: writing makes a new one */
            CHECK(pipe(hold) == 0);
            child = fork();
            if (child == 0) {
                char c;
                close(hold[1]);
                _exit(read(hold[0], &c, 1) != 0 || *at != before);
            }
            CHECK(child > 0);
            *at = after;
        }
        await(2 * i + 3);
        if (child) {
            int status;
            CHECK(close(hold[1]) == 0 && waitpid(child, &status, 0) == child && status == 0 && close(hold[0]) == 0);
        }
    }
    atomic_store(&stop, true);
    CHECK(pthread_join(t, NULL) == 0);
}

/* ---- a fork in the midst of writers: the child has what was written until then, and nothing after ---- */

static void forks(int n)
{
    pthread_t t[THREADS_MAX];

    spinners(t, n);
    for (int i = 0; i < FORKS; i++) {
        pid_t child = fork();
        int status;

        if (child == 0) {
            long had[THREADS_MAX];
            for (int k = 0; k < n; k++)
                had[k] = atomic_load(&turns[k]);
            sleep_ms(5);
            for (int k = 0; k < n; k++)
                if (atomic_load(&turns[k]) != had[k])
                    _exit(1);
            _exit(0);
        }
        CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    }
    spinners_end(t, n);
}

int main(int argc, char **argv)
{
    processors = argc > 1 ? atoi(argv[1]) : 1;
    shared = argc > 2;
    CHECK(processors >= 1 && processors * 2 <= THREADS_MAX);
    counted();
    at_once();
    in_turns();
    changed();
    forks(1); /* nobody but the writer comes to its page then */
    forks(processors + 1);
    return success();
}
