/* SPDX-License-Identifier: MIT */
/*
 * epoll(7). Each watched file's wait queues call ep_wake(), which puts the item on its instance's list of those that
 * may be ready; epoll_wait looks at what is on the list. The caller's stdio has no wait queue: items that depend on
 * it (console files, and instances that may watch them) are looked at before each wait.
 */
#include "fs_impl.h"
#include "poll.h"
#include "signal.h"
#include "syscall.h"
#include "timer.h"

#define EPOLL_CTL_ADD 1
#define EPOLL_CTL_DEL 2
#define EPOLL_CTL_MOD 3

#define EPOLLEXCLUSIVE (1u << 28)
#define EPOLLWAKEUP (1u << 29)
#define EPOLLONESHOT (1u << 30)
#define EPOLLET (1u << 31)
#define EP_FLAGS (EPOLLEXCLUSIVE | EPOLLWAKEUP | EPOLLONESHOT | EPOLLET)
#define EP_EXCLUSIVE_OK (POLLIN | POLLOUT | POLLERR | POLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE)

#define EP_NESTS 5u /* instances in a chain */
#define EP_HASH 64u

struct epoll_event {
    u32 events;
    u64 data;
} __packed;
_Static_assert(sizeof(struct epoll_event) == 12, "struct epoll_event is the ABI's");

struct ep_queue;

struct ep_item {
    struct list_head all;   /* in instance's items */
    struct list_head ready; /* in its ready list, or empty */
    struct list_head link;  /* in file's epoll_links */
    struct list_head scan;  /* in its scanned, or empty */
    struct ep_item *hash_next;
    struct eventpoll *ep;
    struct file *file; /* no reference: the item goes with the file's last */
    int fd;
    u32 events;
    u64 data;
    u32 seen; /* scanned and edge-triggered: what was there the last time */
    struct ep_queue *queues;
};

/* One of a file's queues that an item is registered with. */
struct ep_queue {
    struct wait_entry wait;
    struct ep_item *item;
    struct ep_queue *next;
};

struct eventpoll {
    struct file *file;
    struct wait_queue wq; /* sleepers in epoll_wait, and who polls the instance itself */
    struct list_head items, ready, scanned;
    struct ep_item *hash[EP_HASH];
    u64 visited; /* generation of the walk that came by last */
    u32 depth;   /* what it found */
};

static const struct file_operations epoll_fops;
static u64 ep_generation;

static bool file_is_epoll(const struct file *f) { return f->op == &epoll_fops; }

/* ---- items ---- */

static bool ep_item_enabled(const struct ep_item *it) { return it->events & ~EP_FLAGS; }

static void ep_item_ready(struct ep_item *it)
{
    if (list_empty(&it->ready))
        list_add_tail(&it->ready, &it->ep->ready);
}

static void ep_wake(struct wait_entry *e)
{
    struct ep_item *it = container_of(e, struct ep_queue, wait)->item;

    if (!ep_item_enabled(it))
        return;
    ep_item_ready(it);
    wake_up(&it->ep->wq);
}

struct ep_table {
    struct poll_table pt;
    struct ep_item *item;
    bool no_memory;
};

static void ep_queue_add(struct poll_table *pt, struct file *f, struct wait_queue *wq)
{
    struct ep_table *et = container_of(pt, struct ep_table, pt);
    struct ep_queue *q = kmalloc(sizeof(*q));

    if (!q) {
        et->no_memory = true;
        return;
    }
    q->item = et->item;
    q->next = et->item->queues;
    et->item->queues = q;
    wait_queue_add_func(wq, &q->wait, ep_wake);
}

static void ep_item_unregister(struct ep_item *it)
{
    while (it->queues) {
        struct ep_queue *q = it->queues;

        it->queues = q->next;
        wait_queue_remove(&q->wait);
        kfree(q);
    }
}

static u32 ep_item_poll(struct ep_item *it, struct poll_table *pt)
{
    u32 want = it->events & ~EP_FLAGS;

    if (pt)
        pt->want = want;
    return it->file->op->poll(it->file, pt) & want;
}

/* Registers with the file's queues; what is ready goes onto the list. 0 or -ENOMEM. */
static int ep_item_register(struct ep_item *it)
{
    struct ep_table et = {.pt = {.queue = ep_queue_add}, .item = it};

    if (ep_item_poll(it, &et.pt))
        ep_item_ready(it);
    return et.no_memory ? -ENOMEM : 0;
}

static struct ep_item **ep_slot(struct eventpoll *ep, const struct file *f, int fd)
{
    return &ep->hash[(((uintptr_t)f >> 4) + (u32)fd) % EP_HASH];
}

static struct ep_item *ep_find(struct eventpoll *ep, const struct file *f, int fd)
{
    struct ep_item *it = *ep_slot(ep, f, fd);

    while (it && (it->file != f || it->fd != fd))
        it = it->hash_next;
    return it;
}

static void ep_remove(struct ep_item *it)
{
    struct ep_item **p = ep_slot(it->ep, it->file, it->fd);

    while (*p != it)
        p = &(*p)->hash_next;
    *p = it->hash_next;
    ep_item_unregister(it);
    list_del(&it->all);
    list_del(&it->ready);
    list_del(&it->link);
    list_del(&it->scan);
    kfree(it);
}

void epoll_file_gone(struct file *f)
{
    while (!list_empty(&f->epoll_links))
        ep_remove(list_first_entry(&f->epoll_links, struct ep_item, link));
}

/* ---- stdio ---- */

/* Looks at the items that nobody wakes. */
static void ep_scan(struct eventpoll *ep)
{
    struct ep_item *it;

    list_for_each_entry (it, &ep->scanned, scan) {
        u32 events, fresh;

        if (!ep_item_enabled(it))
            continue;
        events = ep_item_poll(it, NULL);
        fresh = it->events & EPOLLET ? events & ~it->seen : events;
        it->seen = events;
        if (fresh)
            ep_item_ready(it);
    }
}

/* Adds to console[] what sleepers on ep have to hear from the stdio. */
static void ep_collect(struct eventpoll *ep, u32 console[3])
{
    struct ep_item *it;

    ep->visited = ep_generation;
    list_for_each_entry (it, &ep->scanned, scan) {
        int n = console_number(it->file);
        u32 want = it->events & ~EP_FLAGS;

        if (!want)
            continue;
        if (n < 0) {
            struct eventpoll *below = it->file->private;

            if (below->visited != ep_generation)
                ep_collect(below, console); /* EP_NESTS bounds the depth */
            continue;
        }
        /* Edge-triggered: what was reported once must not end the sleep again, and a hang-up would for ever. */
        if (it->events & EPOLLET) {
            if (it->seen & (POLLHUP | POLLERR))
                continue;
            want &= ~it->seen;
        }
        console[n] |= CONSOLE_HUP | (want & (POLLIN | POLLRDNORM) ? CONSOLE_IN : 0) |
                      (want & (POLLOUT | POLLWRNORM) ? CONSOLE_OUT : 0);
    }
}

/* ---- the instance as a file ---- */

static u32 epoll_poll(struct file *f, struct poll_table *pt)
{
    struct eventpoll *ep = f->private;
    struct ep_item *it, *next;

    poll_wait(f, &ep->wq, pt);
    if (pt && !list_empty(&ep->scanned)) {
        ep_generation++;
        ep_collect(ep, pt->console);
    }
    ep_scan(ep);
    list_for_each_entry_safe (it, next, &ep->ready, ready) {
        if (ep_item_poll(it, NULL))
            return POLLIN | POLLRDNORM;
        list_del(&it->ready);
    }
    return 0;
}

static void epoll_release(struct file *f)
{
    struct eventpoll *ep = f->private;

    while (!list_empty(&ep->items))
        ep_remove(list_first_entry(&ep->items, struct ep_item, all));
    kfree(ep);
}

static const struct file_operations epoll_fops = {.poll = epoll_poll, .release = epoll_release};

static s64 epoll_create(bool cloexec)
{
    struct eventpoll *ep = kmalloc(sizeof(*ep));
    struct file *f;

    if (!ep)
        return -ENOMEM;
    wait_queue_init(&ep->wq);
    list_init(&ep->items);
    list_init(&ep->ready);
    list_init(&ep->scanned);
    f = file_anon("anon_inode:[eventpoll]", &epoll_fops, ep, O_RDWR, 0600);
    if (IS_ERR(f)) {
        kfree(ep);
        return PTR_ERR(f);
    }
    ep->file = f;
    return fd_install(f, cloexec, 0);
}

SYSCALL(epoll_create) { return (s32)a0 <= 0 ? -EINVAL : epoll_create(false); }

SYSCALL(epoll_create1) { return a0 & ~(u64)O_CLOEXEC ? -EINVAL : epoll_create(a0 & O_CLOEXEC); }

/* ---- epoll_ctl ---- */

/* The longest chain of instances that begins at ep and leads down; ~0 if it comes by stop. */
static u32 ep_depth_below(struct eventpoll *ep, const struct eventpoll *stop)
{
    struct ep_item *it;
    u32 deepest = 0;

    if (ep == stop)
        return ~0u;
    if (ep->visited == ep_generation)
        return ep->depth;
    list_for_each_entry (it, &ep->scanned, scan) {
        u32 d;

        if (!file_is_epoll(it->file))
            continue;
        d = ep_depth_below(it->file->private, stop);
        if (d == ~0u)
            return d;
        deepest = max(deepest, d);
    }
    ep->visited = ep_generation;
    ep->depth = deepest + 1;
    return ep->depth;
}

/* The longest that leads up. */
static u32 ep_depth_above(struct eventpoll *ep)
{
    struct ep_item *it;
    u32 deepest = 0;

    if (ep->visited == ep_generation)
        return ep->depth;
    list_for_each_entry (it, &ep->file->epoll_links, link)
        deepest = max(deepest, ep_depth_above(it->ep));
    ep->visited = ep_generation;
    ep->depth = deepest + 1;
    return ep->depth;
}

static int ep_check_nesting(struct eventpoll *ep, struct file *f)
{
    u32 below, above;

    if (!file_is_epoll(f))
        return 0;
    ep_generation++;
    below = ep_depth_below(f->private, ep);
    if (below == ~0u)
        return -ELOOP;
    ep_generation++;
    above = ep_depth_above(ep);
    return below + above > EP_NESTS ? -ELOOP : 0;
}

static int ep_insert(struct eventpoll *ep, struct file *f, int fd, const struct epoll_event *ev)
{
    struct ep_item **slot = ep_slot(ep, f, fd), *it;
    int r = ep_check_nesting(ep, f);

    if (r < 0)
        return r;
    it = kmalloc(sizeof(*it));
    if (!it)
        return -ENOMEM;
    it->ep = ep;
    it->file = f;
    it->fd = fd;
    it->events = ev->events;
    it->data = ev->data;
    list_init(&it->ready);
    list_init(&it->scan);
    list_add_tail(&it->all, &ep->items);
    list_add_tail(&it->link, &f->epoll_links);
    it->hash_next = *slot;
    *slot = it;
    if (file_is_epoll(f) || console_number(f) >= 0)
        list_add_tail(&it->scan, &ep->scanned);
    r = ep_item_register(it);
    if (r < 0)
        ep_remove(it);
    return r;
}

static int ep_modify(struct ep_item *it, const struct epoll_event *ev)
{
    int r;

    it->events = ev->events;
    it->data = ev->data;
    it->seen = 0;
    /* Other events may mean other queues. */
    ep_item_unregister(it);
    r = ep_item_register(it);
    if (r < 0)
        ep_item_unregister(it);
    return r;
}

static int ep_ctl(struct file *epf, int op, struct file *f, int fd, struct epoll_event *ev)
{
    struct eventpoll *ep = epf->private;
    struct ep_item *it;
    int r;

    if (!f->op->poll)
        return -EPERM;
    if (f == epf || !file_is_epoll(epf))
        return -EINVAL;
    if (op != EPOLL_CTL_DEL && (ev->events & EPOLLEXCLUSIVE) &&
        (op == EPOLL_CTL_MOD || file_is_epoll(f) || (ev->events & ~EP_EXCLUSIVE_OK)))
        return -EINVAL;
    ev->events |= POLLERR | POLLHUP;
    it = ep_find(ep, f, fd);
    switch (op) {
    case EPOLL_CTL_ADD:
        if (it)
            return -EEXIST;
        r = ep_insert(ep, f, fd, ev);
        break;
    case EPOLL_CTL_MOD:
        if (!it)
            return -ENOENT;
        if (it->events & EPOLLEXCLUSIVE)
            return -EINVAL;
        r = ep_modify(it, ev);
        break;
    case EPOLL_CTL_DEL:
        if (!it)
            return -ENOENT;
        ep_remove(it);
        return 0;
    default: return -EINVAL;
    }
    /* Sleepers look again: the file may be ready, or be one whose readiness nobody tells them. */
    if (r == 0)
        wake_up(&ep->wq);
    return r;
}

SYSCALL(epoll_ctl)
{
    struct epoll_event ev = {0, 0};
    struct file *epf, *f;
    s64 r = -EBADF;

    if ((s32)a1 != EPOLL_CTL_DEL && copy_from_user(&ev, (const void __user *)a3, sizeof(ev)))
        return -EFAULT;
    epf = fd_get((s32)a0);
    f = epf ? fd_get((s32)a2) : NULL;
    if (f)
        r = ep_ctl(epf, (s32)a1, f, (s32)a2, &ev);
    file_put(f);
    file_put(epf);
    return r;
}

/* ---- epoll_wait ---- */

/* Reports what is ready, at most max; their number, or -EFAULT if not even the first could be written. */
static s64 ep_send(struct eventpoll *ep, u64 uevents, s64 max)
{
    struct list_head todo, *last;
    s64 n = 0;

    list_init(&todo);
    if (list_empty(&ep->ready))
        return 0;
    /* Level-triggered items go back to the list's end: not to be seen again in this call. */
    list_add_between(&todo, ep->ready.prev, ep->ready.next);
    list_init(&ep->ready);
    while (!list_empty(&todo) && n < max) {
        struct ep_item *it = list_first_entry(&todo, struct ep_item, ready);
        struct epoll_event ev;

        list_del(&it->ready);
        ev.events = ep_item_poll(it, NULL);
        ev.data = it->data;
        if (!ev.events)
            continue;
        if (copy_to_user((void __user *)(uevents + (u64)n * sizeof(ev)), &ev, sizeof(ev))) {
            list_add(&it->ready, &todo);
            if (!n)
                n = -EFAULT;
            break;
        }
        n++;
        if (it->events & EPOLLONESHOT)
            it->events &= EP_FLAGS;
        else if (!(it->events & EPOLLET))
            list_add_tail(&it->ready, &ep->ready);
    }
    /* The rest goes first. */
    while (!list_empty(&todo)) {
        last = todo.prev;
        list_del(last);
        list_add(last, &ep->ready);
    }
    return n;
}

static s64 ep_wait(struct file *f, u64 uevents, s64 max, u64 deadline, bool look_once)
{
    struct eventpoll *ep = f->private;
    struct wait_entry e;
    bool timed_out = look_once;
    s64 r;

    wait_queue_add(&ep->wq, &e, current);
    for (;;) {
        u32 console[3] = {0, 0, 0};

        machine_block_prepare();
        ep_scan(ep);
        r = ep_send(ep, uevents, max);
        if (r || timed_out)
            break;
        if (signal_pending(current)) {
            r = -EINTR;
            break;
        }
        if (!list_empty(&ep->scanned)) {
            ep_generation++;
            ep_collect(ep, console);
            for (int n = 0; n < 3; n++)
                if (console[n])
                    machine_block_on_console(n, console[n]);
        }
        timed_out = machine_block(deadline) == -ETIMEDOUT;
    }
    wait_queue_remove(&e);
    return r;
}

/* timeout in ns, negative: none. */
static s64 do_epoll_wait(int fd, u64 uevents, s32 max, s64 timeout)
{
    struct file *f;
    u64 deadline = 0;
    s64 r;

    if (max <= 0 || max > INT32_MAX / (s32)sizeof(struct epoll_event))
        return -EINVAL;
    f = fd_get(fd);
    if (!f)
        return -EBADF;
    if (timeout > 0)
        deadline = deadline_after(machine_clock(CLOCK_MONOTONIC), (u64)timeout);
    r = file_is_epoll(f) ? ep_wait(f, uevents, max, deadline, timeout == 0) : -EINVAL;
    file_put(f);
    return r;
}

static s64 epoll_timeout_ms(u64 ms) { return (s32)ms < 0 ? -1 : (s64)(s32)ms * 1000000; }

static s64 do_epoll_pwait(u64 fd, u64 uevents, u64 max, s64 timeout, u64 umask, u64 size)
{
    s64 r = sigmask_set_user(umask, size);

    if (r < 0)
        return r;
    r = do_epoll_wait((s32)fd, uevents, (s32)max, timeout);
    if (r != -EINTR)
        sigmask_restore();
    return r;
}

SYSCALL(epoll_wait) { return do_epoll_wait((s32)a0, a1, (s32)a2, epoll_timeout_ms(a3)); }

SYSCALL(epoll_pwait) { return do_epoll_pwait(a0, a1, a2, epoll_timeout_ms(a3), a4, a5); }

SYSCALL(epoll_pwait2)
{
    u64 ns = 0;
    int r = a3 ? get_timespec(&ns, a3) : 0;

    if (r < 0)
        return r;
    return do_epoll_pwait(a0, a1, a2, a3 ? (s64)min(ns, TIME_MAX_NS) : -1, a4, a5);
}
