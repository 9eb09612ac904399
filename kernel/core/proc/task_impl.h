/* SPDX-License-Identifier: MIT */
/* What task.c, fork.c and exit.c share: the lists, and the making and undoing of their members. */
#ifndef CORE_TASK_IMPL_H
#define CORE_TASK_IMPL_H

#include "task.h"

#define FIRST_PID 2
#define INIT_PID 1 /* the parent of the first process and of orphans; it is never seen */

/* A thread that sleeps until its child has executed another program or ended. On its stack. */
struct vfork {
    struct task *parent;
    bool done;
};
/* p has no use for its parent's memory any more. */
void vfork_release(struct process *p);

pid_t pid_alloc(void);
/* In no list; NULL: no memory, or too many. */
struct task *task_alloc(struct process *p);
void task_link(struct task *t, pid_t tid);
void task_unlink(struct task *t);
struct process *process_alloc(void);
/* A process that never ran: gives back what it holds. */
void process_discard(struct process *p);
/* Drops what a process holds of memory, files and places. */
void process_release(struct process *p);
/* Off the list: its number is free. The memory goes with the last reference. */
void process_reap(struct process *p);
/* The parent hears of a change of p: code is CLD_*, status as in siginfo. */
void process_notify_parent(struct process *p, int code, int status);

#endif
