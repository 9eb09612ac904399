/* SPDX-License-Identifier: MIT */
/* eventfd(2). */
#include "fs_impl.h"
#include "poll.h"
#include "syscall.h"
#include "task.h"

#define EFD_SEMAPHORE 1u
#define EVENTFD_MAX (~0ull - 1)

struct eventfd {
    u64 count;
    bool semaphore;
    struct wait_queue rd, wr;
};

static ssize_t eventfd_read(struct file *f, void *buf, size_t n, loff_t *pos)
{
    struct eventfd *e = f->private;
    u64 value;

    if (n < sizeof(value))
        return -EINVAL;
    if (!e->count) {
        long r;

        if (f->flags & O_NONBLOCK)
            return -EAGAIN;
        r = wait_event(&e->rd, e->count);
        if (r < 0)
            return r;
    }
    value = e->semaphore ? 1 : e->count;
    e->count -= value;
    memcpy(buf, &value, sizeof(value));
    wake_up(&e->wr);
    return sizeof(value);
}

static ssize_t eventfd_write(struct file *f, const void *buf, size_t n, loff_t *pos)
{
    struct eventfd *e = f->private;
    u64 value;

    if (n < sizeof(value))
        return -EINVAL;
    memcpy(&value, buf, sizeof(value));
    if (value == ~0ull)
        return -EINVAL;
    if (EVENTFD_MAX - e->count < value) {
        long r;

        if (f->flags & O_NONBLOCK)
            return -EAGAIN;
        r = wait_event(&e->wr, EVENTFD_MAX - e->count >= value);
        if (r < 0)
            return r;
    }
    e->count += value;
    wake_up(&e->rd);
    return sizeof(value);
}

static u32 eventfd_poll(struct file *f, struct poll_table *pt)
{
    struct eventfd *e = f->private;
    u32 events = 0;

    if (poll_wants(pt, POLLIN | POLLRDNORM))
        poll_wait(f, &e->rd, pt);
    if (poll_wants(pt, POLLOUT | POLLWRNORM))
        poll_wait(f, &e->wr, pt);
    if (e->count)
        events |= POLLIN;
    if (e->count < EVENTFD_MAX)
        events |= POLLOUT;
    return events;
}

static void eventfd_release(struct file *f) { kfree(f->private); }

static const struct file_operations eventfd_fops = {
    .read = eventfd_read,
    .write = eventfd_write,
    .poll = eventfd_poll,
    .release = eventfd_release,
};

static s64 do_eventfd(u32 count, u32 flags)
{
    struct eventfd *e;
    struct file *f;

    if (flags & ~(u32)(O_CLOEXEC | O_NONBLOCK | EFD_SEMAPHORE))
        return -EINVAL;
    e = kmalloc(sizeof(*e));
    if (!e)
        return -ENOMEM;
    e->count = count;
    e->semaphore = flags & EFD_SEMAPHORE;
    wait_queue_init(&e->rd);
    wait_queue_init(&e->wr);
    f = file_anon("anon_inode:[eventfd]", &eventfd_fops, e, O_RDWR | (flags & O_NONBLOCK), 0600);
    if (IS_ERR(f)) {
        kfree(e);
        return PTR_ERR(f);
    }
    return fd_install(f, flags & O_CLOEXEC, 0);
}

SYSCALL(eventfd) { return do_eventfd((u32)a0, 0); }

SYSCALL(eventfd2) { return do_eventfd((u32)a0, (u32)a1); }
