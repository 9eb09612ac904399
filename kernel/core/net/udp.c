/* SPDX-License-Identifier: MIT */
/* UDP, udp(7), and UDP-Lite: datagrams go from the sender's call straight into the receiver's queue. */
#include "inet.h"

#define PAYLOAD_MAX4 65507u
#define PAYLOAD_MAX6 65527u

#define IP_TOS 1
#define IP_TTL 2
#define IP_PKTINFO 8
#define IP_RECVORIGDSTADDR 20
#define IPV6_PKTINFO 50
#define IPV6_HOPLIMIT 52
#define IPV6_TCLASS 67

/* What one datagram is sent with. */
struct flow {
    struct in6_addr src, dst;
    u16 sport, dport;
    s32 ttl, tos;
    u32 scope;
    struct in6_addr pktinfo_src; /* any: not given */
    bool v6;
};

/* ---- finding the receiver ---- */

/* May a socket bound to "any" of its family take what goes to this one? */
static bool any_takes(const struct inet_sock *is, bool v6)
{
    if (in6_is4(&is->saddr))
        return !v6;
    return v6 || !is->v6only;
}

/* How well is fits, 0: not at all. */
static u32 udp_score(const struct inet_sock *is, const struct flow *fl)
{
    bool any = in6_is_any(&is->saddr);
    u32 score = is->sk.family == AF_INET ? 2 : 1;

    if (any ? !any_takes(is, fl->v6) : !in6_equal(&is->saddr, &fl->dst))
        return 0;
    if (!any)
        score += 4;
    if (is->dport) {
        if (is->dport != fl->sport || !in6_equal(&is->daddr, &fl->src))
            return 0;
        score += 4;
    }
    return score;
}

/* The best; among those that share a port by SO_REUSEPORT always the same for one sender. */
static struct inet_sock *udp_lookup(enum inet_table table, const struct flow *fl)
{
    struct inet_sock *is, *best = NULL;
    u32 best_score = 0, ties = 0;

    for (is = inet_first(table, fl->dport); is; is = inet_next(is)) {
        u32 score = udp_score(is, fl);

        if (score > best_score) {
            best = is;
            best_score = score;
            ties = 1;
        } else if (score && score == best_score && (is->sk.options & SK_REUSEPORT)) {
            ties++;
        }
    }
    if (ties < 2)
        return best;
    ties = (u32)(fl->sport * 2654435761u) % ties;
    for (is = best; is; is = inet_next(is))
        if (udp_score(is, fl) == best_score && ties-- == 0)
            return is;
    return best;
}

static bool group_joined(enum inet_table table, const struct flow *fl)
{
    struct inet_sock *is;

    for (is = inet_first(table, fl->dport); is; is = inet_next(is))
        if (inet_is_member(is, &fl->dst))
            return true;
    return false;
}

static bool takes_group(const struct inet_sock *is, const struct flow *fl)
{
    if (!udp_score(is, fl))
        return false;
    if (!in6_is_multicast(&fl->dst))
        return true; /* a broadcast */
    return inet_is_member(is, &fl->dst) || (fl->v6 ? is->mc_all6 : is->mc_all);
}

/* ---- sending ---- */

static int deliver(struct inet_sock *to, const struct flow *fl, const void *data, u32 len)
{
    struct sock *sk = &to->sk;
    struct skb *skb;

    if ((sk->shutdown & RCV_SHUTDOWN) || sk->receive.truesize > sk->rcvbuf)
        return 0; /* lost, as datagrams may be */
    skb = skb_alloc(len);
    if (!skb)
        return -ENOBUFS;
    skb->len = len;
    skb->truesize += len;
    skb->inet.src = fl->src;
    skb->inet.dst = fl->dst;
    skb->inet.sport = fl->sport;
    skb->inet.dport = fl->dport;
    skb->inet.ttl = (u8)fl->ttl;
    skb->inet.tos = (u8)fl->tos;
    skb->inet.v6 = fl->v6;
    memcpy(skb->data, data, len);
    skb_queue_add(&sk->receive, skb);
    wake_up(&sk->rd);
    return 0;
}

static int deliver_group(struct inet_sock *from, const struct flow *fl, const void *data, u32 len)
{
    struct inet_sock *is;
    int r = 0;

    if (in6_is_multicast(&fl->dst) && (!(fl->v6 ? from->mc_loop6 : from->mc_loop) || !group_joined(from->table, fl)))
        return 0;
    for (is = inet_first(from->table, fl->dport); is && r == 0; is = inet_next(is))
        if (takes_group(is, fl))
            r = deliver(is, fl, data, len);
    return r;
}

static int flow_cmsg(struct flow *fl, const struct cmsghdr *c)
{
    size_t n = cmsg_data_len(c);
    s32 v = 0;

    if (n >= sizeof(v))
        memcpy(&v, cmsg_data(c), sizeof(v));
    else if (n == 1)
        v = *(const u8 *)cmsg_data(c);
    if (c->level == SOL_SOCKET)
        return 0;
    if ((c->level == SOL_IP && c->type == IP_TTL) || (c->level == SOL_IPV6 && c->type == IPV6_HOPLIMIT)) {
        if (v < (c->level == SOL_IP ? 1 : -1) || v > 255)
            return -EINVAL;
        if (v >= 0)
            fl->ttl = v;
        return 0;
    }
    if ((c->level == SOL_IP && c->type == IP_TOS) || (c->level == SOL_IPV6 && c->type == IPV6_TCLASS)) {
        if (v < -1 || v > 255)
            return -EINVAL;
        fl->tos = v < 0 ? 0 : v;
        return 0;
    }
    if (c->level == SOL_IP && c->type == IP_PKTINFO) {
        s32 info[3]; /* interface, source, ignored */

        if (n != sizeof(info))
            return -EINVAL;
        memcpy(info, cmsg_data(c), sizeof(info));
        if (info[0] && info[0] != LOOPBACK_IFINDEX)
            return -ENODEV;
        fl->scope = (u32)info[0];
        fl->pktinfo_src = in6_any4;
        fl->pktinfo_src.w[3] = (u32)info[1];
        return 0;
    }
    if (c->level == SOL_IPV6 && c->type == IPV6_PKTINFO) {
        u8 info[20];
        s32 ifindex;

        if (n < sizeof(info))
            return -EINVAL;
        memcpy(info, cmsg_data(c), sizeof(info));
        memcpy(&fl->pktinfo_src, info, 16);
        memcpy(&ifindex, info + 16, 4);
        if (ifindex && ifindex != LOOPBACK_IFINDEX)
            return -ENODEV;
        fl->scope = (u32)ifindex;
        return 0;
    }
    return -EINVAL;
}

/* Where m goes and with what. */
static int udp_flow(struct inet_sock *is, struct msg *m, struct flow *fl)
{
    const struct cmsghdr *c;
    bool to_ipv4;
    size_t pos = 0;
    u32 scope = 0;
    int r = 0;

    memset(fl, 0, sizeof(*fl));
    if (m->name.len && !(is->sk.family == AF_INET6 && m->name.family == AF_UNSPEC)) {
        to_ipv4 = is->sk.family == AF_INET6 && m->name.len >= sizeof(u16) && m->name.family == AF_INET;
        if (to_ipv4) {
            if (m->name.len < sizeof(m->name.in))
                return -EINVAL;
            fl->dst = in6_any4;
            fl->dst.w[3] = m->name.in.addr;
            fl->dport = ntohs(m->name.in.port);
        } else {
            r = inet_parse(&is->sk, &m->name, &fl->dst, &fl->dport, &scope);
        }
        if (r < 0)
            return r;
        if (!fl->dport)
            return -EINVAL;
    } else {
        if (!is->dport)
            return -EDESTADDRREQ;
        fl->dst = is->daddr;
        fl->dport = is->dport;
    }
    fl->scope = scope;
    fl->ttl = fl->tos = -1;
    while ((c = cmsg_next(m, &pos))) {
        r = flow_cmsg(fl, c);
        if (r < 0)
            return r;
    }
    r = inet_route(is, &fl->dst, fl->scope, &fl->src);
    if (r < 0)
        return r;
    fl->v6 = !in6_is4(&fl->dst);
    if (!in6_is_any(&fl->pktinfo_src)) {
        if (!in6_is_loopback(&fl->pktinfo_src) || in6_is4(&fl->pktinfo_src) == fl->v6)
            return -EINVAL;
        fl->src = fl->pktinfo_src;
    }
    if (fl->ttl < 0) {
        bool group = in6_is_multicast(&fl->dst);
        s32 ttl = fl->v6 ? (group ? is->mc_hops6 : is->hops) : (group ? is->mc_ttl : is->ttl);

        fl->ttl = ttl >= 0 ? ttl : group ? 1 : 64;
    }
    if (fl->tos < 0)
        fl->tos = fl->v6 ? (is->tclass < 0 ? 0 : is->tclass) : is->tos;
    return 0;
}

static ssize_t udp_sendmsg(struct sock *sk, struct msg *m, bool nonblock)
{
    struct inet_sock *is = inet_sk(sk), *to;
    struct flow fl;
    u64 len = m->it->left;
    void *buf;
    int r;

    if (m->flags & MSG_OOB)
        return -EOPNOTSUPP;
    r = udp_flow(is, m, &fl);
    if (r < 0)
        return r;
    if (len > (fl.v6 ? PAYLOAD_MAX6 : PAYLOAD_MAX4) || len + 64 > sk->sndbuf)
        return -EMSGSIZE;
    if (sk->err)
        return sock_error(sk);
    if (sk->shutdown & SEND_SHUTDOWN)
        return -EPIPE;
    r = inet_autobind(is);
    if (r < 0)
        return r;
    fl.sport = is->sport;
    buf = kmalloc(max(len, 1ull));
    if (!buf)
        return -ENOBUFS;
    r = iter_take(m->it, buf, len);
    if (r == 0 && (in6_is_multicast(&fl.dst) || in6_is_broadcast(&fl.dst))) {
        r = deliver_group(is, &fl, buf, (u32)len);
    } else if (r == 0) {
        to = udp_lookup(is->table, &fl);
        if (to)
            r = deliver(to, &fl, buf, (u32)len);
        else if (is->dport || (fl.v6 ? is->recverr6 : is->recverr))
            sock_set_error(sk, ECONNREFUSED); /* the ICMP message that comes back */
    }
    kfree(buf);
    return r < 0 ? r : (ssize_t)len;
}

/* ---- receiving ---- */

static void put_ip_cmsgs(const struct inet_sock *is, struct msg *m, const struct skb *skb)
{
    if (is->pktinfo) {
        struct in6_addr spec = in6_is_loopback(&skb->inet.dst) ? skb->inet.dst : in6_loopback4;
        u32 info[3] = {LOOPBACK_IFINDEX, spec.w[3], skb->inet.dst.w[3]};

        cmsg_put(m, SOL_IP, IP_PKTINFO, info, sizeof(info));
    }
    if (is->recvttl)
        cmsg_put(m, SOL_IP, IP_TTL, &(s32){skb->inet.ttl}, sizeof(s32));
    if (is->recvtos)
        cmsg_put(m, SOL_IP, IP_TOS, &skb->inet.tos, 1);
    if (is->recvorigdst) {
        struct sockaddr_in a = {AF_INET, htons(skb->inet.dport), skb->inet.dst.w[3], {0}};

        cmsg_put(m, SOL_IP, IP_RECVORIGDSTADDR, &a, sizeof(a));
    }
}

static void put_ipv6_cmsgs(const struct inet_sock *is, struct msg *m, const struct skb *skb)
{
    if (is->recvpktinfo6) {
        struct {
            struct in6_addr addr;
            u32 ifindex;
        } info = {skb->inet.dst, LOOPBACK_IFINDEX};

        cmsg_put(m, SOL_IPV6, IPV6_PKTINFO, &info, sizeof(info));
    }
    if (!skb->inet.v6)
        return;
    if (is->recvhoplimit)
        cmsg_put(m, SOL_IPV6, IPV6_HOPLIMIT, &(s32){skb->inet.ttl}, sizeof(s32));
    if (is->recvtclass)
        cmsg_put(m, SOL_IPV6, IPV6_TCLASS, &(s32){skb->inet.tos}, sizeof(s32));
}

static ssize_t udp_recvmsg(struct sock *sk, struct msg *m, bool nonblock)
{
    struct inet_sock *is = inet_sk(sk);
    u64 deadline = sock_deadline(sk->rcvtimeo);
    struct skb *skb;
    u32 n, len;
    bool ok;

    if (m->flags & MSG_OOB)
        return -EOPNOTSUPP;
    if (m->flags & MSG_ERRQUEUE)
        return -EAGAIN;
    while (sk->err || skb_queue_empty(&sk->receive)) {
        long r;

        if (sk->err)
            return sock_error(sk);
        if (sk->shutdown & RCV_SHUTDOWN)
            return 0;
        if (nonblock)
            return -EAGAIN;
        r = wait_event_deadline(&sk->rd, !skb_queue_empty(&sk->receive) || sk->err || (sk->shutdown & RCV_SHUTDOWN),
                                deadline);
        if (r < 0)
            return sock_wait_error(r, sk->rcvtimeo);
    }
    skb = skb_queue_first(&sk->receive);
    len = skb->len;
    n = (u32)min((u64)len, m->it->left);
    if (n < len)
        m->out_flags |= MSG_TRUNC;
    ok = !iter_put(m->it, skb->data, n);
    if (ok) {
        if (m->want_name)
            inet_name(sk, &m->name, &skb->inet.src, skb->inet.sport);
        sock_put_cmsgs(sk, m);
        if (!skb->inet.v6)
            put_ip_cmsgs(is, m, skb);
        if (sk->family == AF_INET6)
            put_ipv6_cmsgs(is, m, skb);
    }
    if (!(m->flags & MSG_PEEK)) {
        skb_queue_remove(&sk->receive, skb);
        skb_free(skb);
    }
    if (!ok)
        return -EFAULT;
    return m->flags & MSG_TRUNC ? len : n;
}

/* ---- the rest ---- */

static void udp_disconnect(struct inet_sock *is)
{
    is->dport = 0;
    is->daddr = is->sk.family == AF_INET ? in6_any4 : in6_any;
    is->sk.connected = false;
    if (!is->addr_locked)
        is->saddr = is->daddr;
    if (!is->port_locked)
        inet_unhash(is);
}

static int udp_connect(struct sock *sk, const struct sockaddr *a, bool nonblock)
{
    struct inet_sock *is = inet_sk(sk);
    struct in6_addr dst, src;
    u32 scope = 0;
    u16 port;
    int r;

    if (a->family == AF_UNSPEC) {
        udp_disconnect(is);
        return 0;
    }
    r = inet_parse(sk, a, &dst, &port, &scope);
    if (r == 0)
        r = inet_route(is, &dst, scope, &src);
    if (r < 0)
        return r;
    r = inet_autobind(is);
    if (r < 0)
        return r;
    if (in6_is_any(&is->saddr))
        is->saddr = src;
    is->daddr = dst;
    is->dport = port;
    sk->connected = true;
    return 0;
}

static int udp_shutdown(struct sock *sk, u32 how)
{
    sk->shutdown |= how;
    sock_wake(sk);
    return sk->connected ? 0 : -ENOTCONN;
}

static u32 udp_poll(struct sock *sk)
{
    u32 events = POLLOUT | POLLWRNORM | POLLWRBAND;

    if (sk->err)
        events |= POLLERR;
    if (!skb_queue_empty(&sk->receive))
        events |= POLLIN | POLLRDNORM;
    if (sk->shutdown & RCV_SHUTDOWN)
        events |= POLLIN | POLLRDNORM | POLLRDHUP;
    if (sk->shutdown == SHUTDOWN_MASK)
        events |= POLLHUP;
    return events;
}

#define SIOCINQ 0x541bu
#define SIOCOUTQ 0x5411u

static long udp_ioctl(struct sock *sk, u32 cmd, u64 arg)
{
    s32 n = 0;

    if (cmd == SIOCINQ)
        n = skb_queue_empty(&sk->receive) ? 0 : (s32)skb_queue_first(&sk->receive)->len;
    else if (cmd != SIOCOUTQ)
        return -ENOTTY;
    return copy_to_user((void __user *)arg, &n, sizeof(n));
}

static void udp_release(struct sock *sk)
{
    struct inet_sock *is = inet_sk(sk);

    inet_unhash(is);
    inet_leave_all(is);
    skb_queue_purge(&sk->receive);
    sk->shutdown = SHUTDOWN_MASK;
    sock_wake(sk);
}

static const struct sock_ops udp_ops = {
    .bind = inet_bind,
    .connect = udp_connect,
    .getname = inet_getname,
    .sendmsg = udp_sendmsg,
    .recvmsg = udp_recvmsg,
    .poll = udp_poll,
    .shutdown = udp_shutdown,
    .setsockopt = inet_setsockopt,
    .getsockopt = inet_getsockopt,
    .ioctl = udp_ioctl,
    .release = udp_release,
};

struct sock *udp_create(u16 family, u32 protocol)
{
    struct sock *sk = sock_alloc(sizeof(struct inet_sock), &udp_ops, family, SOCK_DGRAM, protocol);

    if (IS_ERR(sk))
        return sk;
    inet_sk(sk)->table = protocol == IPPROTO_UDPLITE ? TABLE_UDPLITE : TABLE_UDP;
    inet_init_options(inet_sk(sk));
    return sk;
}
