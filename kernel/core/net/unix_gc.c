/* SPDX-License-Identifier: MIT */
/*
 * Sockets that were sent through sockets. One that is referred to by queued messages alone, and these by queues of such
 * sockets alone, can never be reached again: it is found here and freed. Linux's algorithm before 6.10.
 */
#include "unix.h"

static u32 total;

u32 unix_inflight_count(void) { return total; }

static struct unix_sock *unix_of(const struct file *f)
{
    struct sock *sk = file_sock(f);

    return sk && sock_is_unix(sk) ? unix_sk(sk) : NULL;
}

void unix_inflight(struct scm *scm, bool on)
{
    scm->counted = on;
    for (u32 i = 0; i < scm->nfiles; i++) {
        struct unix_sock *u = unix_of(scm->files[i]);

        if (on)
            total++;
        else
            total--;
        if (!u)
            continue;
        if (on)
            u->inflight++;
        else
            u->inflight--;
    }
}

/* Calls fn for each socket in a message that waits in u's queue, or in that of an end which u has not accepted yet. */
static void queue_each(struct skb_queue *q, void (*fn)(struct unix_sock *u))
{
    struct skb *skb;

    list_for_each_entry (skb, &q->head, list)
        for (u32 i = 0; skb->scm && i < skb->scm->nfiles; i++) {
            struct unix_sock *u = unix_of(skb->scm->files[i]);

            if (u)
                fn(u);
        }
}

static void children_each(struct unix_sock *u, void (*fn)(struct unix_sock *u))
{
    struct unix_sock *e;

    queue_each(&u->sk.receive, fn);
    list_for_each_entry (e, &u->accept, embryo)
        queue_each(&e->sk.receive, fn);
}

static void child_take(struct unix_sock *u)
{
    if (u->gc_candidate)
        u->gc_refs--;
}

/* Its list position tells the walk below that it has to be looked at again. */
static void child_reachable(struct unix_sock *u)
{
    if (!u->gc_candidate)
        return;
    u->gc_candidate = false;
    list_del(&u->all);
    list_add_tail(&u->all, &unix_list);
}

static void purge(struct list_head *dead, struct skb_queue *q)
{
    struct skb *skb, *next;

    list_for_each_entry_safe (skb, next, &q->head, list)
        if (skb->scm) {
            skb_queue_remove(q, skb);
            list_add_tail(&skb->list, dead);
        }
}

void unix_gc(void)
{
    static bool running; /* freeing a message may close a socket, which asks for the next collection */
    struct list_head dead = LIST_HEAD_INIT(dead);
    struct list_head live = LIST_HEAD_INIT(live);
    struct unix_sock *u, *e;

    if (running || !total)
        return;
    running = true;
    list_for_each_entry (u, &unix_list, all) {
        u->gc_candidate = u->inflight && u->sk.file && u->sk.file->refs == u->inflight;
        u->gc_refs = (s32)u->inflight;
    }
    list_for_each_entry (u, &unix_list, all)
        if (u->gc_candidate)
            children_each(u, child_take);
    /* What somebody outside refers to is reachable, and so is what lies in its queue. */
    while (!list_empty(&unix_list)) {
        u = list_first_entry(&unix_list, struct unix_sock, all);
        list_del(&u->all);
        list_add_tail(&u->all, &live);
        if (u->gc_candidate && u->gc_refs > 0)
            u->gc_candidate = false;
        /* An end that was not accepted yet is reached through who listens. */
        if (!u->gc_candidate && !u->listener)
            children_each(u, child_reachable);
    }
    list_for_each_entry (u, &live, all)
        if (u->gc_candidate) {
            purge(&dead, &u->sk.receive);
            list_for_each_entry (e, &u->accept, embryo)
                purge(&dead, &e->sk.receive);
        }
    while (!list_empty(&live)) {
        u = list_first_entry(&live, struct unix_sock, all);
        list_del(&u->all);
        list_add_tail(&u->all, &unix_list);
    }
    while (!list_empty(&dead)) {
        struct skb *skb = list_first_entry(&dead, struct skb, list);

        list_del(&skb->list);
        skb_free(skb);
    }
    running = false;
}
