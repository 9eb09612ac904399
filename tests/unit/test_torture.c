/* SPDX-License-Identifier: MIT */
/*
 * Threads race in the kernel's core - pipes, sockets, epoll, timers, open files that are closed and duplicated meanwhile -
 * under thread sanitizer, which reports what is touched without the big kernel lock, or after it was dropped to wait. The
 * kernel itself cannot be built with it: it has no libc and its threads' stacks are its own (tests/guest/torture.c races
 * in that). By a fixed seed; afterwards nothing is left.
 */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "calls.h"
#include "vfs.h"

CALL(pipe2);
CALL(poll);
CALL(epoll_create1);
CALL(epoll_ctl);
CALL(epoll_wait);
CALL(eventfd2);
CALL(timerfd_create);
CALL(timerfd_settime);
CALL(fcntl);
CALL(read);
CALL(write);
CALL(close);
CALL(dup);
CALL(dup3);
CALL(socket);
CALL(socketpair);
CALL(bind);
CALL(listen);
CALL(accept4);
CALL(connect);
CALL(sendto);
CALL(recvfrom);
CALL(shutdown);

#define THREADS 6
#define ROUNDS 60000
#define FDS 24 /* descriptors in play: 0 to FDS - 1, of whatever */
#define BYTES 3000
#define EPOLLIN 1u
#define EPOLLET (1u << 31)

static u32 seeds[THREADS];
static unsigned long done;

struct epoll_event_user {
    u32 events;
    u64 data;
} __attribute__((packed));

/* Descriptors stay below FDS: what a call has opened above that is closed at once, or takes the place of another. */
static void keep(s64 fd, u32 *seed)
{
    if (fd < FDS)
        return;
    if (rand_r(seed) % 2)
        sys(dup3, (u64)fd, rand_r(seed) % FDS, 0);
    sys(close, (u64)fd);
}

static void keep_two(s64 err, const int fds[2], u32 *seed)
{
    if (err)
        return;
    keep(fds[0], seed);
    keep(fds[1], seed);
}

static void make(u32 *seed)
{
    static const u16 family[] = {1 /* AF_UNIX */, 2 /* AF_INET */};
    u64 flags = rand_r(seed) % 4 ? O_NONBLOCK : 0;
    int fds[2];

    switch (rand_r(seed) % 6) {
    case 0: keep_two(sys(pipe2, P(fds), flags), fds, seed); break;
    case 1: keep_two(sys(socketpair, 1, 1 + rand_r(seed) % 2, 0, P(fds)), fds, seed); break;
    case 2: keep(sys(eventfd2, rand_r(seed) % 3, flags), seed); break;
    case 3: keep(sys(timerfd_create, 1, flags), seed); break;
    case 4: keep(sys(epoll_create1, 0), seed); break;
    default: keep(sys(socket, family[rand_r(seed) % 2], 1 + rand_r(seed) % 2, 0), seed);
    }
}

static void torture(u32 *seed)
{
    u64 fd = rand_r(seed) % FDS, other = rand_r(seed) % FDS;
    struct epoll_event_user event = {EPOLLIN | (rand_r(seed) % 2 ? EPOLLET : 0), other}, got[4];
    struct pollfd p[3] = {{(int)fd, 5, 0}, {(int)other, 1, 0}, {(int)(rand_r(seed) % FDS), 4, 0}};
    u64 time[4] = {0, 0, 0, rand_r(seed) % 300000};
    struct {
        u16 family, port;
        u32 addr;
        u64 zero;
    } address = {2, (u16)(0x1000 + rand_r(seed) % 4), 0x0100007f, 0};
    u8 bytes[BYTES];
    s64 flags;

    /* Nobody may be there to end a wait. */
    flags = sys(fcntl, fd, 3 /* F_GETFL */);
    if (flags >= 0 && !((u64)flags & O_NONBLOCK))
        sys(fcntl, fd, 4 /* F_SETFL */, O_NONBLOCK);
    switch (rand_r(seed) % 14) {
    case 0:
    case 1: make(seed); break;
    case 2: sys(close, fd); break;
    case 3: keep(sys(dup, fd), seed); break;
    case 4: sys(dup3, fd, other, 0); break;
    case 5: sys(epoll_ctl, fd, 1 + rand_r(seed) % 3, other, P(&event)); break;
    case 6: sys(epoll_wait, fd, P(got), 4, rand_r(seed) % 2); break;
    case 7: sys(poll, P(p), 3, rand_r(seed) % 2); break;
    case 8: sys(timerfd_settime, fd, 0, P(time), 0); break;
    case 9: sys(bind, fd, P(&address), 16), sys(listen, fd, 3); break;
    case 10: sys(connect, fd, P(&address), 16); break;
    case 11: keep(sys(accept4, fd, 0, 0, O_NONBLOCK), seed); break;
    default:
        memset(bytes, (int)fd, sizeof bytes);
        switch (rand_r(seed) % 5) {
        case 0: sys(write, fd, P(bytes), 8); break;
        case 1: sys(sendto, fd, P(bytes), rand_r(seed) % BYTES, 0x40 /* MSG_DONTWAIT */); break;
        case 2: sys(recvfrom, fd, P(bytes), rand_r(seed) % BYTES, 0x40); break;
        case 3: sys(shutdown, fd, rand_r(seed) % 3); break;
        default: sys(read, fd, P(bytes), rand_r(seed) % BYTES);
        }
    }
}

static void racer(void *arg)
{
    u32 *seed = arg;

    for (int i = 0; i < ROUNDS; i++) {
        torture(seed);
        done++;
        kernel_unlock();
        kernel_lock();
    }
}

static void test_threads_race(void **state)
{
    long before;
    struct task *t[THREADS];

    for (int fd; (fd = files_next_fd(current->process->files, 0)) >= 0;)
        assert_int_equal(sys(close, (u64)fd), 0);
    before = fake_allocated;
    for (int i = 0; i < THREADS; i++) {
        seeds[i] = (u32)i * 7919u + 1;
        t[i] = fake_thread(racer, &seeds[i]);
    }
    for (int i = 0; i < THREADS; i++)
        fake_join(t[i]);
    assert_int_equal(done, THREADS * ROUNDS);
    for (int fd; (fd = files_next_fd(current->process->files, 0)) >= 0;)
        assert_int_equal(sys(close, (u64)fd), 0);
    print_message("%lu calls, %ld blocks of the heap kept\n", done, fake_allocated - before);
    assert_in_range(fake_allocated, before, before + 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_threads_race)};

    signal(SIGPIPE, SIG_IGN);
    fake_init();
    current->process->files = files_create();
    current->process->fs = fs_create();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
