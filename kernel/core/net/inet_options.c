/* SPDX-License-Identifier: MIT */
/* Options of ip(7) and ipv6(7). Those that shape packets on a wire are kept and told, as there is no wire. */
#include "inet.h"

/* ---- tables of numbers ---- */

static const struct int_option *option_find(const struct int_option *table, size_t n, int name)
{
    for (size_t i = 0; i < n; i++)
        if (table[i].name == name)
            return &table[i];
    return NULL;
}

/* A value of one byte is taken as well, as Linux does. */
static int option_value(const struct sockopt *o, s32 *v)
{
    if (o->len >= sizeof(*v))
        return sockopt_int(o, v);
    if (!o->len)
        return -EINVAL;
    *v = o->value[0];
    return 0;
}

int int_option_set(void *base, const struct int_option *table, size_t n, int name, const struct sockopt *o)
{
    const struct int_option *d = option_find(table, n, name);
    void *at;
    s32 v;
    int r;

    if (!d)
        return -ENOPROTOOPT;
    r = option_value(o, &v);
    if (r < 0)
        return r;
    if (d->min == 0 && d->max == 1)
        v = !!v;
    if (v < d->min || v > d->max)
        return -EINVAL;
    at = (char *)base + d->offset;
    if (d->size == 1)
        *(u8 *)at = (u8)v;
    else if (d->size == 2)
        *(s16 *)at = (s16)v;
    else
        *(s32 *)at = v;
    return 0;
}

int int_option_get(const void *base, const struct int_option *table, size_t n, int name, struct sockopt *o)
{
    const struct int_option *d = option_find(table, n, name);
    const void *at;

    if (!d)
        return -ENOPROTOOPT;
    at = (const char *)base + d->offset;
    return sockopt_put_int(o, d->size == 1 ? *(const u8 *)at : d->size == 2 ? *(const s16 *)at : *(const s32 *)at);
}

#define OPTION(name, field, min, max)                                                                 \
    {                                                                                                 \
        name, offsetof(struct inet_sock, field), sizeof(((struct inet_sock *)0)->field), (min), (max) \
    }

#define IP_TTL 2
#define IP_OPTIONS 4
#define IP_MTU 14
#define IP_MULTICAST_IF 32
#define IP_ADD_MEMBERSHIP 35
#define IP_DROP_MEMBERSHIP 36

static const struct int_option ip_options[] = {
    OPTION(1 /* IP_TOS */, tos, 0, 255),
    OPTION(IP_TTL, ttl, -1, 255),
    OPTION(6 /* IP_RECVOPTS */, recvopts, 0, 1),
    OPTION(7 /* IP_RETOPTS */, retopts, 0, 1),
    OPTION(8 /* IP_PKTINFO */, pktinfo, 0, 1),
    OPTION(10 /* IP_MTU_DISCOVER */, mtu_discover, 0, 5),
    OPTION(11 /* IP_RECVERR */, recverr, 0, 1),
    OPTION(12 /* IP_RECVTTL */, recvttl, 0, 1),
    OPTION(13 /* IP_RECVTOS */, recvtos, 0, 1),
    OPTION(15 /* IP_FREEBIND */, freebind, 0, 1),
    OPTION(19 /* IP_TRANSPARENT */, transparent, 0, 0),
    OPTION(20 /* IP_RECVORIGDSTADDR */, recvorigdst, 0, 1),
    OPTION(21 /* IP_MINTTL */, minttl, 0, 255),
    OPTION(24 /* IP_BIND_ADDRESS_NO_PORT */, bind_no_port, 0, 1),
    OPTION(33 /* IP_MULTICAST_TTL */, mc_ttl, 0, 255),
    OPTION(34 /* IP_MULTICAST_LOOP */, mc_loop, 0, 1),
    OPTION(49 /* IP_MULTICAST_ALL */, mc_all, 0, 1),
};

#define IPV6_MULTICAST_IF 17
#define IPV6_JOIN_GROUP 20
#define IPV6_LEAVE_GROUP 21
#define IPV6_MTU 24
#define IPV6_V6ONLY 26

static const struct int_option ipv6_options[] = {
    OPTION(16 /* IPV6_UNICAST_HOPS */, hops, -1, 255),     OPTION(18 /* IPV6_MULTICAST_HOPS */, mc_hops6, -1, 255),
    OPTION(19 /* IPV6_MULTICAST_LOOP */, mc_loop6, 0, 1),  OPTION(23 /* IPV6_MTU_DISCOVER */, mtu_discover6, 0, 5),
    OPTION(25 /* IPV6_RECVERR */, recverr6, 0, 1),         OPTION(29 /* IPV6_MULTICAST_ALL */, mc_all6, 0, 1),
    OPTION(49 /* IPV6_RECVPKTINFO */, recvpktinfo6, 0, 1), OPTION(51 /* IPV6_RECVHOPLIMIT */, recvhoplimit, 0, 1),
    OPTION(53 /* IPV6_RECVHOPOPTS */, recvhopopts, 0, 1),  OPTION(56 /* IPV6_RECVRTHDR */, recvrthdr, 0, 1),
    OPTION(58 /* IPV6_RECVDSTOPTS */, recvdstopts, 0, 1),  OPTION(60 /* IPV6_RECVPATHMTU */, recvpathmtu, 0, 1),
    OPTION(62 /* IPV6_DONTFRAG */, dontfrag, 0, 1),        OPTION(66 /* IPV6_RECVTCLASS */, recvtclass, 0, 1),
    OPTION(67 /* IPV6_TCLASS */, tclass, -1, 255),         OPTION(70 /* IPV6_AUTOFLOWLABEL */, autoflowlabel, 0, 1),
    OPTION(78 /* IPV6_FREEBIND */, freebind, 0, 1),
};

void inet_init_options(struct inet_sock *is)
{
    is->saddr = is->daddr = is->sk.family == AF_INET ? in6_any4 : in6_any;
    is->ttl = is->hops = is->mc_hops6 = -1;
    is->mc_ttl = is->mc_loop = is->mc_all = is->mtu_discover = 1;
    is->mc_loop6 = is->mc_all6 = is->mtu_discover6 = 1;
    list_init(&is->memberships);
}

/* ---- groups ---- */

bool inet_is_member(const struct inet_sock *is, const struct in6_addr *group)
{
    const struct membership *mb;

    list_for_each_entry (mb, &is->memberships, list)
        if (in6_equal(&mb->group, group))
            return true;
    return false;
}

void inet_leave_all(struct inet_sock *is)
{
    while (!list_empty(&is->memberships)) {
        struct membership *mb = list_first_entry(&is->memberships, struct membership, list);

        list_del(&mb->list);
        kfree(mb);
    }
}

static int group_join(struct inet_sock *is, const struct in6_addr *group, bool join)
{
    struct membership *mb;

    if (!in6_is_multicast(group))
        return -EINVAL;
    list_for_each_entry (mb, &is->memberships, list) {
        if (!in6_equal(&mb->group, group))
            continue;
        if (join)
            return -EADDRINUSE;
        list_del(&mb->list);
        kfree(mb);
        return 0;
    }
    if (!join)
        return -EADDRNOTAVAIL;
    mb = kmalloc(sizeof(*mb));
    if (!mb)
        return -ENOMEM;
    mb->group = *group;
    list_add_tail(&mb->list, &is->memberships);
    return 0;
}

struct ip_mreqn {
    u32 group, addr;
    s32 ifindex;
};

/* The interface that an ip_mreqn, ip_mreq or address names: 0: none named, < 0: no such. */
static int mreq_if(const struct ip_mreqn *mreq, bool with_index)
{
    struct in6_addr a = in6_any4;

    if (with_index && mreq->ifindex)
        return mreq->ifindex == LOOPBACK_IFINDEX ? LOOPBACK_IFINDEX : -ENODEV;
    if (!mreq->addr)
        return 0;
    a.w[3] = mreq->addr;
    return in6_is_loopback(&a) ? LOOPBACK_IFINDEX : -ENODEV;
}

static int ip_membership(struct inet_sock *is, const struct sockopt *o, bool join)
{
    struct in6_addr group = in6_any4;
    struct ip_mreqn mreq = {0};
    int ifindex;

    if (o->len < 8)
        return -EINVAL;
    memcpy(&mreq, o->value, o->len >= sizeof(mreq) ? sizeof(mreq) : 8);
    group.w[3] = mreq.group;
    if (!in6_is_multicast(&group))
        return -EINVAL;
    ifindex = mreq_if(&mreq, o->len >= sizeof(mreq));
    /* Without an interface the route to the group would say which. */
    if (ifindex <= 0 && !(!join && ifindex == 0))
        return -ENODEV;
    return group_join(is, &group, join);
}

static int ip_multicast_if(struct inet_sock *is, const struct sockopt *o)
{
    struct ip_mreqn mreq = {0};
    int ifindex;

    if (o->len < 4)
        return -EINVAL;
    if (o->len >= 8)
        memcpy(&mreq, o->value, min(o->len, (u32)sizeof(mreq)));
    else
        memcpy(&mreq.addr, o->value, 4);
    ifindex = mreq_if(&mreq, o->len >= sizeof(mreq));
    if (ifindex < 0)
        return -EADDRNOTAVAIL;
    is->mc_if = ifindex;
    return 0;
}

static int ipv6_membership(struct inet_sock *is, const struct sockopt *o, bool join)
{
    struct {
        struct in6_addr group;
        s32 ifindex;
    } mreq;

    if (o->len < sizeof(mreq))
        return -EINVAL;
    memcpy(&mreq, o->value, sizeof(mreq));
    if (in6_is4(&mreq.group) || !in6_is_multicast(&mreq.group))
        return -EINVAL;
    if (mreq.ifindex && mreq.ifindex != LOOPBACK_IFINDEX)
        return -ENODEV;
    return group_join(is, &mreq.group, join);
}

static int ipv6_multicast_if(struct inet_sock *is, const struct sockopt *o)
{
    s32 v;
    int r = sockopt_int(o, &v);

    if (r < 0)
        return r;
    if (v && v != LOOPBACK_IFINDEX)
        return -ENODEV;
    is->mc_if6 = v;
    return 0;
}

/* ---- ---- */

static int ip_setsockopt(struct inet_sock *is, int name, const struct sockopt *o)
{
    switch (name) {
    case IP_OPTIONS: return o->len ? -EINVAL : 0;
    case IP_MULTICAST_IF: return ip_multicast_if(is, o);
    case IP_ADD_MEMBERSHIP:
    case IP_DROP_MEMBERSHIP: return ip_membership(is, o, name == IP_ADD_MEMBERSHIP);
    case IP_TTL:
        if (o->len >= sizeof(s32) && !*(const s32 *)(const void *)o->value)
            return -EINVAL;
        break;
    }
    return int_option_set(is, ip_options, ARRAY_SIZE(ip_options), name, o);
}

static int ipv6_setsockopt(struct inet_sock *is, int name, const struct sockopt *o)
{
    s32 v = 0;
    int r;

    switch (name) {
    case IPV6_MULTICAST_IF: return ipv6_multicast_if(is, o);
    case IPV6_JOIN_GROUP:
    case IPV6_LEAVE_GROUP: return ipv6_membership(is, o, name == IPV6_JOIN_GROUP);
    case IPV6_V6ONLY:
        r = sockopt_int(o, &v);
        if (r == 0 && is->sport)
            return -EINVAL;
        if (r == 0)
            is->v6only = !!v;
        return r;
    }
    return int_option_set(is, ipv6_options, ARRAY_SIZE(ipv6_options), name, o);
}

int inet_setsockopt(struct sock *sk, int level, int name, const struct sockopt *o)
{
    if (level == SOL_IP)
        return ip_setsockopt(inet_sk(sk), name, o);
    if (level == SOL_IPV6)
        return sk->family == AF_INET6 ? ipv6_setsockopt(inet_sk(sk), name, o) : -ENOPROTOOPT;
    return -ENOPROTOOPT;
}

int inet_getsockopt(struct sock *sk, int level, int name, struct sockopt *o)
{
    struct inet_sock *is = inet_sk(sk);

    if (level == SOL_IP) {
        switch (name) {
        case IP_OPTIONS: o->len = 0; return 0;
        case IP_TTL: return sockopt_put_int(o, is->ttl < 0 ? 64 : is->ttl);
        case IP_MTU: return is->dport ? sockopt_put_int(o, LOOPBACK_MTU) : -ENOTCONN;
        case IP_MULTICAST_IF: return sockopt_put_int(o, is->mc_if ? (s32)in6_loopback4.w[3] : 0);
        }
        return int_option_get(is, ip_options, ARRAY_SIZE(ip_options), name, o);
    }
    if (level != SOL_IPV6 || sk->family != AF_INET6)
        return -ENOPROTOOPT;
    switch (name) {
    case 16: return sockopt_put_int(o, is->hops < 0 ? 64 : is->hops);
    case 18: return sockopt_put_int(o, is->mc_hops6 < 0 ? 1 : is->mc_hops6);
    case 67: return sockopt_put_int(o, is->tclass < 0 ? 0 : is->tclass);
    case IPV6_MTU: return is->dport ? sockopt_put_int(o, LOOPBACK_MTU) : -ENOTCONN;
    case IPV6_MULTICAST_IF: return sockopt_put_int(o, is->mc_if6);
    case IPV6_V6ONLY: return sockopt_put_int(o, is->v6only);
    }
    return int_option_get(is, ipv6_options, ARRAY_SIZE(ipv6_options), name, o);
}
