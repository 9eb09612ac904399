/* SPDX-License-Identifier: MIT */
/*
 * TCP, tcp(7), on the loopback: no segments, no timers. A connection is two sockets that know each other; what one
 * sends is put into the other's queue. What a program can see of a wire is kept: half-closed connections, resets,
 * urgent data, a minute's wait before a port is free again.
 */
#include "tcp.h"

#include "proc/signal.h"
#include "proc/timer.h"

#define SNDBUF_FIRST 16384u
#define SNDBUF_LATER (5u << 19) /* what Linux lets it grow to */
#define RCVBUF_FIRST 131072u
#define SYN_TIMEOUT (127 * NSEC_PER_SEC) /* six retries */

static struct tcp_sock *tcp_alloc(u16 family);

u8 tcp_state(const struct inet_sock *is)
{
    const struct tcp_sock *tp = tcp_sk(&is->sk);

    if (tp->state != TCP_ESTABLISHED || !(tp->fin_sent || tp->fin_received))
        return tp->state;
    if (!tp->fin_received)
        return TCP_FIN_WAIT2;
    if (!tp->fin_sent)
        return TCP_CLOSE_WAIT;
    return tp->fin_first ? TCP_TIME_WAIT : TCP_CLOSE;
}

bool tcp_is_up(const struct inet_sock *is) { return tcp_sk(&is->sk)->state == TCP_ESTABLISHED; }

/* ---- the ends of a connection ---- */

static void set_peer(struct tcp_sock *tp, struct sock *peer)
{
    struct sock *old = tp->peer;

    tp->peer = peer ? sock_get(peer) : NULL;
    sock_put(old);
}

/* The connection is no more; error positive, or 0. */
static void tcp_done(struct tcp_sock *tp, int error)
{
    struct sock *sk = &tp->inet.sk;

    tp->state = TCP_CLOSE;
    sk->shutdown = SHUTDOWN_MASK;
    if (error)
        sk->err = error;
    sock_wake(sk);
}

/* A reset comes in. */
static void tcp_reset(struct tcp_sock *tp) { tcp_done(tp, tp->fin_received && !tp->fin_sent ? EPIPE : ECONNRESET); }

/* This end will send no more; the other reads to the end. */
static void tcp_send_fin(struct tcp_sock *tp)
{
    struct tcp_sock *peer = tcp_sk(tp->peer);

    if (tp->fin_sent || tp->state != TCP_ESTABLISHED)
        return;
    tp->fin_sent = true;
    tp->fin_first = !tp->fin_received;
    if (tp->peer && peer->state == TCP_ESTABLISHED) {
        peer->fin_received = true;
        tp->peer->shutdown |= RCV_SHUTDOWN;
        sock_wake(tp->peer);
    }
}

static void listener_stop(struct tcp_sock *tp)
{
    while (!list_empty(&tp->accept)) {
        struct tcp_sock *child = list_first_entry(&tp->accept, struct tcp_sock, queued);

        list_del(&child->queued);
        child->listener = NULL;
        tcp_abort(child);
        inet_unhash(&child->inet);
        sock_put(&child->inet.sk);
    }
    tp->accept_len = 0;
    while (!list_empty(&tp->waiting)) {
        struct tcp_sock *client = list_first_entry(&tp->waiting, struct tcp_sock, queued);

        list_del(&client->queued);
        client->listener = NULL;
        tcp_done(client, ECONNREFUSED);
    }
    tp->inet.sk.listening = false;
    tp->state = TCP_CLOSE;
}

void tcp_abort(struct tcp_sock *tp)
{
    struct sock *peer = tp->peer;

    if (tp->state == TCP_SYN_SENT) {
        list_del(&tp->queued);
        tp->listener = NULL;
    }
    if (peer && tcp_sk(peer)->state == TCP_ESTABLISHED)
        tcp_reset(tcp_sk(peer));
    tp->state = TCP_CLOSE;
    set_peer(tp, NULL);
    skb_queue_purge(&tp->inet.sk.receive);
}

static void tcp_release(struct sock *sk)
{
    struct tcp_sock *tp = tcp_sk(sk);

    if (tp->state == TCP_LISTEN) {
        listener_stop(tp);
    } else if (tp->state == TCP_ESTABLISHED && skb_queue_empty(&sk->receive) &&
               !((sk->options & SK_LINGER) && !sk->linger)) {
        tcp_send_fin(tp);
        if (tp->fin_first)
            inet_timewait(&tp->inet);
        if (tp->peer)
            wake_up(&tp->peer->wr);
    } else {
        tcp_abort(tp);
    }
    tp->dead = true;
    sk->shutdown = SHUTDOWN_MASK;
    inet_unhash(&tp->inet);
    inet_leave_all(&tp->inet);
    skb_queue_purge(&sk->receive);
    set_peer(tp, NULL);
    sock_wake(sk);
}

/* ---- connecting ---- */

static bool accept_full(const struct tcp_sock *l) { return l->accept_len > l->backlog; }

/* The best of those who listen there. */
static struct tcp_sock *listener_find(const struct in6_addr *dst, u16 port, u16 sport)
{
    struct inet_sock *is;
    struct tcp_sock *best = NULL;
    u32 best_score = 0, ties = 0;

    for (int pass = 0; pass < 2; pass++) {
        u32 pick = ties ? (u32)(sport * 2654435761u) % ties : 0;

        for (is = inet_first(TABLE_TCP, port); is; is = inet_next(is)) {
            bool any = in6_is_any(&is->saddr), v4 = in6_is4(dst);
            u32 score = any ? 1 + (in6_is4(&is->saddr) == v4) : 4;

            if (tcp_sk(&is->sk)->state != TCP_LISTEN)
                continue;
            if (any ? (in6_is4(&is->saddr) ? !v4 : v4 && is->v6only) : !in6_equal(&is->saddr, dst))
                continue;
            if (pass) {
                if (score == best_score && pick-- == 0)
                    return tcp_sk(&is->sk);
            } else if (score > best_score) {
                best_score = score;
                best = tcp_sk(&is->sk);
                ties = 1;
            } else if (score == best_score) {
                ties++;
            }
        }
        if (ties < 2)
            break;
    }
    return best;
}

static void grow_buffers(struct sock *sk)
{
    if (!(sk->options & SK_SNDBUF_SET))
        sk->sndbuf = SNDBUF_LATER;
}

/* The three-way handshake, all of it. */
static int establish(struct tcp_sock *tp, struct tcp_sock *l)
{
    struct tcp_sock *child = tcp_alloc(l->inet.sk.family);

    if (IS_ERR(child))
        return -ENOBUFS;
    sock_inherit(&child->inet.sk, &l->inet.sk);
    tcp_inherit(child, l);
    child->inet.saddr = tp->inet.daddr;
    child->inet.sport = tp->inet.dport;
    child->inet.daddr = tp->inet.saddr;
    child->inet.dport = tp->inet.sport;
    inet_hash(&child->inet);
    set_peer(child, &tp->inet.sk);
    set_peer(tp, &child->inet.sk);
    tp->state = child->state = TCP_ESTABLISHED;
    tp->inet.sk.connected = child->inet.sk.connected = true;
    grow_buffers(&tp->inet.sk);
    grow_buffers(&child->inet.sk);
    child->listener = l;
    list_add_tail(&child->queued, &l->accept);
    l->accept_len++;
    wake_up(&l->inet.sk.rd);
    sock_wake(&tp->inet.sk);
    return 0;
}

/* Room in the queue: who waits longest comes in. */
static void accept_next(struct tcp_sock *l)
{
    while (!list_empty(&l->waiting) && !accept_full(l)) {
        struct tcp_sock *tp = list_first_entry(&l->waiting, struct tcp_sock, queued);

        list_del(&tp->queued);
        tp->listener = NULL;
        if (establish(tp, l) < 0)
            tcp_done(tp, ECONNRESET);
    }
}

/* From the same port to the same place there is only one connection. */
static bool tuple_taken(struct inet_sock *is)
{
    struct inet_sock *o;

    for (o = inet_first(TABLE_TCP, is->sport); o; o = inet_next(o))
        if (o != is && o->dport == is->dport && o->dport && in6_equal(&o->saddr, &is->saddr) &&
            in6_equal(&o->daddr, &is->daddr) && tcp_sk(&o->sk)->state == TCP_ESTABLISHED)
            return true;
    return false;
}

static void tcp_unconnect(struct tcp_sock *tp)
{
    struct inet_sock *is = &tp->inet;

    is->dport = 0;
    is->daddr = is->sk.family == AF_INET ? in6_any4 : in6_any;
    if (!is->addr_locked)
        is->saddr = is->daddr;
    if (!is->port_locked)
        inet_unhash(is);
    is->sk.shutdown = 0;
    is->sk.connected = false;
    tp->connecting = tp->fin_sent = tp->fin_received = tp->fin_first = false;
    tp->read_seq = tp->write_seq = 0;
    tp->urgent = URGENT_NONE;
}

static int tcp_disconnect(struct tcp_sock *tp)
{
    if (tp->state == TCP_LISTEN)
        listener_stop(tp);
    else
        tcp_abort(tp);
    tcp_unconnect(tp);
    tp->inet.sk.err = 0;
    sock_wake(&tp->inet.sk);
    return 0;
}

static int connect_begin(struct tcp_sock *tp, const struct sockaddr *a)
{
    struct inet_sock *is = &tp->inet;
    struct in6_addr dst, src;
    struct tcp_sock *l;
    u32 scope;
    u16 port;
    int r = inet_parse(&is->sk, a, &dst, &port, &scope);

    if (r < 0)
        return r;
    r = inet_route(is, &dst, scope, &src);
    if (r == -EACCES || (r == 0 && (in6_is_multicast(&dst) || in6_is_broadcast(&dst))))
        r = -ENETUNREACH;
    if (r < 0)
        return r;
    if (in6_is_any(&is->saddr))
        is->saddr = src;
    is->daddr = dst;
    is->dport = port;
    r = inet_autobind(is) < 0 || tuple_taken(is) ? -EADDRNOTAVAIL : 0;
    if (r < 0) {
        tcp_unconnect(tp);
        return r;
    }
    is->sk.err = 0;
    is->sk.shutdown = 0;
    tp->connecting = true;
    tp->fin_sent = tp->fin_received = tp->fin_first = false;
    l = listener_find(&dst, port, is->sport);
    if (!l) {
        tcp_done(tp, ECONNREFUSED);
    } else if (accept_full(l)) {
        tp->state = TCP_SYN_SENT;
        tp->listener = l;
        list_add_tail(&tp->queued, &l->waiting);
    } else if (establish(tp, l) < 0) {
        tcp_unconnect(tp);
        return -ENOBUFS;
    }
    return 0;
}

static int tcp_connect(struct sock *sk, const struct sockaddr *a, bool nonblock)
{
    struct tcp_sock *tp = tcp_sk(sk);
    int pending = -EALREADY, r;
    u64 now = machine_clock(CLOCK_MONOTONIC), deadline = deadline_after(now, SYN_TIMEOUT);
    bool limited = sk->sndtimeo && sk->sndtimeo < SYN_TIMEOUT;

    if (a->family == AF_UNSPEC)
        return tcp_disconnect(tp);
    if (!tp->connecting) {
        if (tp->state != TCP_CLOSE || sk->connected)
            return -EISCONN;
        r = connect_begin(tp, a);
        if (r < 0)
            return r;
        pending = -EINPROGRESS;
        if (nonblock)
            return pending;
    }
    if (tp->state == TCP_SYN_SENT) {
        long w;

        if (nonblock)
            return pending;
        if (limited)
            deadline = deadline_after(now, sk->sndtimeo);
        w = wait_event_deadline(&sk->wr, tp->state != TCP_SYN_SENT, deadline);
        if (w == -ETIMEDOUT && limited)
            return pending;
        if (w == -ETIMEDOUT) {
            tcp_abort(tp);
            tcp_done(tp, ETIMEDOUT);
        } else if (w < 0) {
            return sock_wait_error(w, sk->sndtimeo);
        }
    }
    tp->connecting = false;
    if (tp->state == TCP_CLOSE && !sk->connected) {
        r = sock_error(sk);
        tcp_unconnect(tp);
        return r ? r : -ECONNABORTED;
    }
    return 0;
}

/* ---- listening ---- */

static int tcp_listen(struct sock *sk, int backlog)
{
    struct tcp_sock *tp = tcp_sk(sk);

    if (tp->state != TCP_CLOSE && tp->state != TCP_LISTEN)
        return -EINVAL;
    if (tp->connecting || sk->connected)
        return -EINVAL;
    if (tp->state != TCP_LISTEN) {
        if (inet_autobind(&tp->inet) < 0 || inet_conflict(&tp->inet, tp->inet.sport, true))
            return -EADDRINUSE;
        tp->state = TCP_LISTEN;
        sk->listening = true;
        sk->shutdown = 0;
    }
    tp->backlog = (u32)backlog;
    accept_next(tp);
    sock_wake(sk);
    return 0;
}

static struct sock *tcp_accept(struct sock *sk, bool nonblock)
{
    struct tcp_sock *tp = tcp_sk(sk), *child;
    u64 deadline = sock_deadline(sk->rcvtimeo);

    while (list_empty(&tp->accept)) {
        long r;

        if (!sk->listening)
            return ERR_PTR(-EINVAL);
        if (nonblock)
            return ERR_PTR(-EAGAIN);
        r = wait_event_deadline(&sk->rd, !list_empty(&tp->accept) || !sk->listening, deadline);
        if (r < 0)
            return ERR_PTR(sock_wait_error(r, sk->rcvtimeo));
    }
    child = list_first_entry(&tp->accept, struct tcp_sock, queued);
    list_del(&child->queued);
    child->listener = NULL;
    tp->accept_len--;
    accept_next(tp);
    return &child->inet.sk;
}

static int tcp_shutdown(struct sock *sk, u32 how)
{
    struct tcp_sock *tp = tcp_sk(sk);

    if (tp->state == TCP_LISTEN) {
        if (how & RCV_SHUTDOWN) {
            listener_stop(tp);
            tcp_unconnect(tp);
            sock_wake(sk);
        }
        return 0;
    }
    if (tp->state == TCP_SYN_SENT) {
        tcp_abort(tp);
        tcp_done(tp, 0);
        return 0;
    }
    if (tp->state == TCP_CLOSE) {
        sk->shutdown |= how;
        sock_wake(sk);
        return -ENOTCONN;
    }
    sk->shutdown |= how;
    if (how & SEND_SHUTDOWN)
        tcp_send_fin(tp);
    sock_wake(sk);
    return 0;
}

/* ---- polling ---- */

static u32 tcp_poll(struct sock *sk)
{
    struct tcp_sock *tp = tcp_sk(sk);
    u32 events = 0;

    if (tp->state == TCP_LISTEN)
        return list_empty(&tp->accept) ? 0 : POLLIN | POLLRDNORM;
    if (sk->err)
        events |= POLLERR;
    if (sk->shutdown == SHUTDOWN_MASK || tp->state == TCP_CLOSE)
        events |= POLLHUP;
    if (sk->shutdown & RCV_SHUTDOWN)
        events |= POLLIN | POLLRDNORM | POLLRDHUP;
    if (tp->state == TCP_SYN_SENT)
        return events;
    if (tcp_readable(tp) >= sk->rcvlowat)
        events |= POLLIN | POLLRDNORM;
    if ((sk->shutdown & SEND_SHUTDOWN) || tcp_writable(tp))
        events |= POLLOUT | POLLWRNORM;
    if (tp->urgent == URGENT_VALID)
        events |= POLLPRI;
    return events;
}

#define SIOCINQ 0x541bu
#define SIOCOUTQ 0x5411u
#define SIOCATMARK 0x8905u

static long tcp_ioctl(struct sock *sk, u32 cmd, u64 arg)
{
    struct tcp_sock *tp = tcp_sk(sk);
    s32 n;

    if (cmd != SIOCINQ && cmd != SIOCOUTQ && cmd != SIOCATMARK)
        return -ENOTTY;
    if (tp->state == TCP_LISTEN && cmd != SIOCATMARK)
        return -EINVAL;
    if (cmd == SIOCINQ)
        n = (s32)tcp_readable(tp);
    else if (cmd == SIOCOUTQ)
        n = 0; /* all has arrived */
    else
        n = tp->urgent != URGENT_NONE && tp->urgent_seq == tp->read_seq;
    return copy_to_user((void __user *)arg, &n, sizeof(n));
}

static const struct sock_ops tcp_ops = {
    .bind = inet_bind,
    .connect = tcp_connect,
    .listen = tcp_listen,
    .accept = tcp_accept,
    .getname = inet_getname,
    .sendmsg = tcp_sendmsg,
    .recvmsg = tcp_recvmsg,
    .poll = tcp_poll,
    .shutdown = tcp_shutdown,
    .setsockopt = tcp_setsockopt,
    .getsockopt = tcp_getsockopt,
    .ioctl = tcp_ioctl,
    .release = tcp_release,
};

static struct tcp_sock *tcp_alloc(u16 family)
{
    struct sock *sk = sock_alloc(sizeof(struct tcp_sock), &tcp_ops, family, SOCK_STREAM, IPPROTO_TCP);
    struct tcp_sock *tp;

    if (IS_ERR(sk))
        return (void *)sk;
    tp = tcp_sk(sk);
    tp->inet.table = TABLE_TCP;
    inet_init_options(&tp->inet);
    tcp_init_options(tp);
    tp->state = TCP_CLOSE;
    sk->sndbuf = SNDBUF_FIRST;
    sk->rcvbuf = RCVBUF_FIRST;
    list_init(&tp->accept);
    list_init(&tp->waiting);
    list_init(&tp->queued);
    return tp;
}

struct sock *tcp_create(u16 family)
{
    struct tcp_sock *tp = tcp_alloc(family);

    return IS_ERR(tp) ? (void *)tp : &tp->inet.sk;
}
