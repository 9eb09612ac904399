/* SPDX-License-Identifier: MIT */
/* What goes over a connection of tcp(7). */
#include "proc/signal.h"
#include "tcp.h"

/* What may be on its way: both ends' buffers. */
static u64 capacity(const struct tcp_sock *tp) { return (u64)tp->inet.sk.sndbuf + (tp->peer ? tp->peer->rcvbuf : 0); }

static u64 used(const struct tcp_sock *tp) { return tp->peer ? tp->peer->receive.truesize : 0; }

bool tcp_writable(const struct tcp_sock *tp) { return used(tp) * 3 <= capacity(tp) * 2; }

static bool urgent_inside(const struct tcp_sock *tp)
{
    return tp->urgent != URGENT_NONE && !(tp->inet.sk.options & SK_OOBINLINE) && tp->urgent_seq >= tp->read_seq &&
           tp->urgent_seq < tp->write_seq;
}

u64 tcp_readable(const struct tcp_sock *tp) { return tp->inet.sk.receive.bytes - (urgent_inside(tp) ? 1 : 0); }

/* ---- sending ---- */

/* What a sender who cannot go on answers. */
static ssize_t send_error(struct sock *sk, struct msg *m)
{
    int r = sock_error(sk);

    return r && r != -EPIPE ? r : sock_epipe(m);
}

/* The last byte sent is urgent. tcp(7). */
static void mark_urgent(struct tcp_sock *peer, u8 byte)
{
    struct sock *sk = &peer->inet.sk;
    s32 owner = sk->file ? sk->file->owner : 0;
    struct process *p;

    peer->urgent = URGENT_VALID;
    peer->urgent_seq = peer->write_seq - 1;
    peer->urgent_byte = byte;
    list_for_each_entry (p, &process_list, all)
        if (owner > 0 ? p->pid == owner : owner < 0 && p->pgid == -owner)
            signal_send_process(p, SIGURG, NULL);
    wake_up(&sk->rd);
}

static u8 last_byte(const struct sock *sk)
{
    const struct skb *skb = list_entry(sk->receive.head.prev, struct skb, list);

    return skb->data[skb->off + skb->len - 1];
}

ssize_t tcp_sendmsg(struct sock *sk, struct msg *m, bool nonblock)
{
    struct tcp_sock *tp = tcp_sk(sk), *peer;
    u64 deadline = sock_deadline(sk->sndtimeo);
    ssize_t done = 0, n;
    long r;

    if (tp->state == TCP_SYN_SENT) {
        if (nonblock)
            return -EAGAIN;
        r = wait_event_deadline(&sk->wr, tp->state != TCP_SYN_SENT, deadline);
        if (r < 0)
            return sock_wait_error(r, sk->sndtimeo);
    }
    if (!m->it->left)
        return sk->err || (sk->shutdown & SEND_SHUTDOWN) || tp->state != TCP_ESTABLISHED ? send_error(sk, m) : 0;
    while (m->it->left) {
        if (sk->err || (sk->shutdown & SEND_SHUTDOWN) || tp->state != TCP_ESTABLISHED)
            return done ? done : send_error(sk, m);
        peer = tcp_sk(tp->peer);
        if (peer->dead) {
            /* It goes out, and the answer is a reset. */
            done += (ssize_t)m->it->left;
            tp->state = TCP_CLOSE;
            sk->shutdown = SHUTDOWN_MASK;
            sock_set_error(sk, EPIPE);
            return done;
        }
        if (used(tp) < capacity(tp)) {
            n = skb_queue_append(&tp->peer->receive, m->it, (u32)min(capacity(tp) - used(tp), (u64)INT32_MAX), true);
            if (n < 0)
                return done ? done : n;
            peer->write_seq += (u64)n;
            done += n;
            if ((m->flags & MSG_OOB) && !m->it->left)
                mark_urgent(peer, last_byte(tp->peer));
            wake_up(&tp->peer->rd);
            continue;
        }
        if (nonblock)
            return done ? done : -EAGAIN;
        r = wait_event_deadline(&sk->wr,
                                used(tp) < capacity(tp) || sk->err || (sk->shutdown & SEND_SHUTDOWN) ||
                                    tp->state != TCP_ESTABLISHED || tcp_sk(tp->peer)->dead,
                                deadline);
        if (r < 0)
            return done ? done : sock_wait_error(r, sk->sndtimeo);
    }
    return done;
}

/* ---- receiving ---- */

static ssize_t recv_urgent(struct tcp_sock *tp, struct msg *m)
{
    const struct sock *sk = &tp->inet.sk;

    if ((sk->options & SK_OOBINLINE) || tp->urgent != URGENT_VALID) {
        if (tp->urgent == URGENT_NONE && !(sk->options & SK_OOBINLINE) && tp->state == TCP_CLOSE && !sk->connected)
            return -ENOTCONN;
        return -EINVAL;
    }
    m->out_flags |= MSG_OOB;
    if (!m->it->left) {
        m->out_flags |= MSG_TRUNC;
        return 0;
    }
    if (iter_put(m->it, &tp->urgent_byte, 1))
        return -EFAULT;
    if (!(m->flags & MSG_PEEK))
        tp->urgent = URGENT_READ;
    return 1;
}

static void consume(struct tcp_sock *tp, u32 n)
{
    struct sock *sk = &tp->inet.sk;

    skb_queue_consume(&sk->receive, n);
    tp->read_seq += n;
    if (tp->urgent != URGENT_NONE && tp->read_seq > tp->urgent_seq)
        tp->urgent = URGENT_NONE;
}

/* Copies n bytes from the front, which stay. */
static int peek(const struct sock *sk, struct msg *m, u64 n)
{
    const struct skb *skb;

    list_for_each_entry (skb, &sk->receive.head, list) {
        u64 take = min(n, (u64)skb->len);

        if (iter_put(m->it, skb->data + skb->off, take))
            return -EFAULT;
        n -= take;
        if (!n)
            break;
    }
    return 0;
}

/* What there is, at most what is asked for, up to the urgent byte. Bytes, or -EFAULT. */
static ssize_t recv_take(struct tcp_sock *tp, struct msg *m, bool *at_mark)
{
    struct sock *sk = &tp->inet.sk;
    u64 n;

    if (urgent_inside(tp) && tp->urgent_seq == tp->read_seq && !(m->flags & MSG_PEEK))
        consume(tp, 1);
    n = min(sk->receive.bytes, m->it->left);
    if (urgent_inside(tp) && n >= tp->urgent_seq - tp->read_seq) {
        n = tp->urgent_seq - tp->read_seq;
        *at_mark = n;
    }
    if (!n)
        return 0;
    if (!(m->flags & MSG_TRUNC) && peek(sk, m, n))
        return -EFAULT;
    if (m->flags & MSG_TRUNC)
        m->it->left -= n;
    if (!(m->flags & MSG_PEEK))
        consume(tp, (u32)n);
    return (ssize_t)n;
}

ssize_t tcp_recvmsg(struct sock *sk, struct msg *m, bool nonblock)
{
    struct tcp_sock *tp = tcp_sk(sk);
    u64 deadline = sock_deadline(sk->rcvtimeo);
    u64 target = m->flags & MSG_WAITALL ? m->it->left : min((u64)sk->rcvlowat, m->it->left);
    size_t done = 0;

    if (m->flags & MSG_ERRQUEUE)
        return -EAGAIN;
    if (tp->state == TCP_LISTEN)
        return -ENOTCONN;
    if (m->flags & MSG_OOB)
        return recv_urgent(tp, m);
    for (;;) {
        bool at_mark = false, peeking = m->flags & MSG_PEEK;
        ssize_t n = 0;
        long r;

        if (!peeking || tcp_readable(tp) >= target || sk->err || (sk->shutdown & RCV_SHUTDOWN) || nonblock)
            n = recv_take(tp, m, &at_mark);
        if (n < 0)
            return done ? (ssize_t)done : n;
        done += (size_t)n;
        if (n && !peeking && tp->peer)
            wake_up(&tp->peer->wr);
        if (at_mark || (done && (done >= target || peeking)) || !m->it->left)
            return (ssize_t)done;
        if (done && (sk->err || tp->state == TCP_CLOSE || (sk->shutdown & RCV_SHUTDOWN)))
            return (ssize_t)done;
        if (!done) {
            if (tp->fin_received)
                return 0;
            if (sk->err)
                return sock_error(sk);
            if (sk->shutdown & RCV_SHUTDOWN)
                return 0;
            if (tp->state == TCP_CLOSE)
                return -ENOTCONN;
        }
        if (nonblock)
            return done ? (ssize_t)done : -EAGAIN;
        r = wait_event_deadline(&sk->rd,
                                (peeking ? tcp_readable(tp) >= target : sk->receive.bytes) || sk->err ||
                                    (sk->shutdown & RCV_SHUTDOWN) || tp->state == TCP_CLOSE,
                                deadline);
        if (r < 0)
            return done ? (ssize_t)done : sock_wait_error(r, sk->rcvtimeo);
    }
}
