/* SPDX-License-Identifier: MIT */
#include "wait.h"

void wake_up(struct wait_queue *wq)
{
    struct wait_entry *e;
    list_for_each_entry (e, &wq->head, list) {
        if (e->func)
            e->func(e);
        else
            machine_wake(e->task);
    }
}
