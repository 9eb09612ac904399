/* SPDX-License-Identifier: MIT */
/* Memory that processes share: anonymous, of files, of memfds; futexes in it; its ends. */
#define _GNU_SOURCE
#include "guest.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static int child_status(pid_t pid)
{
    int status;

    CHECK(waitpid(pid, &status, 0) == pid);
    return status;
}

static void anonymous(void)
{
    int *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    CHECK(p != MAP_FAILED && p[0] == 0 && p[100000] == 0);
    p[0] = 1;
    pid_t pid = fork();
    if (pid == 0) {
        p[100000] = p[0] + 1; /* a page that nobody has touched before */
        _exit(0);
    }
    CHECK(child_status(pid) == 0 && p[100000] == 2);
    CHECK(munmap(p, 1 << 20) == 0);
}

static void private_is_not(void)
{
    int *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    p[0] = 1;
    pid_t pid = fork();
    if (pid == 0) {
        p[0] = 2;
        _exit(0);
    }
    CHECK(child_status(pid) == 0 && p[0] == 1);
    munmap(p, 4096);
}

/* What is mapped, read and written is one. */
static void file(int fd)
{
    char buf[16];

    CHECK(fd >= 0 && ftruncate(fd, 10000) == 0);
    CHECK(pwrite(fd, "hello", 5, 4094) == 5);
    char *p = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(p != MAP_FAILED && memcmp(p + 4094, "hello", 5) == 0);
    memcpy(p + 8190, "world", 5);
    CHECK(pread(fd, buf, 5, 8190) == 5 && memcmp(buf, "world", 5) == 0);
    CHECK(pwrite(fd, "there", 5, 0) == 5 && memcmp(p, "there", 5) == 0);
    char *q = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 4096);
    CHECK(q != MAP_FAILED && memcmp(q, "llo", 3) == 0);
    p[4096] = 'L';
    CHECK(q[0] == 'L');
    /* also to a process that opens it by name, or has it from its parent */
    pid_t pid = fork();
    if (pid == 0) {
        p[0] = 'T';
        p[9999] = 'E';
        _exit(0);
    }
    CHECK(child_status(pid) == 0 && p[0] == 'T' && p[9999] == 'E');
    CHECK(pread(fd, buf, 1, 9999) == 1 && buf[0] == 'E');
    CHECK(munmap(q, 4096) == 0);
    CHECK(mprotect(p, 4096, PROT_READ) == 0 && p[0] == 'T');
    CHECK(mprotect(p, 4096, PROT_READ | PROT_WRITE) == 0);
    p[1] = 'H';
    /* a mapping grows with its file */
    CHECK(ftruncate(fd, 1 << 20) == 0);
    p = mremap(p, 3 * 4096, 1 << 20, MREMAP_MAYMOVE);
    CHECK(p != MAP_FAILED && p[0] == 'T' && p[1] == 'H' && p[(1 << 20) - 1] == 0);
    p[(1 << 20) - 1] = 'Z';
    CHECK(pread(fd, buf, 1, (1 << 20) - 1) == 1 && buf[0] == 'Z');
    CHECK(msync(p, 1 << 20, MS_SYNC) == 0);
    CHECK(munmap(p, 1 << 20) == 0);
    close(fd);
}

static sigjmp_buf jump;
static volatile int got_signal, got_code;

static void on_fault(int sig, siginfo_t *si, void *uc)
{
    (void)uc;
    got_signal = sig;
    got_code = si->si_code;
    siglongjmp(jump, 1);
}

static void beyond_the_end(void)
{
    struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    int fd = memfd_create("x", 0);

    sigaction(SIGBUS, &sa, NULL);
    sigaction(SIGSEGV, &sa, NULL);
    CHECK(ftruncate(fd, 100) == 0);
    volatile char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    p[4095] = 1; /* of the last page, all */
    if (!sigsetjmp(jump, 1))
        p[4096] = 1;
    CHECK(got_signal == SIGBUS && got_code == BUS_ADRERR);
    volatile char *r = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    got_signal = 0;
    if (!sigsetjmp(jump, 1))
        r[0] = 1;
    CHECK(got_signal == SIGSEGV && got_code == SEGV_ACCERR);
    /* Cut off while it is mapped: what was mapped there must not come back as something else's. */
    CHECK(ftruncate(fd, 8192) == 0);
    p[5000] = 7;
    CHECK(ftruncate(fd, 0) == 0);
    int other = memfd_create("y", 0);
    char zero[8192] = {0}, seen[8192];
    CHECK(write(other, zero, 8192) == 8192);
    if (!sigsetjmp(jump, 1))
        p[5000] = 9;
    CHECK(pread(other, seen, 8192, 0) == 8192 && memcmp(zero, seen, 8192) == 0);
    munmap((void *)p, 8192);
    munmap((void *)r, 4096);
    close(fd);
    close(other);
    signal(SIGBUS, SIG_DFL);
    signal(SIGSEGV, SIG_DFL);
}

struct shared {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    pthread_mutex_t robust;
    long count;
    int turn;
};

static void futexes(void)
{
    struct shared *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_t ma;
    pthread_condattr_t ca;
    pid_t pids[4];

    pthread_mutexattr_init(&ma);
    pthread_mutexattr_setpshared(&ma, PTHREAD_PROCESS_SHARED);
    pthread_condattr_init(&ca);
    pthread_condattr_setpshared(&ca, PTHREAD_PROCESS_SHARED);
    CHECK(pthread_mutex_init(&s->lock, &ma) == 0 && pthread_cond_init(&s->cond, &ca) == 0);
    pthread_mutexattr_setrobust(&ma, PTHREAD_MUTEX_ROBUST);
    CHECK(pthread_mutex_init(&s->robust, &ma) == 0);
    for (int i = 0; i < 4; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            for (int n = 0; n < 5000; n++) {
                pthread_mutex_lock(&s->lock);
                s->count++;
                pthread_mutex_unlock(&s->lock);
            }
            /* in turn */
            pthread_mutex_lock(&s->lock);
            while (s->turn != i)
                pthread_cond_wait(&s->cond, &s->lock);
            s->turn++;
            pthread_cond_broadcast(&s->cond);
            pthread_mutex_unlock(&s->lock);
            _exit(0);
        }
    }
    for (int i = 3; i >= 0; i--)
        CHECK(child_status(pids[i]) == 0);
    CHECK(s->count == 20000 && s->turn == 4);
    /* its owner dies */
    pid_t pid = fork();
    if (pid == 0) {
        pthread_mutex_lock(&s->robust);
        _exit(0);
    }
    CHECK(child_status(pid) == 0);
    CHECK(pthread_mutex_lock(&s->robust) == EOWNERDEAD);
    CHECK(pthread_mutex_consistent(&s->robust) == 0 && pthread_mutex_unlock(&s->robust) == 0);
    munmap(s, sizeof(*s));
}

int main(void)
{
    anonymous();
    private_is_not();
    file(memfd_create("m", 0));
    file(open("/tmp/shared", O_RDWR | O_CREAT, 0600));
    file(open("/dev/shm/shared", O_RDWR | O_CREAT, 0600));
    file(open("/root-file", O_RDWR | O_CREAT, 0600));
    beyond_the_end();
    futexes();
    return success();
}
