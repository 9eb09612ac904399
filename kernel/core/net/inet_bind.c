/* SPDX-License-Identifier: MIT */
/* Ports: which are in use, by whom, and who may share them. */
#include "inet.h"

#include "proc/timer.h"

#define HASH 64u
#define PORT_FIRST 32768u /* net.ipv4.ip_local_port_range */
#define PORT_LAST 60999u
#define TIMEWAIT_NS (60 * NSEC_PER_SEC)
#define TIMEWAIT_MAX 8192u

static struct inet_sock *bound[NR_TABLES][HASH];

struct timewait {
    struct list_head list;
    struct in6_addr addr;
    u64 expires;
    u16 port;
    u8 v6only;
    bool reuse;
};
static struct list_head waiting = LIST_HEAD_INIT(waiting); /* the oldest first */
static u32 nr_waiting;

/* ---- the table ---- */

void inet_hash(struct inet_sock *is)
{
    struct inet_sock **slot = &bound[is->table][is->sport % HASH];

    is->bind_next = *slot;
    *slot = is;
}

void inet_unhash(struct inet_sock *is)
{
    struct inet_sock **p = &bound[is->table][is->sport % HASH];

    if (!is->sport)
        return;
    while (*p && *p != is)
        p = &(*p)->bind_next;
    if (*p)
        *p = is->bind_next;
    is->sport = 0;
}

static struct inet_sock *inet_match(struct inet_sock *is, u16 port)
{
    while (is && is->sport != port)
        is = is->bind_next;
    return is;
}

struct inet_sock *inet_first(enum inet_table table, u16 port) { return inet_match(bound[table][port % HASH], port); }

struct inet_sock *inet_next(struct inet_sock *is) { return inet_match(is->bind_next, is->sport); }

bool inet_for_each(enum inet_table table, bool (*fn)(void *arg, struct inet_sock *is), void *arg)
{
    for (u32 i = 0; i < HASH; i++)
        for (struct inet_sock *is = bound[table][i]; is; is = is->bind_next)
            if (!fn(arg, is))
                return false;
    return true;
}

/* ---- connections that ended ---- */

static void timewait_expire(u32 keep)
{
    u64 now = machine_clock(CLOCK_MONOTONIC);

    while (!list_empty(&waiting)) {
        struct timewait *tw = list_first_entry(&waiting, struct timewait, list);

        if (tw->expires > now && nr_waiting <= keep)
            break;
        list_del(&tw->list);
        kfree(tw);
        nr_waiting--;
    }
}

void inet_timewait(const struct inet_sock *is)
{
    struct timewait *tw;

    timewait_expire(TIMEWAIT_MAX - 1);
    tw = kmalloc(sizeof(*tw));
    if (!tw)
        return; /* it only protects from strays, which there are none of here */
    tw->addr = is->saddr;
    tw->expires = machine_clock(CLOCK_MONOTONIC) + TIMEWAIT_NS;
    tw->port = is->sport;
    tw->v6only = is->v6only;
    tw->reuse = is->sk.options & SK_REUSEADDR;
    list_add_tail(&tw->list, &waiting);
    nr_waiting++;
}

/* ---- conflicts ---- */

static bool addr_overlap(const struct in6_addr *a, bool a_only, const struct in6_addr *b, bool b_only)
{
    bool a4 = in6_is4(a), b4 = in6_is4(b);

    if (a4 == b4)
        return in6_is_any(a) || in6_is_any(b) || in6_equal(a, b);
    return a4 ? in6_is_any(b) && !b_only : in6_is_any(a) && !a_only;
}

static bool may_share(const struct inet_sock *is, const struct inet_sock *other, bool listening)
{
    u32 both = is->sk.options & other->sk.options;

    if (both & SK_REUSEPORT)
        return true;
    if (!(both & SK_REUSEADDR))
        return false;
    return is->table != TABLE_TCP || (!listening && !other->sk.listening);
}

bool inet_conflict(const struct inet_sock *is, u16 port, bool listening)
{
    const struct timewait *tw;
    struct inet_sock *o;

    for (o = inet_first(is->table, port); o; o = inet_next(o))
        if (o != is && addr_overlap(&is->saddr, is->v6only, &o->saddr, o->v6only) && !may_share(is, o, listening))
            return true;
    if (is->table != TABLE_TCP || listening)
        return false;
    timewait_expire(TIMEWAIT_MAX);
    list_for_each_entry (tw, &waiting, list)
        if (tw->port == port && addr_overlap(&is->saddr, is->v6only, &tw->addr, tw->v6only) &&
            !(tw->reuse && (is->sk.options & SK_REUSEADDR)))
            return true;
    return false;
}

static u16 port_find(struct inet_sock *is)
{
    u32 count = PORT_LAST - PORT_FIRST + 1, start;

    random_bytes(&start, sizeof(start));
    for (u32 i = 0; i < count; i++) {
        u16 port = (u16)(PORT_FIRST + (start % count + i) % count);

        if (!inet_first(is->table, port))
            return port;
    }
    return 0;
}

int inet_autobind(struct inet_sock *is)
{
    u16 port;

    if (is->sport)
        return 0;
    port = port_find(is);
    if (!port)
        return -EAGAIN;
    is->sport = port;
    inet_hash(is);
    return 0;
}

int inet_bind(struct sock *sk, const struct sockaddr *a)
{
    struct inet_sock *is = inet_sk(sk);
    struct in6_addr addr, old = is->saddr;
    u16 port;
    int r = inet_parse(sk, a, &addr, &port, NULL);

    if (r < 0)
        return r;
    if (sk->family == AF_INET && a->family == AF_UNSPEC && !in6_is_any(&addr))
        return -EAFNOSUPPORT;
    if (is->sport)
        return -EINVAL;
    if (sk->family == AF_INET6 && in6_is4(&addr) && is->v6only)
        return -EINVAL;
    if (!in6_is_any(&addr) && !in6_is_loopback(&addr) && !in6_is_multicast(&addr) && !in6_is_broadcast(&addr) &&
        !is->freebind)
        return -EADDRNOTAVAIL;
    is->saddr = addr;
    if (port && inet_conflict(is, port, false)) {
        is->saddr = old;
        return -EADDRINUSE;
    }
    is->port_locked = port;
    is->addr_locked = !in6_is_any(&addr);
    if (!port) {
        if (is->bind_no_port)
            return 0;
        r = inet_autobind(is);
        if (r < 0)
            is->saddr = old;
        return r < 0 ? -EADDRINUSE : 0;
    }
    is->sport = port;
    inet_hash(is);
    return 0;
}

int inet_getname(struct sock *sk, struct sockaddr *a, int which)
{
    struct inet_sock *is = inet_sk(sk);

    if (which != NAME_OWN && !is->dport)
        return -ENOTCONN;
    if (which == NAME_PEER && is->table == TABLE_TCP && !tcp_is_up(is))
        return -ENOTCONN;
    if (which != NAME_OWN)
        inet_name(sk, a, &is->daddr, is->dport);
    else
        inet_name(sk, a, &is->saddr, is->sport);
    return 0;
}

struct sock *inet_create(u16 family, u16 type, u32 protocol)
{
    if (protocol > 262)
        return ERR_PTR(-EINVAL);
    switch (type) {
    case SOCK_STREAM:
        return protocol == IPPROTO_IP || protocol == IPPROTO_TCP ? tcp_create(family) : ERR_PTR(-EPROTONOSUPPORT);
    case SOCK_DGRAM:
        if (protocol == IPPROTO_IP || protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE)
            return udp_create(family, protocol ? protocol : IPPROTO_UDP);
        return ERR_PTR(-EPROTONOSUPPORT);
    case SOCK_RAW: return ERR_PTR(protocol ? -EPERM : -EPROTONOSUPPORT);
    default: return ERR_PTR(-ESOCKTNOSUPPORT);
    }
}
