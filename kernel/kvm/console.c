/* SPDX-License-Identifier: MIT */
/* The caller's stdin, stdout and stderr, which the monitor holds. Its calls never wait; waiting is done here. */
#include "kvm.h"

static ssize_t console_read(int fd, void *buf, size_t n)
{
    struct thaw_kvm *page = kvm_page();
    s64 r = monitor_call(THAW_CALL_CONSOLE_READ, (u64)fd, min(n, (size_t)THAW_CALL_DATA_MAX), 0);
    if (r > 0)
        memcpy(buf, page->data, min((size_t)r, n));
    return r;
}

static ssize_t console_write(int fd, const void *buf, size_t n)
{
    struct thaw_kvm *page = kvm_page();
    u32 len = (u32)min(n, (size_t)THAW_CALL_DATA_MAX);

    memcpy(page->data, buf, len);
    struct thaw_call call = {.op = THAW_CALL_CONSOLE_WRITE, .len = len, .arg = {(u64)fd}};
    return monitor_call_data(&call);
}

static int console_wait(int fd, u32 events)
{
    machine_block_prepare();
    if (signal_pending(current))
        return -EINTR;
    machine_block_on_console(fd, events);
    machine_block(0);
    return 0;
}

ssize_t machine_console_read(int fd, void *buf, size_t n, bool nonblock)
{
    for (;;) {
        ssize_t r = console_read(fd, buf, n);
        if (r != -EAGAIN || nonblock)
            return r;
        if (console_wait(fd, CONSOLE_IN))
            return -EINTR;
    }
}

ssize_t machine_console_write(int fd, const void *buf, size_t n, bool nonblock)
{
    size_t done = 0;

    for (;;) {
        ssize_t r = console_write(fd, (const u8 *)buf + done, n - done);
        if (r < 0 && r != -EAGAIN)
            return done ? (ssize_t)done : r;
        if (r > 0)
            done += (size_t)r;
        if (done == n || (nonblock && (done || r == -EAGAIN)))
            return done || !n ? (ssize_t)done : -EAGAIN;
        if (r == -EAGAIN && console_wait(fd, CONSOLE_OUT))
            return done ? (ssize_t)done : -EINTR;
    }
}

u32 machine_console_poll(int fd)
{
    s64 r = monitor_call(THAW_CALL_WAIT, 1, (u64)(CONSOLE_IN | CONSOLE_OUT) << (16 * fd), 0);
    return r < 0 ? 0 : (u32)(r >> (16 * fd)) & (CONSOLE_IN | CONSOLE_OUT | CONSOLE_HUP | 8u /* POLLERR */);
}

int machine_console_ioctl(int fd, u32 cmd, void *arg, size_t size)
{
    struct thaw_kvm *page = kvm_page();
    struct thaw_call call = {
        .op = THAW_CALL_CONSOLE_IOCTL, .len = (u32)size, .arg = {(u64)fd, cmd, size ? 0 : (u64)arg}};

    if (size > THAW_CALL_DATA_MAX)
        return -EINVAL;
    memcpy(page->data, arg, size);
    s64 r = monitor_call_data(&call);
    if (r >= 0)
        memcpy(arg, page->data, size);
    return (int)r;
}

/* The log's lines go out whole and do not wait for signals. */
void console_log(const char *s, size_t n)
{
    while (n) {
        ssize_t r = console_write(THAW_FD_STDERR, s, n);
        if (r == -EAGAIN) {
            monitor_call(THAW_CALL_WAIT, 0, (u64)CONSOLE_OUT << (16 * THAW_FD_STDERR), 0);
            continue;
        }
        if (r <= 0)
            return;
        s += r;
        n -= (size_t)r;
    }
}
