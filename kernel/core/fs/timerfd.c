/* SPDX-License-Identifier: MIT */
/* timerfd_create(2). As on Linux a periodic timer rests from its expiry until somebody asks how often it has expired. */
#include "fs_impl.h"
#include "poll.h"
#include "syscall.h"
#include "task.h"
#include "timer.h"

#define TFD_TIMER_ABSTIME 1u
#define TFD_TIMER_CANCEL_ON_SET 2u /* accepted: nobody in here sets the clock */

struct timerfd {
    struct ktimer timer;
    bool wall; /* CLOCK_REALTIME, else CLOCK_MONOTONIC */
    u64 next;  /* the expiry under way or just past, in the clock's ns; 0: disarmed */
    u64 interval;
    u64 ticks;    /* expiries that read(2) has not reported */
    bool expired; /* next has passed, and the timer rests */
    struct wait_queue wq;
};

static const struct file_operations timerfd_fops;

static u64 timerfd_now(const struct timerfd *t) { return machine_clock(t->wall ? CLOCK_REALTIME : CLOCK_MONOTONIC); }

static void timerfd_start(struct timerfd *t)
{
    if (t->wall)
        timer_set_wall(&t->timer, t->next);
    else
        timer_set(&t->timer, t->next);
}

static void timerfd_expire(struct ktimer *timer)
{
    struct timerfd *t = container_of(timer, struct timerfd, timer);

    t->expired = true;
    t->ticks++;
    wake_up(&t->wq);
}

/* Counts the periods that passed while a periodic timer rested, and starts it again. */
static void timerfd_forward(struct timerfd *t)
{
    u64 now = timerfd_now(t), missed;

    if (!t->expired || !t->interval)
        return;
    missed = now > t->next ? (now - t->next) / t->interval : 0;
    t->ticks += missed;
    t->expired = false;
    if (check_mul(missed + 1, t->interval, &missed) || check_add(t->next, missed, &t->next))
        t->next = TIME_MAX_NS;
    timerfd_start(t);
}

static ssize_t timerfd_read(struct file *f, void *buf, size_t n, loff_t *pos)
{
    struct timerfd *t = f->private;

    if (n < sizeof(t->ticks))
        return -EINVAL;
    if (!t->ticks) {
        long r;

        if (f->flags & O_NONBLOCK)
            return -EAGAIN;
        r = wait_event(&t->wq, t->ticks);
        if (r < 0)
            return r;
    }
    timerfd_forward(t);
    memcpy(buf, &t->ticks, sizeof(t->ticks));
    t->ticks = 0;
    return sizeof(t->ticks);
}

static u32 timerfd_poll(struct file *f, struct poll_table *pt)
{
    struct timerfd *t = f->private;

    poll_wait(f, &t->wq, pt);
    return t->ticks ? POLLIN : 0;
}

static void timerfd_release(struct file *f)
{
    struct timerfd *t = f->private;

    timer_cancel(&t->timer);
    kfree(t);
}

static const struct file_operations timerfd_fops = {
    .read = timerfd_read,
    .poll = timerfd_poll,
    .release = timerfd_release,
};

SYSCALL(timerfd_create)
{
    struct timerfd *t;
    struct file *f;

    switch ((s32)a0) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_ALARM:
    case CLOCK_MONOTONIC:
    case CLOCK_BOOTTIME:
    case CLOCK_BOOTTIME_ALARM: break;
    default: return -EINVAL;
    }
    if (a1 & ~(u64)(O_CLOEXEC | O_NONBLOCK))
        return -EINVAL;
    t = kmalloc(sizeof(*t));
    if (!t)
        return -ENOMEM;
    timer_init(&t->timer, timerfd_expire);
    wait_queue_init(&t->wq);
    t->wall = (s32)a0 == CLOCK_REALTIME || (s32)a0 == CLOCK_REALTIME_ALARM;
    f = file_anon("anon_inode:[timerfd]", &timerfd_fops, t, O_RDWR | (a1 & O_NONBLOCK), 0600);
    if (IS_ERR(f)) {
        kfree(t);
        return PTR_ERR(f);
    }
    return fd_install(f, a1 & O_CLOEXEC, 0);
}

/* The timer of descriptor fd; *f with a reference. NULL with *error. */
static struct timerfd *timerfd_get(int fd, struct file **f, int *error)
{
    *f = fd_get(fd);
    *error = -EBADF;
    if (!*f)
        return NULL;
    if ((*f)->op == &timerfd_fops)
        return (*f)->private;
    *error = -EINVAL;
    file_put(*f);
    return NULL;
}

/* Time left and interval, as both calls report them. */
static int timerfd_report(struct timerfd *t, u64 uaddr)
{
    u64 now, left = 0;
    int r;

    timerfd_forward(t);
    now = timerfd_now(t);
    if (t->next && !t->expired)
        left = t->next > now ? t->next - now : 1;
    r = put_timespec(uaddr + offsetof(struct itimerspec, interval), t->interval);
    return r ? r : put_timespec(uaddr + offsetof(struct itimerspec, value), left);
}

SYSCALL(timerfd_settime)
{
    struct timerfd *t;
    struct file *f;
    u64 interval, value;
    int r;

    if (a1 & ~(u64)(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET))
        return -EINVAL;
    r = get_timespec(&interval, a2 + offsetof(struct itimerspec, interval));
    if (r == 0)
        r = get_timespec(&value, a2 + offsetof(struct itimerspec, value));
    if (r < 0)
        return r;
    t = timerfd_get((s32)a0, &f, &r);
    if (!t)
        return r;
    r = a3 ? timerfd_report(t, a3) : 0;
    timer_cancel(&t->timer);
    t->ticks = 0;
    t->expired = false;
    t->interval = interval;
    t->next = 0;
    if (value) {
        t->next = a1 & TFD_TIMER_ABSTIME ? value : deadline_after(timerfd_now(t), value);
        timerfd_start(t);
    }
    file_put(f);
    return r;
}

SYSCALL(timerfd_gettime)
{
    struct timerfd *t;
    struct file *f;
    int r;

    t = timerfd_get((s32)a0, &f, &r);
    if (!t)
        return r;
    r = timerfd_report(t, a1);
    file_put(f);
    return r;
}
