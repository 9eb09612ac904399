/* SPDX-License-Identifier: MIT */
/* Waiting for files: poll(2), select(2). What epoll(7) shares with them is here as well. */
#include "fs_impl.h"
#include "poll.h"
#include "signal.h"
#include "syscall.h"
#include "timer.h"

#define POLL_INLINE 8u
#define POLL_BLOCK 64u

#define SELECT_IN (POLLIN | POLLRDNORM | POLLRDBAND | POLLHUP | POLLERR)
#define SELECT_OUT (POLLOUT | POLLWRNORM | POLLWRBAND | POLLERR)
#define SELECT_EX POLLPRI

#define NO_WAIT ((u64)-1) /* as a deadline: look once */

/* A queue that the sleeper is registered with. The file is held: it may be closed meanwhile. */
struct poll_entry {
    struct wait_entry wait;
    struct file *file;
};
struct poll_block {
    struct poll_block *next;
    u32 count;
    struct poll_entry entry[POLL_BLOCK];
};

struct poll_sleep {
    struct poll_table pt; /* first: poll_queue() finds the rest by it */
    struct poll_entry entry[POLL_INLINE];
    u32 count;
    struct poll_block *blocks;
    bool no_memory;
};

void poll_wait(struct file *f, struct wait_queue *wq, struct poll_table *pt)
{
    if (pt && pt->queue)
        pt->queue(pt, f, wq);
}

void poll_wait_console(int n, struct poll_table *pt)
{
    if (!pt)
        return;
    pt->console[n] |= CONSOLE_HUP;
    if (pt->want & (POLLIN | POLLRDNORM))
        pt->console[n] |= CONSOLE_IN;
    if (pt->want & (POLLOUT | POLLWRNORM))
        pt->console[n] |= CONSOLE_OUT;
}

static void poll_queue(struct poll_table *pt, struct file *f, struct wait_queue *wq)
{
    struct poll_sleep *ps = container_of(pt, struct poll_sleep, pt);
    struct poll_entry *e;

    if (ps->count < POLL_INLINE) {
        e = &ps->entry[ps->count++];
    } else {
        if (!ps->blocks || ps->blocks->count == POLL_BLOCK) {
            struct poll_block *b = kmalloc(sizeof(*b));

            if (!b) {
                ps->no_memory = true;
                return;
            }
            b->next = ps->blocks;
            ps->blocks = b;
        }
        e = &ps->blocks->entry[ps->blocks->count++];
    }
    e->file = file_get(f);
    wait_queue_add(wq, &e->wait, current);
}

static void poll_entry_drop(struct poll_entry *e)
{
    wait_queue_remove(&e->wait);
    file_put(e->file);
}

static void poll_sleep_end(struct poll_sleep *ps)
{
    for (u32 i = 0; i < ps->count; i++)
        poll_entry_drop(&ps->entry[i]);
    while (ps->blocks) {
        struct poll_block *b = ps->blocks;

        ps->blocks = b->next;
        for (u32 i = 0; i < b->count; i++)
            poll_entry_drop(&b->entry[i]);
        kfree(b);
    }
}

/* Events of f among want and POLLERR, POLLHUP. */
static u32 poll_file(struct file *f, struct poll_sleep *ps, u32 want)
{
    want |= POLLERR | POLLHUP;
    ps->pt.want = want;
    return (f->op->poll ? f->op->poll(f, &ps->pt) : POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM) & want;
}

/*
 * Looks with scan, which returns the number of files that are ready or -errno, until that is not 0 or the deadline
 * (CLOCK_MONOTONIC ns, 0: none, or NO_WAIT) has passed. -ERESTARTNOHAND when a signal came first.
 */
static s64 poll_until(u64 deadline, s64 (*scan)(struct poll_sleep *ps, void *arg), void *arg)
{
    struct poll_sleep ps;
    bool timed_out = deadline == NO_WAIT;
    s64 r;

    ps.count = 0;
    ps.blocks = NULL;
    ps.no_memory = false;
    ps.pt.queue = timed_out ? NULL : poll_queue;
    for (;;) {
        memset(ps.pt.console, 0, sizeof(ps.pt.console));
        machine_block_prepare();
        r = scan(&ps, arg);
        ps.pt.queue = NULL;
        if (r == 0 && ps.no_memory)
            r = -ENOMEM;
        if (r == 0 && signal_pending(current))
            r = -ERESTARTNOHAND;
        if (r || timed_out)
            break;
        for (int n = 0; n < 3; n++)
            if (ps.pt.console[n])
                machine_block_on_console(n, ps.pt.console[n]);
        timed_out = machine_block(deadline) == -ETIMEDOUT;
    }
    poll_sleep_end(&ps);
    return r;
}

/* The mask that the call brought goes, unless a handler is going to run under it. */
static s64 poll_finish(s64 r)
{
    if (r != -ERESTARTNOHAND)
        sigmask_restore();
    return r;
}

/* ---- timeouts ---- */

static u64 poll_deadline(u64 ns) { return ns ? deadline_after(machine_clock(CLOCK_MONOTONIC), ns) : NO_WAIT; }

/* poll's: milliseconds, negative: none. */
static u64 poll_deadline_ms(s32 ms) { return ms < 0 ? 0 : poll_deadline((u64)ms * 1000000); }

/* What is left, for the calls that write it back. */
static u64 poll_left(u64 deadline)
{
    u64 now = machine_clock(CLOCK_MONOTONIC);

    return deadline == NO_WAIT || deadline <= now ? 0 : deadline - now;
}

/* A timespec at uts, 0: none. */
static int poll_deadline_ts(u64 uts, u64 *deadline)
{
    u64 ns;
    int r;

    *deadline = 0;
    if (!uts)
        return 0;
    r = get_timespec(&ns, uts);
    if (r == 0)
        *deadline = poll_deadline(ns);
    return r;
}

/* Linux: if the time cannot be written back, the call is not restarted with a time that is too long. */
static s64 poll_write_left(s64 r, u64 uts, u64 deadline)
{
    if (uts && put_timespec(uts, poll_left(deadline)) && r == -ERESTARTNOHAND)
        return -EINTR;
    return r;
}

/* ---- poll ---- */

struct pollfd {
    s32 fd;
    s16 events, revents;
};
_Static_assert(sizeof(struct pollfd) == 8, "struct pollfd is the ABI's");

struct poll_set {
    struct pollfd *fds;
    u64 n;
};

static s64 poll_scan(struct poll_sleep *ps, void *arg)
{
    struct poll_set *set = arg;
    s64 count = 0;

    for (u64 i = 0; i < set->n; i++) {
        struct pollfd *p = &set->fds[i];
        struct file *f;
        u32 events;

        p->revents = 0;
        if (p->fd < 0)
            continue;
        f = fd_get(p->fd);
        if (f) {
            events = poll_file(f, ps, (u16)p->events);
            file_put(f);
        } else {
            events = POLLNVAL;
        }
        p->revents = (s16)events;
        if (events) {
            count++;
            ps->pt.queue = NULL; /* there will be no sleep */
        }
    }
    return count;
}

static s64 do_poll(u64 ufds, u64 n, u64 deadline)
{
    struct pollfd small[16];
    struct poll_set set = {small, n};
    s64 r;

    if (n > current->process->rlimit[RLIMIT_NOFILE].cur || n > NR_OPEN)
        return -EINVAL;
    if (n > ARRAY_SIZE(small)) {
        set.fds = kmalloc(n * sizeof(*set.fds));
        if (!set.fds)
            return -ENOMEM;
    }
    r = copy_from_user(set.fds, (const void __user *)ufds, n * sizeof(*set.fds));
    if (r == 0)
        r = poll_until(deadline, poll_scan, &set);
    /* Only revents is ours to write. */
    for (u64 i = 0; r >= 0 && i < n; i++) {
        u64 at = ufds + i * sizeof(struct pollfd) + offsetof(struct pollfd, revents);

        if (copy_to_user((void __user *)at, &set.fds[i].revents, sizeof(set.fds[i].revents)))
            r = -EFAULT;
    }
    if (set.fds != small)
        kfree(set.fds);
    return r;
}

SYSCALL(poll)
{
    struct task *t = current;
    /* Called again after a signal without a handler: the first call's deadline holds. */
    u64 deadline = t->restart_deadline ? t->restart_deadline : poll_deadline_ms((s32)a2);
    s64 r = do_poll(a0, (u32)a1, deadline);

    if (r == -ERESTARTNOHAND && deadline && deadline != NO_WAIT) {
        t->restart_deadline = deadline;
        return -ERESTART_RESTARTBLOCK;
    }
    return r;
}

SYSCALL(ppoll)
{
    u64 deadline;
    s64 r = poll_deadline_ts(a2, &deadline);

    if (r < 0)
        return r;
    r = sigmask_set_user(a3, a4);
    if (r < 0)
        return r;
    r = poll_finish(do_poll(a0, (u32)a1, deadline));
    return poll_write_left(r, a2, deadline);
}

/* ---- select ---- */

struct select_set {
    u32 n;
    u64 *in[3]; /* read, write, except: NULL if not asked for */
    u64 *out[3];
};

static const u32 select_events[3] = {SELECT_IN, SELECT_OUT, SELECT_EX};
static const u32 select_wants[3] = {POLLIN | POLLRDNORM | POLLRDBAND, POLLOUT | POLLWRNORM | POLLWRBAND, POLLPRI};

static s64 select_scan(struct poll_sleep *ps, void *arg)
{
    struct select_set *set = arg;
    s64 count = 0;

    for (u32 word = 0; word < (set->n + 63) / 64; word++) {
        u64 any = 0;

        for (int k = 0; k < 3; k++) {
            if (set->out[k])
                set->out[k][word] = 0;
            if (set->in[k])
                any |= set->in[k][word];
        }
        for (; any; any &= any - 1) {
            u32 bit = (u32)__builtin_ctzll(any), fd = word * 64 + bit, want = 0, events;
            struct file *f;

            if (fd >= set->n)
                break;
            f = fd_get((int)fd);
            if (!f)
                return -EBADF;
            for (int k = 0; k < 3; k++)
                if (set->in[k] && (set->in[k][word] >> bit & 1))
                    want |= select_wants[k];
            events = poll_file(f, ps, want);
            file_put(f);
            for (int k = 0; k < 3; k++)
                if (set->in[k] && (set->in[k][word] >> bit & 1) && (events & select_events[k])) {
                    set->out[k][word] |= 1ull << bit;
                    count++;
                }
            if (count)
                ps->pt.queue = NULL;
        }
    }
    return count;
}

static s64 do_select(s64 n, const u64 usets[3], u64 deadline)
{
    u64 small[3 * 2 * 16], *bits = small;
    struct select_set set = {0};
    size_t words, bytes;
    s64 r = 0;

    if (n < 0)
        return -EINVAL;
    /* Descriptors that no table has room for are passed over, as Linux does. */
    set.n = (u32)min((u64)n, (u64)files_count_slots(current->process->files));
    words = (set.n + 63) / 64;
    bytes = words * 8;
    if (words > 16) {
        bits = kmalloc(6 * bytes);
        if (!bits)
            return -ENOMEM;
    }
    for (int k = 0; k < 3 && r == 0; k++) {
        if (!usets[k])
            continue;
        set.in[k] = bits + 2 * (size_t)k * words;
        set.out[k] = set.in[k] + words;
        r = copy_from_user(set.in[k], (const void __user *)usets[k], bytes);
    }
    if (r == 0)
        r = poll_until(deadline, select_scan, &set);
    for (int k = 0; k < 3 && r >= 0; k++)
        if (usets[k] && copy_to_user((void __user *)usets[k], set.out[k], bytes))
            r = -EFAULT;
    if (bits != small)
        kfree(bits);
    return r;
}

SYSCALL(select)
{
    const u64 usets[3] = {a1, a2, a3};
    struct {
        s64 sec, usec;
    } tv;
    u64 deadline = 0;
    s64 r;

    if (a4) {
        u64 ns;

        if (copy_from_user(&tv, (const void __user *)a4, sizeof(tv)))
            return -EFAULT;
        if (tv.sec < 0 || tv.usec < 0)
            return -EINVAL;
        if (check_mul((u64)tv.sec, NSEC_PER_SEC, &ns) || check_add(ns, (u64)(tv.usec / 1000000) * NSEC_PER_SEC, &ns) ||
            check_add(ns, (u64)(tv.usec % 1000000) * NSEC_PER_USEC, &ns) || ns > TIME_MAX_NS)
            ns = TIME_MAX_NS;
        deadline = poll_deadline(ns);
    }
    r = do_select((s32)a0, usets, deadline);
    if (a4) {
        u64 left = poll_left(deadline);

        tv.sec = (s64)(left / NSEC_PER_SEC);
        tv.usec = (s64)(left % NSEC_PER_SEC / NSEC_PER_USEC);
        if (copy_to_user((void __user *)a4, &tv, sizeof(tv)) && r == -ERESTARTNOHAND)
            r = -EINTR;
    }
    return r;
}

SYSCALL(pselect6)
{
    const u64 usets[3] = {a1, a2, a3};
    u64 mask[2] = {0, 0}; /* address and size of the signal set */
    u64 deadline;
    s64 r;

    if (a5 && copy_from_user(mask, (const void __user *)a5, sizeof(mask)))
        return -EFAULT;
    r = poll_deadline_ts(a4, &deadline);
    if (r < 0)
        return r;
    r = sigmask_set_user(mask[0], mask[1]);
    if (r < 0)
        return r;
    r = poll_finish(do_select((s32)a0, usets, deadline));
    return poll_write_left(r, a4, deadline);
}
