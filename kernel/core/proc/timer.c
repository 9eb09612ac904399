/* SPDX-License-Identifier: MIT */
#include "timer.h"

#include "machine.h"

static struct list_head queue = LIST_HEAD_INIT(queue); /* by deadline */
static u64 machine_deadline;                           /* what the machine's timer is set to */

/* Called often with little to do: the machine's timer costs a host system call. */
static void machine_timer_update(void)
{
    u64 deadline = list_empty(&queue) ? 0 : list_first_entry(&queue, struct ktimer, list)->deadline;
    if (deadline == machine_deadline)
        return;
    /* A timer that comes too early is harmless, so a cancelled one is left to run out. */
    if (!deadline || (machine_deadline && deadline > machine_deadline))
        return;
    machine_deadline = deadline;
    machine_set_timer(deadline);
}

static void timer_insert(struct ktimer *t)
{
    struct list_head *pos = queue.prev;
    while (pos != &queue && list_entry(pos, struct ktimer, list)->deadline > t->deadline)
        pos = pos->prev;
    list_add(&t->list, pos);
}

void timer_init(struct ktimer *t, void (*fn)(struct ktimer *t))
{
    list_init(&t->list);
    t->deadline = t->wall = 0;
    t->fn = fn;
}

static void timer_set_both(struct ktimer *t, u64 deadline, u64 wall)
{
    list_del(&t->list);
    t->deadline = deadline ? deadline : 1;
    t->wall = wall;
    timer_insert(t);
    machine_timer_update();
}

void timer_set(struct ktimer *t, u64 deadline) { timer_set_both(t, deadline, 0); }

u64 clock_wall_to_monotonic(u64 wall)
{
    u64 now = machine_clock(CLOCK_MONOTONIC), real = machine_clock(CLOCK_REALTIME);
    return wall > real ? deadline_after(now, wall - real) : 1;
}

void timer_set_wall(struct ktimer *t, u64 wall) { timer_set_both(t, clock_wall_to_monotonic(wall), wall ? wall : 1); }

void timer_cancel(struct ktimer *t) { list_del(&t->list); }

void timer_expired(void)
{
    u64 now = machine_clock(CLOCK_MONOTONIC);

    machine_deadline = 0;
    while (!list_empty(&queue)) {
        struct ktimer *t = list_first_entry(&queue, struct ktimer, list);
        if (t->deadline > now)
            break;
        list_del(&t->list);
        t->fn(t);
    }
    machine_timer_update();
}

void timer_rearm(void)
{
    struct list_head old = LIST_HEAD_INIT(old);
    struct ktimer *t, *next;

    list_for_each_entry_safe (t, next, &queue, list) {
        list_del(&t->list);
        list_add_tail(&t->list, &old);
    }
    list_for_each_entry_safe (t, next, &old, list) {
        list_del(&t->list);
        if (t->wall)
            t->deadline = clock_wall_to_monotonic(t->wall);
        timer_insert(t);
    }
    machine_deadline = 0;
    machine_timer_update();
}
