/* SPDX-License-Identifier: MIT */
/* Wait queues, as in Linux: sleepers register, wakers wake all of them, sleepers look again. */
#ifndef CORE_WAIT_H
#define CORE_WAIT_H

#include "kernel.h"
#include "machine.h"

struct wait_queue {
    struct list_head head;
};
struct wait_entry {
    struct list_head list;
    struct task *task;
    void (*func)(struct wait_entry *e); /* called instead of waking task (epoll); must not change the queue */
};

static inline void wait_queue_init(struct wait_queue *wq) { list_init(&wq->head); }
static inline void wait_queue_add(struct wait_queue *wq, struct wait_entry *e, struct task *t)
{
    e->task = t;
    e->func = NULL;
    list_add_tail(&e->list, &wq->head);
}
static inline void wait_queue_add_func(struct wait_queue *wq, struct wait_entry *e, void (*func)(struct wait_entry *))
{
    e->task = NULL;
    e->func = func;
    list_add_tail(&e->list, &wq->head);
}
static inline void wait_queue_remove(struct wait_entry *e) { list_del(&e->list); }
void wake_up(struct wait_queue *wq); /* wakes every sleeper */

/*
 * Sleeps until cond holds. Value: 0, -ERESTARTSYS when a signal came first, -ETIMEDOUT when the deadline
 * (CLOCK_MONOTONIC ns, 0: none) passed first. cond is evaluated with the lock held.
 */
#define wait_event_deadline(wq, cond, deadline) \
    ({                                          \
        struct wait_entry __e;                  \
        long __r = 0;                           \
        wait_queue_add((wq), &__e, current);    \
        for (;;) {                              \
            machine_block_prepare();            \
            if (cond)                           \
                break;                          \
            if (signal_pending(current)) {      \
                __r = -ERESTARTSYS;             \
                break;                          \
            }                                   \
            current->waiting = (wq);            \
            long __b = machine_block(deadline); \
            current->waiting = NULL;            \
            if (__b == -ETIMEDOUT) {            \
                __r = (cond) ? 0 : -ETIMEDOUT;  \
                break;                          \
            }                                   \
        }                                       \
        wait_queue_remove(&__e);                \
        __r;                                    \
    })
#define wait_event(wq, cond) wait_event_deadline(wq, cond, 0)

#endif
