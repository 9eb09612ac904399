/* SPDX-License-Identifier: MIT */
/* Messages of unix(7): datagrams, and seqpackets over a connection. */
#include "unix_impl.h"

#define OVERHEAD 32u /* of the send buffer, as Linux counts */

/* ---- connecting ---- */

/* What waits came from somebody else. */
static void dgram_disconnected(struct unix_sock *u, struct sock *old)
{
    skb_queue_purge(&u->sk.receive);
    if (unix_sk(old)->peer == &u->sk)
        sock_set_error(old, ECONNRESET);
}

int unix_dgram_connect(struct sock *sk, const struct sockaddr *a, bool nonblock)
{
    struct unix_sock *u = unix_sk(sk), *other = NULL;
    struct sock *old;

    if (a->family != AF_UNSPEC) {
        int r = unix_find(a, sk->type, &other);

        if (r < 0)
            return r;
        if (other->peer && other->peer != sk)
            return -EPERM;
    }
    old = u->peer ? sock_get(u->peer) : NULL;
    unix_set_peer(u, other ? &other->sk : NULL);
    sk->connected = other;
    if (old && old != u->peer)
        dgram_disconnected(u, old);
    sock_put(old);
    sock_wake(sk);
    return 0;
}

/* ---- sending ---- */

/* Who gets it: *res with a reference. */
static int dgram_target(struct unix_sock *u, struct msg *m, struct sock **res)
{
    struct unix_sock *other;
    int r;

    if (m->name.len && u->sk.type == SOCK_DGRAM) {
        r = unix_find(&m->name, u->sk.type, &other);
        if (r < 0)
            return r;
        if (other->peer && other->peer != &u->sk)
            return -EPERM;
        *res = sock_get(&other->sk);
        return 0;
    }
    if (!u->peer)
        return -ENOTCONN;
    *res = sock_get(u->peer);
    return 0;
}

static bool closed(const struct sock *other) { return !other->file && !unix_sk((struct sock *)other)->listener; }

static bool target_full(const struct sock *sk, const struct sock *other)
{
    return unix_sk((struct sock *)other)->peer != sk && other->receive.count >= UNIX_QUEUE_MAX;
}

/* 0 when skb may go to other. Waits. */
static int dgram_wait(struct sock *sk, struct sock *other, struct msg *m, u64 size, bool nonblock)
{
    u64 deadline = sock_deadline(sk->sndtimeo);
    long r;

    for (;;) {
        if (sk->err)
            return sock_error(sk);
        if (sk->shutdown & SEND_SHUTDOWN)
            return sock_epipe(m);
        if (closed(other)) {
            if (unix_sk(sk)->peer != other)
                return -ECONNREFUSED;
            if (sk->type == SOCK_SEQPACKET)
                return -EPIPE;
            unix_set_peer(unix_sk(sk), NULL);
            sk->connected = false;
            return -ECONNREFUSED;
        }
        if (other->shutdown & RCV_SHUTDOWN)
            return -EPIPE;
        if (sk->sent + size > sk->sndbuf && sk->sent) {
            if (nonblock)
                return -EAGAIN;
            r = wait_event_deadline(&sk->wr,
                                    sk->sent + size <= sk->sndbuf || !sk->sent || sk->err || closed(other) ||
                                        (sk->shutdown & SEND_SHUTDOWN),
                                    deadline);
        } else if (target_full(sk, other)) {
            if (nonblock)
                return -EAGAIN;
            r = wait_event_deadline(
                &other->wr, !target_full(sk, other) || closed(other) || (other->shutdown & RCV_SHUTDOWN), deadline);
        } else {
            return 0;
        }
        if (r < 0)
            return sock_wait_error(r, sk->sndtimeo);
    }
}

static ssize_t dgram_send(struct sock *sk, struct msg *m, bool nonblock, struct scm **scm, const struct ucred *cred)
{
    struct unix_sock *u = unix_sk(sk);
    u32 len = (u32)m->it->left;
    struct sock *other;
    struct skb *skb;
    int r;

    if (sk->shutdown & SEND_SHUTDOWN)
        return sock_epipe(m);
    r = dgram_target(u, m, &other);
    if (r < 0)
        return r;
    r = -EMSGSIZE;
    if (len > sk->sndbuf - OVERHEAD)
        goto out;
    r = dgram_wait(sk, other, m, len + sizeof(*skb), nonblock);
    if (r < 0)
        goto out;
    r = -ENOBUFS;
    skb = skb_alloc(len);
    if (!skb)
        goto out;
    skb->len = len;
    skb->truesize += len;
    r = iter_take(m->it, skb->data, len);
    if (r == 0)
        r = unix_attach(skb, *scm, cred);
    if (r < 0) {
        skb_free(skb);
        goto out;
    }
    *scm = NULL;
    unix_skb_from(skb, u);
    skb_set_owner(skb, sk);
    skb_queue_add(&other->receive, skb);
    wake_up(&other->rd);
    r = (int)len;
out:
    sock_put(other);
    return r;
}

ssize_t unix_dgram_sendmsg(struct sock *sk, struct msg *m, bool nonblock)
{
    struct ucred cred;
    struct scm *scm;
    ssize_t r;

    ucred_current(&cred);
    if (m->flags & MSG_OOB)
        return -EOPNOTSUPP;
    if (sk->type == SOCK_SEQPACKET && !sk->connected)
        return -ENOTCONN;
    r = scm_send(m, &scm, &cred);
    if (r < 0)
        return r;
    r = dgram_send(sk, m, nonblock, &scm, &cred);
    scm_free(scm);
    return r;
}

/* ---- receiving ---- */

static void dgram_taken(struct sock *sk)
{
    struct unix_sock *s;

    if (sk->receive.count != UNIX_QUEUE_MAX - 1)
        return;
    wake_up(&sk->wr); /* who waits in dgram_wait() */
    list_for_each_entry (s, &unix_sk(sk)->senders, sender)
        wake_up(&s->sk.wr);
}

ssize_t unix_dgram_recvmsg(struct sock *sk, struct msg *m, bool nonblock)
{
    u64 deadline = sock_deadline(sk->rcvtimeo);
    struct skb *skb;
    u32 n, len;

    if (m->flags & MSG_OOB)
        return -EOPNOTSUPP;
    if (sk->type == SOCK_SEQPACKET && !sk->connected)
        return -ENOTCONN;
    while (skb_queue_empty(&sk->receive)) {
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
    if (m->want_name) {
        unix_name(&m->name, skb->from);
        if (!skb->from)
            m->name.len = 0;
    }
    if (!(m->flags & MSG_PEEK))
        skb_queue_remove(&sk->receive, skb);
    if (iter_put(m->it, skb->data, n)) {
        if (!(m->flags & MSG_PEEK))
            skb_free(skb);
        return -EFAULT;
    }
    sock_put_cmsgs(sk, m);
    unix_recv_scm(sk, m, skb);
    if (!(m->flags & MSG_PEEK)) {
        skb_free(skb);
        dgram_taken(sk);
    }
    return m->flags & MSG_TRUNC ? len : n;
}
