/* SPDX-License-Identifier: MIT */
/* splice(2), tee(2), vmsplice(2): bytes through pipes. Pages are copied, which is all that a program could notice. */
#include "sys/syscall.h"
#include "uio.h"
#include "vfs.h"

#define SPLICE_F_NONBLOCK 2u
#define SPLICE_F_KNOWN 15u

/* An offset that the call may bring for a file which has positions: *at is where to begin. */
static int splice_at(struct file *f, u64 user, loff_t *at)
{
    *at = f->pos;
    if (!user)
        return 0;
    if (file_is_pipe(f))
        return -ESPIPE;
    if (!file_seekable(f))
        return -EINVAL;
    if (copy_from_user(at, (const void __user *)user, sizeof(*at)))
        return -EFAULT;
    return *at < 0 ? -EINVAL : 0;
}

static int splice_done(struct file *f, u64 user, loff_t at)
{
    if (user)
        return copy_to_user((void __user *)user, &at, sizeof(at));
    if (file_seekable(f))
        f->pos = at;
    return 0;
}

/* At most n bytes at once. */
static s64 splice_move(struct file *in, loff_t *from, struct file *out, loff_t *to, u64 n, bool nonblock)
{
    void *buf = bounce_get();
    s64 got, sent = 0, r = 0;

    if (!buf)
        return -ENOMEM;
    n = min(n, (u64)BOUNCE_SIZE);
    if (file_is_pipe(out)) {
        r = pipe_wait_room(out, nonblock || (out->flags & O_NONBLOCK));
        if (r > 0)
            n = min(n, (u64)r);
    }
    got = r < 0 ? r : file_is_pipe(in) ? pipe_take(in, buf, n, nonblock) : in->op->read(in, buf, n, from);
    while (got > 0 && sent < got) {
        r = out->op->write(out, (char *)buf + sent, (size_t)(got - sent), to);
        if (r <= 0)
            break;
        sent += r;
    }
    if (got > 0 && sent < got) {
        if (file_is_pipe(in))
            pipe_untake(in, (char *)buf + sent, (u32)(got - sent));
        else
            *from -= got - sent;
        got = sent ? sent : r;
    }
    bounce_put(buf);
    return got;
}

static s64 do_splice(struct file *in, u64 in_off, struct file *out, u64 out_off, u64 n, u32 flags)
{
    bool nonblock = flags & SPLICE_F_NONBLOCK;
    loff_t from, to;
    s64 r;

    if (!file_readable(in) || !file_writable(out))
        return -EBADF;
    if (!file_is_pipe(in) && !file_is_pipe(out))
        return -EINVAL;
    if (file_is_pipe(in) && in->inode == out->inode)
        return -EINVAL;
    if (S_ISDIR(in->inode->mode) || !in->op->read || !out->op->write || (out->flags & O_APPEND))
        return -EINVAL;
    r = splice_at(in, in_off, &from);
    if (r == 0)
        r = splice_at(out, out_off, &to);
    if (r < 0)
        return r;
    r = splice_move(in, &from, out, &to, min(n, RW_MAX), nonblock);
    if (r < 0)
        return r;
    if (splice_done(in, in_off, from) || splice_done(out, out_off, to))
        return -EFAULT;
    return r;
}

SYSCALL(splice)
{
    struct file *in, *out;
    s64 r;

    if (!(u64)a4)
        return 0;
    if (a5 & ~(u64)SPLICE_F_KNOWN)
        return -EINVAL;
    in = fd_get((int)a0);
    out = fd_get((int)a2);
    r = in && out ? do_splice(in, a1, out, a3, a4, (u32)a5) : -EBADF;
    file_put(in);
    file_put(out);
    return r;
}

static s64 do_tee(struct file *in, struct file *out, u64 n, bool nonblock)
{
    void *buf;
    s64 r;

    if (!file_readable(in) || !file_writable(out))
        return -EBADF;
    if (!file_is_pipe(in) || !file_is_pipe(out) || in->inode == out->inode)
        return -EINVAL;
    r = pipe_wait_data(in, nonblock || (in->flags & O_NONBLOCK));
    if (r <= 0)
        return r;
    r = pipe_wait_room(out, nonblock || (out->flags & O_NONBLOCK));
    if (r < 0)
        return r;
    buf = bounce_get();
    if (!buf)
        return -ENOMEM;
    n = pipe_peek(in, buf, (u32)min(min(n, (u64)r), (u64)BOUNCE_SIZE));
    r = n ? out->op->write(out, buf, n, NULL) : 0;
    bounce_put(buf);
    return r;
}

SYSCALL(tee)
{
    struct file *in = fd_get((int)a0), *out = fd_get((int)a1);
    s64 r;

    if (a3 & ~(u64)SPLICE_F_KNOWN)
        r = -EINVAL;
    else
        r = in && out ? (a2 ? do_tee(in, out, a2, a3 & SPLICE_F_NONBLOCK) : 0) : -EBADF;
    file_put(in);
    file_put(out);
    return r;
}

/* From memory into a pipe, or the other way. */
static s64 do_vmsplice(struct file *f, struct iov_iter *it, bool nonblock)
{
    bool write = file_writable(f);
    void *buf = bounce_get();
    s64 done = 0, r = 0;

    if (!buf)
        return -ENOMEM;
    while (it->left) {
        u64 n = min(it->left, (u64)BOUNCE_SIZE);

        if (write) {
            r = pipe_wait_room(f, nonblock || (f->flags & O_NONBLOCK) || done);
            if (r <= 0)
                break;
            n = min(n, (u64)r);
            r = iter_take(it, buf, n);
            if (r == 0)
                r = f->op->write(f, buf, n, NULL);
        } else {
            if (done)
                break;
            r = pipe_take(f, buf, n, nonblock);
            if (r > 0 && iter_put(it, buf, (u64)r))
                r = -EFAULT;
        }
        if (r <= 0)
            break;
        done += r;
    }
    bounce_put(buf);
    return done ? done : r;
}

SYSCALL(vmsplice)
{
    struct iov_iter it;
    struct file *f;
    s64 r;

    if (a3 & ~(u64)SPLICE_F_KNOWN)
        return -EINVAL;
    f = fd_get((int)a0);
    if (!f)
        return -EBADF;
    r = file_is_pipe(f) ? iter_vec(&it, a1, a2) : -EBADF;
    if (r == 0) {
        r = do_vmsplice(f, &it, a3 & SPLICE_F_NONBLOCK);
        iter_end(&it);
    }
    file_put(f);
    return r;
}
