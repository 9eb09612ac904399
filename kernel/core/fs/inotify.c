/* SPDX-License-Identifier: MIT */
#include "inotify.h"

#include "poll.h"
#include "sys/syscall.h"
#include "vfs.h"

#define IN_UNMOUNT 0x2000u
#define IN_Q_OVERFLOW 0x4000u
#define IN_IGNORED 0x8000u
#define IN_ONLYDIR 0x01000000u
#define IN_DONT_FOLLOW 0x02000000u
#define IN_EXCL_UNLINK 0x04000000u
#define IN_MASK_CREATE 0x10000000u
#define IN_MASK_ADD 0x20000000u
#define IN_ISDIR 0x40000000u
#define IN_ONESHOT 0x80000000u

#define QUEUE_MAX 16384u  /* fs.inotify.max_queued_events */
#define WATCHES_MAX 8192u /* in the whole sandbox */
#define FIONREAD 0x541bu

struct watch {
    struct list_head of_instance, of_inode;
    struct inotify *instance;
    struct path path; /* with references */
    struct inode *inode;
    s32 wd;
    u32 mask;
};

struct event {
    struct list_head list;
    s32 wd;
    u32 mask, cookie, len; /* len: of the name, with its padding */
    char name[];
};
#define EVENT_HEAD 16u

struct inotify {
    struct list_head watches, events;
    u32 count;
    s32 last_wd;
    struct wait_queue wq;
};

u32 inotify_watches;
static struct list_head all = LIST_HEAD_INIT(all); /* watch.of_inode: few enough to be looked through */

u32 inotify_cookie(void)
{
    static u32 last;

    return ++last;
}

/* ---- telling ---- */

static void event_add(struct inotify *in, s32 wd, u32 mask, u32 cookie, const char *name, size_t len)
{
    u32 padded = len ? (u32)round_up(len + 1, (size_t)EVENT_HEAD) : 0;
    struct event *e, *last = list_empty(&in->events) ? NULL : list_entry(in->events.prev, struct event, list);

    /* The same once more says nothing new. */
    if (last && last->wd == wd && last->mask == mask && last->cookie == cookie && last->len == padded &&
        (!len || (!memcmp(last->name, name, len) && !last->name[len])))
        return;
    if (in->count >= QUEUE_MAX) {
        if (last && (last->mask & IN_Q_OVERFLOW))
            return;
        wd = -1;
        mask = IN_Q_OVERFLOW;
        cookie = 0;
        len = padded = 0;
    }
    e = kmalloc(sizeof(*e) + padded);
    if (!e)
        return;
    e->wd = wd;
    e->mask = mask;
    e->cookie = cookie;
    e->len = padded;
    if (len)
        memcpy(e->name, name, len);
    list_add_tail(&e->list, &in->events);
    in->count++;
    wake_up(&in->wq);
}

static void watch_free(struct watch *w)
{
    list_del(&w->of_instance);
    list_del(&w->of_inode);
    inotify_watches--;
    path_put(&w->path);
    kfree(w);
}

static void watch_drop(struct watch *w)
{
    event_add(w->instance, w->wd, IN_IGNORED, 0, NULL, 0);
    watch_free(w);
}

static void inode_tell(const struct inode *inode, u32 mask, u32 cookie, bool directory, const char *name, size_t len)
{
    struct watch *w, *next;

    list_for_each_entry_safe (w, next, &all, of_inode) {
        if (w->inode != inode || !(w->mask & mask))
            continue;
        event_add(w->instance, w->wd, mask | (directory ? IN_ISDIR : 0), cookie, name, len);
        if (w->mask & IN_ONESHOT)
            watch_drop(w);
    }
}

void inotify_tell_name(struct dentry *dir, const char *name, size_t len, bool directory, u32 mask, u32 cookie)
{
    inode_tell(dir->inode, mask, cookie, directory, name, len);
}

void inotify_tell(struct dentry *d, u32 mask)
{
    struct watch *w, *next;
    bool directory = S_ISDIR(d->inode->mode);
    struct inode *inode = d->inode;

    if (d->parent && d->parent != d && !d->unlinked && !(mask & (IN_DELETE_SELF | IN_MOVE_SELF)))
        inode_tell(d->parent->inode, mask, 0, directory, d->name, d->len);
    inode_tell(inode, mask, 0, directory, NULL, 0);
    if (!(mask & IN_DELETE_SELF))
        return;
    list_for_each_entry_safe (w, next, &all, of_inode)
        if (w->inode == inode)
            watch_drop(w);
}

/* ---- the instance ---- */

static ssize_t inotify_read(struct file *f, void *buf, size_t n, loff_t *pos)
{
    struct inotify *in = f->private;
    size_t done = 0;
    long r;

    while (list_empty(&in->events)) {
        if (f->flags & O_NONBLOCK)
            return -EAGAIN;
        r = wait_event(&in->wq, !list_empty(&in->events));
        if (r < 0)
            return r;
    }
    while (!list_empty(&in->events)) {
        struct event *e = list_first_entry(&in->events, struct event, list);

        if (n - done < EVENT_HEAD + e->len)
            return done ? (ssize_t)done : -EINVAL;
        memcpy((u8 *)buf + done, &e->wd, EVENT_HEAD);
        memcpy((u8 *)buf + done + EVENT_HEAD, e->name, e->len);
        done += EVENT_HEAD + e->len;
        list_del(&e->list);
        kfree(e);
        in->count--;
    }
    return (ssize_t)done;
}
_Static_assert(offsetof(struct event, name) - offsetof(struct event, wd) == EVENT_HEAD, "struct inotify_event");

static u32 inotify_poll(struct file *f, struct poll_table *pt)
{
    struct inotify *in = f->private;

    poll_wait(f, &in->wq, pt);
    return list_empty(&in->events) ? 0 : POLLIN | POLLRDNORM;
}

static long inotify_ioctl(struct file *f, u32 cmd, u64 arg)
{
    const struct inotify *in = f->private;
    const struct event *e;
    s32 n = 0;

    if (cmd != FIONREAD)
        return -ENOTTY;
    list_for_each_entry (e, &in->events, list)
        n += (s32)(EVENT_HEAD + e->len);
    return copy_to_user((void __user *)arg, &n, sizeof(n));
}

static void inotify_release(struct file *f)
{
    struct inotify *in = f->private;

    while (!list_empty(&in->watches))
        watch_free(list_first_entry(&in->watches, struct watch, of_instance));
    while (!list_empty(&in->events)) {
        struct event *e = list_first_entry(&in->events, struct event, list);

        list_del(&e->list);
        kfree(e);
    }
    kfree(in);
}

static const struct file_operations inotify_fops = {
    .read = inotify_read,
    .poll = inotify_poll,
    .ioctl = inotify_ioctl,
    .release = inotify_release,
};

static s64 inotify_create(u32 flags)
{
    struct inotify *in;
    struct file *f;

    if (flags & ~(u32)(O_CLOEXEC | O_NONBLOCK))
        return -EINVAL;
    in = kmalloc(sizeof(*in));
    if (!in)
        return -ENOMEM;
    list_init(&in->watches);
    list_init(&in->events);
    wait_queue_init(&in->wq);
    f = file_anon("anon_inode:inotify", &inotify_fops, in, O_RDONLY | (flags & O_NONBLOCK), 0600);
    if (IS_ERR(f)) {
        kfree(in);
        return PTR_ERR(f);
    }
    return fd_install(f, flags & O_CLOEXEC, 0);
}

SYSCALL(inotify_init) { return inotify_create(0); }

SYSCALL(inotify_init1) { return inotify_create((u32)a0); }

static s64 watch_add(struct inotify *in, struct path *path, u32 mask)
{
    struct inode *inode = path->dentry->inode;
    struct watch *w;

    list_for_each_entry (w, &in->watches, of_instance) {
        if (w->inode != inode)
            continue;
        path_put(path);
        if (mask & IN_MASK_CREATE)
            return -EEXIST;
        w->mask = mask & IN_MASK_ADD ? w->mask | mask : mask;
        return w->wd;
    }
    w = inotify_watches < WATCHES_MAX ? kmalloc(sizeof(*w)) : NULL;
    if (!w) {
        path_put(path);
        return inotify_watches < WATCHES_MAX ? -ENOMEM : -ENOSPC;
    }
    w->instance = in;
    w->path = *path;
    w->inode = inode;
    w->mask = mask;
    w->wd = ++in->last_wd;
    list_add_tail(&w->of_instance, &in->watches);
    list_add_tail(&w->of_inode, &all);
    inotify_watches++;
    return w->wd;
}

static struct file *inotify_get(int fd, int *error)
{
    struct file *f = fd_get(fd);

    *error = f ? -EINVAL : -EBADF;
    if (!f || f->op == &inotify_fops)
        return f;
    file_put(f);
    return NULL;
}

SYSCALL(inotify_add_watch)
{
    u32 mask = (u32)a2;
    struct path path;
    struct file *f;
    s64 r;
    int error;

    if (!(mask & (IN_ALL_EVENTS | IN_UNMOUNT)) || (mask & IN_MASK_ADD && mask & IN_MASK_CREATE))
        return -EINVAL;
    f = inotify_get((int)a0, &error);
    if (!f)
        return error;
    r = user_path_at(AT_FDCWD, a1,
                     (mask & IN_DONT_FOLLOW ? 0 : LOOKUP_FOLLOW) | (mask & IN_ONLYDIR ? LOOKUP_DIRECTORY : 0), &path);
    if (r == 0)
        r = watch_add(f->private, &path, mask);
    file_put(f);
    return r;
}

SYSCALL(inotify_rm_watch)
{
    struct inotify *in;
    struct watch *w;
    struct file *f;
    int error;

    f = inotify_get((int)a0, &error);
    if (!f)
        return error;
    in = f->private;
    error = -EINVAL;
    list_for_each_entry (w, &in->watches, of_instance)
        if (w->wd == (s32)a1) {
            watch_drop(w);
            error = 0;
            break;
        }
    file_put(f);
    return error;
}
