/* SPDX-License-Identifier: MIT */
/* Sockets as open files. */
#include "socket.h"

static ssize_t socket_rw(struct file *f, void *buf, size_t n, bool write)
{
    struct iov_iter it;

    iter_kernel(&it, buf, n);
    return f->op->rw_iter(f, &it, write);
}

static ssize_t socket_read(struct file *f, void *buf, size_t n, loff_t *pos) { return socket_rw(f, buf, n, false); }

static ssize_t socket_write(struct file *f, const void *buf, size_t n, loff_t *pos)
{
    return socket_rw(f, (void *)buf, n, true);
}

static s64 socket_rw_iter(struct file *f, struct iov_iter *it, bool write)
{
    struct sock *sk = f->private;
    struct msg *m;
    s64 r;

    if (!write && !it->left)
        return 0;
    m = kmalloc(sizeof(*m));
    if (!m)
        return -ENOMEM;
    m->it = it;
    r = write ? sk->ops->sendmsg(sk, m, f->flags & O_NONBLOCK) : sk->ops->recvmsg(sk, m, f->flags & O_NONBLOCK);
    kfree(m);
    return r;
}

static u32 socket_poll(struct file *f, struct poll_table *pt)
{
    struct sock *sk = f->private;
    bool out = poll_wants(pt, POLLOUT | POLLWRNORM | POLLWRBAND);

    if (out)
        poll_wait(f, &sk->wr, pt);
    /* Errors and hang-ups wake both queues. */
    if (!out || poll_wants(pt, POLLIN | POLLRDNORM | POLLRDBAND | POLLPRI | POLLRDHUP))
        poll_wait(f, &sk->rd, pt);
    return sk->ops->poll(sk);
}

static long socket_ioctl(struct file *f, u32 cmd, u64 arg)
{
    struct sock *sk = f->private;
    long r = sk->ops->ioctl ? sk->ops->ioctl(sk, cmd, arg) : -ENOTTY;

    return r == -ENOTTY ? netdev_ioctl(cmd, arg) : r;
}

static void socket_release(struct file *f)
{
    struct sock *sk = f->private;

    sk->file = NULL;
    sk->ops->release(sk);
    sock_put(sk);
}

static const struct file_operations socket_fops = {
    .read = socket_read,
    .write = socket_write,
    .rw_iter = socket_rw_iter,
    .poll = socket_poll,
    .ioctl = socket_ioctl,
    .release = socket_release,
};

struct file *sock_file(struct sock *sk, u32 flags)
{
    struct file *f = file_anon_numbered("socket", &socket_fops, sk, O_RDWR | (flags & O_NONBLOCK), S_IFSOCK | 0777);

    if (!IS_ERR(f))
        sk->file = f;
    return f;
}

struct sock *file_sock(const struct file *f) { return f->op == &socket_fops ? f->private : NULL; }
