/* SPDX-License-Identifier: MIT */
/* What all sockets have: life, errors, the options of SOL_SOCKET, socket(7). */
#include "socket.h"

#include "proc/signal.h"
#include "proc/timer.h"

struct sock *sock_alloc(size_t size, const struct sock_ops *ops, u16 family, u16 type, u32 protocol)
{
    struct sock *sk = kmalloc(size);

    if (!sk)
        return ERR_PTR(-ENOMEM);
    sk->refs = 1;
    sk->ops = ops;
    sk->family = family;
    sk->type = type;
    sk->protocol = protocol;
    wait_queue_init(&sk->rd);
    wait_queue_init(&sk->wr);
    skb_queue_init(&sk->receive);
    sk->sndbuf = sk->rcvbuf = SOCKBUF_MAX;
    sk->rcvlowat = 1;
    return sk;
}

void sock_put(struct sock *sk)
{
    if (!sk || --sk->refs)
        return;
    skb_queue_purge(&sk->receive);
    if (sk->ops->destroy)
        sk->ops->destroy(sk);
    kfree(sk);
}

int sock_error(struct sock *sk)
{
    int err = -sk->err;

    sk->err = 0;
    return err;
}

void sock_wake(struct sock *sk)
{
    wake_up(&sk->rd);
    wake_up(&sk->wr);
}

void sock_set_error(struct sock *sk, int error)
{
    sk->err = error;
    sock_wake(sk);
}

int sock_epipe(const struct msg *m)
{
    if (!(m->flags & MSG_NOSIGNAL))
        signal_send_task(current, SIGPIPE, NULL);
    return -EPIPE;
}

u64 sock_deadline(u64 timeo) { return timeo ? deadline_after(machine_clock(CLOCK_MONOTONIC), timeo) : 0; }

void ucred_current(struct ucred *cred)
{
    const struct process *p = current->process;
    *cred = (struct ucred){.pid = p->pid, .uid = p->cred.user.effective, .gid = p->cred.group.effective};
}

/* ---- option values ---- */

int sockopt_int(const struct sockopt *o, s32 *value)
{
    if (o->len < sizeof(*value))
        return -EINVAL;
    memcpy(value, o->value, sizeof(*value));
    return 0;
}

int sockopt_put(struct sockopt *o, const void *value, u32 len)
{
    o->len = min(o->len, len);
    memcpy(o->value, value, o->len);
    return 0;
}

int sockopt_put_int(struct sockopt *o, s32 value) { return sockopt_put(o, &value, sizeof(value)); }

/* ---- SOL_SOCKET ---- */

#define SO_DEBUG 1
#define SO_REUSEADDR 2
#define SO_TYPE 3
#define SO_ERROR 4
#define SO_DONTROUTE 5
#define SO_BROADCAST 6
#define SO_SNDBUF 7
#define SO_RCVBUF 8
#define SO_KEEPALIVE 9
#define SO_OOBINLINE 10
#define SO_NO_CHECK 11
#define SO_PRIORITY 12
#define SO_LINGER 13
#define SO_BSDCOMPAT 14
#define SO_REUSEPORT 15
#define SO_PASSCRED 16
#define SO_PEERCRED 17
#define SO_RCVLOWAT 18
#define SO_SNDLOWAT 19
#define SO_RCVTIMEO 20
#define SO_SNDTIMEO 21
#define SO_BINDTODEVICE 25
#define SO_PEERNAME 28
#define SO_TIMESTAMP 29
#define SO_ACCEPTCONN 30
#define SO_SNDBUFFORCE 32
#define SO_RCVBUFFORCE 33
#define SO_TIMESTAMPNS 35
#define SO_MARK 36
#define SO_PROTOCOL 38
#define SO_DOMAIN 39
#define SO_MEMINFO 55
#define SO_COOKIE 57
#define SO_RCVTIMEO_NEW 66
#define SO_SNDTIMEO_NEW 67

#define SNDBUF_MIN 4608u
#define RCVBUF_MIN 2304u
#define PRIORITY_MAX 6 /* more needs a capability that nobody has here */

static u32 option_flag(int name)
{
    switch (name) {
    case SO_DEBUG: return SK_DEBUG;
    case SO_REUSEADDR: return SK_REUSEADDR;
    case SO_DONTROUTE: return SK_DONTROUTE;
    case SO_BROADCAST: return SK_BROADCAST;
    case SO_KEEPALIVE: return SK_KEEPALIVE;
    case SO_OOBINLINE: return SK_OOBINLINE;
    case SO_NO_CHECK: return SK_NO_CHECK;
    case SO_REUSEPORT: return SK_REUSEPORT;
    case SO_PASSCRED: return SK_PASSCRED;
    case SO_TIMESTAMP: return SK_TIMESTAMP;
    case SO_TIMESTAMPNS: return SK_TIMESTAMPNS;
    default: return 0;
    }
}

struct timeval64 {
    s64 sec, usec;
};

static int timeo_set(u64 *timeo, const struct sockopt *o)
{
    struct timeval64 tv;
    u64 ns;

    if (o->len < sizeof(tv))
        return -EINVAL;
    memcpy(&tv, o->value, sizeof(tv));
    if (tv.usec < 0 || tv.usec >= 1000000)
        return -EDOM;
    if (tv.sec < 0) { /* Linux: no time at all */
        *timeo = 1;
        return 0;
    }
    if (check_mul((u64)tv.sec, NSEC_PER_SEC, &ns) || check_add(ns, (u64)tv.usec * NSEC_PER_USEC, &ns))
        ns = 0;
    *timeo = ns;
    return 0;
}

static int timeo_get(u64 timeo, struct sockopt *o)
{
    struct timeval64 tv = {(s64)(timeo / NSEC_PER_SEC), (s64)(timeo % NSEC_PER_SEC / NSEC_PER_USEC)};

    return sockopt_put(o, &tv, sizeof(tv));
}

static int linger_set(struct sock *sk, const struct sockopt *o)
{
    s32 linger[2]; /* on, seconds */

    if (o->len < sizeof(linger))
        return -EINVAL;
    memcpy(linger, o->value, sizeof(linger));
    if (!linger[0]) {
        sk->options &= ~SK_LINGER;
        return 0;
    }
    sk->options |= SK_LINGER;
    sk->linger = (u32)linger[1];
    return 0;
}

static int bind_to_device(struct sock *sk, const struct sockopt *o)
{
    char name[16];
    u32 n = min(o->len, (u32)sizeof(name) - 1);

    memcpy(name, o->value, n);
    name[n] = 0;
    if (name[0] && strcmp(name, "lo"))
        return -ENODEV;
    sk->bound_if = name[0] ? LOOPBACK_IFINDEX : 0;
    return 0;
}

int sock_setsockopt(struct sock *sk, int name, const struct sockopt *o)
{
    u32 flag = option_flag(name);
    s32 v = 0;
    int r;

    switch (name) {
    case SO_BINDTODEVICE: return bind_to_device(sk, o);
    case SO_RCVTIMEO:
    case SO_RCVTIMEO_NEW: return timeo_set(&sk->rcvtimeo, o);
    case SO_SNDTIMEO:
    case SO_SNDTIMEO_NEW: return timeo_set(&sk->sndtimeo, o);
    }
    r = sockopt_int(o, &v);
    if (r < 0)
        return r;
    if (name == SO_LINGER)
        return linger_set(sk, o);
    if (flag) {
        sk->options = v ? sk->options | flag : sk->options & ~flag;
        if (v && name == SO_TIMESTAMP)
            sk->options &= ~SK_TIMESTAMPNS;
        if (v && name == SO_TIMESTAMPNS)
            sk->options &= ~SK_TIMESTAMP;
        return 0;
    }
    switch (name) {
    case SO_SNDBUF:
    case SO_SNDBUFFORCE:
        sk->sndbuf = max(min((u32)v, SOCKBUF_MAX) * 2, SNDBUF_MIN);
        sk->options |= SK_SNDBUF_SET;
        wake_up(&sk->wr);
        return 0;
    case SO_RCVBUF:
    case SO_RCVBUFFORCE:
        sk->rcvbuf = max((v < 0 ? SOCKBUF_MAX : min((u32)v, SOCKBUF_MAX)) * 2, RCVBUF_MIN);
        sk->options |= SK_RCVBUF_SET;
        return 0;
    case SO_PRIORITY:
        if (v < 0 || v > PRIORITY_MAX)
            return -EPERM;
        sk->priority = v;
        return 0;
    case SO_RCVLOWAT:
        sk->rcvlowat = v < 0 ? INT32_MAX : v ? (u32)v : 1;
        wake_up(&sk->rd);
        return 0;
    case SO_MARK: sk->mark = v; return 0;
    case SO_BSDCOMPAT: return 0;
    default: return -ENOPROTOOPT;
    }
}

static int peer_name(struct sock *sk, struct sockopt *o)
{
    struct sockaddr addr;
    int r = sk->ops->getname(sk, &addr, NAME_PEER);

    if (r < 0)
        return -ENOTCONN;
    if (addr.len < o->len)
        return -EINVAL;
    return sockopt_put(o, addr.bytes, addr.len);
}

static int sock_meminfo(struct sock *sk, struct sockopt *o)
{
    u32 info[9] = {(u32)sk->receive.truesize, sk->rcvbuf, (u32)sk->sent, sk->sndbuf};

    return sockopt_put(o, info, sizeof(info));
}

int sock_getsockopt(struct sock *sk, int name, struct sockopt *o)
{
    u32 flag = option_flag(name);
    s32 linger[2] = {!!(sk->options & SK_LINGER), (s32)sk->linger};
    u64 cookie = (u64)(uintptr_t)sk;

    if (flag)
        return sockopt_put_int(o, !!(sk->options & flag));
    switch (name) {
    case SO_TYPE: return sockopt_put_int(o, sk->type);
    case SO_ERROR: return sockopt_put_int(o, -sock_error(sk));
    case SO_SNDBUF: return sockopt_put_int(o, (s32)sk->sndbuf);
    case SO_RCVBUF: return sockopt_put_int(o, (s32)sk->rcvbuf);
    case SO_PRIORITY: return sockopt_put_int(o, sk->priority);
    case SO_LINGER: return sockopt_put(o, linger, sizeof(linger));
    case SO_BSDCOMPAT: return sockopt_put_int(o, 0);
    case SO_PEERCRED:
        if (sk->family != AF_UNIX || !sk->peer_cred.pid)
            return sockopt_put(o, &(struct ucred){0, ~0u, ~0u}, sizeof(struct ucred));
        return sockopt_put(o, &sk->peer_cred, sizeof(sk->peer_cred));
    case SO_RCVLOWAT: return sockopt_put_int(o, (s32)sk->rcvlowat);
    case SO_SNDLOWAT: return sockopt_put_int(o, 1);
    case SO_RCVTIMEO:
    case SO_RCVTIMEO_NEW: return timeo_get(sk->rcvtimeo, o);
    case SO_SNDTIMEO:
    case SO_SNDTIMEO_NEW: return timeo_get(sk->sndtimeo, o);
    case SO_BINDTODEVICE: return sockopt_put(o, "lo", sk->bound_if ? 3 : 0);
    case SO_PEERNAME: return peer_name(sk, o);
    case SO_ACCEPTCONN: return sockopt_put_int(o, sk->listening);
    case SO_MARK: return sockopt_put_int(o, sk->mark);
    case SO_PROTOCOL: return sockopt_put_int(o, (s32)sk->protocol);
    case SO_DOMAIN: return sockopt_put_int(o, sk->family);
    case SO_MEMINFO: return sock_meminfo(sk, o);
    case SO_COOKIE: return o->len < sizeof(cookie) ? -EINVAL : sockopt_put(o, &cookie, sizeof(cookie));
    default: return -ENOPROTOOPT;
    }
}

void sock_inherit(struct sock *child, const struct sock *listener)
{
    child->options = listener->options;
    child->sndbuf = listener->sndbuf;
    child->rcvbuf = listener->rcvbuf;
    child->rcvlowat = listener->rcvlowat;
    child->rcvtimeo = listener->rcvtimeo;
    child->sndtimeo = listener->sndtimeo;
    child->linger = listener->linger;
    child->priority = listener->priority;
    child->mark = listener->mark;
    child->bound_if = listener->bound_if;
}

void sock_put_cmsgs(struct sock *sk, struct msg *m)
{
    u64 now;

    if (likely(!(sk->options & (SK_TIMESTAMP | SK_TIMESTAMPNS))))
        return;
    now = machine_clock(CLOCK_REALTIME);
    if (sk->options & SK_TIMESTAMP) {
        struct timeval64 tv = {(s64)(now / NSEC_PER_SEC), (s64)(now % NSEC_PER_SEC / NSEC_PER_USEC)};

        cmsg_put(m, SOL_SOCKET, SO_TIMESTAMP, &tv, sizeof(tv));
    } else {
        struct timespec ts = {(s64)(now / NSEC_PER_SEC), (s64)(now % NSEC_PER_SEC)};

        cmsg_put(m, SOL_SOCKET, SO_TIMESTAMPNS, &ts, sizeof(ts));
    }
}
