/* SPDX-License-Identifier: MIT */
/* The caller's stdin, stdout and stderr, which the sandbox process holds as descriptors 0, 1 and 2. */
#include "process.h"

static s64 console_wait(int fd, s16 events, bool block)
{
    struct thread_info *ti = thread_info();
    struct host_pollfd p = {.fd = fd, .events = events};
    struct host_timespec zero = {0, 0};
    s64 r = block ? host_syscall_intr(HOST_ppoll, (u64)&p, 1, 0, 0, 0, 0, &ti->kicked)
                  : host_syscall(HOST_ppoll, (u64)&p, 1, (u64)&zero, 0, 0, 0);
    return r < 0 ? r : r == 0 ? -EAGAIN : p.revents;
}

static ssize_t console_io(int fd, int nr, void *buf, size_t n, bool nonblock)
{
    struct thread_info *ti = thread_info();
    s16 events = nr == HOST_read ? CONSOLE_IN : CONSOLE_OUT;
    s64 r = 0;

    if (nonblock) {
        r = console_wait(fd, events, false);
        if (r < 0)
            return r;
        if (nr == HOST_write)
            n = min(n, (size_t)PIPE_BUF); /* what poll promises room for */
    }
    for (;;) {
        kernel_unlock();
        r = host_syscall_intr(nr, (u64)fd, (u64)buf, n, 0, 0, 0, &ti->kicked);
        if (r == -EAGAIN && !nonblock) { /* the caller's descriptor is in non-blocking mode */
            r = console_wait(fd, events, true);
            if (r >= 0)
                r = -EAGAIN;
        }
        kernel_lock();
        __atomic_store_n(&ti->kicked, 0, __ATOMIC_SEQ_CST);
        trap_drain();
        if (r == -EINTR && signal_pending(current))
            return -EINTR;
        if (r != -EINTR && (r != -EAGAIN || nonblock))
            return r;
    }
}

ssize_t machine_console_read(int fd, void *buf, size_t n, bool nonblock)
{
    return console_io(fd, HOST_read, buf, n, nonblock);
}

ssize_t machine_console_write(int fd, const void *buf, size_t n, bool nonblock)
{
    return console_io(fd, HOST_write, (void *)buf, n, nonblock);
}

u32 machine_console_poll(int fd)
{
    s64 r = console_wait(fd, CONSOLE_IN | CONSOLE_OUT, false);
    return r < 0 ? 0 : (u32)r & (CONSOLE_IN | CONSOLE_OUT | CONSOLE_HUP | 8u /* POLLERR */);
}

int machine_console_ioctl(int fd, u32 cmd, void *arg, size_t size)
{
    return (int)host_syscall(HOST_ioctl, (u64)fd, cmd, (u64)arg, 0, 0, 0);
}

/* The log's lines go out whole and do not wait for signals. */
void console_log(const char *s, size_t n);
void console_log(const char *s, size_t n)
{
    while (n) {
        s64 r = host_syscall(HOST_write, THAW_FD_STDERR, (u64)s, n, 0, 0, 0);
        if (r == -EINTR || r == -EAGAIN)
            continue;
        if (r <= 0)
            return;
        s += r;
        n -= (size_t)r;
    }
}
