/* SPDX-License-Identifier: MIT */
/* The end of threads and processes, and how parents hear of it: exit(2), wait(2). */
#include "fs.h"
#include "futex.h"
#include "mm.h"
#include "pidfd.h"
#include "signal.h"
#include "syscall.h"
#include "task_impl.h"
#include "timer.h"
#include "tty/tty.h"

/* The last task that ended. Its thread may still run on it when it is taken off the lists. */
static struct task *dead_task;

void process_end(struct process *p, int status)
{
    struct task *t;

    if (p->exiting || p->zombie)
        return;
    p->exiting = true;
    p->exit_status = status;
    list_for_each_entry (t, &p->threads, sibling)
        if (t != current)
            machine_kick(t);
}

void process_exit_group(int status) { process_end(current->process, status); }

/* The first process is over, and the sandbox with it. Memory, open files and other processes go with the machine:
 * tearing them down would only touch pages. */
static void __noreturn sandbox_end(const struct process *first)
{
    struct thaw_exit *e = &machine_boot()->exit;

    if (e->kind == THAW_EXIT_NONE) {
        int sig = first->exit_status & 0x7f;
        e->code = sig ? (u32)sig : (u32)first->exit_status >> 8 & 0xff;
        __atomic_store_n(&e->kind,
                         first->oom ? THAW_EXIT_OOM
                         : sig      ? THAW_EXIT_SIGNAL
                                    : THAW_EXIT_CODE,
                         __ATOMIC_RELEASE);
    }
    machine_exit();
}

void process_release(struct process *p)
{
    if (p->mm)
        mm_put(p->mm);
    files_put(p->files);
    fs_put(p->fs);
    p->mm = NULL;
    p->files = NULL;
    p->fs = NULL;
}

void process_discard(struct process *p)
{
    process_release(p);
    p->zombie = true; /* for a pidfd that already is */
    list_del(&p->all);
    process_put(p);
}

void process_reap(struct process *p)
{
    list_del(&p->all);
    process_put(p);
}

#define CLD_EXITED 1
#define CLD_KILLED 2
#define CLD_STOPPED 5
#define CLD_CONTINUED 6

static void siginfo_of_child(struct siginfo *info, const struct process *p, int code, int status)
{
    *info = (struct siginfo){.si_signo = SIGCHLD, .si_code = code};
    info->chld.pid = p->pid;
    info->chld.status = status;
    info->chld.utime = (s64)(p->cpu_time / (NSEC_PER_SEC / 100));
}

void process_notify_parent(struct process *p, int code, int status)
{
    struct process *parent = process_by_pid(p->ppid);
    struct siginfo info;

    if (!parent)
        return;
    bool end = code != CLD_STOPPED && code != CLD_CONTINUED;
    int sig = end ? p->exit_signal : SIGCHLD;
    siginfo_of_child(&info, p, code, status);
    if (sig && (end || !(parent->sigaction[SIGCHLD - 1].flags & SA_NOCLDSTOP)))
        signal_send_process(parent, sig, &info);
    wake_up(&parent->child_wait);
}

static int end_code(const struct process *p) { return p->exit_status & 0x7f ? CLD_KILLED : CLD_EXITED; }

static int end_status(const struct process *p)
{
    int sig = p->exit_status & 0x7f;
    return sig ? sig : p->exit_status >> 8 & 0xff;
}

/* Nobody wants to know how p ended. */
static bool parent_ignores(const struct process *parent, const struct process *p)
{
    if (!parent)
        return true;
    return p->exit_signal == SIGCHLD &&
           (parent->sigaction[SIGCHLD - 1].handler == SIG_IGN || (parent->sigaction[SIGCHLD - 1].flags & SA_NOCLDWAIT));
}

/* Who takes the children of p: its nearest ancestor that asked for it, or the parent of all. */
static pid_t reaper_of(const struct process *p)
{
    const struct process *a = p;
    while ((a = process_by_pid(a->ppid)))
        if (a->child_subreaper)
            return a->pid;
    return INIT_PID;
}

static void children_leave(struct process *p)
{
    struct process *child, *next;
    pid_t reaper = reaper_of(p);

    list_for_each_entry_safe (child, next, &process_list, all) {
        if (child->ppid != p->pid)
            continue;
        child->ppid = reaper;
        child->exit_signal = SIGCHLD;
        pid_t pgid = child->pgid, sid = child->sid;
        if (child->zombie) {
            if (parent_ignores(process_by_pid(reaper), child))
                process_reap(child);
            else
                process_notify_parent(child, end_code(child), end_status(child));
        } else if (child->pdeathsig) {
            signal_send_process(child, child->pdeathsig, NULL);
        }
        signal_group_orphaned(pgid, sid);
    }
}

/* The last thread of p is gone: what it held goes back, its parent hears of it. */
static void process_finish(struct process *p)
{
    struct process *parent = process_by_pid(p->ppid);

    signal_flush(&p->pending, ~0ull);
    process_timers_delete(p);
    p->cpu_time = machine_clock(CLOCK_PROCESS_CPUTIME_ID);
    process_release(p);
    if (p->sid == p->pid)
        tty_leader_exit(p->sid);
    vfork_release(p);
    p->zombie = true;
    p->stopped = false;
    children_leave(p);
    signal_group_orphaned(p->pgid, p->sid);
    wake_up(&p->pidfd_wait);
    if (parent_ignores(parent, p)) {
        if (parent)
            wake_up(&parent->child_wait);
        process_reap(p);
        return;
    }
    process_notify_parent(p, end_code(p), end_status(p));
}

void task_exit(int status)
{
    struct task *t = current;
    struct process *p = t->process;
    bool last = p->nr_threads == 1;

    /* The process's status is its first thread's, unless something ends the process as a whole. */
    if (t->tid == p->pid && !p->exiting)
        p->exit_status = status;
    if (last && p->pid == FIRST_PID)
        sandbox_end(p);
    futex_exit(t);
    if (t->clear_child_tid && (!last || mm_is_shared(p->mm))) {
        u32 zero = 0;
        if (!copy_to_user((void __user *)t->clear_child_tid, &zero, sizeof(zero)))
            futex_wake(t->clear_child_tid, 1);
    }
    signal_flush(&t->pending, ~0ull);
    task_unlink(t);
    if (last) {
        p->exiting = true;
        memcpy(p->comm, t->comm, sizeof(p->comm));
        process_finish(p);
    } else {
        signal_retarget(p, t);
        wake_up(&p->child_wait); /* execve may wait for us */
    }
    kfree(dead_task);
    dead_task = t;
    machine_thread_exit();
}

SYSCALL(exit) { task_exit((int)(a0 & 0xff) << 8); }

SYSCALL(exit_group)
{
    process_exit_group((int)(a0 & 0xff) << 8);
    return 0;
}

/* ---- wait ---- */

#define WNOHANG 1u
#define WUNTRACED 2u
#define WEXITED 4u
#define WCONTINUED 8u
#define WNOWAIT 0x01000000u
#define __WALL 0x40000000u
#define __WCLONE 0x80000000u
#define WAIT_CLONE_FLAGS 0xe0000000u /* __WNOTHREAD, __WALL, __WCLONE */

#define P_ALL 0
#define P_PID 1
#define P_PGID 2
#define P_PIDFD 3

struct wait_request {
    pid_t pid;   /* > 0 that child, -1 any, else of the group -pid */
    u32 options; /* WEXITED, WUNTRACED, WCONTINUED: what is waited for */
};
struct wait_result {
    pid_t pid;       /* 0: nothing yet */
    s32 wstatus;     /* as wait4 has it */
    s32 code, value; /* as siginfo has it */
    u64 cpu_time;    /* of the child and those it waited for, ns */
};

static bool wait_matches(const struct process *p, const struct process *self, const struct wait_request *rq)
{
    if (p->ppid != self->pid)
        return false;
    if (!(rq->options & __WALL) && (p->exit_signal != SIGCHLD) != !!(rq->options & __WCLONE))
        return false;
    return rq->pid == -1 || (rq->pid > 0 ? p->pid == rq->pid : p->pgid == -rq->pid);
}

/* What there is to report of p now, and takes note that it was reported. False: nothing. */
static bool wait_take(struct process *p, const struct wait_request *rq, struct wait_result *res)
{
    bool keep = rq->options & WNOWAIT;

    *res = (struct wait_result){.pid = p->pid, .cpu_time = p->cpu_time + p->child_cpu_time};
    if (p->zombie && (rq->options & WEXITED)) {
        res->wstatus = p->exit_status;
        res->code = end_code(p);
        res->value = end_status(p);
        if (!keep) {
            current->process->child_cpu_time += res->cpu_time;
            process_reap(p);
        }
        return true;
    }
    if (p->stop_signal && (rq->options & WUNTRACED)) {
        res->wstatus = p->stop_signal << 8 | 0x7f;
        res->code = CLD_STOPPED;
        res->value = p->stop_signal;
        if (!keep)
            p->stop_signal = 0;
        return true;
    }
    if (p->continued && (rq->options & WCONTINUED)) {
        res->wstatus = 0xffff;
        res->code = CLD_CONTINUED;
        res->value = SIGCONT;
        if (!keep)
            p->continued = false;
        return true;
    }
    return false;
}

/* True if res is filled in, or there is nobody to wait for: then *err is -ECHILD. */
static bool wait_look(const struct wait_request *rq, struct wait_result *res, long *err)
{
    struct process *self = current->process, *p;

    *err = -ECHILD;
    list_for_each_entry (p, &process_list, all) {
        if (!wait_matches(p, self, rq))
            continue;
        *err = 0;
        if (wait_take(p, rq, res))
            return true;
    }
    res->pid = 0;
    return *err != 0;
}

/* 0 or -errno. */
static long wait_child(const struct wait_request *rq, struct wait_result *res)
{
    long err;

    if (wait_look(rq, res, &err) || (rq->options & WNOHANG))
        return err;
    long interrupted = wait_event(&current->process->child_wait, wait_look(rq, res, &err));
    return interrupted ? interrupted : err;
}

static int put_rusage(u64 uaddr, u64 cpu_time)
{
    s64 ru[18] = {(s64)(cpu_time / NSEC_PER_SEC), (s64)(cpu_time % NSEC_PER_SEC / NSEC_PER_USEC)};
    return uaddr && copy_to_user((void __user *)uaddr, ru, sizeof(ru)) ? -EFAULT : 0;
}

SYSCALL(wait4)
{
    pid_t pid = (pid_t)a0;
    struct wait_request rq = {.pid = pid ? pid : -current->process->pgid, .options = (u32)a2 | WEXITED};
    struct wait_result res;

    if ((u32)a2 & ~(WNOHANG | WUNTRACED | WCONTINUED | WAIT_CLONE_FLAGS))
        return -EINVAL;
    if (pid == (pid_t)0x80000000)
        return -ESRCH;
    long err = wait_child(&rq, &res);
    if (err || !res.pid)
        return err;
    if (a1 && copy_to_user((void __user *)a1, &res.wstatus, sizeof(res.wstatus)))
        return -EFAULT;
    return put_rusage(a3, res.cpu_time) ? -EFAULT : res.pid;
}

SYSCALL(waitid)
{
    struct wait_request rq = {.pid = (pid_t)a1, .options = (u32)a3};
    struct wait_result res;
    struct siginfo info = {0};
    struct process *p;
    bool nonblock = false;

    if ((rq.options & ~(WNOHANG | WUNTRACED | WEXITED | WCONTINUED | WNOWAIT | WAIT_CLONE_FLAGS)) ||
        !(rq.options & (WEXITED | WUNTRACED | WCONTINUED)))
        return -EINVAL;
    switch ((int)a0) {
    case P_ALL: rq.pid = -1; break;
    case P_PID:
        if (rq.pid <= 0)
            return -EINVAL;
        break;
    case P_PGID:
        if (rq.pid < 0)
            return -EINVAL;
        rq.pid = rq.pid ? -rq.pid : -current->process->pgid;
        break;
    case P_PIDFD:
        if (rq.pid < 0)
            return -EINVAL;
        p = pidfd_process((int)a1, &nonblock);
        if (IS_ERR(p))
            return PTR_ERR(p);
        rq.pid = p->pid;
        if (list_empty(&p->all)) /* waited for already: the number may be another's */
            rq.pid = 0x7fffffff;
        process_put(p);
        break;
    default: return -EINVAL;
    }
    if (nonblock)
        rq.options |= WNOHANG;
    long err = wait_child(&rq, &res);
    if (!err && !res.pid && nonblock && !((u32)a3 & WNOHANG))
        return -EAGAIN;
    if (err)
        return err;
    if (res.pid) {
        info.si_signo = SIGCHLD;
        info.si_code = res.code;
        info.chld.pid = res.pid;
        info.chld.status = res.value;
    }
    if (a2 && copy_to_user((void __user *)a2, &info, sizeof(info)))
        return -EFAULT;
    return res.pid ? put_rusage(a4, res.cpu_time) : 0;
}
