/* SPDX-License-Identifier: MIT */
/* signalfd, splice and tee, seals of memfd_create, the tables of /proc/net. */
#define _GNU_SOURCE
#include "guest.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static char buf[70000];

static void *later(void *arg)
{
    usleep(30000);
    CHECK(kill(getpid(), SIGUSR1) == 0);
    return NULL;
}

static void signals(void)
{
    struct signalfd_siginfo info[3];
    union sigval v = {.sival_int = 77};
    sigset_t set;
    pthread_t t;
    int fd;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGRTMIN + 1);
    CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    CHECK((fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)) >= 0);
    FAILS(read(fd, info, sizeof info), EAGAIN);
    FAILS(read(fd, info, 10), EINVAL);
    struct pollfd p = {fd, POLLIN, 0};
    CHECK(poll(&p, 1, 0) == 0 && raise(SIGUSR1) == 0 && sigqueue(getpid(), SIGRTMIN + 1, v) == 0);
    CHECK(poll(&p, 1, 0) == 1 && read(fd, info, sizeof info) == 2 * sizeof info[0]);
    CHECK(info[0].ssi_signo == SIGUSR1 && info[0].ssi_pid == (uint32_t)getpid());
    CHECK(info[1].ssi_signo == (uint32_t)SIGRTMIN + 1 && info[1].ssi_int == 77 && info[1].ssi_code == SI_QUEUE);
    CHECK(pthread_create(&t, NULL, later, NULL) == 0 && poll(&p, 1, 5000) == 1);
    CHECK(read(fd, info, sizeof info) == sizeof info[0] && info[0].ssi_signo == SIGUSR1);
    pthread_join(t, NULL);
    CHECK(fcntl(fd, F_SETFL, 0) == 0 && pthread_create(&t, NULL, later, NULL) == 0);
    CHECK(read(fd, info, sizeof info) == sizeof info[0]);
    pthread_join(t, NULL);
    sigdelset(&set, SIGUSR1);
    CHECK(signalfd(fd, &set, 0) == fd && raise(SIGUSR1) == 0 && poll(&p, 1, 0) == 0);
    signal(SIGUSR1, SIG_IGN);
    close(fd);
}

static void splicing(void)
{
    int a[2], b[2], f = open("/tmp/spliced", O_RDWR | O_CREAT | O_TRUNC, 0600);
    loff_t off = 2;

    CHECK(pipe(a) == 0 && pipe(b) == 0 && write(f, "0123456789", 10) == 10);
    CHECK(splice(f, &off, a[1], NULL, 5, 0) == 5 && off == 7 && lseek(f, 0, SEEK_CUR) == 10);
    CHECK(tee(a[0], b[1], 3, 0) == 3 && read(b[0], buf, 99) == 3 && !memcmp(buf, "234", 3));
    CHECK(splice(a[0], NULL, b[1], NULL, 99, 0) == 5 && read(b[0], buf, 99) == 5 && !memcmp(buf, "23456", 5));
    FAILS(splice(a[0], NULL, b[1], NULL, 9, SPLICE_F_NONBLOCK), EAGAIN);
    FAILS(splice(a[0], &off, b[1], NULL, 9, 0), ESPIPE);
    FAILS(splice(f, NULL, f, NULL, 9, 0), EINVAL);
    FAILS(splice(a[1], NULL, b[1], NULL, 9, 0), EBADF);
    CHECK(write(a[1], "tail", 4) == 4 && lseek(f, 0, SEEK_SET) == 0);
    CHECK(splice(a[0], NULL, f, NULL, 99, 0) == 4 && pread(f, buf, 99, 0) == 10 && !memcmp(buf, "tail456789", 10));
    struct iovec iov[2] = {{"vm", 2}, {"splice", 6}};
    CHECK(vmsplice(a[1], iov, 2, 0) == 8 && read(a[0], buf, 99) == 8 && !memcmp(buf, "vmsplice", 8));
    /* What the other side does not take stays in the pipe. */
    int s[2];
    size_t sent = 0, total = 0;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s) == 0);
    CHECK(fcntl(a[1], F_SETFL, O_NONBLOCK) == 0);
    for (int i = 0; i < 100; i++) {
        memset(buf, i, 4096);
        ssize_t n = write(a[1], buf, 4096);
        total += n > 0 ? (size_t)n : 0;
        ssize_t moved = splice(a[0], NULL, s[0], NULL, 65536, SPLICE_F_NONBLOCK);
        sent += moved > 0 ? (size_t)moved : 0;
    }
    close(a[1]);
    for (size_t got = 0; got < total;) {
        ssize_t n = read(s[1], buf, sizeof buf);
        for (ssize_t i = 0; i < n; i++)
            if (buf[i] != (char)((got + (size_t)i) / 4096))
                exit(1);
        CHECK(n >= 0 || got == sent);
        got += n > 0 ? (size_t)n : 0;
        if (got == sent && sent < total) {
            ssize_t moved = splice(a[0], NULL, s[0], NULL, 65536, 0);
            CHECK(moved > 0);
            sent += (size_t)moved;
        }
    }
    close(a[0]);
    close(b[0]);
    close(b[1]);
    close(s[0]);
    close(s[1]);
    close(f);
}

static void seals(void)
{
    int fd = memfd_create("sealed", MFD_ALLOW_SEALING), plain = memfd_create("plain", 0);

    CHECK(fcntl(fd, F_GET_SEALS) == 0 && fcntl(plain, F_GET_SEALS) == F_SEAL_SEAL);
    FAILS(fcntl(plain, F_ADD_SEALS, F_SEAL_GROW), EPERM);
    CHECK(write(fd, "12345", 5) == 5 && fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK) == 0);
    FAILS(ftruncate(fd, 3), EPERM);
    FAILS(ftruncate(fd, 9), EPERM);
    FAILS(write(fd, "6", 1), EPERM);
    CHECK(pwrite(fd, "x", 1, 0) == 1 && fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL) == 0);
    FAILS(pwrite(fd, "y", 1, 0), EPERM);
    FAILS(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL), EPERM);
    CHECK(pread(fd, buf, 9, 0) == 5 && buf[0] == 'x');
    FAILS(fcntl(0, F_GET_SEALS), EINVAL);
    close(fd);
    close(plain);
}

/* A line of the file has all of these. */
static int has_line(const char *path, const char *a, const char *b)
{
    FILE *f = fopen(path, "r");
    int found = 0;

    CHECK(f);
    while (fgets(buf, sizeof buf, f))
        found |= strstr(buf, a) && strstr(buf, b);
    fclose(f);
    return found;
}

static void tables(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int l = socket(AF_INET, SOCK_STREAM, 0);
    char want[32];

    CHECK(bind(l, (void *)&a, n) == 0 && listen(l, 1) == 0 && getsockname(l, (void *)&a, &n) == 0);
    snprintf(want, sizeof want, "0100007F:%04X", ntohs(a.sin_port));
    CHECK(has_line("/proc/net/tcp", want, " 0A "));
    CHECK(has_line("/proc/net/dev", "lo:", ""));
    CHECK(has_line("/proc/self/net/unix", "RefCount", "Path"));
    close(l);
    CHECK(!has_line("/proc/net/tcp", want, " 0A "));
}

int main(void)
{
    signals();
    splicing();
    seals();
    tables();
    return success();
}
