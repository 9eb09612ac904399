/* SPDX-License-Identifier: MIT */
/* Tasks and processes: their birth, their numbers, their end. */
#include "task.h"

#include "fs.h"
#include "futex.h"
#include "mm.h"
#include "signal.h"
#include "syscall.h"
#include "timer.h"

#define FIRST_PID 2
#define PID_MAX 0x400000
#define PID_RESERVED 300 /* numbers start here the second time round */

struct list_head task_list = LIST_HEAD_INIT(task_list);
struct list_head process_list = LIST_HEAD_INIT(process_list);

static pid_t last_pid = FIRST_PID - 1;
static u32 nr_tasks;
static struct task *first_task;
static int first_status; /* of the first process, once it has ended: the sandbox's */
static bool first_oom;

/* The last task that ended. Its thread may still run on it when it is taken off the lists. */
static struct task *dead_task;

u32 task_count(void) { return nr_tasks; }

struct task *task_first(void) { return first_task; }

struct task *task_by_tid(pid_t tid)
{
    struct task *t;
    list_for_each_entry (t, &task_list, all)
        if (t->tid == tid)
            return t;
    return NULL;
}

struct process *process_by_pid(pid_t pid)
{
    struct process *p;
    list_for_each_entry (p, &process_list, all)
        if (p->pid == pid && !p->zombie)
            return p;
    return NULL;
}

static bool pid_taken(pid_t pid)
{
    struct process *p;
    list_for_each_entry (p, &process_list, all)
        if (p->pid == pid || p->pgid == pid || p->sid == pid)
            return true;
    return task_by_tid(pid) != NULL;
}

static pid_t pid_alloc(void)
{
    do {
        if (++last_pid >= PID_MAX)
            last_pid = PID_RESERVED;
    } while (pid_taken(last_pid)); /* NR_TASKS is far below PID_MAX */
    return last_pid;
}

static struct task *task_alloc(struct process *p)
{
    if (nr_tasks >= NR_TASKS)
        return NULL;
    struct task *t = kmalloc(sizeof(*t));
    if (!t)
        return NULL;
    t->process = p;
    signal_init_task(t);
    t->altstack_flags = 2; /* SS_DISABLE */
    return t;
}

static void task_link(struct task *t, pid_t tid)
{
    t->tid = tid;
    list_add_tail(&t->sibling, &t->process->threads);
    list_add_tail(&t->all, &task_list);
    t->process->nr_threads++;
    nr_tasks++;
}

static void task_unlink(struct task *t)
{
    list_del(&t->sibling);
    list_del(&t->all);
    t->process->nr_threads--;
    nr_tasks--;
}

static void process_limits(struct process *p)
{
    for (int i = 0; i < RLIM_NLIMITS; i++)
        p->rlimit[i] = (struct rlimit){RLIM_INFINITY, RLIM_INFINITY};
    p->rlimit[RLIMIT_STACK].cur = USER_STACK_SIZE;
    p->rlimit[RLIMIT_CORE].cur = 0;
    p->rlimit[RLIMIT_NPROC] = (struct rlimit){NR_TASKS, NR_TASKS};
    p->rlimit[RLIMIT_NOFILE] = (struct rlimit){NR_OPEN_SOFT, NR_OPEN};
    p->rlimit[RLIMIT_MEMLOCK] = (struct rlimit){8u << 20, 8u << 20};
    p->rlimit[RLIMIT_SIGPENDING] = (struct rlimit){NR_TASKS, NR_TASKS};
    p->rlimit[RLIMIT_MSGQUEUE] = (struct rlimit){819200, 819200};
    p->rlimit[RLIMIT_NICE] = (struct rlimit){0, 0};
    p->rlimit[RLIMIT_RTPRIO] = (struct rlimit){0, 0};
}

static struct process *process_alloc(void)
{
    struct process *p = kmalloc(sizeof(*p));
    if (!p)
        return NULL;
    list_init(&p->all);
    list_init(&p->threads);
    list_init(&p->pending.queue);
    list_init(&p->timers);
    wait_queue_init(&p->child_wait);
    p->dumpable = true;
    p->start_time = machine_clock(CLOCK_MONOTONIC);
    return p;
}

int task_init_first(void)
{
    struct process *p = process_alloc();
    struct task *t = p ? task_alloc(p) : NULL;

    if (!t)
        return -ENOMEM;
    p->mm = mm_create();
    p->files = files_create();
    p->fs = fs_create();
    if (!p->mm || !p->files || !p->fs)
        return -ENOMEM; /* the sandbox cannot start: nothing to tidy up for */
    process_limits(p);
    p->pid = p->pgid = pid_alloc();
    p->sid = 1; /* as if a shell had started it: leader of its group, not of the session */
    p->ppid = 1;
    strlcpy(t->comm, "thaw", sizeof(t->comm));
    list_add_tail(&p->all, &process_list);
    task_link(t, p->pid);
    first_task = t;
    return 0;
}

/* ---- clone ---- */

#define CSIGNAL 0xffull
#define CLONE_VM 0x100ull
#define CLONE_FS 0x200ull
#define CLONE_FILES 0x400ull
#define CLONE_SIGHAND 0x800ull
#define CLONE_PIDFD 0x1000ull
#define CLONE_THREAD 0x10000ull
#define CLONE_SETTLS 0x80000ull
#define CLONE_PARENT_SETTID 0x100000ull
#define CLONE_CHILD_CLEARTID 0x200000ull
#define CLONE_DETACHED 0x400000ull
#define CLONE_CHILD_SETTID 0x1000000ull
#define CLONE_CLEAR_SIGHAND 0x100000000ull
#define CLONE_INTO_CGROUP 0x200000000ull

struct clone_args {
    u64 flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};
#define CLONE_ARGS_SIZE_MIN 64

static s64 clone_thread(const struct clone_args *args)
{
    struct task *self = current, *t;
    struct process *p = self->process;
    struct pt_regs regs = *current_regs();

    t = task_alloc(p);
    if (!t)
        return -EAGAIN;
    t->blocked = self->blocked;
    t->cpus_allowed = self->cpus_allowed;
    t->sched_policy = self->sched_policy;
    memcpy(t->comm, self->comm, sizeof(t->comm));
    if (args->flags & CLONE_CHILD_CLEARTID)
        t->clear_child_tid = args->child_tid;
    regs.rax = 0;
    regs.orig_rax = (u64)-1;
    if (args->stack)
        regs.rsp = args->stack;
    task_link(t, pid_alloc());
    /* As in Linux a bad address here does not undo the thread. */
    if (args->flags & CLONE_PARENT_SETTID)
        (void)copy_to_user((void __user *)args->parent_tid, &t->tid, sizeof(t->tid));
    if (args->flags & CLONE_CHILD_SETTID)
        (void)copy_to_user((void __user *)args->child_tid, &t->tid, sizeof(t->tid));
    int err = machine_thread_start(t, &regs, args->flags & CLONE_SETTLS ? args->tls : machine_get_fsbase());
    if (err) {
        task_unlink(t);
        kfree(t);
        return err == -ENOMEM ? -EAGAIN : err;
    }
    return t->tid;
}

static s64 clone_any(const struct clone_args *args)
{
    u64 flags = args->flags;

    if ((flags & CLONE_SIGHAND) && !(flags & CLONE_VM))
        return -EINVAL;
    if ((flags & CLONE_THREAD) && !(flags & CLONE_SIGHAND))
        return -EINVAL;
    if ((flags & CLONE_THREAD) && (flags & CLONE_PIDFD))
        return -EINVAL;
    /* Processes of their own are not there yet, nor are threads with files or a directory of their own. */
    if ((flags & (CLONE_THREAD | CLONE_FS | CLONE_FILES)) != (CLONE_THREAD | CLONE_FS | CLONE_FILES))
        return -ENOSYS;
    if (current->process->exiting || current->killed)
        return -ERESTARTNOINTR;
    return clone_thread(args);
}

SYSCALL(clone)
{
    struct clone_args args = {
        .flags = a0 & ~CSIGNAL, .exit_signal = a0 & CSIGNAL, .stack = a1, .parent_tid = a2, .child_tid = a3, .tls = a4};
    return clone_any(&args);
}

SYSCALL(clone3)
{
    struct clone_args args = {0};

    if (a1 < CLONE_ARGS_SIZE_MIN)
        return -EINVAL;
    if (a1 > PAGE_SIZE)
        return -E2BIG;
    if (copy_from_user(&args, (const void __user *)a0, min(a1, (u64)sizeof(args))))
        return -EFAULT;
    /* What we do not know must not be asked for. */
    for (u64 off = sizeof(args); off < a1; off++) {
        u8 byte;
        if (copy_from_user(&byte, (const void __user *)(a0 + off), 1))
            return -EFAULT;
        if (byte)
            return -E2BIG;
    }
    if ((args.flags & (CSIGNAL | CLONE_DETACHED)) || args.exit_signal > NSIG || (!args.stack != !args.stack_size) ||
        (!args.set_tid != !args.set_tid_size))
        return -EINVAL;
    if ((args.flags & CLONE_THREAD) && args.exit_signal)
        return -EINVAL;
    if ((args.flags & CLONE_SIGHAND) && (args.flags & CLONE_CLEAR_SIGHAND))
        return -EINVAL;
    if (args.set_tid || (args.flags & CLONE_INTO_CGROUP))
        return -EPERM;
    if (check_add(args.stack, args.stack_size, &args.stack))
        return -EINVAL;
    return clone_any(&args);
}

SYSCALL(fork) { return -ENOSYS; }

SYSCALL(vfork) { return -ENOSYS; }

SYSCALL(set_tid_address)
{
    current->clear_child_tid = a0;
    return current->tid;
}

/* ---- the end ---- */

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

/* Nothing is left to run. Memory and open files go with the sandbox: tearing them down would only touch pages. */
static void __noreturn sandbox_end(void)
{
    struct thaw_exit *e = &machine_boot()->exit;

    if (e->kind == THAW_EXIT_NONE) {
        int sig = first_status & 0x7f;
        e->code = sig ? (u32)sig : (u32)first_status >> 8 & 0xff;
        __atomic_store_n(&e->kind,
                         first_oom ? THAW_EXIT_OOM
                         : sig     ? THAW_EXIT_SIGNAL
                                   : THAW_EXIT_CODE,
                         __ATOMIC_RELEASE);
    }
    machine_exit();
}

static void process_free(struct process *p)
{
    list_del(&p->all);
    kfree(p->cmdline);
    kfree(p->environ);
    kfree(p);
}

static bool is_last_process(const struct process *self)
{
    struct process *p;
    list_for_each_entry (p, &process_list, all)
        if (p != self && !p->zombie)
            return false;
    return true;
}

/* The last thread of p is gone: what it held goes back, its parent hears of it. */
static void process_finish(struct process *p)
{
    struct process *parent = process_by_pid(p->ppid), *child, *next;

    signal_flush(&p->pending, ~0ull);
    process_timers_delete(p);
    mm_put(p->mm);
    files_put(p->files);
    fs_put(p->fs);
    p->mm = NULL;
    p->files = NULL;
    p->fs = NULL;
    p->zombie = true;
    list_for_each_entry_safe (child, next, &process_list, all) {
        if (child->ppid != p->pid)
            continue;
        child->ppid = 1;
        if (child->zombie) /* nobody waits for the children of process 1 */
            process_free(child);
        else if (child->pdeathsig)
            signal_send_process(child, child->pdeathsig, NULL);
    }
    if (!parent || (parent->sigaction[SIGCHLD - 1].handler == SIG_IGN) ||
        (parent->sigaction[SIGCHLD - 1].flags & SA_NOCLDWAIT)) {
        if (parent)
            wake_up(&parent->child_wait);
        process_free(p);
        return;
    }
    int sig = p->exit_status & 0x7f;
    struct siginfo info = {.si_signo = SIGCHLD, .si_code = sig ? 2 /* CLD_KILLED */ : 1 /* CLD_EXITED */};
    info.chld.pid = p->pid;
    info.chld.status = sig ? sig : p->exit_status >> 8 & 0xff;
    signal_send_process(parent, SIGCHLD, &info);
    wake_up(&parent->child_wait);
}

void task_exit(int status)
{
    struct task *t = current;
    struct process *p = t->process;
    bool last = p->nr_threads == 1;

    /* The process's status is its first thread's, unless something ends the process as a whole. */
    if (t->tid == p->pid && !p->exiting)
        p->exit_status = status;
    if (last) {
        if (p->pid == FIRST_PID) {
            first_status = p->exit_status;
            first_oom = p->oom;
        }
        if (is_last_process(p))
            sandbox_end();
    }
    futex_exit(t);
    if (!last && t->clear_child_tid) {
        u32 zero = 0;
        if (!copy_to_user((void __user *)t->clear_child_tid, &zero, sizeof(zero)))
            futex_wake(p->mm, t->clear_child_tid, 1);
    }
    signal_flush(&t->pending, ~0ull);
    task_unlink(t);
    if (last) {
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

/* ---- execve ---- */

int task_exec_begin(void)
{
    struct task *self = current, *t;
    struct process *p = self->process;
    struct wait_entry e;
    int err = 0;

    if (p->exiting || self->killed)
        return -EAGAIN;
    list_for_each_entry (t, &p->threads, sibling)
        if (t != self) {
            t->killed = true;
            machine_kick(t);
        }
    wait_queue_add(&p->child_wait, &e, self);
    for (;;) {
        machine_block_prepare();
        if (p->nr_threads == 1)
            break;
        if (p->exiting || self->killed) {
            err = -EAGAIN;
            break;
        }
        machine_block(0);
    }
    wait_queue_remove(&e);
    if (!err)
        self->tid = p->pid;
    return err;
}

void task_exec_commit(const char *path)
{
    struct task *t = current;
    const char *name = strrchr(path, '/');

    signal_exec(t);
    process_timers_exec(t->process);
    t->clear_child_tid = 0;
    t->robust_list = 0;
    t->restart_nr = 0;
    t->process->dumpable = true;
    memset(t->comm, 0, sizeof(t->comm));
    strlcpy(t->comm, name ? name + 1 : path, sizeof(t->comm));
}

/* ---- wait ---- */

#define WNOHANG 1u
#define WUNTRACED 2u
#define WEXITED 4u
#define WCONTINUED 8u
#define WNOWAIT 0x01000000u
#define WAIT_CLONE_FLAGS 0xe0000000u /* __WNOTHREAD, __WALL, __WCLONE */

#define P_ALL 0
#define P_PID 1
#define P_PGID 2

/* Which children: pid > 0 that one, -1 any, else the group -pid. */
static bool wait_matches(const struct process *p, const struct process *self, pid_t pid)
{
    return p->ppid == self->pid && (pid == -1 || (pid > 0 ? p->pid == pid : p->pgid == -pid));
}

/* A child that has ended: NULL none yet, ERR_PTR(-ECHILD) and none to come. */
static struct process *wait_find(struct process *self, pid_t pid)
{
    struct process *p, *found = ERR_PTR(-ECHILD);
    list_for_each_entry (p, &process_list, all) {
        if (!wait_matches(p, self, pid))
            continue;
        if (p->zombie)
            return p;
        found = NULL;
    }
    return found;
}

static struct process *wait_child(pid_t pid, u32 options)
{
    struct process *self = current->process, *p = wait_find(self, pid);
    if (p || (options & WNOHANG))
        return p;
    long err = wait_event(&self->child_wait, (p = wait_find(self, pid)) != NULL);
    return err ? ERR_PTR(err) : p;
}

SYSCALL(wait4)
{
    static const u8 no_rusage[144];
    pid_t pid = (pid_t)a0;
    u32 options = (u32)a2;

    if (options & ~(WNOHANG | WUNTRACED | WCONTINUED | WAIT_CLONE_FLAGS))
        return -EINVAL;
    if (pid == (pid_t)0x80000000)
        return -ESRCH;
    struct process *p = wait_child(pid ? pid : -current->process->pgid, options);
    if (!p || IS_ERR(p))
        return PTR_ERR(p);
    s32 status = p->exit_status;
    pid = p->pid;
    process_free(p);
    if (a1 && copy_to_user((void __user *)a1, &status, sizeof(status)))
        return -EFAULT;
    if (a3 && copy_to_user((void __user *)a3, no_rusage, sizeof(no_rusage)))
        return -EFAULT;
    return pid;
}

SYSCALL(waitid)
{
    static const u8 no_rusage[144];
    u32 options = (u32)a3;
    struct siginfo info = {0};
    pid_t pid = (pid_t)a1;

    if ((options & ~(WNOHANG | WUNTRACED | WEXITED | WCONTINUED | WNOWAIT | WAIT_CLONE_FLAGS)) ||
        !(options & (WEXITED | WUNTRACED | WCONTINUED)))
        return -EINVAL;
    switch ((int)a0) {
    case P_ALL: pid = -1; break;
    case P_PID:
        if (pid <= 0)
            return -EINVAL;
        break;
    case P_PGID:
        if (pid < 0)
            return -EINVAL;
        pid = pid ? -pid : -current->process->pgid;
        break;
    default: return -EINVAL;
    }
    struct process *p = wait_child(pid, options);
    if (IS_ERR(p))
        return PTR_ERR(p);
    if (p) {
        int sig = p->exit_status & 0x7f;
        info.si_signo = SIGCHLD;
        info.si_code = sig ? 2 : 1;
        info.chld.pid = p->pid;
        info.chld.status = sig ? sig : p->exit_status >> 8 & 0xff;
        if (!(options & WNOWAIT))
            process_free(p);
    }
    if (a2 && copy_to_user((void __user *)a2, &info, sizeof(info)))
        return -EFAULT;
    if (a4 && copy_to_user((void __user *)a4, no_rusage, sizeof(no_rusage)))
        return -EFAULT;
    return 0;
}

/* ---- numbers ---- */

SYSCALL(gettid) { return current->tid; }

SYSCALL(getpid) { return current->process->pid; }

SYSCALL(getppid) { return current->process->ppid; }

static struct process *process_or_self(u64 pid) { return pid ? process_by_pid((pid_t)pid) : current->process; }

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
