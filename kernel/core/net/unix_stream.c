/* SPDX-License-Identifier: MIT */
/* Streams of unix(7): bytes, with files and credentials at places among them. */
#include "unix_impl.h"

#define SCM_CREDENTIALS 2
#define INFLIGHT_MAX NR_OPEN /* in the whole sandbox */

int unix_attach(struct skb *skb, struct scm *scm, const struct ucred *cred)
{
    skb->cred = *cred;
    skb->has_cred = true;
    if (!scm)
        return 0;
    if (scm->nfiles > INFLIGHT_MAX - min(unix_inflight_count(), (u32)INFLIGHT_MAX))
        return -ETOOMANYREFS;
    unix_inflight(scm, true);
    skb->scm = scm;
    return 0;
}

void unix_recv_scm(struct sock *sk, struct msg *m, const struct skb *skb)
{
    if ((sk->options & SK_PASSCRED) && skb->has_cred)
        cmsg_put(m, SOL_SOCKET, SCM_CREDENTIALS, &skb->cred, sizeof(skb->cred));
    if (skb->scm)
        scm_recv(m, skb->scm);
}

/* Where the bytes go that u sends count against u's buffer: in the peer's queue. */
static u64 stream_used(const struct unix_sock *u) { return u->peer ? u->peer->receive.truesize : 0; }

bool unix_writable(const struct unix_sock *u)
{
    const struct sock *sk = &u->sk;

    if (sk->type == SOCK_STREAM)
        return stream_used(u) * 4 <= sk->sndbuf;
    if (sk->sent * 4 > sk->sndbuf)
        return false;
    /* A receiver that is not connected back takes only so many. */
    return !u->peer || unix_sk(u->peer)->peer == sk || u->peer->receive.count < UNIX_QUEUE_MAX;
}

/* ---- sending ---- */

static bool stream_broken(const struct sock *sk)
{
    const struct sock *peer = unix_sk((struct sock *)sk)->peer;

    return (sk->shutdown & SEND_SHUTDOWN) || !peer || (peer->shutdown & RCV_SHUTDOWN);
}

static bool stream_room(const struct unix_sock *u) { return stream_used(u) < u->sk.sndbuf; }

/* May more bytes go behind those that wait? Only if they look the same to who reads. */
static bool may_join(const struct skb_queue *q, const struct ucred *cred)
{
    const struct skb *last = list_entry(q->head.prev, struct skb, list);

    return !skb_queue_empty((struct skb_queue *)q) && !last->scm && last->cred.pid == cred->pid &&
           last->cred.uid == cred->uid && last->cred.gid == cred->gid;
}

/* A piece of the message into the peer's queue; *scm goes with the first byte. Bytes, or -errno. */
static ssize_t stream_push(struct unix_sock *u, struct msg *m, struct scm **scm, const struct ucred *cred)
{
    struct skb_queue *q = &u->peer->receive;
    u32 room = (u32)min(u->sk.sndbuf - stream_used(u), (u64)UINT32_MAX);
    bool join = !*scm && may_join(q, cred);
    struct skb *skb;
    ssize_t n;
    int r;

    if (!*scm) {
        u32 before = q->count;

        n = skb_queue_append(q, m->it, room, join);
        skb = list_entry(q->head.prev, struct skb, list);
        for (u32 i = q->count; i > before; i--, skb = list_entry(skb->list.prev, struct skb, list))
            unix_attach(skb, NULL, cred); /* the pieces that are new */
        return n;
    }
    n = (ssize_t)min(min((u64)room, m->it->left), (u64)PAGE_SIZE * 8);
    skb = skb_alloc((u32)n);
    if (!skb)
        return -ENOBUFS;
    skb->len = (u32)n;
    skb->truesize += (u32)n;
    r = iter_take(m->it, skb->data, (u64)n);
    if (r == 0)
        r = unix_attach(skb, *scm, cred);
    if (r < 0) {
        skb_free(skb);
        return r;
    }
    *scm = NULL;
    skb_queue_add(q, skb);
    return n;
}

static ssize_t stream_send(struct sock *sk, struct msg *m, bool nonblock, struct scm **scm, const struct ucred *cred)
{
    struct unix_sock *u = unix_sk(sk);
    u64 deadline = sock_deadline(sk->sndtimeo);
    ssize_t done = 0;

    while (m->it->left) {
        ssize_t n;
        long r;

        if (stream_broken(sk))
            return done ? done : sock_epipe(m);
        if (stream_room(u)) {
            n = stream_push(u, m, scm, cred);
            if (n < 0)
                return done ? done : n;
            done += n;
            wake_up(&u->peer->rd);
            continue;
        }
        if (nonblock)
            return done ? done : -EAGAIN;
        r = wait_event_deadline(&sk->wr, stream_broken(sk) || stream_room(u), deadline);
        if (r < 0)
            return done ? done : sock_wait_error(r, sk->sndtimeo);
    }
    return done;
}

ssize_t unix_stream_sendmsg(struct sock *sk, struct msg *m, bool nonblock)
{
    struct ucred cred;
    struct scm *scm;
    ssize_t r;

    ucred_current(&cred);
    if (m->flags & MSG_OOB)
        return -EOPNOTSUPP;
    r = scm_send(m, &scm, &cred);
    if (r < 0)
        return r;
    if (m->name.len)
        r = sk->connected ? -EISCONN : -EOPNOTSUPP;
    else if (!sk->connected)
        r = -ENOTCONN;
    else if (sk->err)
        r = sock_error(sk);
    else
        r = stream_send(sk, m, nonblock, &scm, &cred);
    scm_free(scm);
    return r;
}

/* ---- receiving ---- */

static bool same_cred(const struct ucred *a, const struct ucred *b)
{
    return a->pid == b->pid && a->uid == b->uid && a->gid == b->gid;
}

/* What there is, at most what is asked for; *stop: nothing may be added to it. */
static ssize_t stream_take(struct sock *sk, struct msg *m, struct ucred *cred, bool *first, bool *stop)
{
    struct skb_queue *q = &sk->receive;
    struct skb *skb, *next;
    ssize_t done = 0;

    list_for_each_entry_safe (skb, next, &q->head, list) {
        u32 n = (u32)min((u64)skb->len, m->it->left);
        bool with_files = skb->scm;

        if (!*first && (sk->options & SK_PASSCRED) && !same_cred(cred, &skb->cred)) {
            *stop = true;
            break;
        }
        if (iter_put(m->it, skb->data + skb->off, n)) {
            *stop = true;
            return done ? done : -EFAULT;
        }
        done += n;
        if (*first) {
            *cred = skb->cred;
            if (sk->options & SK_PASSCRED)
                cmsg_put(m, SOL_SOCKET, SCM_CREDENTIALS, cred, sizeof(*cred));
        }
        *first = false;
        if (with_files)
            scm_recv(m, skb->scm);
        if (!(m->flags & MSG_PEEK)) {
            if (with_files) {
                scm_free(skb->scm);
                skb->scm = NULL;
            }
            skb_queue_consume(q, n);
        }
        if (with_files) {
            *stop = true;
            break;
        }
        if (!m->it->left)
            break;
    }
    return done;
}

ssize_t unix_stream_recvmsg(struct sock *sk, struct msg *m, bool nonblock)
{
    struct unix_sock *u = unix_sk(sk);
    u64 deadline = sock_deadline(sk->rcvtimeo);
    size_t target = m->flags & MSG_WAITALL ? m->it->left : min((u64)sk->rcvlowat, m->it->left);
    struct ucred cred = {0};
    bool first = true, stop = false;
    size_t done = 0;

    if (m->flags & MSG_OOB)
        return -EOPNOTSUPP;
    if (!sk->connected)
        return -EINVAL;
    if (m->want_name)
        unix_name(&m->name, u->peer ? unix_sk(u->peer)->addr : NULL);
    if (m->want_name && m->name.len <= sizeof(u16))
        m->name.len = 0;
    if (!m->it->left)
        return 0;
    for (;;) {
        long r;

        if (!skb_queue_empty(&sk->receive)) {
            ssize_t n = stream_take(sk, m, &cred, &first, &stop);

            if (n < 0)
                return done ? (ssize_t)done : n;
            done += (size_t)n;
            if (u->peer && !(m->flags & MSG_PEEK))
                wake_up(&u->peer->wr);
        }
        if (stop || done >= max(target, (size_t)1) || (done && (m->flags & MSG_PEEK)))
            return (ssize_t)done;
        if (sk->err)
            return done ? (ssize_t)done : sock_error(sk);
        if (sk->shutdown & RCV_SHUTDOWN)
            return (ssize_t)done;
        if (nonblock)
            return done ? (ssize_t)done : -EAGAIN;
        r = wait_event_deadline(&sk->rd, !skb_queue_empty(&sk->receive) || sk->err || (sk->shutdown & RCV_SHUTDOWN),
                                deadline);
        if (r < 0)
            return done ? (ssize_t)done : sock_wait_error(r, sk->rcvtimeo);
    }
}
