/* SPDX-License-Identifier: MIT */
/* Threads and futexes: they run at once, exclude each other, wait, wake, time out, end, and have signals of their own. */
#define _GNU_SOURCE
#include "guest.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static long total;
static int stage;
static __thread int own;
static atomic_int hits;

static void *add(void *arg)
{
    own = (int)(long)arg;
    for (int i = 0; i < 20000; i++) {
        pthread_mutex_lock(&lock);
        total++;
        pthread_mutex_unlock(&lock);
        if (i % 1000 == 0)
            sched_yield();
    }
    CHECK(own == (int)(long)arg);
    return arg;
}

static void *wait_for_stage(void *arg)
{
    pthread_mutex_lock(&lock);
    while (stage < (int)(long)arg)
        pthread_cond_wait(&cond, &lock);
    stage++;
    pthread_cond_broadcast(&cond);
    pthread_mutex_unlock(&lock);
    return NULL;
}

static void hit(int sig) { atomic_fetch_add(&hits, syscall(SYS_gettid) == getpid() ? 1000 : 1); }
static volatile int stop;
static void *spin(void *arg)
{
    while (!stop)
        ;
    return NULL;
}
static void *sleeper(void *arg)
{
    while (!stop)
        usleep(200000);
    return NULL;
}
static void *map(void *arg)
{
    for (int i = 0; i < 300; i++) {
        char *p = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(p != MAP_FAILED);
        memset(p, (int)(long)arg, 65536);
        CHECK(p[65535] == (char)(long)arg && munmap(p, 65536) == 0);
    }
    return NULL;
}
static void *nothing(void *arg) { return arg; }

int main(void)
{
    pthread_t t[16];
    void *got;
    struct timespec ts;

    for (long i = 0; i < 8; i++)
        CHECK(pthread_create(&t[i], NULL, add, (void *)i) == 0);
    for (long i = 0; i < 8; i++)
        CHECK(pthread_join(t[i], &got) == 0 && got == (void *)i);
    CHECK(total == 160000);

    for (long i = 15; i >= 0; i--)
        CHECK(pthread_create(&t[i], NULL, wait_for_stage, (void *)i) == 0);
    for (int i = 0; i < 16; i++)
        CHECK(pthread_join(t[i], NULL) == 0);
    CHECK(stage == 16);

    /* a wait that times out, on time */
    struct timespec a, b;
    clock_gettime(CLOCK_REALTIME, &ts);
    clock_gettime(CLOCK_MONOTONIC, &a);
    ts.tv_nsec += 50000000;
    if (ts.tv_nsec >= 1000000000)
        ts.tv_sec++, ts.tv_nsec -= 1000000000;
    pthread_mutex_lock(&lock);
    CHECK(pthread_cond_timedwait(&cond, &lock, &ts) == ETIMEDOUT);
    pthread_mutex_unlock(&lock);
    clock_gettime(CLOCK_MONOTONIC, &b);
    double took = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
    CHECK(took > 0.045 && took < 5);

    /* raw futex rules */
    int word = 5;
    FAILS(syscall(SYS_futex, &word, 128 /* WAIT_PRIVATE */, 4, NULL), EAGAIN);
    CHECK(syscall(SYS_futex, &word, 129 /* WAKE_PRIVATE */, 10) == 0);
    FAILS(syscall(SYS_futex, (char *)&word + 1, 128, 5, NULL), EINVAL);
    FAILS(syscall(SYS_futex, (void *)8, 128, 5, NULL), EFAULT);
    ts = (struct timespec){0, 1000000};
    FAILS(syscall(SYS_futex, &word, 128, 5, &ts), ETIMEDOUT);

    /* a signal for one thread reaches that one, running or asleep */
    struct sigaction sa = {.sa_handler = hit};
    sigaction(SIGUSR1, &sa, NULL);
    CHECK(pthread_create(&t[0], NULL, spin, NULL) == 0 && pthread_create(&t[1], NULL, sleeper, NULL) == 0);
    for (int i = 1; i <= 20; i++) {
        CHECK(pthread_kill(t[i % 2], SIGUSR1) == 0);
        for (int k = 0; k < 2000 && atomic_load(&hits) < i; k++)
            usleep(1000);
        CHECK(atomic_load(&hits) == i);
    }
    stop = 1;
    pthread_join(t[0], NULL);
    pthread_join(t[1], NULL);

    /* threads that map memory side by side */
    for (long i = 0; i < 4; i++)
        CHECK(pthread_create(&t[i], NULL, map, (void *)(i + 1)) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(t[i], NULL) == 0);

    /* made and ended, many times, without running out */
    for (int i = 0; i < 1500; i++)
        CHECK(pthread_create(&t[0], NULL, nothing, NULL) == 0 && pthread_join(t[0], NULL) == 0);
    /* and exit ends those that still run */
    stop = 0;
    for (int i = 0; i < 3; i++)
        CHECK(pthread_create(&t[i], NULL, i ? sleeper : spin, NULL) == 0);
    return success();
}
