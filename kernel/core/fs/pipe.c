/* SPDX-License-Identifier: MIT */
/* Pipes and FIFOs, pipe(7). A pipe hangs on its inode's special field while anybody has it open. */
#include "poll.h"
#include "proc/signal.h"
#include "sys/syscall.h"
#include "vfs.h"

#define FIONREAD 0x541bu
#define F_SETPIPE_SZ 1031u
#define F_GETPIPE_SZ 1032u
#define PIPE_MAX_SIZE (1u << 20) /* /proc/sys/fs/pipe-max-size */

struct pipe {
    u8 *buf; /* a ring of room bytes, which grows up to size */
    u32 room, size;
    u32 head, len;
    u32 users; /* open files and opens under way */
    u32 readers, writers;
    bool unnamed;             /* of pipe(2): opened anew by way of /proc it waits for nobody */
    u32 reads, opens;         /* how often it was opened for reading, for writing */
    struct wait_queue rd, wr; /* who waits for bytes or writers, for room or readers */
};

struct pipe_file {
    struct pipe *pipe;
    u32 opens; /* of the pipe when this file was opened: no hang-up before the first writer */
};

static const struct file_operations pipe_fops;

static struct pipe *pipe_create(void)
{
    struct pipe *p = kmalloc(sizeof(*p));

    if (!p)
        return NULL;
    p->size = PIPE_SIZE;
    wait_queue_init(&p->rd);
    wait_queue_init(&p->wr);
    return p;
}

static void pipe_put(struct inode *inode)
{
    struct pipe *p = inode->special;

    if (--p->users)
        return;
    inode->special = NULL;
    kfree(p->buf);
    kfree(p);
}

static struct pipe *file_pipe(const struct file *f) { return ((struct pipe_file *)f->private)->pipe; }

/* Makes the ring room bytes large, which its contents fit in. */
static int pipe_resize(struct pipe *p, u32 room)
{
    u8 *buf = kmalloc(room);
    u32 first = min(p->len, p->room - p->head);

    if (!buf)
        return -ENOMEM;
    if (p->len) {
        memcpy(buf, p->buf + p->head, first);
        memcpy(buf + first, p->buf, p->len - first);
    }
    kfree(p->buf);
    p->buf = buf;
    p->room = room;
    p->head = 0;
    return 0;
}

static ssize_t pipe_read(struct file *f, void *buf, size_t n, loff_t *pos)
{
    struct pipe *p = file_pipe(f);
    u32 take, first;

    if (!n)
        return 0;
    while (!p->len) {
        long r;

        if (!p->writers)
            return 0;
        if (f->flags & O_NONBLOCK)
            return -EAGAIN;
        r = wait_event(&p->rd, p->len || !p->writers);
        if (r < 0)
            return r;
    }
    take = (u32)min(n, (size_t)p->len);
    first = min(take, p->room - p->head);
    memcpy(buf, p->buf + p->head, first);
    memcpy((u8 *)buf + first, p->buf, take - first);
    p->head = (p->head + take) % p->room;
    p->len -= take;
    wake_up(&p->wr);
    return take;
}

/* n fits in. */
static int pipe_push(struct pipe *p, const u8 *src, u32 n)
{
    u32 tail, first, room = max(p->room, 4096u);

    while (room - p->len < n)
        room *= 2; /* a power of two, as size is */
    if (room > p->room && pipe_resize(p, room) < 0)
        return -ENOMEM;
    tail = (p->head + p->len) % p->room;
    first = min(n, p->room - tail);
    memcpy(p->buf + tail, src, first);
    memcpy(p->buf, src + first, n - first);
    p->len += n;
    wake_up(&p->rd);
    return 0;
}

static ssize_t pipe_write(struct file *f, const void *buf, size_t n, loff_t *pos)
{
    struct pipe *p = file_pipe(f);
    /* Up to PIPE_BUF bytes go in as one. */
    u32 need = (u32)(n <= PIPE_BUF ? n : 1);
    size_t done = 0;

    while (done < n) {
        u32 room = p->size - min(p->len, p->size);
        long r;

        if (!p->readers) {
            signal_send_task(current, SIGPIPE, NULL);
            return done ? (ssize_t)done : -EPIPE;
        }
        if (room >= need) {
            u32 take = (u32)min(n - done, (size_t)room);

            r = pipe_push(p, (const u8 *)buf + done, take);
            if (r < 0)
                return done ? (ssize_t)done : r;
            done += take;
            continue;
        }
        if (f->flags & O_NONBLOCK)
            return done ? (ssize_t)done : -EAGAIN;
        r = wait_event(&p->wr, !p->readers || p->len + need <= p->size);
        if (r < 0)
            return done ? (ssize_t)done : r;
    }
    return (ssize_t)done;
}

static u32 pipe_poll(struct file *f, struct poll_table *pt)
{
    const struct pipe_file *pf = f->private;
    struct pipe *p = pf->pipe;
    u32 events = 0;

    if (file_readable(f)) {
        poll_wait(f, &p->rd, pt);
        if (p->len)
            events |= POLLIN | POLLRDNORM;
        if (!p->writers && p->opens != pf->opens)
            events |= POLLHUP;
    }
    if (file_writable(f)) {
        poll_wait(f, &p->wr, pt);
        if (p->len + PIPE_BUF <= p->size)
            events |= POLLOUT | POLLWRNORM;
        if (!p->readers)
            events |= POLLERR;
    }
    return events;
}

static long pipe_set_size(struct pipe *p, u64 want)
{
    u32 size = 4096;

    if ((u32)want > 1u << 31)
        return -EINVAL;
    if ((u32)want > PIPE_MAX_SIZE)
        return -EPERM;
    while (size < (u32)want)
        size *= 2;
    if (size < p->len)
        return -EBUSY;
    if (size < p->room && pipe_resize(p, size) < 0)
        return -ENOMEM;
    p->size = size;
    wake_up(&p->wr);
    return (long)size;
}

static long pipe_ioctl(struct file *f, u32 cmd, u64 arg)
{
    struct pipe *p = file_pipe(f);
    s32 len = (s32)p->len;

    switch (cmd) {
    case FIONREAD: return copy_to_user((void __user *)arg, &len, sizeof(len));
    case F_GETPIPE_SZ: return p->size;
    case F_SETPIPE_SZ: return pipe_set_size(p, arg);
    default: return -ENOTTY;
    }
}

static void pipe_close(struct inode *inode, bool reader, bool writer)
{
    struct pipe *p = inode->special;

    if (reader && --p->readers == 0)
        wake_up(&p->wr);
    if (writer && --p->writers == 0)
        wake_up(&p->rd);
    pipe_put(inode);
}

static void pipe_release(struct file *f)
{
    pipe_close(f->inode, file_readable(f), file_writable(f));
    kfree(f->private);
}

static const struct file_operations pipe_fops = {
    .read = pipe_read,
    .write = pipe_write,
    .poll = pipe_poll,
    .ioctl = pipe_ioctl,
    .release = pipe_release,
};

/* ---- for splice(2) ---- */

bool file_is_pipe(const struct file *f) { return f->op == &pipe_fops; }

s64 pipe_wait_data(struct file *f, bool nonblock)
{
    struct pipe *p = file_pipe(f);
    long r;

    while (!p->len && p->writers) {
        if (nonblock)
            return -EAGAIN;
        r = wait_event(&p->rd, p->len || !p->writers);
        if (r < 0)
            return r;
    }
    return p->len;
}

s64 pipe_wait_room(struct file *f, bool nonblock)
{
    struct pipe *p = file_pipe(f);
    long r;

    for (;;) {
        if (!p->readers) {
            signal_send_task(current, SIGPIPE, NULL);
            return -EPIPE;
        }
        if (p->len < p->size)
            return p->size - p->len;
        if (nonblock)
            return -EAGAIN;
        r = wait_event(&p->wr, !p->readers || p->len < p->size);
        if (r < 0)
            return r;
    }
}

u32 pipe_peek(struct file *f, void *buf, u32 n)
{
    const struct pipe *p = file_pipe(f);
    u32 first;

    n = min(n, p->len);
    if (!n)
        return 0;
    first = min(n, p->room - p->head);
    memcpy(buf, p->buf + p->head, first);
    memcpy((u8 *)buf + first, p->buf, n - first);
    return n;
}

s64 pipe_take(struct file *f, void *buf, u64 n, bool nonblock)
{
    s64 r = pipe_wait_data(f, nonblock || (f->flags & O_NONBLOCK));

    return r <= 0 ? r : pipe_read(f, buf, n, NULL);
}

void pipe_untake(struct file *f, const void *buf, u32 n)
{
    struct pipe *p = file_pipe(f);
    u32 room = max(p->room, 4096u);

    /* Somebody may have filled it meanwhile; and only want of memory loses bytes. */
    while (room - p->len < n)
        room *= 2;
    if (room > p->room && pipe_resize(p, room) < 0)
        return;
    for (u32 i = n; i--;) {
        p->head = (p->head + p->room - 1) % p->room;
        p->buf[p->head] = ((const u8 *)buf)[i];
    }
    p->len += n;
    wake_up(&p->rd);
}

/* fifo(7): an open waits for the other side. */
static int fifo_wait(struct pipe *p, bool reader, bool writer, u32 flags)
{
    u32 seen;

    if ((reader && writer) || p->unnamed)
        return 0;
    if (reader && !p->writers) {
        if (flags & O_NONBLOCK)
            return 0;
        seen = p->opens;
        return (int)wait_event(&p->rd, p->opens != seen);
    }
    if (writer && !p->readers) {
        /* With O_NONBLOCK fifo_open() has refused it already. */
        seen = p->reads;
        return (int)wait_event(&p->wr, p->reads != seen);
    }
    return 0;
}

int fifo_open(struct inode *inode, struct file *f)
{
    bool reader = file_readable(f), writer = file_writable(f);
    struct pipe *p = inode->special;
    struct pipe_file *pf;
    int r;

    /* A file on the caller's stdio that shows itself as a pipe: there is none of ours behind it. */
    if (inode->op && inode->op->open)
        return inode->op->open(inode, f);
    if (writer && !reader && (f->flags & O_NONBLOCK) && (!p || (!p->readers && !p->unnamed)))
        return -ENXIO;
    pf = kmalloc(sizeof(*pf));
    if (pf && !p)
        p = inode->special = pipe_create();
    if (!pf || !p) {
        kfree(pf);
        return -ENOMEM;
    }
    p->users++;
    pf->pipe = p;
    if (reader) {
        p->readers++;
        p->reads++;
        wake_up(&p->wr);
    }
    if (writer) {
        p->writers++;
        p->opens++;
        wake_up(&p->rd);
    }
    /* A reader that has a writer, or will have waited for one, sees the hang-up when it goes. */
    pf->opens = p->writers || p->unnamed ? p->opens - 1 : p->opens;
    r = fifo_wait(p, reader, writer, f->flags);
    if (r < 0) {
        pipe_close(inode, reader, writer);
        kfree(pf);
        return r;
    }
    f->op = &pipe_fops;
    f->private = pf;
    return 0;
}

/* ---- pipe(2) ---- */

/* Both ends, on one inode that has no name. */
static int pipe_files(struct file **rd, struct file **wr, u32 flags)
{
    static const struct file_operations none;
    struct file *f = file_anon_numbered("pipe", &none, NULL, O_RDONLY | O_NONBLOCK, S_IFIFO | 0600), *w;
    struct path path;
    int r;

    if (IS_ERR(f))
        return (int)PTR_ERR(f);
    r = fifo_open(f->inode, f);
    if (r < 0) {
        file_put(f);
        return r;
    }
    file_pipe(f)->unnamed = true;
    path = f->path;
    path_get(&path);
    w = file_open_path(&path, O_WRONLY, false);
    if (IS_ERR(w)) {
        path_put(&path);
        file_put(f);
        return (int)PTR_ERR(w);
    }
    f->flags = O_RDONLY | flags;
    w->flags = O_WRONLY | flags;
    *rd = f;
    *wr = w;
    return 0;
}

static s64 do_pipe(u64 ufds, u64 flags)
{
    struct file *rd = NULL, *wr = NULL;
    s32 fds[2];
    int r;

    if (flags & ~(u64)(O_CLOEXEC | O_NONBLOCK))
        return -EINVAL;
    r = pipe_files(&rd, &wr, flags & O_NONBLOCK);
    if (r < 0)
        return r;
    fds[0] = fd_install(rd, flags & O_CLOEXEC, 0);
    if (fds[0] < 0) {
        file_put(wr);
        return fds[0];
    }
    fds[1] = fd_install(wr, flags & O_CLOEXEC, 0);
    if (fds[1] < 0) {
        fd_close(fds[0]);
        return fds[1];
    }
    if (copy_to_user((void __user *)ufds, fds, sizeof(fds))) {
        fd_close(fds[0]);
        fd_close(fds[1]);
        return -EFAULT;
    }
    return 0;
}

SYSCALL(pipe) { return do_pipe(a0, 0); }

SYSCALL(pipe2) { return do_pipe(a0, (u32)a1); }
