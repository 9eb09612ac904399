/* SPDX-License-Identifier: MIT */
/* poll, select, epoll: readiness as it is, timeouts, hang-up, edge triggering, waking from another thread. */
#define _GNU_SOURCE
#include "guest.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

static int p[2];
static void *later(void *arg)
{
    usleep(30000);
    CHECK(write(p[1], "x", 1) == 1);
    return NULL;
}

int main(void)
{
    pthread_t t;
    char buf[16];

    CHECK(pipe(p) == 0);
    struct pollfd f[3] = {{p[0], POLLIN, 0}, {p[1], POLLOUT, 0}, {-1, POLLIN, 7}};
    CHECK(poll(f, 3, 0) == 1 && !f[0].revents && f[1].revents == POLLOUT && !f[2].revents);
    CHECK(poll(f, 1, 20) == 0);
    CHECK(pthread_create(&t, NULL, later, NULL) == 0 && poll(f, 1, 10000) == 1 && f[0].revents == POLLIN);
    pthread_join(t, NULL);
    f[0].fd = 555;
    CHECK(poll(f, 1, 0) == 1 && f[0].revents == POLLNVAL);

    fd_set r, w;
    FD_ZERO(&r);
    FD_ZERO(&w);
    FD_SET(p[0], &r);
    FD_SET(p[1], &w);
    struct timeval tv = {1, 0};
    CHECK(select(p[1] + 1, &r, &w, NULL, &tv) == 2 && FD_ISSET(p[0], &r) && FD_ISSET(p[1], &w));
    CHECK(read(p[0], buf, 1) == 1);
    FD_ZERO(&r);
    FD_SET(p[0], &r);
    tv = (struct timeval){0, 10000};
    CHECK(select(p[0] + 1, &r, NULL, NULL, &tv) == 0 && !FD_ISSET(p[0], &r));

    int e = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ev = {.events = EPOLLIN, .data.u64 = 0x1234567890}, out[4];
    CHECK(e >= 0 && epoll_ctl(e, EPOLL_CTL_ADD, p[0], &ev) == 0);
    FAILS(epoll_ctl(e, EPOLL_CTL_ADD, p[0], &ev), EEXIST);
    FAILS(epoll_ctl(e, EPOLL_CTL_MOD, p[1], &ev), ENOENT);
    CHECK(epoll_wait(e, out, 4, 10) == 0);
    CHECK(pthread_create(&t, NULL, later, NULL) == 0 && epoll_wait(e, out, 4, 10000) == 1);
    CHECK(out[0].events == EPOLLIN && out[0].data.u64 == 0x1234567890);
    pthread_join(t, NULL);
    CHECK(epoll_wait(e, out, 4, 0) == 1); /* level: still there */
    ev.events = EPOLLIN | EPOLLET;
    CHECK(epoll_ctl(e, EPOLL_CTL_MOD, p[0], &ev) == 0);
    CHECK(epoll_wait(e, out, 4, 0) == 1 && epoll_wait(e, out, 4, 0) == 0); /* edge: once */
    CHECK(write(p[1], "y", 1) == 1 && epoll_wait(e, out, 4, 0) == 1 && epoll_wait(e, out, 4, 0) == 0);
    ev.events = EPOLLIN | EPOLLONESHOT;
    CHECK(epoll_ctl(e, EPOLL_CTL_MOD, p[0], &ev) == 0);
    CHECK(epoll_wait(e, out, 4, 0) == 1 && epoll_wait(e, out, 4, 0) == 0);
    CHECK(epoll_ctl(e, EPOLL_CTL_MOD, p[0], &ev) == 0 && epoll_wait(e, out, 4, 0) == 1);
    CHECK(epoll_ctl(e, EPOLL_CTL_DEL, p[0], NULL) == 0 && epoll_wait(e, out, 4, 0) == 0);
    FAILS(epoll_ctl(e, EPOLL_CTL_ADD, e, &ev), EINVAL);

    CHECK(read(p[0], buf, sizeof buf) == 2);
    close(p[1]);
    f[0] = (struct pollfd){p[0], POLLIN, 0};
    CHECK(poll(f, 1, 0) == 1 && (f[0].revents & POLLHUP));

    int v = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (v >= 0) { /* part of the family, though Python does not need it */
        uint64_t n = 3;
        FAILS(read(v, &n, 8), EAGAIN);
        CHECK(write(v, &n, 8) == 8 && write(v, &n, 8) == 8 && read(v, &n, 8) == 8 && n == 6);
    }
    return success();
}
