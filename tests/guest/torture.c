/* SPDX-License-Identifier: MIT */
/* fork, exec, exit, signals, futexes, mmap and close race in many threads and processes, by a fixed seed; none is lost,
 * none hangs, and afterwards nothing is left. torture [SECONDS [SEED]] */
#define _GNU_SOURCE
#include "guest.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define THREADS 6
#define FDS 32
#define PAGES 16

extern char **environ;
static const char *self;
static volatile int stop;
static _Atomic long hits, done[8];
static _Atomic int fds[FDS]; /* 0: none; else 1 + descriptor, which whoever takes it out closes */
static uint32_t *shared_words;
static pthread_t threads[THREADS];

static uint64_t next(uint64_t *state)
{
    *state ^= *state << 13, *state ^= *state >> 7, *state ^= *state << 17;
    return *state;
}

static void hit(int sig) { hits++; }

static long futex(uint32_t *word, int op, uint32_t value, const struct timespec *timeout)
{
    return syscall(SYS_futex, word, op, value, timeout, NULL, 0);
}

/* A child that is well computes this, with the memory that it was given. */
static int checksum(const unsigned char *p, size_t n)
{
    unsigned sum = 0;
    for (size_t i = 0; i < n; i++)
        sum = sum * 31 + p[i];
    return (int)(sum % 100);
}

static void reap(pid_t pid, int want)
{
    int status;
    CHECK(pid > 0);
    while (waitpid(pid, &status, 0) != pid)
        CHECK(errno == EINTR);
    if (want < 0 ? !WIFSIGNALED(status) || WTERMSIG(status) != -want
                 : !WIFEXITED(status) || WEXITSTATUS(status) != want) {
        fprintf(stderr, "child %d: status %#x, not %d\n", pid, status, want);
        exit(1);
    }
}

static void forks(uint64_t r)
{
    unsigned char data[256];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)(r >> (i % 56));
    int want = checksum(data, sizeof data);
    pid_t pid = fork();
    if (pid == 0) {
        /* On its own stack, memory and registers, whatever signals come. */
        for (int i = 0; i < 20; i++)
            if (checksum(data, sizeof data) != want || getpid() == getppid())
                _exit(101);
        if (r & 1) {
            pid_t grandchild = fork();
            if (grandchild == 0)
                _exit(7);
            int status = 0;
            while (waitpid(grandchild, &status, 0) < 0 && errno == EINTR)
                ;
            if (!WIFEXITED(status) || WEXITSTATUS(status) != 7)
                _exit(102);
        }
        _exit(want);
    }
    for (int i = 0; i < (int)(r >> 8 & 7); i++)
        kill(pid, SIGUSR1);
    reap(pid, want);
}

static void kills(uint64_t r)
{
    pid_t pid = fork();
    if (pid == 0)
        for (;;) {
            void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (p != MAP_FAILED)
                *(volatile char *)p = 1, munmap(p, 4096);
        }
    if (r & 1)
        usleep(r >> 8 & 1023);
    CHECK(kill(pid, SIGKILL) == 0);
    reap(pid, -SIGKILL);
}

static void execs(uint64_t r)
{
    char code[8];
    pid_t pid;
    snprintf(code, sizeof code, "%d", (int)(r >> 8 & 63));
    char *argv[] = {(char *)self, "exit", code, NULL};
    if (r & 1) {
        CHECK(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ) == 0);
    } else if ((pid = fork()) == 0) {
        execv("/proc/self/exe", argv);
        _exit(103);
    }
    reap(pid, atoi(code));
}

static void files(uint64_t r)
{
    int pair[2] = {-1, -1};
    switch (r & 3) {
    case 0: CHECK(pipe2(pair, O_NONBLOCK) == 0); break;
    case 1: CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0); break;
    case 2: CHECK((pair[0] = memfd_create("m", 0)) >= 0 && ftruncate(pair[0], 4096) == 0); break;
    default: CHECK((pair[0] = open("/proc/self/stat", O_RDONLY)) >= 0); break;
    }
    for (int i = 0; i < 2; i++) {
        char c[64] = "";
        if (pair[i] < 0)
            continue;
        (void)!write(pair[i], c, sizeof c);
        r >>= 5;
        int old = atomic_exchange(&fds[r >> 8 & (FDS - 1)], pair[i] + 1);
        if (old) {
            (void)!read(old - 1, c, sizeof c);
            CHECK(close(old - 1) == 0);
        }
    }
}

static void maps(uint64_t r)
{
    size_t n = (1 + (r >> 8 & (PAGES - 1))) * 4096;
    unsigned char *p = mmap(NULL, n, PROT_READ | PROT_WRITE, (r & 1 ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED);
    for (size_t i = 0; i < n; i += 4096)
        p[i] = (unsigned char)(i / 4096 + 1);
    if (r & 2) {
        CHECK(mprotect(p, 4096, PROT_READ) == 0);
        p = mremap(p, n, n + 4096, MREMAP_MAYMOVE);
        if (p == MAP_FAILED) /* shared memory does not grow everywhere */
            return;
        n += 4096;
    }
    for (size_t i = 0; i + 4096 < n; i += 4096)
        CHECK(p[i] == (unsigned char)(i / 4096 + 1));
    CHECK(munmap(p, n) == 0);
}

static void futexes(uint64_t r)
{
    const struct timespec soon = {0, (long)(r >> 16 & 0x3ffff)};
    uint32_t *word = &shared_words[r >> 8 & 7];
    if (r & 1)
        futex(word, FUTEX_WAIT, *word, &soon);
    else
        __atomic_fetch_add(word, 1, __ATOMIC_SEQ_CST), futex(word, FUTEX_WAKE, 8, NULL);
}

static void *none(void *arg) { return arg; }

static void births(uint64_t r)
{
    pthread_t t;
    void *back;
    CHECK(pthread_create(&t, NULL, none, (void *)(uintptr_t)r) == 0);
    CHECK(pthread_join(t, &back) == 0 && back == (void *)(uintptr_t)r);
}

static void signals(uint64_t r) { CHECK(pthread_kill(threads[(r >> 8) % THREADS], r & 1 ? SIGUSR1 : SIGUSR2) == 0); }

static void *work(void *arg)
{
    static void (*const acts[])(uint64_t) = {forks, kills, execs, files, maps, futexes, births, signals};
    static const unsigned char often[] = {0, 0, 1, 2, 3, 3, 3, 4, 4, 5, 5, 5, 6, 7, 7, 7};
    uint64_t state = (uint64_t)(uintptr_t)arg;
    while (!stop) {
        uint64_t r = next(&state);
        unsigned act = often[r >> 60];
        acts[act](r);
        done[act]++;
    }
    return NULL;
}

static int entries(const char *dir)
{
    int n = 0;
    DIR *d = opendir(dir);
    CHECK(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

int main(int argc, char **argv)
{
    if (argc > 2 && !strcmp(argv[1], "exit"))
        return atoi(argv[2]);
    self = argv[0];
    int seconds = argc > 1 ? atoi(argv[1]) : 4;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 20240607;
    struct sigaction sa = {.sa_handler = hit, .sa_flags = SA_RESTART};
    struct itimerval it = {{0, 900}, {0, 900}};

    sigaction(SIGUSR1, &sa, NULL);
    sigaction(SIGUSR2, &sa, NULL);
    sigaction(SIGALRM, &sa, NULL);
    signal(SIGPIPE, SIG_IGN);
    shared_words = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared_words != MAP_FAILED);
    int before = entries("/proc/self/fd");
    /* A thread may signal any of them, before the last is there. */
    for (int i = 0; i < THREADS; i++)
        threads[i] = pthread_self();
    for (int i = 0; i < THREADS; i++) {
        pthread_t t;
        CHECK(pthread_create(&t, NULL, work, (void *)(uintptr_t)(seed * (uint64_t)(2 * i + 3) | 1)) == 0);
        threads[i] = t;
    }
    setitimer(ITIMER_REAL, &it, NULL);
    for (time_t end = time(NULL) + seconds; time(NULL) < end;)
        usleep(10000);
    memset(&it, 0, sizeof it);
    setitimer(ITIMER_REAL, &it, NULL);
    stop = 1;
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    for (int i = 0; i < FDS; i++)
        if (fds[i])
            CHECK(close(fds[i] - 1) == 0);
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
    CHECK(entries("/proc/self/fd") == before);
    CHECK(entries("/proc/self/task") == 3);
    for (int i = 0; i < 8; i++)
        CHECK(done[i] > 0);
    return success();
}
