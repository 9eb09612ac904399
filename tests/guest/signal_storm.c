/* SPDX-License-Identifier: MIT */
/* Thousands of signals at threads that compute, sleep, read and wait for each other: none is lost for good, none hurts. */
#define _GNU_SOURCE
#include "guest.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SECONDS 2
#define PATIENCE 45
#define CHILDREN 60

static volatile int stop;
static _Atomic long hits, waits;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int fds[2];

static void hit(int sig) { hits++; }

static void *waiter(void *arg)
{
    while (!stop) {
        struct timespec t;
        pthread_mutex_lock(&lock);
        clock_gettime(CLOCK_REALTIME, &t);
        t.tv_nsec += 1000000;
        if (t.tv_nsec >= 1000000000)
            t.tv_sec++, t.tv_nsec -= 1000000000;
        pthread_cond_timedwait(&cond, &lock, &t);
        waits++;
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

static void *waker(void *arg)
{
    while (!stop) {
        pthread_mutex_lock(&lock);
        pthread_cond_signal(&cond);
        pthread_mutex_unlock(&lock);
        sched_yield();
    }
    return NULL;
}

static void *reader(void *arg)
{
    char c;
    while (!stop)
        CHECK(read(fds[0], &c, 1) == 1 || errno == EINTR);
    return NULL;
}

static void *sleeper(void *arg)
{
    while (!stop) {
        struct timespec t = {0, 100000};
        nanosleep(&t, NULL);
        poll(NULL, 0, 1);
    }
    return NULL;
}

/* What a handler must not disturb. */
static void *computer(void *arg)
{
    while (!stop) {
        double sum = 0;
        for (int i = 1; i <= 1000; i++)
            sum += 1.0 / i;
        CHECK(sum > 7.4854708605 && sum < 7.4854708606);
    }
    return NULL;
}

/* Children under signals from their first instruction on. */
static void children(void)
{
    time_t begin = time(NULL);
    for (int i = 0; i < CHILDREN && time(NULL) < begin + PATIENCE; i++) {
        int status = -1, r;
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (!pid) {
            for (int k = 0; k < 200; k++)
                getppid();
            _exit(7);
        }
        do {
            for (int k = 0; k < 50; k++)
                CHECK(kill(pid, SIGUSR1) == 0);
            r = waitpid(pid, &status, WNOHANG);
        } while (r == 0);
        CHECK(r == pid && WIFEXITED(status) && WEXITSTATUS(status) == 7);
    }
}

int main(void)
{
    static void *(*const work[])(void *) = {waiter, waker, reader, sleeper, computer, waiter};
    enum { N = sizeof(work) / sizeof(work[0]) };
    struct itimerval it = {{0, 700}, {0, 700}};
    struct sigaction sa = {.sa_handler = hit};
    pthread_t t[N];
    long sent = 0;

    sigaction(SIGUSR1, &sa, NULL);
    sa.sa_flags = SA_RESTART;
    sigaction(SIGUSR2, &sa, NULL);
    sigaction(SIGALRM, &sa, NULL);
    CHECK(pipe(fds) == 0);
    for (int i = 0; i < N; i++)
        CHECK(pthread_create(&t[i], NULL, work[i], NULL) == 0);
    CHECK(setitimer(ITIMER_REAL, &it, NULL) == 0);
    /* On a slow machine it takes longer to become a storm. */
    for (time_t begin = time(NULL); time(NULL) < begin + SECONDS ||
                                    ((sent <= 1000 || hits <= 100 || waits <= 100) && time(NULL) < begin + PATIENCE);
         sent++) {
        CHECK(pthread_kill(t[sent % N], sent & 1 ? SIGUSR1 : SIGUSR2) == 0);
        if (sent % 16 == 0)
            CHECK(write(fds[1], "x", 1) == 1);
        if (sent % 64 == 0)
            CHECK(kill(getpid(), SIGUSR1) == 0);
    }
    memset(&it, 0, sizeof(it));
    setitimer(ITIMER_REAL, &it, NULL);
    stop = 1;
    CHECK(write(fds[1], "x", 1) == 1);
    pthread_cond_broadcast(&cond);
    for (int i = 0; i < N; i++)
        CHECK(pthread_join(t[i], NULL) == 0);
    CHECK(sent > 1000 && hits > 100 && waits > 100);

    int status = -1;
    pid_t other = fork();
    CHECK(other >= 0);
    children();
    if (!other)
        _exit(0);
    CHECK(waitpid(other, &status, 0) == other && status == 0);
    return success();
}
