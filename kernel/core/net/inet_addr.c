/* SPDX-License-Identifier: MIT */
/* Addresses of ip(7) and ipv6(7), and which of them can be reached. */
#include "inet.h"

const struct in6_addr in6_any = {.w = {0, 0, 0, 0}};
const struct in6_addr in6_any4 = {.b = {[10] = 0xff, [11] = 0xff}};
const struct in6_addr in6_loopback = {.b = {[15] = 1}};
const struct in6_addr in6_loopback4 = {.b = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}};

bool in6_is_any(const struct in6_addr *a) { return in6_equal(a, &in6_any) || in6_equal(a, &in6_any4); }

bool in6_is_broadcast(const struct in6_addr *a)
{
    return in6_is4(a) && (a->w[3] == 0xffffffff || a->w[3] == htonl(0x7fffffff));
}

bool in6_is_loopback(const struct in6_addr *a)
{
    if (in6_is4(a))
        return a->b[12] == 127 && !in6_is_broadcast(a);
    return in6_equal(a, &in6_loopback);
}

bool in6_is_multicast(const struct in6_addr *a) { return in6_is4(a) ? (a->b[12] & 0xf0) == 0xe0 : a->b[0] == 0xff; }

int inet_parse(const struct sock *sk, const struct sockaddr *a, struct in6_addr *addr, u16 *port, u32 *scope)
{
    if (a->len < sizeof(u16))
        return -EINVAL;
    if (scope)
        *scope = 0;
    if (sk->family == AF_INET) {
        if (a->len < sizeof(a->in))
            return -EINVAL;
        if (a->family != AF_INET && a->family != AF_UNSPEC)
            return -EAFNOSUPPORT;
        *addr = in6_any4;
        addr->w[3] = a->in.addr;
        if (port)
            *port = ntohs(a->in.port);
        return 0;
    }
    if (a->len < offsetof(struct sockaddr_in6, scope_id))
        return -EINVAL;
    if (a->family != AF_INET6)
        return -EAFNOSUPPORT;
    *addr = a->in6.addr;
    if (port)
        *port = ntohs(a->in6.port);
    if (scope && a->len >= sizeof(a->in6))
        *scope = a->in6.scope_id;
    return 0;
}

void inet_name(const struct sock *sk, struct sockaddr *a, const struct in6_addr *addr, u16 port)
{
    if (sk->family == AF_INET) {
        a->len = sizeof(a->in);
        a->in = (struct sockaddr_in){.family = AF_INET, .port = htons(port), .addr = addr->w[3]};
        return;
    }
    a->len = sizeof(a->in6);
    a->in6 = (struct sockaddr_in6){.family = AF_INET6, .port = htons(port), .addr = *addr};
}

static bool if_is_lo(s32 ifindex) { return ifindex == LOOPBACK_IFINDEX; }

/* A group is reached only through an interface that somebody names: there is no default route. */
static bool multicast_reachable(const struct inet_sock *is, const struct in6_addr *dst, u32 scope)
{
    if (in6_is4(dst))
        return if_is_lo(is->mc_if) || if_is_lo(is->sk.bound_if) || in6_is_loopback(&is->saddr);
    return if_is_lo((s32)scope) || if_is_lo(is->mc_if6) || if_is_lo(is->sk.bound_if);
}

int inet_route(const struct inet_sock *is, struct in6_addr *dst, u32 scope, struct in6_addr *src)
{
    bool v4;

    if (in6_equal(dst, &in6_any))
        *dst =
            is->sk.family == AF_INET6 && in6_is4(&is->saddr) && !in6_is_any(&is->saddr) ? in6_loopback4 : in6_loopback;
    else if (in6_equal(dst, &in6_any4))
        *dst = in6_loopback4;
    v4 = in6_is4(dst);
    if (is->sk.family == AF_INET6 && v4 && is->v6only)
        return -ENETUNREACH;
    *src = in6_is_any(&is->saddr) || in6_is_multicast(&is->saddr) ? (v4 ? in6_loopback4 : in6_loopback) : is->saddr;
    if (in6_is4(src) != v4)
        return -ENETUNREACH;
    if (in6_is_broadcast(dst)) {
        if (dst->w[3] == 0xffffffff && !if_is_lo(is->sk.bound_if))
            return -ENETUNREACH;
        return is->sk.options & SK_BROADCAST ? 0 : -EACCES;
    }
    if (in6_is_multicast(dst))
        return multicast_reachable(is, dst, scope) ? 0 : -ENETUNREACH;
    return in6_is_loopback(dst) ? 0 : -ENETUNREACH;
}
