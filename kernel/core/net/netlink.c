/* SPDX-License-Identifier: MIT */
/* AF_NETLINK, rtnetlink(7): what interfaces and addresses there are. Nothing can be changed. */
#include "socket.h"

#define NETLINK_ROUTE 0

#define NLM_F_REQUEST 1u
#define NLM_F_MULTI 2u
#define NLM_F_ACK 4u
#define NLM_F_DUMP 0x300u

#define NLMSG_NOOP 1
#define NLMSG_ERROR 2
#define NLMSG_DONE 3
#define NLMSG_MIN_TYPE 0x10
#define RTM_NEWLINK 16
#define RTM_GETLINK 18
#define RTM_NEWADDR 20
#define RTM_GETADDR 22

#define IFF_LO 0x10049u /* up, loopback, running, lower layer up */
#define ARPHRD_LOOPBACK 772

#define REPLY_MAX 2048u

struct nlmsghdr {
    u32 len;
    u16 type, flags;
    u32 seq, pid;
};
struct ifinfomsg {
    u8 family, pad;
    u16 type;
    s32 index;
    u32 flags, change;
};
struct ifaddrmsg {
    u8 family, prefixlen, flags, scope;
    u32 index;
};
struct rtattr {
    u16 len, type;
};
_Static_assert(sizeof(struct nlmsghdr) == 16 && sizeof(struct ifinfomsg) == 16 && sizeof(struct ifaddrmsg) == 8,
               "the ABI's");

struct netlink_sock {
    struct sock sk;
    struct list_head all;
    u32 pid; /* its address, 0: none yet */
    u32 dst_pid, groups;
};

static struct list_head netlink_list = LIST_HEAD_INIT(netlink_list);

static struct netlink_sock *netlink_sk(struct sock *sk) { return container_of(sk, struct netlink_sock, sk); }

/* ---- names ---- */

static bool pid_taken(u32 pid)
{
    const struct netlink_sock *n;

    list_for_each_entry (n, &netlink_list, all)
        if (n->pid == pid)
            return true;
    return false;
}

static void netlink_autobind(struct netlink_sock *n)
{
    u32 pid = (u32)current->process->pid;

    while (pid_taken(pid))
        pid = pid > 0x80000000u ? pid - 1 : 0xffffff00u;
    n->pid = pid;
}

static int netlink_bind(struct sock *sk, const struct sockaddr *a)
{
    struct netlink_sock *n = netlink_sk(sk);

    if (a->len < sizeof(a->nl) || a->family != AF_NETLINK)
        return -EINVAL;
    if (n->pid && a->nl.pid && a->nl.pid != n->pid)
        return -EINVAL;
    if (!n->pid && a->nl.pid && pid_taken(a->nl.pid))
        return -EADDRINUSE;
    if (!n->pid && a->nl.pid)
        n->pid = a->nl.pid;
    else if (!n->pid)
        netlink_autobind(n);
    n->groups = a->nl.groups; /* nothing ever happens to an interface here */
    return 0;
}

static int netlink_connect(struct sock *sk, const struct sockaddr *a, bool nonblock)
{
    struct netlink_sock *n = netlink_sk(sk);

    if (a->family != AF_UNSPEC && (a->len < sizeof(a->nl) || a->family != AF_NETLINK))
        return -EINVAL;
    n->dst_pid = a->family == AF_UNSPEC ? 0 : a->nl.pid;
    if (!n->pid)
        netlink_autobind(n);
    return 0;
}

static int netlink_getname(struct sock *sk, struct sockaddr *a, int peer)
{
    const struct netlink_sock *n = netlink_sk(sk);

    a->len = sizeof(a->nl);
    a->nl = (struct sockaddr_nl){AF_NETLINK, 0, peer ? n->dst_pid : n->pid, peer ? 0 : n->groups};
    return 0;
}

/* ---- answers ---- */

struct reply {
    struct skb *skb;
    const struct nlmsghdr *request;
    u32 pid;
    u32 begin; /* of the message that is being written */
};

static void reply_put(struct reply *r, const void *data, u32 len)
{
    struct skb *skb = r->skb;

    BUG_ON(skb->cap - skb->len < round_up(len, 4u)); /* REPLY_MAX holds all there is to say */
    memcpy(skb->data + skb->len, data, len);
    skb->len += round_up(len, 4u);
}

static void reply_begin(struct reply *r, u16 type, u16 flags)
{
    struct nlmsghdr h = {0, type, flags, r->request->seq, r->pid};

    r->begin = r->skb->len;
    reply_put(r, &h, sizeof(h));
}

static void reply_end(struct reply *r)
{
    u32 len = r->skb->len - r->begin;

    memcpy(r->skb->data + r->begin, &len, sizeof(len));
}

static void reply_attr(struct reply *r, u16 type, const void *data, u32 len)
{
    struct rtattr a = {(u16)(sizeof(a) + len), type};

    reply_put(r, &a, sizeof(a));
    reply_put(r, data, len);
}

static void reply_error(struct reply *r, s32 error)
{
    reply_begin(r, NLMSG_ERROR, 0);
    reply_put(r, &error, sizeof(error));
    reply_put(r, r->request, sizeof(*r->request));
    reply_end(r);
}

#define IFLA_ADDRESS 1
#define IFLA_BROADCAST 2
#define IFLA_IFNAME 3
#define IFLA_MTU 4
#define IFLA_TXQLEN 13
#define IFLA_OPERSTATE 16
#define IFLA_LINKMODE 17

static void reply_link(struct reply *r, u16 flags)
{
    struct ifinfomsg info = {.type = ARPHRD_LOOPBACK, .index = LOOPBACK_IFINDEX, .flags = IFF_LO};
    static const u8 hw[6];

    reply_begin(r, RTM_NEWLINK, flags);
    reply_put(r, &info, sizeof(info));
    reply_attr(r, IFLA_IFNAME, "lo", 3);
    reply_attr(r, IFLA_TXQLEN, &(u32){1000}, 4);
    reply_attr(r, IFLA_OPERSTATE, &(u8){0}, 1);
    reply_attr(r, IFLA_LINKMODE, &(u8){0}, 1);
    reply_attr(r, IFLA_MTU, &(u32){LOOPBACK_MTU}, 4);
    reply_attr(r, IFLA_ADDRESS, hw, sizeof(hw));
    reply_attr(r, IFLA_BROADCAST, hw, sizeof(hw));
    reply_end(r);
}

#define IFA_ADDRESS 1
#define IFA_LOCAL 2
#define IFA_LABEL 3
#define IFA_FLAGS 8
#define IFA_F_PERMANENT 0x80
#define RT_SCOPE_HOST 254

static void reply_addr(struct reply *r, u8 family)
{
    static const u8 v4[4] = {127, 0, 0, 1}, v6[16] = {[15] = 1};
    struct ifaddrmsg info = {family, family == AF_INET ? 8 : 128, IFA_F_PERMANENT, RT_SCOPE_HOST, LOOPBACK_IFINDEX};

    reply_begin(r, RTM_NEWADDR, NLM_F_MULTI);
    reply_put(r, &info, sizeof(info));
    if (family == AF_INET) {
        reply_attr(r, IFA_ADDRESS, v4, sizeof(v4));
        reply_attr(r, IFA_LOCAL, v4, sizeof(v4));
        reply_attr(r, IFA_LABEL, "lo", 3);
    } else {
        reply_attr(r, IFA_ADDRESS, v6, sizeof(v6));
    }
    reply_attr(r, IFA_FLAGS, &(u32){IFA_F_PERMANENT}, 4);
    reply_end(r);
}

/* One request; family is the first byte behind its header, or 0. */
static void answer(struct reply *r, u8 family, s32 ifindex)
{
    const struct nlmsghdr *q = r->request;
    bool dump = (q->flags & NLM_F_DUMP) == NLM_F_DUMP;

    if (q->type < NLMSG_MIN_TYPE) {
        if (q->flags & NLM_F_ACK)
            reply_error(r, 0);
        return;
    }
    if (!dump && q->type == RTM_GETLINK) {
        if (ifindex && ifindex != LOOPBACK_IFINDEX)
            reply_error(r, -ENODEV);
        else
            reply_link(r, 0);
        return;
    }
    /* Types go in fours: new, delete, get, set. What is no "get" would change something. */
    if (!dump) {
        reply_error(r, (q->type & 3) == 2 ? -EOPNOTSUPP : -EPERM);
        return;
    }
    if (q->type == RTM_GETLINK)
        reply_link(r, NLM_F_MULTI);
    if (q->type == RTM_GETADDR && (family == AF_UNSPEC || family == AF_INET))
        reply_addr(r, AF_INET);
    if (q->type == RTM_GETADDR && (family == AF_UNSPEC || family == AF_INET6))
        reply_addr(r, AF_INET6);
    reply_begin(r, NLMSG_DONE, NLM_F_MULTI);
    reply_put(r, &(s32){0}, sizeof(s32));
    reply_end(r);
}

static int request(struct netlink_sock *n, const u8 *data, u32 len)
{
    struct reply r = {.pid = n->pid};
    struct nlmsghdr h;
    struct ifinfomsg info = {0};

    while (len >= sizeof(h)) {
        u32 step;

        memcpy(&h, data, sizeof(h));
        if (h.len < sizeof(h) || h.len > len)
            break;
        memcpy(&info, data + sizeof(h), min(h.len - (u32)sizeof(h), (u32)sizeof(info)));
        if (h.flags & NLM_F_REQUEST) {
            r.skb = skb_alloc(REPLY_MAX);
            if (!r.skb)
                return -ENOBUFS;
            r.request = &h;
            answer(&r, info.family, info.index);
            r.skb->truesize += REPLY_MAX;
            if (r.skb->len && n->sk.receive.truesize <= n->sk.rcvbuf)
                skb_queue_add(&n->sk.receive, r.skb);
            else
                skb_free(r.skb);
        }
        step = min(round_up(h.len, 4u), len);
        data += step;
        len -= step;
    }
    wake_up(&n->sk.rd);
    return 0;
}

static ssize_t netlink_sendmsg(struct sock *sk, struct msg *m, bool nonblock)
{
    struct netlink_sock *n = netlink_sk(sk);
    u64 len = m->it->left;
    u8 *buf;
    int r;

    if (m->flags & MSG_OOB)
        return -EOPNOTSUPP;
    if (m->name.len && (m->name.len < sizeof(m->name.nl) || m->name.family != AF_NETLINK))
        return -EINVAL;
    if (m->name.len ? m->name.nl.pid || m->name.nl.groups : n->dst_pid)
        return -ECONNREFUSED; /* nobody but the kernel listens */
    if (len > sk->sndbuf)
        return -EMSGSIZE;
    if (!n->pid)
        netlink_autobind(n);
    buf = kmalloc(max(len, 1ull));
    if (!buf)
        return -ENOBUFS;
    r = iter_take(m->it, buf, len);
    if (r == 0)
        r = request(n, buf, (u32)len);
    kfree(buf);
    return r < 0 ? r : (ssize_t)len;
}

static ssize_t netlink_recvmsg(struct sock *sk, struct msg *m, bool nonblock)
{
    u64 deadline = sock_deadline(sk->rcvtimeo);
    struct skb *skb;
    u32 n, len;
    bool ok;

    if (m->flags & MSG_OOB)
        return -EOPNOTSUPP;
    while (skb_queue_empty(&sk->receive)) {
        long r;

        if (nonblock)
            return -EAGAIN;
        r = wait_event_deadline(&sk->rd, !skb_queue_empty(&sk->receive), deadline);
        if (r < 0)
            return sock_wait_error(r, sk->rcvtimeo);
    }
    skb = skb_queue_first(&sk->receive);
    len = skb->len;
    n = (u32)min((u64)len, m->it->left);
    if (n < len)
        m->out_flags |= MSG_TRUNC;
    ok = !iter_put(m->it, skb->data, n);
    if (m->want_name) {
        m->name.len = sizeof(m->name.nl);
        m->name.nl = (struct sockaddr_nl){.family = AF_NETLINK};
    }
    if (!(m->flags & MSG_PEEK)) {
        skb_queue_remove(&sk->receive, skb);
        skb_free(skb);
    }
    if (!ok)
        return -EFAULT;
    return m->flags & MSG_TRUNC ? len : n;
}

static u32 netlink_poll(struct sock *sk)
{
    return POLLOUT | POLLWRNORM | POLLWRBAND | (skb_queue_empty(&sk->receive) ? 0 : POLLIN | POLLRDNORM);
}

/* Group memberships and how errors are told: accepted. */
static int netlink_setsockopt(struct sock *sk, int level, int name, const struct sockopt *o)
{
    return level == SOL_NETLINK && name >= 1 && name <= 12 ? 0 : -ENOPROTOOPT;
}

static int netlink_getsockopt(struct sock *sk, int level, int name, struct sockopt *o) { return -ENOPROTOOPT; }

static void netlink_release(struct sock *sk) { list_del(&netlink_sk(sk)->all); }

static const struct sock_ops netlink_ops = {
    .bind = netlink_bind,
    .connect = netlink_connect,
    .getname = netlink_getname,
    .sendmsg = netlink_sendmsg,
    .recvmsg = netlink_recvmsg,
    .poll = netlink_poll,
    .setsockopt = netlink_setsockopt,
    .getsockopt = netlink_getsockopt,
    .release = netlink_release,
};

struct sock *netlink_create(u16 type, u32 protocol)
{
    struct sock *sk;

    if (type != SOCK_RAW && type != SOCK_DGRAM)
        return ERR_PTR(-ESOCKTNOSUPPORT);
    if (protocol != NETLINK_ROUTE)
        return ERR_PTR(-EPROTONOSUPPORT);
    sk = sock_alloc(sizeof(struct netlink_sock), &netlink_ops, AF_NETLINK, type, protocol);
    if (!IS_ERR(sk))
        list_add_tail(&netlink_sk(sk)->all, &netlink_list);
    return sk;
}
