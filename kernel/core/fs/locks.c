/* SPDX-License-Identifier: MIT */
/* Advisory locks: fcntl(2)'s on ranges, owned by a process or (OFD) by an open file, and flock(2)'s. */
#include "sys/syscall.h"
#include "vfs.h"

enum lock_kind { LOCK_POSIX, LOCK_OFD, LOCK_FLOCK };
enum { F_RDLCK, F_WRLCK, F_UNLCK };

#define F_GETLK 5u
#define F_SETLK 6u
#define F_SETLKW 7u
#define F_OFD_GETLK 36u
#define F_OFD_SETLK 37u
#define F_OFD_SETLKW 38u

struct file_lock {
    struct list_head list; /* inode->flocks */
    enum lock_kind kind;
    s16 type;
    pid_t pid;
    const void *owner; /* struct files, or struct file */
    u64 start, end;    /* both within */
    u64 ino;           /* for /proc/locks */
    u64 dev;
    struct list_head all;
};

struct flock {
    s16 type, whence;
    s32 pad;
    s64 start, len;
    s32 pid, pad2;
};
_Static_assert(sizeof(struct flock) == 32, "struct flock is Linux's");

static struct list_head all_locks = LIST_HEAD_INIT(all_locks);
static struct wait_queue lock_wait = {LIST_HEAD_INIT(lock_wait.head)};

/* A POSIX locker that waits, and for whom: to find deadlocks. */
struct lock_waiter {
    struct list_head list;
    const void *owner, *blocker;
};
static struct list_head lock_waiters = LIST_HEAD_INIT(lock_waiters);

static bool kinds_meet(enum lock_kind a, enum lock_kind b)
{
    return (a == LOCK_FLOCK) == (b == LOCK_FLOCK); /* flock and fcntl locks do not see each other */
}

static bool same_owner(const struct file_lock *a, const struct file_lock *b)
{
    return a->kind == b->kind && a->owner == b->owner;
}

static bool overlaps(const struct file_lock *a, const struct file_lock *b)
{
    return a->start <= b->end && b->start <= a->end;
}

static struct file_lock *lock_conflict(struct inode *inode, const struct file_lock *want)
{
    struct file_lock *l;

    list_for_each_entry (l, &inode->flocks, list)
        if (kinds_meet(l->kind, want->kind) && !same_owner(l, want) && overlaps(l, want) &&
            (l->type == F_WRLCK || want->type == F_WRLCK))
            return l;
    return NULL;
}

static struct file_lock *lock_new(struct inode *inode, const struct file_lock *like)
{
    struct file_lock *l = kmalloc(sizeof(*l));

    if (!l)
        return NULL;
    *l = *like;
    l->ino = inode->ino;
    l->dev = inode->sb->dev;
    list_init(&l->list);
    list_init(&l->all);
    return l;
}

static void lock_add(struct inode *inode, struct file_lock *l)
{
    list_add_tail(&l->list, &inode->flocks);
    list_add_tail(&l->all, &all_locks);
}

static void lock_free(struct file_lock *l)
{
    list_del(&l->list);
    list_del(&l->all);
    kfree(l);
}

/*
 * Gives the owner of want what want says over its range, F_UNLCK included; parts of its older locks that lie
 * outside stay. No conflict exists.
 */
static int lock_apply(struct inode *inode, const struct file_lock *want)
{
    struct file_lock *l, *next, *tail = NULL, *add = NULL;
    u64 start = want->start, end = want->end;

    /* What may be needed is asked for first, so that nothing is half done. */
    list_for_each_entry (l, &inode->flocks, list)
        if (same_owner(l, want) && l->start < start && l->end > end && l->type != want->type) {
            tail = lock_new(inode, l);
            if (!tail)
                return -ENOMEM;
        }
    if (want->type != F_UNLCK) {
        add = lock_new(inode, want);
        if (!add) {
            kfree(tail);
            return -ENOMEM;
        }
    }
    list_for_each_entry_safe (l, next, &inode->flocks, list) {
        if (!same_owner(l, want))
            continue;
        if (l->type == want->type) { /* grows together, also with a neighbour */
            if (l->end + 1 < start && l->end != ~0ull)
                continue;
            if (end != ~0ull && l->start > end + 1)
                continue;
            add->start = min(add->start, l->start);
            add->end = max(add->end, l->end);
            lock_free(l);
        } else if (l->start < start && l->end > end) {
            tail->start = end + 1;
            tail->end = l->end;
            l->end = start - 1;
            lock_add(inode, tail);
            tail = NULL;
        } else if (l->start <= end && l->end >= start) {
            if (l->start < start)
                l->end = start - 1;
            else if (l->end > end)
                l->start = end + 1;
            else
                lock_free(l);
        }
    }
    if (add)
        lock_add(inode, add);
    kfree(tail);
    wake_up(&lock_wait);
    return 0;
}

/* Would owner, waiting for blocker, wait for itself? */
static bool lock_deadlock(const void *owner, const void *blocker)
{
    struct lock_waiter *w;

    for (int depth = 0; depth < 16; depth++) {
        bool found = false;

        list_for_each_entry (w, &lock_waiters, list)
            if (w->owner == blocker) {
                blocker = w->blocker;
                found = true;
                break;
            }
        if (!found)
            return false;
        if (blocker == owner)
            return true;
    }
    return false;
}

static int lock_set(struct inode *inode, const struct file_lock *want, bool wait)
{
    struct file_lock *l;

    while (want->type != F_UNLCK && (l = lock_conflict(inode, want))) {
        struct lock_waiter waiter = {.owner = want->owner, .blocker = l->owner};
        long r;

        if (!wait)
            return -EAGAIN;
        if (want->kind == LOCK_POSIX && l->kind == LOCK_POSIX && lock_deadlock(want->owner, l->owner))
            return -EDEADLK;
        list_init(&waiter.list);
        if (want->kind == LOCK_POSIX && l->kind == LOCK_POSIX)
            list_add_tail(&waiter.list, &lock_waiters);
        r = wait_event(&lock_wait, !lock_conflict(inode, want));
        list_del(&waiter.list);
        if (r < 0)
            return (int)r;
    }
    return lock_apply(inode, want);
}

/* ---- fcntl ---- */

static int flock_range(struct file *f, const struct flock *fl, struct file_lock *l)
{
    s64 start, end;

    switch (fl->whence) {
    case 0: start = 0; break;
    case 1: start = f->pos; break;
    case 2:
        if (inode_refresh(f->inode) < 0)
            return -EIO;
        start = (s64)f->inode->size;
        break;
    default: return -EINVAL;
    }
    if (check_add(start, fl->start, &start))
        return -EOVERFLOW;
    if (start < 0)
        return -EINVAL;
    if (fl->len == 0) {
        l->start = (u64)start;
        l->end = INT64_MAX;
    } else if (fl->len > 0) {
        if (check_add(start, fl->len - 1, &end))
            return -EOVERFLOW;
        l->start = (u64)start;
        l->end = (u64)end;
    } else {
        if (start + fl->len < 0)
            return -EINVAL;
        l->start = (u64)(start + fl->len);
        l->end = (u64)start - 1;
    }
    return 0;
}

s64 locks_fcntl(struct file *f, u32 cmd, u64 arg)
{
    bool ofd = cmd >= F_OFD_GETLK, get = cmd == F_GETLK || cmd == F_OFD_GETLK;
    bool wait = cmd == F_SETLKW || cmd == F_OFD_SETLKW;
    struct file_lock want = {.kind = ofd ? LOCK_OFD : LOCK_POSIX}, *l;
    struct flock fl;
    int r;

    if (copy_from_user(&fl, (const void __user *)arg, sizeof(fl)))
        return -EFAULT;
    if (ofd && fl.pid != 0)
        return -EINVAL;
    if (fl.type != F_RDLCK && fl.type != F_WRLCK && fl.type != F_UNLCK)
        return -EINVAL;
    want.type = fl.type;
    want.owner = ofd ? (const void *)f : (const void *)current->process->files;
    want.pid = ofd ? -1 : current->process->pid;
    r = flock_range(f, &fl, &want);
    if (r < 0)
        return r;
    if (get) {
        if (want.type == F_UNLCK)
            return -EINVAL;
        l = lock_conflict(f->inode, &want);
        fl.type = l ? l->type : F_UNLCK;
        if (l) {
            fl.whence = 0;
            fl.start = (s64)l->start;
            fl.len = l->end == INT64_MAX ? 0 : (s64)(l->end - l->start + 1);
            fl.pid = l->pid;
        }
        return copy_to_user((void __user *)arg, &fl, sizeof(fl)) ? -EFAULT : 0;
    }
    if ((want.type == F_RDLCK && !file_readable(f)) || (want.type == F_WRLCK && !file_writable(f)))
        return -EBADF;
    return lock_set(f->inode, &want, wait);
}

/* ---- flock ---- */

#define LOCK_SH 1u
#define LOCK_EX 2u
#define LOCK_NB 4u
#define LOCK_UN 8u

static int flock_file(struct file *f, u32 op)
{
    struct file_lock want = {.kind = LOCK_FLOCK, .owner = f, .end = INT64_MAX, .pid = current->process->pid}, *l;
    bool wait = !(op & LOCK_NB);

    switch (op & ~LOCK_NB) {
    case LOCK_SH: want.type = F_RDLCK; break;
    case LOCK_EX: want.type = F_WRLCK; break;
    case LOCK_UN: want.type = F_UNLCK; break;
    default: return -EINVAL;
    }
    /* A lock of the other type is given up first, as Linux does: the change is not atomic. */
    list_for_each_entry (l, &f->inode->flocks, list)
        if (same_owner(l, &want) && l->type != want.type && want.type != F_UNLCK && lock_conflict(f->inode, &want)) {
            lock_free(l);
            wake_up(&lock_wait);
            break;
        }
    return lock_set(f->inode, &want, wait);
}

SYSCALL(flock)
{
    struct file *f = fd_get((int)a0);
    s64 r;

    if (!f)
        return -EBADF;
    r = flock_file(f, (u32)a1);
    file_put(f);
    return r == -EAGAIN ? -EWOULDBLOCK : r;
}

/* ---- the end of owners ---- */

static void locks_release(struct inode *inode, bool posix, const void *owner)
{
    struct file_lock *l, *next;
    bool any = false;

    list_for_each_entry_safe (l, next, &inode->flocks, list)
        if ((l->kind == LOCK_POSIX) == posix && l->owner == owner) {
            lock_free(l);
            any = true;
        }
    if (any)
        wake_up(&lock_wait);
}

/* Any close of any descriptor of the file drops the process's locks on it: POSIX says so. */
void locks_release_posix(struct file *f, struct files *owner)
{
    if (unlikely(!list_empty(&f->inode->flocks)) && !(f->flags & O_PATH))
        locks_release(f->inode, true, owner);
}

void locks_release_file(struct file *f)
{
    if (unlikely(!list_empty(&f->inode->flocks)))
        locks_release(f->inode, false, f);
}

void locks_for_each(bool (*fn)(void *arg, const char *line), void *arg)
{
    static const char *const kinds[] = {"POSIX ", "OFDLCK", "FLOCK "};
    struct file_lock *l;
    char line[128], end[24];
    int n = 0;

    list_for_each_entry (l, &all_locks, all) {
        if (l->end == INT64_MAX)
            strlcpy(end, "EOF", sizeof(end));
        else
            snprintf(end, sizeof(end), "%llu", (unsigned long long)l->end);
        snprintf(line, sizeof(line), "%d: %s ADVISORY  %s %d %02x:%02x:%llu %llu %s\n", ++n, kinds[l->kind],
                 l->type == F_WRLCK ? "WRITE" : "READ ", l->pid, (u32)(l->dev >> 8), (u32)(l->dev & 0xff),
                 (unsigned long long)l->ino, (unsigned long long)l->start, end);
        if (!fn(arg, line))
            break;
    }
}
