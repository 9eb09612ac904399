/* SPDX-License-Identifier: MIT */
/* The numbers of processes, their groups and sessions: credentials(7), setpgid(2), setsid(2). */
#include "signal.h"
#include "syscall.h"
#include "task_impl.h"

SYSCALL(gettid) { return current->tid; }

SYSCALL(getpid) { return current->process->pid; }

SYSCALL(getppid) { return current->process->ppid; }

static struct process *process_or_self(u64 pid)
{
    return (pid_t)pid ? process_or_zombie((pid_t)pid) : current->process;
}

SYSCALL(getpgid)
{
    struct process *p = process_or_self(a0);
    return p ? p->pgid : -ESRCH;
}

SYSCALL(getpgrp) { return current->process->pgid; }

SYSCALL(getsid)
{
    struct process *p = process_or_self(a0);
    return p ? p->sid : -ESRCH;
}

static bool group_exists(pid_t pgid, pid_t sid)
{
    struct process *p;
    list_for_each_entry (p, &process_list, all)
        if (p->pgid == pgid && p->sid == sid)
            return true;
    return false;
}

SYSCALL(setpgid)
{
    struct process *self = current->process, *p = process_or_self(a0);
    pid_t pgid = (pid_t)a1;

    if (pgid < 0)
        return -EINVAL;
    if (!p || (p != self && p->ppid != self->pid))
        return -ESRCH;
    if (!pgid)
        pgid = p->pid;
    if (p->sid == p->pid || p->sid != self->sid) /* session leaders stay where they are */
        return -EPERM;
    if (p != self && p->did_exec)
        return -EACCES;
    if (pgid != p->pid && !group_exists(pgid, p->sid))
        return -EPERM;
    p->pgid = pgid;
    return 0;
}

SYSCALL(setsid)
{
    struct process *self = current->process, *p;
    list_for_each_entry (p, &process_list, all)
        if (p->pgid == self->pid)
            return -EPERM;
    self->sid = self->pgid = self->pid;
    return self->pid;
}
