/* SPDX-License-Identifier: MIT */
/* The system calls of sockets. */
#include "socket.h"

#include "proc/timer.h"
#include "sys/syscall.h"

#define CONTROL_MAX (128u << 10) /* net.core.optmem_max */
#define MMSG_MAX 1024u
#define MSG_INTERNAL 0x80000000u /* MSG_CMSG_COMPAT */

/* ---- descriptors ---- */

/* The open file of a socket, with a reference. ERR_PTR. */
static struct file *sock_get_fd(int fd, struct sock **sk)
{
    struct file *f = fd_get(fd);

    if (!f)
        return ERR_PTR(-EBADF);
    *sk = file_sock(f);
    if (*sk)
        return f;
    file_put(f);
    return ERR_PTR(-ENOTSOCK);
}

static struct sock *sock_create(u32 family, u32 type, u32 protocol)
{
    if (type > 10)
        return ERR_PTR(-EINVAL);
    switch (family) {
    case AF_UNIX: return unix_create((u16)type, protocol);
    case AF_INET:
    case AF_INET6: return inet_create((u16)family, (u16)type, protocol);
    case AF_NETLINK: return netlink_create((u16)type, protocol);
    default: return ERR_PTR(-EAFNOSUPPORT);
    }
}

/* Takes over the reference. */
static int sock_install(struct sock *sk, u32 flags)
{
    struct file *f = sock_file(sk, flags);

    if (IS_ERR(f)) {
        sk->ops->release(sk);
        sock_put(sk);
        return (int)PTR_ERR(f);
    }
    return fd_install(f, flags & SOCK_CLOEXEC, 0);
}

SYSCALL(socket)
{
    struct sock *sk;

    if (a1 & ~(u64)(SOCK_TYPE_MASK | SOCK_CLOEXEC | SOCK_NONBLOCK))
        return -EINVAL;
    sk = sock_create((u32)a0, a1 & SOCK_TYPE_MASK, (u32)a2);
    return IS_ERR(sk) ? PTR_ERR(sk) : sock_install(sk, (u32)a1);
}

SYSCALL(socketpair)
{
    struct sock *a, *b;
    s32 fds[2];
    int r;

    if (a1 & ~(u64)(SOCK_TYPE_MASK | SOCK_CLOEXEC | SOCK_NONBLOCK))
        return -EINVAL;
    a = sock_create((u32)a0, a1 & SOCK_TYPE_MASK, (u32)a2);
    if (IS_ERR(a))
        return PTR_ERR(a);
    b = sock_create((u32)a0, a1 & SOCK_TYPE_MASK, (u32)a2);
    if (IS_ERR(b)) {
        sock_put(a);
        return PTR_ERR(b);
    }
    r = a->ops->pair ? a->ops->pair(a, b) : -EOPNOTSUPP;
    if (r < 0) {
        sock_put(a);
        sock_put(b);
        return r;
    }
    fds[0] = sock_install(a, (u32)a1);
    fds[1] = sock_install(b, (u32)a1);
    if (fds[0] >= 0 && fds[1] >= 0 && !copy_to_user((void __user *)a3, fds, sizeof(fds)))
        return 0;
    r = fds[0] < 0 ? fds[0] : fds[1] < 0 ? fds[1] : -EFAULT;
    for (int i = 0; i < 2; i++)
        if (fds[i] >= 0)
            fd_close(fds[i]);
    return r;
}

/* ---- addresses ---- */

static int addr_from_user(struct sockaddr *a, u64 uaddr, u64 len)
{
    if ((s32)len < 0 || (u32)len > sizeof(a->bytes))
        return -EINVAL;
    memset(a, 0, sizeof(*a));
    a->len = (u32)len;
    return copy_from_user(a->bytes, (const void __user *)uaddr, a->len);
}

/* *ulen is the room, and becomes the address's length. */
static int addr_to_user(const struct sockaddr *a, u64 uaddr, u64 ulen)
{
    s32 room, len = (s32)a->len;

    if (copy_from_user(&room, (const void __user *)ulen, sizeof(room)))
        return -EFAULT;
    if (room < 0)
        return -EINVAL;
    if (copy_to_user((void __user *)uaddr, a->bytes, min((u32)room, a->len)) ||
        copy_to_user((void __user *)ulen, &len, sizeof(len)))
        return -EFAULT;
    return 0;
}

SYSCALL(bind)
{
    struct sockaddr a;
    struct sock *sk;
    struct file *f = sock_get_fd((int)a0, &sk);
    s64 r;

    if (IS_ERR(f))
        return PTR_ERR(f);
    r = addr_from_user(&a, a1, a2);
    if (r == 0)
        r = sk->ops->bind(sk, &a);
    file_put(f);
    return r;
}

SYSCALL(connect)
{
    struct sockaddr a;
    struct sock *sk;
    struct file *f = sock_get_fd((int)a0, &sk);
    s64 r;

    if (IS_ERR(f))
        return PTR_ERR(f);
    r = addr_from_user(&a, a1, a2);
    if (r == 0)
        r = a.len < sizeof(u16) ? -EINVAL : sk->ops->connect(sk, &a, f->flags & O_NONBLOCK);
    file_put(f);
    return r;
}

SYSCALL(listen)
{
    struct sock *sk;
    struct file *f = sock_get_fd((int)a0, &sk);
    s64 r;

    if (IS_ERR(f))
        return PTR_ERR(f);
    r = sk->ops->listen ? sk->ops->listen(sk, (u32)a1 > SOMAXCONN ? SOMAXCONN : (int)a1) : -EOPNOTSUPP;
    file_put(f);
    return r;
}

static s64 do_accept(int fd, u64 uaddr, u64 ulen, u32 flags)
{
    struct sockaddr a;
    struct sock *sk, *child;
    struct file *f, *cf;
    s64 r;

    if (flags & ~(u32)(SOCK_CLOEXEC | SOCK_NONBLOCK))
        return -EINVAL;
    f = sock_get_fd(fd, &sk);
    if (IS_ERR(f))
        return PTR_ERR(f);
    child = sk->ops->accept ? sk->ops->accept(sk, f->flags & O_NONBLOCK) : ERR_PTR(-EOPNOTSUPP);
    file_put(f);
    if (IS_ERR(child))
        return PTR_ERR(child);
    cf = sock_file(child, flags);
    if (IS_ERR(cf)) {
        child->ops->release(child);
        sock_put(child);
        return PTR_ERR(cf);
    }
    if (uaddr) {
        r = child->ops->getname(child, &a, NAME_ACCEPTED);
        if (r == -ENOTCONN && child->family == AF_UNIX) {
            a.len = sizeof(u16);
            a.family = AF_UNIX;
            r = 0;
        }
        if (r == 0)
            r = addr_to_user(&a, uaddr, ulen);
        if (r < 0) {
            file_put(cf);
            return r == -ENOTCONN ? -ECONNABORTED : r;
        }
    }
    return fd_install(cf, flags & SOCK_CLOEXEC, 0);
}

SYSCALL(accept) { return do_accept((int)a0, a1, a2, 0); }

SYSCALL(accept4) { return do_accept((int)a0, a1, a2, (u32)a3); }

static s64 do_getname(int fd, u64 uaddr, u64 ulen, int which)
{
    struct sockaddr a;
    struct sock *sk;
    struct file *f = sock_get_fd(fd, &sk);
    s64 r;

    if (IS_ERR(f))
        return PTR_ERR(f);
    r = sk->ops->getname(sk, &a, which);
    if (r == 0)
        r = addr_to_user(&a, uaddr, ulen);
    file_put(f);
    return r;
}

SYSCALL(getsockname) { return do_getname((int)a0, a1, a2, NAME_OWN); }

SYSCALL(getpeername) { return do_getname((int)a0, a1, a2, NAME_PEER); }

SYSCALL(shutdown)
{
    struct sock *sk;
    struct file *f = sock_get_fd((int)a0, &sk);
    s64 r;

    if (IS_ERR(f))
        return PTR_ERR(f);
    if ((u32)a1 > SHUT_RDWR)
        r = -EINVAL;
    else
        r = sk->ops->shutdown ? sk->ops->shutdown(sk, (u32)a1 + 1)
                              : -EOPNOTSUPP; /* SHUT_RD 0 and so on: one bit each */
    file_put(f);
    return r;
}

/* ---- options ---- */

SYSCALL(setsockopt)
{
    struct sockopt *o;
    struct sock *sk;
    struct file *f = sock_get_fd((int)a0, &sk);
    s64 r = -EINVAL;

    if (IS_ERR(f))
        return PTR_ERR(f);
    o = kmalloc(sizeof(*o));
    if (!o) {
        file_put(f);
        return -ENOMEM;
    }
    if ((s32)a4 >= 0) {
        o->len = (u32)min((u64)(u32)a4, (u64)SOCKOPT_MAX);
        r = copy_from_user(o->value, (const void __user *)a3, o->len);
    }
    if (r == 0 && (s32)a1 == SOL_SOCKET)
        r = sock_setsockopt(sk, (s32)a2, o);
    else if (r == 0)
        r = sk->ops->setsockopt ? sk->ops->setsockopt(sk, (s32)a1, (s32)a2, o) : -EOPNOTSUPP;
    kfree(o);
    file_put(f);
    return r;
}

SYSCALL(getsockopt)
{
    struct sockopt *o;
    struct sock *sk;
    struct file *f = sock_get_fd((int)a0, &sk);
    s32 len;
    s64 r = -EFAULT;

    if (IS_ERR(f))
        return PTR_ERR(f);
    o = kmalloc(sizeof(*o));
    if (!o) {
        file_put(f);
        return -ENOMEM;
    }
    if (copy_from_user(&len, (const void __user *)a4, sizeof(len)))
        goto out;
    r = -EINVAL;
    if (len < 0)
        goto out;
    o->len = (u32)min(len, (s32)SOCKOPT_MAX);
    if ((s32)a1 == SOL_SOCKET)
        r = sock_getsockopt(sk, (s32)a2, o);
    else
        r = sk->ops->getsockopt ? sk->ops->getsockopt(sk, (s32)a1, (s32)a2, o) : -EOPNOTSUPP;
    if (r < 0)
        goto out;
    len = (s32)o->len;
    if (copy_to_user((void __user *)a3, o->value, o->len) || copy_to_user((void __user *)a4, &len, sizeof(len)))
        r = -EFAULT;
out:
    kfree(o);
    file_put(f);
    return r;
}

/* ---- messages ---- */

struct user_msghdr {
    u64 name;
    u32 namelen, pad0;
    u64 iov, iovlen;
    u64 control, controllen;
    u32 flags, pad1;
};
struct mmsghdr {
    struct user_msghdr hdr;
    u32 len, pad;
};
_Static_assert(sizeof(struct user_msghdr) == 56 && sizeof(struct mmsghdr) == 64, "the ABI's");

static bool msg_nonblock(const struct file *f, const struct msg *m)
{
    return (f->flags & O_NONBLOCK) || (m->flags & MSG_DONTWAIT);
}

/* Each message whole and within what there is. */
static int control_check(const struct msg *m)
{
    size_t pos = 0;

    while (pos < m->control_len && m->control_len - pos >= sizeof(struct cmsghdr)) {
        const struct cmsghdr *c = (const void *)(m->control + pos);

        if (c->len < sizeof(*c) || c->len > m->control_len - pos)
            return -EINVAL;
        pos += CMSG_ALIGN(c->len);
    }
    return 0;
}

static int control_from_user(struct msg *m, u64 control, u64 len)
{
    if (!control || !len)
        return 0;
    if (len > CONTROL_MAX)
        return -ENOBUFS;
    m->control = kmalloc(len);
    if (!m->control)
        return -ENOMEM;
    m->control_len = len;
    if (copy_from_user(m->control, (const void __user *)control, len))
        return -EFAULT;
    return control_check(m);
}

static s64 sendmsg_one(struct file *f, struct sock *sk, u64 uhdr, u32 flags)
{
    struct user_msghdr hdr;
    struct iov_iter it;
    struct msg *m;
    s64 r;

    if (copy_from_user(&hdr, (const void __user *)uhdr, sizeof(hdr)))
        return -EFAULT;
    m = kmalloc(sizeof(*m));
    if (!m)
        return -ENOMEM;
    m->it = &it;
    m->flags = flags;
    if (hdr.iovlen > IOV_MAX) {
        kfree(m);
        return -EMSGSIZE;
    }
    r = iter_vec(&it, hdr.iov, hdr.iovlen);
    if (r < 0) {
        kfree(m);
        return r;
    }
    if (hdr.name && hdr.namelen)
        r = addr_from_user(&m->name, hdr.name, min(hdr.namelen, (u32)sizeof(m->name.bytes)));
    if (r == 0)
        r = control_from_user(m, hdr.control, hdr.controllen);
    if (r == 0)
        r = sk->ops->sendmsg(sk, m, msg_nonblock(f, m));
    kfree(m->control);
    kfree(m);
    iter_end(&it);
    return r;
}

static s64 recvmsg_one(struct file *f, struct sock *sk, u64 uhdr, u32 flags)
{
    struct user_msghdr hdr;
    struct iov_iter it;
    struct msg *m;
    s64 r;

    if (copy_from_user(&hdr, (const void __user *)uhdr, sizeof(hdr)))
        return -EFAULT;
    if (hdr.iovlen > IOV_MAX)
        return -EMSGSIZE;
    m = kmalloc(sizeof(*m));
    if (!m)
        return -ENOMEM;
    m->it = &it;
    m->flags = flags;
    m->want_name = hdr.name;
    m->room = (struct cmsg_room){.user = hdr.control, .left = hdr.control ? hdr.controllen : 0};
    r = iter_vec(&it, hdr.iov, hdr.iovlen);
    if (r < 0) {
        kfree(m);
        return r;
    }
    r = (s32)hdr.namelen < 0 ? -EINVAL : sk->ops->recvmsg(sk, m, msg_nonblock(f, m));
    if (r >= 0) {
        if (hdr.name && copy_to_user((void __user *)hdr.name, m->name.bytes, min(hdr.namelen, m->name.len)))
            r = -EFAULT;
        hdr.namelen = m->name.len;
        hdr.controllen = m->room.used;
        hdr.flags = m->out_flags | (flags & MSG_CMSG_CLOEXEC);
        if (copy_to_user((void __user *)(uhdr + offsetof(struct user_msghdr, namelen)), &hdr.namelen, sizeof(u32)) ||
            copy_to_user((void __user *)(uhdr + offsetof(struct user_msghdr, controllen)), &hdr.controllen,
                         sizeof(u64)) ||
            copy_to_user((void __user *)(uhdr + offsetof(struct user_msghdr, flags)), &hdr.flags, sizeof(u32)))
            r = -EFAULT;
    }
    kfree(m);
    iter_end(&it);
    return r;
}

SYSCALL(sendmsg)
{
    struct sock *sk;
    struct file *f = sock_get_fd((int)a0, &sk);
    s64 r;

    if (IS_ERR(f))
        return PTR_ERR(f);
    r = a2 & MSG_INTERNAL ? -EINVAL : sendmsg_one(f, sk, a1, (u32)a2);
    file_put(f);
    return r;
}

SYSCALL(recvmsg)
{
    struct sock *sk;
    struct file *f = sock_get_fd((int)a0, &sk);
    s64 r;

    if (IS_ERR(f))
        return PTR_ERR(f);
    r = a2 & MSG_INTERNAL ? -EINVAL : recvmsg_one(f, sk, a1, (u32)a2);
    file_put(f);
    return r;
}

SYSCALL(sendto)
{
    struct iov_iter it;
    struct msg *m;
    struct sock *sk;
    struct file *f = sock_get_fd((int)a0, &sk);
    s64 r = 0;

    if (IS_ERR(f))
        return PTR_ERR(f);
    m = kmalloc(sizeof(*m));
    if (!m) {
        file_put(f);
        return -ENOMEM;
    }
    iter_one(&it, a1, a2);
    m->it = &it;
    m->flags = (u32)a3;
    if (a4)
        r = addr_from_user(&m->name, a4, a5);
    if (r == 0)
        r = sk->ops->sendmsg(sk, m, msg_nonblock(f, m));
    kfree(m);
    file_put(f);
    return r;
}

SYSCALL(recvfrom)
{
    struct iov_iter it;
    struct msg *m;
    struct sock *sk;
    struct file *f = sock_get_fd((int)a0, &sk);
    s64 r;

    if (IS_ERR(f))
        return PTR_ERR(f);
    m = kmalloc(sizeof(*m));
    if (!m) {
        file_put(f);
        return -ENOMEM;
    }
    iter_one(&it, a1, a2);
    m->it = &it;
    m->flags = (u32)a3;
    m->want_name = a4;
    r = sk->ops->recvmsg(sk, m, msg_nonblock(f, m));
    if (r >= 0 && a4) {
        int e = addr_to_user(&m->name, a4, a5);

        r = e < 0 ? e : r;
    }
    kfree(m);
    file_put(f);
    return r;
}

/* ---- several messages in one call ---- */

static int mmsg_len(u64 at, u32 len)
{
    return copy_to_user((void __user *)(at + offsetof(struct mmsghdr, len)), &len, sizeof(len));
}

SYSCALL(sendmmsg)
{
    struct sock *sk;
    struct file *f = sock_get_fd((int)a0, &sk);
    u32 n = (u32)min((u64)(u32)a2, (u64)MMSG_MAX), done = 0;
    s64 r = 0;

    if (IS_ERR(f))
        return PTR_ERR(f);
    while (done < n) {
        u64 at = a1 + done * sizeof(struct mmsghdr);

        r = sendmsg_one(f, sk, at, (u32)a3);
        if (r >= 0)
            r = mmsg_len(at, (u32)r);
        if (r < 0)
            break;
        done++;
        if (signal_pending(current))
            break;
    }
    file_put(f);
    return done ? (s64)done : r;
}

SYSCALL(recvmmsg)
{
    struct sock *sk;
    struct file *f = sock_get_fd((int)a0, &sk);
    u32 n = (u32)min((u64)(u32)a2, (u64)MMSG_MAX), done = 0, flags = (u32)a3;
    u64 end = 0, ns;
    s64 r = 0;

    if (IS_ERR(f))
        return PTR_ERR(f);
    if (a4) {
        r = get_timespec(&ns, a4);
        if (r < 0) {
            file_put(f);
            return r;
        }
        end = deadline_after(machine_clock(CLOCK_MONOTONIC), ns);
    }
    while (done < n) {
        u64 at = a1 + done * sizeof(struct mmsghdr);

        r = recvmsg_one(f, sk, at, flags & ~MSG_WAITFORONE);
        if (r >= 0)
            r = mmsg_len(at, (u32)r);
        if (r < 0)
            break;
        done++;
        if (flags & MSG_WAITFORONE)
            flags |= MSG_DONTWAIT;
        /* As on Linux the time is looked at only when a message has come. */
        if (end && machine_clock(CLOCK_MONOTONIC) >= end)
            break;
        if (signal_pending(current))
            break;
    }
    if (a4 && done) {
        u64 now = machine_clock(CLOCK_MONOTONIC);

        if (put_timespec(a4, now < end ? end - now : 0))
            r = -EFAULT;
    }
    file_put(f);
    return done ? (s64)done : r;
}
