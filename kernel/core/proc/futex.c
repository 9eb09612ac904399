/* SPDX-License-Identifier: MIT */
/*
 * futex(2). A waiter is known by address space and address, in shared memory by file and offset; everything between looking at the user's word and going
 * to sleep happens under the big lock, as does every wake.
 */
#include "futex.h"

#include "fs.h"
#include "mm.h"
#include "signal.h"
#include "syscall.h"
#include "timer.h"

#define FUTEX_WAIT 0
#define FUTEX_WAKE 1
#define FUTEX_REQUEUE 3
#define FUTEX_CMP_REQUEUE 4
#define FUTEX_WAKE_OP 5
#define FUTEX_LOCK_PI 6
#define FUTEX_UNLOCK_PI 7
#define FUTEX_TRYLOCK_PI 8
#define FUTEX_WAIT_BITSET 9
#define FUTEX_WAKE_BITSET 10
#define FUTEX_LOCK_PI2 13
#define FUTEX_PRIVATE_FLAG 128
#define FUTEX_CLOCK_REALTIME 256
#define FUTEX_CMD_MASK (~(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME))

#define FUTEX_BITSET_MATCH_ANY 0xffffffffu

/* The word of a PI or robust futex. */
#define FUTEX_WAITERS 0x80000000u
#define FUTEX_OWNER_DIED 0x40000000u
#define FUTEX_TID_MASK 0x3fffffffu

#define ROBUST_LIST_LIMIT 2048
#define BUCKETS 64

/* What is slept on: object is an inode or an address space, offset a place in it. */
struct futex_key {
    const void *object;
    u64 offset;
};

struct futex_waiter {
    struct list_head list; /* in its bucket, in order of arrival */
    struct futex_key key;
    struct mm *mm;
    u64 uaddr;
    struct task *task;
    u32 bitset;
    bool pi;
    bool woken; /* off the bucket; of a PI futex: the owner now */
};

static struct list_head buckets[BUCKETS];
static u32 nr_pi_waiters;

/* In the calling process's memory. */
static struct futex_key key_of(u64 uaddr, bool private)
{
    struct mm *mm = current->process->mm;
    const struct vma *v = private ? NULL : mm_find_vma(mm, uaddr);

    if (v && v->start <= uaddr && (v->flags & VMA_PAGES))
        return (struct futex_key){v->file->inode, v->pgoff + (uaddr - v->start)};
    return (struct futex_key){mm, uaddr};
}

static struct list_head *bucket_of(struct futex_key key)
{
    u64 h = ((u64)key.object ^ key.offset) * 0x9e3779b97f4a7c15ull;
    struct list_head *b = &buckets[h >> 58];
    if (!b->next) /* static memory */
        list_init(b);
    return b;
}

static bool waiter_matches(const struct futex_waiter *w, struct futex_key key)
{
    return w->key.object == key.object && w->key.offset == key.offset;
}

static void waiter_add(struct futex_waiter *w, struct futex_key key, u64 uaddr)
{
    w->key = key;
    w->mm = w->task->process->mm;
    w->uaddr = uaddr;
    list_add_tail(&w->list, bucket_of(key));
}

static void waiter_wake(struct futex_waiter *w)
{
    list_del(&w->list);
    w->woken = true;
    machine_wake(w->task);
}

static int wake_bitset(struct futex_key key, int n, u32 bitset)
{
    struct list_head *b = bucket_of(key);
    struct futex_waiter *w, *next;
    int woken = 0;

    list_for_each_entry_safe (w, next, b, list) {
        if (woken >= n)
            break;
        if (!waiter_matches(w, key) || w->pi || !(w->bitset & bitset))
            continue;
        waiter_wake(w);
        woken++;
    }
    return woken;
}

int futex_wake(u64 uaddr, int n) { return wake_bitset(key_of(uaddr, false), n, FUTEX_BITSET_MATCH_ANY); }

/* Until woken, a signal or the deadline. 0, -ETIMEDOUT, -ERESTARTSYS; taken off the bucket in each case. */
static int waiter_sleep(struct futex_waiter *w, u64 deadline)
{
    int ret = 0;
    for (;;) {
        machine_block_prepare();
        if (w->woken)
            return 0;
        if (ret)
            break;
        if (signal_pending(w->task)) {
            ret = -ERESTARTSYS;
            break;
        }
        if (machine_block(deadline) == -ETIMEDOUT)
            ret = -ETIMEDOUT; /* and look once more */
    }
    list_del(&w->list);
    return ret;
}

/* Linux wakes one waiter at least. */
static int wake_count(u64 val) { return max((int)(u32)val, 1); }

static s64 futex_wait(u64 uaddr, bool private, u32 val, u64 deadline, bool relative, u32 bitset)
{
    struct task *t = current;
    struct futex_waiter w = {.task = t, .bitset = bitset};
    u32 seen;

    if (!bitset)
        return -EINVAL;
    if (get_user_u32(&seen, (const u32 __user *)uaddr))
        return -EFAULT;
    if (seen != val)
        return -EAGAIN;
    waiter_add(&w, key_of(uaddr, private), uaddr);
    int ret = waiter_sleep(&w, deadline);
    if (ret == -ERESTARTSYS && deadline) {
        if (relative)
            t->restart_deadline = deadline;
        return -ERESTART_RESTARTBLOCK;
    }
    return ret;
}

/* Wakes n waiters of uaddr and makes m more of them wait on uaddr2. */
static s64 futex_requeue(u64 uaddr, u64 uaddr2, bool private, int n, int m, const u32 *expected)
{
    struct futex_key key, key2;
    struct futex_waiter *w, *next;
    u32 seen;
    int moved = 0;

    if (n < 0 || m < 0)
        return -EINVAL;
    if (expected) {
        if (get_user_u32(&seen, (const u32 __user *)uaddr))
            return -EFAULT;
        if (seen != *expected)
            return -EAGAIN;
    }
    key = key_of(uaddr, private);
    key2 = key_of(uaddr2, private);
    int woken = n ? wake_bitset(key, n, FUTEX_BITSET_MATCH_ANY) : 0;
    list_for_each_entry_safe (w, next, bucket_of(key), list) {
        if (moved >= m)
            break;
        if (!waiter_matches(w, key) || w->pi)
            continue;
        if (uaddr != uaddr2) {
            list_del(&w->list);
            waiter_add(w, key2, uaddr2);
        }
        moved++;
    }
    return woken + moved;
}

static s64 futex_wake_op(u64 uaddr, u64 uaddr2, bool private, int n, int n2, u32 encoded)
{
    u32 op = encoded >> 28 & 7, cmp = encoded >> 24 & 15;
    s32 oparg = (s32)(encoded << 8) >> 20, cmparg = (s32)(encoded << 20) >> 20;
    u32 old, new, seen;
    bool holds;

    if (encoded >> 31) /* FUTEX_OP_OPARG_SHIFT */
        oparg = (s32)(1u << (oparg & 31));
    if (get_user_u32(&old, (const u32 __user *)uaddr2))
        return -EFAULT;
    for (;;) {
        switch (op) {
        case 0: new = (u32)oparg; break;
        case 1: new = old + (u32)oparg; break;
        case 2: new = old | (u32)oparg; break;
        case 3: new = old & ~(u32)oparg; break;
        case 4: new = old ^ (u32)oparg; break;
        default: return -ENOSYS;
        }
        if (cmpxchg_user_u32((u32 __user *)uaddr2, old, new, &seen))
            return -EFAULT;
        if (seen == old)
            break;
        old = seen;
    }
    switch (cmp) {
    case 0: holds = (s32)old == cmparg; break;
    case 1: holds = (s32)old != cmparg; break;
    case 2: holds = (s32)old < cmparg; break;
    case 3: holds = (s32)old <= cmparg; break;
    case 4: holds = (s32)old > cmparg; break;
    case 5: holds = (s32)old >= cmparg; break;
    default: return -ENOSYS;
    }
    int woken = wake_bitset(key_of(uaddr, private), n, FUTEX_BITSET_MATCH_ANY);
    if (holds)
        woken += wake_bitset(key_of(uaddr2, private), n2, FUTEX_BITSET_MATCH_ANY);
    return woken;
}

/* ---- PI: the kernel hands the lock to the waiter that came first. Priorities do not exist, so none are inherited. ---- */

static struct futex_waiter *pi_first(u64 uaddr)
{
    struct futex_key key = key_of(uaddr, false);
    struct futex_waiter *w;
    list_for_each_entry (w, bucket_of(key), list)
        if (w->pi && waiter_matches(w, key))
            return w;
    return NULL;
}

/* Replaces the word, which must hold old in its owner and flags; -EAGAIN: it changed. */
static int word_replace(u64 uaddr, u32 old, u32 new)
{
    u32 seen;
    if (cmpxchg_user_u32((u32 __user *)uaddr, old, new, &seen))
        return -EFAULT;
    return seen == old ? 0 : -EAGAIN;
}

/* The owner gives the futex up: to the first waiter, who wakes as owner, or to nobody. flags: FUTEX_OWNER_DIED or 0. */
static int pi_release(u64 uaddr, u32 word, u32 flags)
{
    struct futex_key key = key_of(uaddr, false);
    struct futex_waiter *w = pi_first(uaddr), *other;
    u32 new = flags;

    if (w) {
        new |= (u32)w->task->tid;
        list_for_each_entry (other, bucket_of(key), list)
            if (other != w && other->pi && waiter_matches(other, key)) {
                new |= FUTEX_WAITERS;
                break;
            }
    }
    int err = word_replace(uaddr, word, new);
    if (!err && w)
        waiter_wake(w);
    return err;
}

static s64 futex_lock_pi(u64 uaddr, u64 deadline, bool try)
{
    struct task *t = current;
    struct futex_waiter w = {.task = t, .pi = true, .bitset = FUTEX_BITSET_MATCH_ANY};
    u32 word, owner;

    for (;;) {
        if (get_user_u32(&word, (const u32 __user *)uaddr))
            return -EFAULT;
        owner = word & FUTEX_TID_MASK;
        if (owner == (u32)t->tid)
            return -EDEADLK;
        if (!owner) {
            /* Free, or left behind by an owner that died: that mark stays for user mode to see. */
            u32 keep = (word & FUTEX_OWNER_DIED) | (pi_first(uaddr) ? FUTEX_WAITERS : 0);
            int err = word_replace(uaddr, word, (u32)t->tid | keep);
            if (err == -EAGAIN)
                continue;
            return err;
        }
        if (try)
            return -EAGAIN;
        struct task *holder = task_by_tid((pid_t)owner);
        if (!holder)
            return -ESRCH;
        if (word & FUTEX_WAITERS)
            break;
        int err = word_replace(uaddr, word, word | FUTEX_WAITERS);
        if (err == -EFAULT)
            return err;
        if (!err)
            break;
    }
    waiter_add(&w, key_of(uaddr, false), uaddr);
    nr_pi_waiters++;
    int ret = waiter_sleep(&w, deadline);
    nr_pi_waiters--;
    /* User mode takes an error of this call for a broken lock: always start over. The deadline is absolute. */
    return ret == -ERESTARTSYS ? -ERESTARTNOINTR : ret;
}

static s64 futex_unlock_pi(u64 uaddr)
{
    struct task *t = current;
    u32 word;
    int err;

    do {
        if (get_user_u32(&word, (const u32 __user *)uaddr))
            return -EFAULT;
        if ((word & FUTEX_TID_MASK) != (u32)t->tid)
            return -EPERM;
        err = pi_release(uaddr, word, 0);
    } while (err == -EAGAIN);
    return err;
}

/* ---- the end of a thread ---- */

/* Marks one futex of the robust list, if the thread still holds it. False: the memory is not there. */
static bool robust_release(struct task *t, u64 uaddr, bool pi, bool pending_op)
{
    u32 word;
    int err;

    if (uaddr & 3)
        return false;
    do {
        if (get_user_u32(&word, (const u32 __user *)uaddr))
            return false;
        /* Died between releasing the lock and waking a waiter: somebody else has to be woken for it. */
        if (pending_op && !pi && !word) {
            futex_wake(uaddr, 1);
            return true;
        }
        if ((word & FUTEX_TID_MASK) != (u32)t->tid)
            return true;
        if (pi)
            err = pi_release(uaddr, word, FUTEX_OWNER_DIED);
        else
            err = word_replace(uaddr, word, (word & FUTEX_WAITERS) | FUTEX_OWNER_DIED);
    } while (err == -EAGAIN);
    if (err)
        return false;
    if (!pi && (word & FUTEX_WAITERS))
        futex_wake(uaddr, 1);
    return true;
}

static bool robust_next(u64 uaddr, u64 *entry, bool *pi)
{
    u64 v;
    if (copy_from_user(&v, (const void __user *)uaddr, sizeof(v)))
        return false;
    *pi = v & 1;
    *entry = v & ~1ull;
    return true;
}

static void robust_list_walk(struct task *t)
{
    u64 head = t->robust_list, entry, next, pending, offset;
    bool pi, next_pi, pending_pi;

    if (!head)
        return;
    t->robust_list = 0;
    if (!robust_next(head, &entry, &pi) || copy_from_user(&offset, (const void __user *)(head + 8), sizeof(offset)) ||
        !robust_next(head + 16, &pending, &pending_pi))
        return;
    for (int n = 0; entry != head && n < ROBUST_LIST_LIMIT; n++) {
        /* The next one first: once released, the entry may be reused. */
        bool more = robust_next(entry, &next, &next_pi);
        if (entry != pending && !robust_release(t, entry + offset, pi, false))
            return;
        if (!more)
            return;
        entry = next;
        pi = next_pi;
    }
    if (pending)
        robust_release(t, pending + offset, pending_pi, true);
}

void futex_exit(struct task *t)
{
    robust_list_walk(t);
    /* PI futexes that are not on the list: their waiters tell of them. */
    for (int i = 0; i < BUCKETS && nr_pi_waiters; i++) {
        struct futex_waiter *w, *next;
        if (!buckets[i].next)
            continue;
        list_for_each_entry_safe (w, next, &buckets[i], list) {
            u32 word;
            if (!w->pi || w->mm != t->process->mm || get_user_u32(&word, (const u32 __user *)w->uaddr) ||
                (word & FUTEX_TID_MASK) != (u32)t->tid)
                continue;
            u64 uaddr = w->uaddr;
            if (pi_release(uaddr, word, FUTEX_OWNER_DIED) == 0) {
                i--; /* the bucket has changed: once more */
                break;
            }
        }
    }
}

/* ---- system calls ---- */

SYSCALL(futex)
{
    struct task *t = current;
    int cmd = (int)a1 & FUTEX_CMD_MASK;
    bool wall = a1 & FUTEX_CLOCK_REALTIME, relative = cmd == FUTEX_WAIT, private = a1 & FUTEX_PRIVATE_FLAG;
    u64 uaddr = a0, uaddr2 = a4, deadline = 0;
    u32 val = (u32)a2, val3 = (u32)a5;

    if ((uaddr & 3) || uaddr >= THAW_USER_END)
        return uaddr & 3 ? -EINVAL : -EFAULT;
    if (wall && cmd != FUTEX_WAIT_BITSET && cmd != FUTEX_LOCK_PI2)
        return -ENOSYS;
    if (a3 && (cmd == FUTEX_WAIT || cmd == FUTEX_WAIT_BITSET || cmd == FUTEX_LOCK_PI || cmd == FUTEX_LOCK_PI2)) {
        u64 ns;
        int err = get_timespec(&ns, a3);
        if (err)
            return err;
        if (relative)
            deadline = t->restart_deadline ? t->restart_deadline : deadline_after(machine_clock(CLOCK_MONOTONIC), ns);
        else if (wall || cmd == FUTEX_LOCK_PI) /* LOCK_PI's time is of the wall clock, always */
            deadline = clock_wall_to_monotonic(ns);
        else
            deadline = max(ns, (u64)1);
    }

    switch (cmd) {
    case FUTEX_WAIT: return futex_wait(uaddr, private, val, deadline, true, FUTEX_BITSET_MATCH_ANY);
    case FUTEX_WAIT_BITSET: return futex_wait(uaddr, private, val, deadline, false, val3);
    case FUTEX_WAKE: return wake_bitset(key_of(uaddr, private), wake_count(val), FUTEX_BITSET_MATCH_ANY);
    case FUTEX_WAKE_BITSET: return val3 ? wake_bitset(key_of(uaddr, private), wake_count(val), val3) : -EINVAL;
    case FUTEX_REQUEUE:
    case FUTEX_CMP_REQUEUE:
        if (uaddr2 & 3)
            return -EINVAL;
        return futex_requeue(uaddr, uaddr2, private, (int)val, (int)(u32)a3, cmd == FUTEX_CMP_REQUEUE ? &val3 : NULL);
    case FUTEX_WAKE_OP:
        if (uaddr2 & 3)
            return -EINVAL;
        return futex_wake_op(uaddr, uaddr2, private, wake_count(val), wake_count(a3), val3);
    case FUTEX_LOCK_PI:
    case FUTEX_LOCK_PI2: return futex_lock_pi(uaddr, deadline, false);
    case FUTEX_TRYLOCK_PI: return futex_lock_pi(uaddr, 0, true);
    case FUTEX_UNLOCK_PI: return futex_unlock_pi(uaddr);
    default: return -ENOSYS;
    }
}

SYSCALL(set_robust_list)
{
    if (a1 != 24)
        return -EINVAL;
    current->robust_list = a0;
    return 0;
}

SYSCALL(get_robust_list)
{
    struct task *t = a0 ? task_by_tid((pid_t)a0) : current;
    u64 size = 24;
    if (!t)
        return -ESRCH;
    if (copy_to_user((void __user *)a2, &size, sizeof(size)) ||
        copy_to_user((void __user *)a1, &t->robust_list, sizeof(t->robust_list)))
        return -EFAULT;
    return 0;
}
