/* SPDX-License-Identifier: MIT */
/* The host schedules; these calls answer as a Linux would that has the sandbox's processors. */
#include "signal.h"
#include "syscall.h"
#include "timer.h"

#define SCHED_OTHER 0u
#define SCHED_FIFO 1u
#define SCHED_RR 2u
#define SCHED_BATCH 3u
#define SCHED_IDLE 5u
#define SCHED_RESET_ON_FORK 0x40000000u

#define PRIO_PROCESS 0
#define PRIO_PGRP 1
#define PRIO_USER 2

static struct task *task_or_self(u64 tid) { return (pid_t)tid ? task_by_tid((pid_t)tid) : current; }

/* To look at: process 1, everybody's last parent, is the kernel itself here, and scheduled like any. */
static struct task *task_to_see(u64 tid) { return (pid_t)tid == 1 ? current : task_or_self(tid); }

static u64 cpu_mask(void)
{
    u32 n = min(max(machine_boot()->cpus, 1u), 64u);
    return n == 64 ? ~0ull : (1ull << n) - 1;
}

SYSCALL(sched_yield)
{
    machine_yield();
    return 0;
}

SYSCALL(sched_getaffinity)
{
    struct task *t = task_or_self(a0);
    if (a1 < sizeof(u64) || (a1 & 7))
        return -EINVAL;
    if (!t)
        return -ESRCH;
    u64 mask = t->cpus_allowed ? t->cpus_allowed & cpu_mask() : cpu_mask();
    if (copy_to_user((void __user *)a2, &mask, sizeof(mask)))
        return -EFAULT;
    return sizeof(mask);
}

SYSCALL(sched_setaffinity)
{
    struct task *t = task_or_self(a0);
    u64 mask = 0;
    if (!t)
        return -ESRCH;
    if (copy_from_user(&mask, (const void __user *)a2, min(a1, (u64)sizeof(mask))))
        return -EFAULT;
    if (!(mask & cpu_mask()))
        return -EINVAL;
    t->cpus_allowed = mask & cpu_mask();
    return 0;
}

static bool policy_valid(u32 policy)
{
    return policy == SCHED_OTHER || policy == SCHED_BATCH || policy == SCHED_IDLE || policy == SCHED_FIFO ||
           policy == SCHED_RR;
}

static s64 scheduler_set(u64 tid, u32 policy, u64 uparam)
{
    struct task *t = task_or_self(tid);
    s32 prio;

    policy &= ~SCHED_RESET_ON_FORK;
    if (!uparam || (pid_t)tid < 0)
        return -EINVAL;
    if (copy_from_user(&prio, (const void __user *)uparam, sizeof(prio)))
        return -EFAULT;
    if (!t)
        return -ESRCH;
    if (!policy_valid(policy))
        return -EINVAL;
    if (policy == SCHED_FIFO || policy == SCHED_RR)
        return prio < 1 || prio > 99 ? -EINVAL : -EPERM; /* not ours to promise */
    if (prio)
        return -EINVAL;
    t->sched_policy = policy;
    return 0;
}

SYSCALL(sched_setscheduler) { return scheduler_set(a0, (u32)a1, a2); }

SYSCALL(sched_setparam)
{
    struct task *t = task_or_self(a0);
    return scheduler_set(a0, t ? t->sched_policy : SCHED_OTHER, a1);
}

SYSCALL(sched_getscheduler)
{
    struct task *t = task_to_see(a0);
    if ((pid_t)a0 < 0)
        return -EINVAL;
    return t ? (s64)t->sched_policy : -ESRCH;
}

SYSCALL(sched_getparam)
{
    s32 prio = 0;
    if (!a1 || (pid_t)a0 < 0)
        return -EINVAL;
    if (!task_to_see(a0))
        return -ESRCH;
    return copy_to_user((void __user *)a1, &prio, sizeof(prio)) ? -EFAULT : 0;
}

SYSCALL(sched_get_priority_max)
{
    if (!policy_valid((u32)a0))
        return -EINVAL;
    return a0 == SCHED_FIFO || a0 == SCHED_RR ? 99 : 0;
}

SYSCALL(sched_get_priority_min)
{
    if (!policy_valid((u32)a0))
        return -EINVAL;
    return a0 == SCHED_FIFO || a0 == SCHED_RR ? 1 : 0;
}

SYSCALL(sched_rr_get_interval)
{
    if ((pid_t)a0 < 0)
        return -EINVAL;
    if (!task_or_self(a0))
        return -ESRCH;
    return put_timespec(a1, 4000000);
}

SYSCALL(getcpu)
{
    u32 zero = 0;
    if (a0 && copy_to_user((void __user *)a0, &zero, sizeof(zero)))
        return -EFAULT;
    if (a1 && copy_to_user((void __user *)a1, &zero, sizeof(zero)))
        return -EFAULT;
    return 0;
}

static bool priority_matches(const struct process *p, int which, int who)
{
    const struct process *self = current->process;
    switch (which) {
    case PRIO_PROCESS:
        if (!who)
            return p == self;
        struct task *t = task_by_tid(who);
        return t && t->process == p;
    case PRIO_PGRP: return p->pgid == (who ? who : self->pgid);
    default: return who == 0; /* all are user 0's */
    }
}

/* The range of the system call is 40 to 1, so that errors stand apart. */
SYSCALL(getpriority)
{
    struct process *p;
    s64 best = -ESRCH;
    if (a0 > PRIO_USER)
        return -EINVAL;
    list_for_each_entry (p, &process_list, all)
        if (!p->zombie && priority_matches(p, (int)a0, (int)a1))
            best = max(best, (s64)20 - p->nice);
    return best;
}

SYSCALL(setpriority)
{
    struct process *p;
    s32 nice = (s32)a2;
    s64 ret = -ESRCH;

    if (a0 > PRIO_USER)
        return -EINVAL;
    nice = nice < -20 ? -20 : nice > 19 ? 19 : nice;
    list_for_each_entry (p, &process_list, all) {
        if (p->zombie || !priority_matches(p, (int)a0, (int)a1))
            continue;
        p->nice = nice;
        ret = 0;
    }
    return ret;
}
