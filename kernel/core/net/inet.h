/* SPDX-License-Identifier: MIT */
/*
 * Between the files of ip(7), ipv6(7), tcp(7) and udp(7). IPv4 addresses are kept as IPv4-mapped IPv6 ones; ports in
 * host byte order. There is one network, the loopback's: 127.0.0.0/8 and ::1.
 */
#ifndef CORE_INET_H
#define CORE_INET_H

#include "socket.h"

#define IPPROTO_IP 0
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_IPV6 41
#define IPPROTO_UDPLITE 136

enum inet_table { TABLE_TCP, TABLE_UDP, TABLE_UDPLITE, NR_TABLES };

/* A group that a socket has joined. */
struct membership {
    struct list_head list;
    struct in6_addr group;
};

struct inet_sock {
    struct sock sk;
    struct inet_sock *bind_next; /* in the table, by port */
    enum inet_table table;
    struct in6_addr saddr, daddr;  /* daddr: connected to; dport 0: not */
    u16 sport, dport;              /* sport 0: not bound */
    bool addr_locked, port_locked; /* by bind(2), so that connect(AF_UNSPEC) leaves them */
    u8 v6only;
    struct list_head memberships;
    /* options, options.c */
    u8 tos, mc_ttl, mc_loop, mc_all, mtu_discover, recverr, freebind, transparent, bind_no_port, minttl;
    u8 pktinfo, recvttl, recvtos, recvopts, retopts, recvorigdst;
    s16 ttl;
    s32 mc_if;
    s16 tclass, hops, mc_hops6;
    u8 mc_loop6, recverr6, mtu_discover6, dontfrag, autoflowlabel, mc_all6;
    u8 recvpktinfo6, recvhoplimit, recvtclass, recvrthdr, recvhopopts, recvdstopts, recvpathmtu;
    s32 mc_if6;
};

static inline struct inet_sock *inet_sk(struct sock *sk) { return container_of(sk, struct inet_sock, sk); }

/* ---- addresses: inet_addr.c ---- */
extern const struct in6_addr in6_any, in6_any4, in6_loopback, in6_loopback4;
static inline bool in6_equal(const struct in6_addr *a, const struct in6_addr *b)
{
    return a->d[0] == b->d[0] && a->d[1] == b->d[1];
}
static inline bool in6_is4(const struct in6_addr *a) { return !a->d[0] && a->w[2] == htonl(0xffff); }
bool in6_is_any(const struct in6_addr *a);
bool in6_is_loopback(const struct in6_addr *a);
bool in6_is_multicast(const struct in6_addr *a);
bool in6_is_broadcast(const struct in6_addr *a);
/* From user mode's address for a socket of this family: 0, -EINVAL, -EAFNOSUPPORT. port, scope may be NULL. */
int inet_parse(const struct sock *sk, const struct sockaddr *a, struct in6_addr *addr, u16 *port, u32 *scope);
void inet_name(const struct sock *sk, struct sockaddr *a, const struct in6_addr *addr, u16 port);
/*
 * Where a packet of is to *dst goes, "any" made the loopback: 0, -ENETUNREACH, -EACCES (a broadcast). *src: the
 * address that it comes from. scope: the interface asked for, or 0.
 */
int inet_route(const struct inet_sock *is, struct in6_addr *dst, u32 scope, struct in6_addr *src);

/* ---- names: inet_bind.c ---- */
int inet_bind(struct sock *sk, const struct sockaddr *a);
int inet_autobind(struct inet_sock *is); /* -EAGAIN: no port is free */
void inet_hash(struct inet_sock *is);    /* its port is in use from now on */
void inet_unhash(struct inet_sock *is);
bool inet_conflict(const struct inet_sock *is, u16 port, bool listening);
struct inet_sock *inet_first(enum inet_table table, u16 port); /* then by inet_next(): all that have the port */
struct inet_sock *inet_next(struct inet_sock *is);
int inet_getname(struct sock *sk, struct sockaddr *a, int which);
/* A connection that ended here keeps others from the port for a minute, unless they all have SO_REUSEADDR. */
void inet_timewait(const struct inet_sock *is);
/* Every socket of a table, for /proc/net, until fn returns false. */
bool inet_for_each(enum inet_table table, bool (*fn)(void *arg, struct inet_sock *is), void *arg);

/* ---- options: inet_options.c ---- */
void inet_init_options(struct inet_sock *is);
int inet_setsockopt(struct sock *sk, int level, int name, const struct sockopt *o);
int inet_getsockopt(struct sock *sk, int level, int name, struct sockopt *o);
bool inet_is_member(const struct inet_sock *is, const struct in6_addr *group);
void inet_leave_all(struct inet_sock *is);
/* One of the table: the option's value lies size bytes large at offset in the socket. */
struct int_option {
    int name;
    u16 offset;
    u8 size;
    s32 min, max;
};
int int_option_set(void *base, const struct int_option *table, size_t n, int name, const struct sockopt *o);
int int_option_get(const void *base, const struct int_option *table, size_t n, int name, struct sockopt *o);

/* ---- tcp.c, udp.c ---- */
struct sock *tcp_create(u16 family);
struct sock *udp_create(u16 family, u32 protocol);
/* TCP's state as /proc/net/tcp and TCP_INFO number them. */
enum {
    TCP_ESTABLISHED = 1,
    TCP_SYN_SENT,
    TCP_SYN_RECV,
    TCP_FIN_WAIT1,
    TCP_FIN_WAIT2,
    TCP_TIME_WAIT,
    TCP_CLOSE,
    TCP_CLOSE_WAIT,
    TCP_LAST_ACK,
    TCP_LISTEN,
    TCP_CLOSING
};
u8 tcp_state(const struct inet_sock *is);
bool tcp_is_up(const struct inet_sock *is); /* connected, at least half */

#endif
