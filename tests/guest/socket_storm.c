/* SPDX-License-Identifier: MIT */
/* Threads that do anything to each other's sockets, in an order fixed by a seed; in the end no socket is left. */
#define _GNU_SOURCE
#include "guest.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define SLOTS 48
#define THREADS 6
#define ROUNDS 6000

static atomic_int slot[SLOTS]; /* descriptors, -1: none; whoever takes one out closes it */
static char data[40000];

static uint32_t draw(uint32_t *seed, uint32_t n)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed % n;
}

static void keep(uint32_t *seed, int fd)
{
    if (fd < 0)
        return;
    fd = atomic_exchange(&slot[draw(seed, SLOTS)], fd);
    if (fd >= 0)
        close(fd);
}

static int pick(uint32_t *seed) { return atomic_load(&slot[draw(seed, SLOTS)]); }

static void make(uint32_t *seed)
{
    static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
    int s[2], family = draw(seed, 2) ? AF_INET : AF_INET6;

    switch (draw(seed, 5)) {
    case 0:
    case 1:
        if (socketpair(AF_UNIX, types[draw(seed, 3)] | SOCK_NONBLOCK, 0, s) == 0) {
            keep(seed, s[0]);
            keep(seed, s[1]);
        }
        break;
    case 2: keep(seed, socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0)); break;
    case 3: keep(seed, socket(family, SOCK_DGRAM | SOCK_NONBLOCK, 0)); break;
    case 4: keep(seed, epoll_create1(0)); break;
    }
}

/* A few ports and names that all share. */
static socklen_t address(uint32_t *seed, int fd, struct sockaddr_storage *a)
{
    struct sockaddr_in *in = (void *)a;
    struct sockaddr_in6 *in6 = (void *)a;
    struct sockaddr_un *un = (void *)a;
    int family = AF_UNIX;

    memset(a, 0, sizeof *a);
    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &(socklen_t){sizeof family});
    a->ss_family = (sa_family_t)family;
    if (family == AF_INET) {
        in->sin_port = htons((uint16_t)(20000 + draw(seed, 4)));
        in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return sizeof *in;
    }
    if (family == AF_INET6) {
        in6->sin6_port = htons((uint16_t)(20000 + draw(seed, 4)));
        in6->sin6_addr = draw(seed, 2) ? in6addr_any : in6addr_loopback;
        return sizeof *in6;
    }
    un->sun_path[1] = (char)('a' + draw(seed, 3));
    return 4;
}

static void send_some(uint32_t *seed, int fd)
{
    union {
        char buf[CMSG_SPACE(sizeof(int) * 2)];
        struct cmsghdr align;
    } u = {0};
    struct iovec iov = {data, draw(seed, sizeof data)};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    struct cmsghdr *c;
    int fds[2] = {pick(seed), pick(seed)};

    if (draw(seed, 3) == 0) {
        m.msg_control = u.buf;
        m.msg_controllen = sizeof u.buf;
        c = CMSG_FIRSTHDR(&m);
        *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof fds), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(c), fds, sizeof fds);
    }
    sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT | (draw(seed, 20) ? 0 : MSG_OOB));
}

static void receive_some(uint32_t *seed, int fd)
{
    static const int flags[] = {0, MSG_PEEK, MSG_TRUNC, MSG_WAITALL, MSG_OOB, 0};
    union {
        char buf[CMSG_SPACE(sizeof(int) * 4)];
        struct cmsghdr align;
    } u;
    char buf[9000];
    struct iovec iov = {buf, draw(seed, sizeof buf)};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = u.buf, .msg_controllen = sizeof u.buf};

    if (recvmsg(fd, &m, MSG_DONTWAIT | flags[draw(seed, 6)]) < 0)
        return;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        int got[4];
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || n > 4)
            continue;
        memcpy(got, CMSG_DATA(c), n * sizeof(int));
        for (size_t i = 0; i < n; i++)
            keep(seed, got[i]);
    }
}

static void *storm(void *arg)
{
    uint32_t seed = 1000003u * (uint32_t)(uintptr_t)arg;
    struct sockaddr_storage a;
    socklen_t n;
    int on;

    for (int i = 0; i < ROUNDS; i++) {
        int fd = pick(&seed);

        switch (draw(&seed, 14)) {
        case 0: make(&seed); break;
        case 1:
            fd = atomic_exchange(&slot[draw(&seed, SLOTS)], -1);
            if (fd >= 0)
                close(fd);
            break;
        case 2:
            n = address(&seed, fd, &a);
            if (bind(fd, (void *)&a, n) == 0)
                listen(fd, (int)draw(&seed, 4));
            break;
        case 3:
            n = address(&seed, fd, &a);
            if (fcntl(fd, F_GETFL) & O_NONBLOCK)
                connect(fd, (void *)&a, n);
            break;
        case 4:
            if (fcntl(fd, F_GETFL) & O_NONBLOCK)
                keep(&seed, accept4(fd, NULL, NULL, SOCK_NONBLOCK));
            break;
        case 5:
        case 6:
        case 7: send_some(&seed, fd); break;
        case 8:
        case 9: receive_some(&seed, fd); break;
        case 10: shutdown(fd, (int)draw(&seed, 3)); break;
        case 11: {
            struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | (draw(&seed, 2) ? EPOLLET : 0)}, out[8];
            epoll_ctl(fd, EPOLL_CTL_ADD + (int)draw(&seed, 3), pick(&seed), &ev);
            epoll_wait(fd, out, 8, 0);
            break;
        }
        case 12:
            on = (int)draw(&seed, 2);
            setsockopt(fd, SOL_SOCKET, draw(&seed, 2) ? SO_REUSEPORT : SO_REUSEADDR, &on, sizeof on);
            on = (int)draw(&seed, 100000);
            setsockopt(fd, SOL_SOCKET, draw(&seed, 2) ? SO_SNDBUF : SO_RCVBUF, &on, sizeof on);
            on = 1;
            setsockopt(fd, SOL_SOCKET, draw(&seed, 2) ? SO_PASSCRED : SO_OOBINLINE, &on, sizeof on);
            break;
        case 13: {
            struct pollfd p[4];
            for (int k = 0; k < 4; k++)
                p[k] = (struct pollfd){pick(&seed), POLLIN | POLLOUT | POLLPRI, 0};
            poll(p, 4, draw(&seed, 50) ? 0 : 1);
            break;
        }
        }
    }
    return NULL;
}

static int lines(const char *path)
{
    FILE *f = fopen(path, "r");
    int n = 0;

    CHECK(f);
    while (fgets(data, sizeof data, f))
        n++;
    fclose(f);
    return n;
}

int main(void)
{
    pthread_t t[THREADS];

    signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < SLOTS; i++)
        slot[i] = -1;
    for (uintptr_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&t[i], NULL, storm, (void *)(i + 1)) == 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    syscall(SYS_close_range, 3, ~0u, 0);
    if (access("/dev/thaw", F_OK) == 0) { /* else there are others' */
        CHECK(lines("/proc/net/unix") == 1);
        CHECK(lines("/proc/net/tcp") == 1 && lines("/proc/net/tcp6") == 1);
        CHECK(lines("/proc/net/udp") == 1 && lines("/proc/net/udp6") == 1);
    }
    return success();
}
