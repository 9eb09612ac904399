/* SPDX-License-Identifier: MIT */
/* TCP on the loopback, IPv4 and IPv6: connecting both ways, ends, resets, urgent data, ports, options, no way out. */
#define _GNU_SOURCE
#include "guest.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static union {
    struct sockaddr sa;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
} at, other;
static socklen_t at_len;
static char buf[65536];

/* A listening socket on a free port of ip; its address in at. */
static int listener(const char *ip, int backlog)
{
    bool v6 = strchr(ip, ':');
    int l = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);

    memset(&at, 0, sizeof at);
    at.sa.sa_family = v6 ? AF_INET6 : AF_INET;
    CHECK(inet_pton(at.sa.sa_family, ip, v6 ? (void *)&at.in6.sin6_addr : (void *)&at.in.sin_addr) == 1);
    at_len = v6 ? sizeof at.in6 : sizeof at.in;
    CHECK(l >= 0 && bind(l, &at.sa, at_len) == 0 && listen(l, backlog) == 0);
    CHECK(getsockname(l, &at.sa, &at_len) == 0 && ntohs(at.in.sin_port) >= 1024);
    return l;
}

static int client(int flags)
{
    int c = socket(at.sa.sa_family, SOCK_STREAM | flags, 0);
    CHECK(c >= 0);
    return c;
}

/* Both ends of a connection. */
static void connection(int l, int *c, int *a)
{
    *c = client(0);
    CHECK(connect(*c, &at.sa, at_len) == 0);
    *a = accept(l, NULL, NULL);
    CHECK(*a >= 0);
}

static void talk(const char *ip)
{
    int l = listener(ip, 5), c, a, n, one = 1;
    socklen_t len = sizeof other;

    connection(l, &c, &a);
    CHECK(getpeername(c, &other.sa, &len) == 0 && len == at_len && !memcmp(&other, &at, len));
    CHECK(getsockname(c, &other.sa, &len) == 0 && other.sa.sa_family == at.sa.sa_family);
    in_port_t port = other.in.sin_port;
    CHECK(getpeername(a, &other.sa, &len) == 0 && other.in.sin_port == port);
    CHECK(write(c, "question", 8) == 8 && read(a, buf, 99) == 8 && write(a, "answer", 6) == 6 && read(c, buf, 99) == 6);
    FAILS(recv(c, buf, 1, MSG_DONTWAIT), EAGAIN);
    CHECK(setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0);
    len = sizeof n;
    CHECK(getsockopt(c, IPPROTO_TCP, TCP_NODELAY, &n, &len) == 0 && n == 1);
    CHECK(getsockopt(l, SOL_SOCKET, SO_ACCEPTCONN, &n, &len) == 0 && n == 1);
    /* A half-closed connection still takes what comes. */
    CHECK(write(c, "end", 3) == 3 && shutdown(c, SHUT_WR) == 0);
    CHECK(read(a, buf, 99) == 3 && read(a, buf, 99) == 0 && write(a, "late", 4) == 4);
    CHECK(read(c, buf, 99) == 4);
    close(a);
    CHECK(read(c, buf, 99) == 0);
    FAILS(send(c, "x", 1, MSG_NOSIGNAL), EPIPE);
    close(c);
    /* Written to after it was closed: the first write goes out, and is answered by a reset. */
    connection(l, &c, &a);
    close(a);
    CHECK(read(c, buf, 1) == 0 && write(c, "x", 1) == 1);
    FAILS(send(c, "x", 1, MSG_NOSIGNAL), EPIPE);
    close(c);
    /* Closed with bytes unread, or to linger no time: a reset. */
    connection(l, &c, &a);
    CHECK(write(c, "unread", 6) == 6);
    close(a);
    FAILS(read(c, buf, 1), ECONNRESET);
    CHECK(read(c, buf, 1) == 0);
    close(c);
    connection(l, &c, &a);
    CHECK(write(a, "data", 4) == 4);
    struct linger linger = {1, 0};
    CHECK(setsockopt(a, SOL_SOCKET, SO_LINGER, &linger, sizeof linger) == 0);
    close(a);
    CHECK(read(c, buf, 99) == 4);
    FAILS(read(c, buf, 1), ECONNRESET);
    close(c);
    close(l);
}

static void connecting(void)
{
    int l = listener("127.0.0.1", 0), c, d, e, n;
    socklen_t len = sizeof n;

    c = client(SOCK_NONBLOCK);
    FAILS(connect(c, &at.sa, at_len), EINPROGRESS);
    struct pollfd p = {c, POLLOUT, 0};
    CHECK(poll(&p, 1, 1000) == 1 && p.revents == POLLOUT);
    CHECK(getsockopt(c, SOL_SOCKET, SO_ERROR, &n, &len) == 0 && n == 0 && connect(c, &at.sa, at_len) == 0);
    FAILS(connect(c, &at.sa, at_len), EISCONN);
    /* The queue is full now; the next one waits until somebody is accepted. */
    d = client(SOCK_NONBLOCK);
    FAILS(connect(d, &at.sa, at_len), EINPROGRESS);
    p = (struct pollfd){d, POLLOUT, 0};
    CHECK(poll(&p, 1, 30) == 0);
    FAILS(connect(d, &at.sa, at_len), EALREADY);
    CHECK((e = accept(l, NULL, NULL)) >= 0);
    CHECK(poll(&p, 1, 5000) == 1 && p.revents == POLLOUT);
    close(e);
    close(l);
    CHECK(poll(&p, 1, 0) == 1 && (p.revents & POLLHUP)); /* it had not been accepted */
    close(c);
    close(d);
    c = client(0);
    FAILS(connect(c, &at.sa, at_len), ECONNREFUSED);
    close(c);
    c = client(SOCK_NONBLOCK);
    FAILS(connect(c, &at.sa, at_len), EINPROGRESS);
    p = (struct pollfd){c, POLLOUT, 0};
    CHECK(poll(&p, 1, 1000) == 1 && (p.revents & (POLLERR | POLLHUP)) == (POLLERR | POLLHUP));
    CHECK(getsockopt(c, SOL_SOCKET, SO_ERROR, &n, &len) == 0 && n == ECONNREFUSED);
    close(c);
    /* Never connected. */
    c = client(0);
    p = (struct pollfd){c, POLLIN | POLLOUT, 0};
    CHECK(poll(&p, 1, 0) == 1 && p.revents == (POLLOUT | POLLHUP));
    FAILS(read(c, buf, 1), ENOTCONN);
    FAILS(shutdown(c, SHUT_RDWR), ENOTCONN);
    FAILS(getpeername(c, &other.sa, &(socklen_t){sizeof other}), ENOTCONN);
    FAILS(accept(c, NULL, NULL), EINVAL);
    close(c);
}

static void outside(void)
{
    struct sockaddr_in far = {.sin_family = AF_INET, .sin_port = htons(80), .sin_addr.s_addr = htonl(0x08080808)};
    struct sockaddr_in6 far6 = {.sin6_family = AF_INET6, .sin6_port = htons(80)};
    int c = socket(AF_INET, SOCK_STREAM, 0), d = socket(AF_INET6, SOCK_STREAM, 0);

    inet_pton(AF_INET6, "2001:db8::1", &far6.sin6_addr);
    FAILS(connect(c, (void *)&far, sizeof far), ENETUNREACH);
    FAILS(connect(d, (void *)&far6, sizeof far6), ENETUNREACH);
    FAILS(bind(c, (void *)&far, sizeof far), EADDRNOTAVAIL);
    FAILS(bind(c, (void *)&far6, sizeof far6), EAFNOSUPPORT);
    FAILS(bind(c, (void *)&far, 5), EINVAL);
    close(c);
    close(d);
}

static void ports(void)
{
    int l = listener("127.0.0.1", 5), k = client(0), one = 1, c, a;

    FAILS(bind(k, &at.sa, at_len), EADDRINUSE);
    CHECK(setsockopt(k, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0);
    FAILS(bind(k, &at.sa, at_len), EADDRINUSE); /* somebody listens */
    connection(l, &c, &a);
    close(a); /* the first to close waits a minute */
    CHECK(read(c, buf, 1) == 0);
    close(c);
    close(l);
    l = client(0);
    FAILS(bind(l, &at.sa, at_len), EADDRINUSE);
    close(l);
    close(k);
    /* SO_REUSEPORT: as many as like, and each connection goes to one of them. */
    l = socket(AF_INET, SOCK_STREAM, 0);
    k = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(setsockopt(l, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) == 0);
    CHECK(setsockopt(k, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) == 0);
    at.in.sin_port = 0;
    CHECK(bind(l, &at.sa, at_len) == 0 && listen(l, 5) == 0 && getsockname(l, &at.sa, &at_len) == 0);
    CHECK(bind(k, &at.sa, at_len) == 0 && listen(k, 5) == 0);
    struct pollfd p[2] = {{l, POLLIN, 0}, {k, POLLIN, 0}};
    c = client(0);
    CHECK(connect(c, &at.sa, at_len) == 0 && poll(p, 2, 0) == 1);
    close(c);
    close(l);
    close(k);
}

static void mapped(void)
{
    struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int l = listener("::", 5), c = socket(AF_INET, SOCK_STREAM, 0), a, one = 1;
    socklen_t len = sizeof other;
    char text[64];

    a4.sin_port = at.in6.sin6_port;
    CHECK(connect(c, (void *)&a4, sizeof a4) == 0 && (a = accept(l, &other.sa, &len)) >= 0);
    CHECK(!strcmp(inet_ntop(AF_INET6, &other.in6.sin6_addr, text, sizeof text), "::ffff:127.0.0.1"));
    CHECK(write(a, "both", 4) == 4 && read(c, buf, 9) == 4);
    close(a);
    close(c);
    close(l);
    /* The port is another one for IPv4, unless a connection that was closed just now happens to have had it there. */
    for (int tries = 0, bound = 0; !bound; tries++) {
        l = socket(AF_INET6, SOCK_STREAM, 0);
        CHECK(setsockopt(l, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one) == 0);
        at.in6.sin6_port = 0;
        CHECK(bind(l, &at.sa, at_len) == 0 && listen(l, 5) == 0 && getsockname(l, &at.sa, &at_len) == 0);
        a4.sin_port = at.in6.sin6_port;
        c = socket(AF_INET, SOCK_STREAM, 0);
        FAILS(connect(c, (void *)&a4, sizeof a4), ECONNREFUSED);
        bound = bind(c, (void *)&a4, sizeof a4) == 0;
        CHECK(bound || (errno == EADDRINUSE && tries < 9));
        close(c);
        close(l);
    }
}

static volatile sig_atomic_t urgs;
static void on_urgent(int sig) { urgs++; }

static void urgent(void)
{
    int l = listener("127.0.0.1", 5), c, a, at_mark, on = 1;

    connection(l, &c, &a);
    signal(SIGURG, on_urgent);
    CHECK(fcntl(a, F_SETOWN, getpid()) == 0 && fcntl(a, F_GETOWN) == getpid());
    CHECK(write(c, "ab", 2) == 2 && send(c, "cd!", 3, MSG_OOB) == 3 && write(c, "ef", 2) == 2);
    struct pollfd p = {a, POLLPRI | POLLIN, 0};
    CHECK(poll(&p, 1, 1000) == 1 && p.revents == (POLLPRI | POLLIN) && urgs == 1);
    CHECK(read(a, buf, 99) == 4 && !memcmp(buf, "abcd", 4)); /* up to the mark */
    CHECK(ioctl(a, SIOCATMARK, &at_mark) == 0 && at_mark == 1);
    CHECK(recv(a, buf, 9, MSG_OOB) == 1 && buf[0] == '!');
    FAILS(recv(a, buf, 9, MSG_OOB), EINVAL);
    CHECK(read(a, buf, 99) == 2 && !memcmp(buf, "ef", 2));
    CHECK(setsockopt(a, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on) == 0);
    CHECK(send(c, "xy!", 3, MSG_OOB) == 3 && recv(a, buf, 99, 0) >= 2);
    close(c);
    close(a);
    close(l);
}

static int from, into;
static void *pump(void *arg)
{
    for (int i = 0; i < 100; i++) {
        memset(buf, i, sizeof buf);
        for (size_t done = 0; done < sizeof buf;) {
            ssize_t n = write(into, buf + done, sizeof buf - done);
            CHECK(n > 0);
            done += (size_t)n;
        }
    }
    close(into);
    return NULL;
}

static void much(void)
{
    int l = listener("::1", 5), ep = epoll_create1(0);
    static char got[10000];
    size_t total = 0;
    pthread_t t;
    ssize_t n;

    connection(l, &into, &from);
    CHECK(fcntl(from, F_SETFL, O_NONBLOCK) == 0);
    struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
    CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, from, &ev) == 0);
    CHECK(pthread_create(&t, NULL, pump, NULL) == 0);
    for (bool end = false; !end;) {
        CHECK(epoll_wait(ep, &ev, 1, 10000) == 1);
        while ((n = read(from, got, sizeof got)) > 0)
            for (ssize_t i = 0; i < n; i++, total++)
                if (got[i] != (char)(total / sizeof buf))
                    exit(1);
        end = n == 0;
        if (n < 0 && errno != EAGAIN)
            exit(2);
    }
    CHECK(total == 100 * sizeof buf);
    pthread_join(t, NULL);
    close(from);
    close(l);
    close(ep);
}

int main(void)
{
    talk("127.0.0.1");
    talk("::1");
    connecting();
    outside();
    ports();
    mapped();
    urgent();
    much();
    return success();
}
