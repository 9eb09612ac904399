/* SPDX-License-Identifier: MIT */
/* Queues of received data. */
#include "socket.h"

#define CHUNK_MIN 512u
#define CHUNK_MAX (8 * (u32)PAGE_SIZE - (u32)sizeof(struct skb))

void skb_queue_init(struct skb_queue *q)
{
    list_init(&q->head);
    q->count = 0;
    q->bytes = q->truesize = 0;
}

struct skb *skb_alloc(u32 cap)
{
    struct skb *skb = kmalloc(sizeof(*skb) + cap);

    if (!skb)
        return NULL;
    list_init(&skb->list);
    skb->cap = cap;
    skb->truesize = (u32)sizeof(*skb);
    return skb;
}

void skb_free(struct skb *skb)
{
    struct sock *sk = skb->owner;

    if (sk) {
        sk->sent -= skb->truesize;
        wake_up(&sk->wr);
        sock_put(sk);
    }
    if (skb->destroy)
        skb->destroy(skb);
    scm_free(skb->scm);
    kfree(skb);
}

void skb_set_owner(struct skb *skb, struct sock *sk)
{
    skb->owner = sock_get(sk);
    sk->sent += skb->truesize;
}

void skb_queue_add(struct skb_queue *q, struct skb *skb)
{
    list_add_tail(&skb->list, &q->head);
    q->count++;
    q->bytes += skb->len;
    q->truesize += skb->truesize;
}

void skb_queue_remove(struct skb_queue *q, struct skb *skb)
{
    list_del(&skb->list);
    q->count--;
    q->bytes -= skb->len;
    q->truesize -= skb->truesize;
}

void skb_queue_purge(struct skb_queue *q)
{
    while (!skb_queue_empty(q)) {
        struct skb *skb = skb_queue_first(q);

        skb_queue_remove(q, skb);
        skb_free(skb);
    }
}

ssize_t skb_queue_append(struct skb_queue *q, struct iov_iter *it, u32 n, bool join)
{
    struct skb *last = skb_queue_empty(q) ? NULL : list_entry(q->head.prev, struct skb, list);
    u32 done = 0;

    n = (u32)min((u64)n, it->left);
    while (done < n) {
        u32 take, room = join && last ? last->cap - last->off - last->len : 0;
        bool fresh = !room;

        if (fresh) {
            last = skb_alloc(min(max(n - done, CHUNK_MIN), CHUNK_MAX));
            if (!last)
                return done ? (ssize_t)done : -ENOBUFS;
            room = last->cap;
        }
        take = min(room, n - done);
        if (iter_take(it, last->data + last->off + last->len, take)) {
            if (fresh)
                skb_free(last);
            return done ? (ssize_t)done : -EFAULT;
        }
        last->len += take;
        last->truesize += take;
        if (fresh) {
            skb_queue_add(q, last);
        } else {
            q->bytes += take;
            q->truesize += take;
        }
        done += take;
        join = true;
    }
    return (ssize_t)done;
}

void skb_queue_consume(struct skb_queue *q, u32 n)
{
    while (n) {
        struct skb *skb = skb_queue_first(q);
        u32 take = min(n, skb->len);

        if (take == skb->len) {
            skb_queue_remove(q, skb);
            skb_free(skb);
        } else {
            skb->off += take;
            skb->len -= take;
            skb->truesize -= take;
            q->bytes -= take;
            q->truesize -= take;
        }
        n -= take;
    }
}
