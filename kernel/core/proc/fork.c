/* SPDX-License-Identifier: MIT */
/* clone(2), fork(2), vfork(2): threads, and processes with a copy of the caller's memory or with its own. */
#include "fs.h"
#include "mm.h"
#include "pidfd.h"
#include "signal.h"
#include "syscall.h"
#include "task.h"
#include "task_impl.h"

#define CSIGNAL 0xffull
#define CLONE_VM 0x100ull
#define CLONE_FS 0x200ull
#define CLONE_FILES 0x400ull
#define CLONE_SIGHAND 0x800ull
#define CLONE_PIDFD 0x1000ull
#define CLONE_VFORK 0x4000ull
#define CLONE_PARENT 0x8000ull
#define CLONE_THREAD 0x10000ull
#define CLONE_SETTLS 0x80000ull
#define CLONE_PARENT_SETTID 0x100000ull
#define CLONE_CHILD_CLEARTID 0x200000ull
#define CLONE_DETACHED 0x400000ull
#define CLONE_CHILD_SETTID 0x1000000ull
#define CLONE_CLEAR_SIGHAND 0x100000000ull
#define CLONE_INTO_CGROUP 0x200000000ull
/* NEWTIME, NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET */
#define CLONE_NAMESPACES 0x7e020080ull

struct clone_args {
    u64 flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};
#define CLONE_ARGS_SIZE_MIN 64

/* What a new thread has of its maker, whichever process it is in. */
static struct task *task_copy(struct process *p, const struct clone_args *args)
{
    struct task *self = current, *t = task_alloc(p);

    if (!t)
        return NULL;
    t->blocked = self->blocked;
    t->cpus_allowed = self->cpus_allowed;
    t->sched_policy = self->sched_policy;
    memcpy(t->comm, self->comm, sizeof(t->comm));
    if (args->flags & CLONE_CHILD_CLEARTID)
        t->clear_child_tid = args->child_tid;
    return t;
}

static struct pt_regs regs_copy(const struct clone_args *args)
{
    struct pt_regs regs = *current_regs();

    regs.rax = 0;
    regs.orig_rax = (u64)-1;
    if (args->stack)
        regs.rsp = args->stack;
    return regs;
}

static u64 tls_of(const struct clone_args *args)
{
    return args->flags & CLONE_SETTLS ? args->tls : machine_get_fsbase();
}

static s64 clone_thread(const struct clone_args *args)
{
    struct pt_regs regs = regs_copy(args);
    struct task *t = task_copy(current->process, args);

    if (!t)
        return -EAGAIN;
    task_link(t, pid_alloc());
    /* As in Linux a bad address here does not undo the thread. */
    if (args->flags & CLONE_PARENT_SETTID)
        (void)copy_to_user((void __user *)args->parent_tid, &t->tid, sizeof(t->tid));
    if (args->flags & CLONE_CHILD_SETTID)
        (void)copy_to_user((void __user *)args->child_tid, &t->tid, sizeof(t->tid));
    int err = machine_thread_start(t, &regs, tls_of(args));
    if (err) {
        task_unlink(t);
        kfree(t);
        return err == -ENOMEM ? -EAGAIN : err;
    }
    return t->tid;
}

/* ---- processes ---- */

static char *memory_copy(const char *p, size_t n)
{
    char *copy = p ? kmalloc(n + 1) : NULL;
    if (copy)
        memcpy(copy, p, n);
    return copy;
}

/* The calling process's copy, in no list yet; NULL: no memory. */
static struct process *process_copy(const struct clone_args *args)
{
    struct process *self = current->process, *p = process_alloc();
    bool parent = args->flags & CLONE_PARENT;

    if (!p)
        return NULL;
    memcpy(p->sigaction, self->sigaction, sizeof(p->sigaction));
    if (args->flags & CLONE_CLEAR_SIGHAND)
        signal_clear_handlers(p);
    memcpy(p->rlimit, self->rlimit, sizeof(p->rlimit));
    memcpy(p->exe, self->exe, sizeof(p->exe));
    p->ppid = parent ? self->ppid : self->pid;
    p->exit_signal = parent ? self->exit_signal : (s32)args->exit_signal;
    p->pgid = self->pgid;
    p->sid = self->sid;
    p->nice = self->nice;
    cred_copy(&p->cred, &self->cred);
    p->oom_score_adj = self->oom_score_adj;
    p->no_new_privs = self->no_new_privs;
    p->dumpable = self->dumpable;
    p->cmdline = memory_copy(self->cmdline, p->cmdline_len = self->cmdline_len);
    p->environ = memory_copy(self->environ, p->environ_len = self->environ_len);
    if (args->flags & CLONE_FS)
        fs_get(p->fs = self->fs);
    else
        p->fs = fs_clone(self->fs);
    if (args->flags & CLONE_FILES)
        files_get(p->files = self->files);
    else
        p->files = files_clone(self->files);
    if (args->flags & CLONE_VM)
        mm_get(p->mm = self->mm);
    else
        p->mm = mm_fork(self->mm);
    if (!p->fs || !p->files || !p->mm || (self->cmdline && !p->cmdline) || (self->environ && !p->environ)) {
        process_discard(p);
        return NULL;
    }
    return p;
}

/* Sleeps until the child has executed another program or ended; only what ends the process itself cuts it short. */
static void vfork_wait(struct process *child, struct vfork *v)
{
    struct task *t = current;

    for (;;) {
        machine_block_prepare();
        if (v->done)
            return;
        if (t->process->exiting || t->killed) {
            child->vfork = NULL;
            return;
        }
        machine_block(0);
    }
}

void vfork_release(struct process *p)
{
    struct vfork *v = p->vfork;

    p->vfork = NULL;
    if (v) {
        v->done = true;
        machine_wake(v->parent);
    }
}

static bool too_many_processes(void)
{
    struct process *p;
    u32 live = 0, all = 0;
    list_for_each_entry (p, &process_list, all) {
        live += !p->zombie;
        all++;
    }
    return live >= NR_PROCESSES || all >= NR_TASKS;
}

static s64 clone_process(const struct clone_args *args)
{
    struct task *self = current, *t;
    struct pt_regs regs = regs_copy(args);
    struct vfork v = {.parent = self};
    struct file *pidfile = NULL;
    int err = -EAGAIN, pidfd = -1;

    if (task_count() >= self->process->rlimit[RLIMIT_NPROC].cur || too_many_processes())
        return -EAGAIN;
    /* Also for vfork: its child is to be able to execute. */
    err = machine_share();
    if (err)
        return err;
    err = -EAGAIN;
    struct process *p = process_copy(args);
    if (!p)
        return -ENOMEM;
    t = task_copy(p, args);
    if (!t)
        goto bad;
    if (args->flags & CLONE_CHILD_SETTID)
        t->set_child_tid = args->child_tid;
    if (!(args->flags & CLONE_VM) || (args->flags & CLONE_VFORK)) {
        t->altstack_sp = self->altstack_sp;
        t->altstack_size = self->altstack_size;
        t->altstack_flags = self->altstack_flags;
    }
    if (args->flags & CLONE_PIDFD) {
        pidfile = pidfd_file(p, 0);
        err = IS_ERR(pidfile) ? (int)PTR_ERR(pidfile) : 0;
        if (!err)
            err = pidfd = fd_install(pidfile, true, 0);
        if (err >= 0)
            err = copy_to_user((void __user *)args->pidfd, &pidfd, sizeof(pidfd));
        if (err < 0)
            goto bad_task;
    }
    p->pid = pid_alloc();
    if (args->flags & CLONE_VFORK)
        p->vfork = &v;
    list_add_tail(&p->all, &process_list);
    task_link(t, p->pid);
    if (args->flags & CLONE_PARENT_SETTID)
        (void)copy_to_user((void __user *)args->parent_tid, &t->tid, sizeof(t->tid));
    pid_t pid = p->pid;
    if (args->flags & CLONE_VM)
        err = machine_thread_start(t, &regs, tls_of(args));
    else
        err = machine_fork(t, p->mm, &regs, tls_of(args));
    if (err) {
        task_unlink(t);
        goto bad_task;
    }
    if (args->flags & CLONE_VFORK)
        vfork_wait(p, &v);
    return pid;
bad_task:
    kfree(t);
    if (pidfd >= 0)
        fd_close(pidfd);
bad:
    process_discard(p);
    return err;
}

void task_begin(struct pt_regs *regs)
{
    struct task *t = current;

    if (t->set_child_tid)
        (void)copy_to_user((void __user *)t->set_child_tid, &t->tid, sizeof(t->tid));
    t->set_child_tid = 0;
    user_return(regs);
}

static s64 clone_any(const struct clone_args *args)
{
    const u64 thread = CLONE_THREAD | CLONE_FS | CLONE_FILES;
    u64 flags = args->flags;

    if ((flags & CLONE_SIGHAND) && !(flags & CLONE_VM))
        return -EINVAL;
    if ((flags & CLONE_THREAD) && !(flags & CLONE_SIGHAND))
        return -EINVAL;
    if ((flags & CLONE_THREAD) && (flags & CLONE_PIDFD))
        return -EINVAL;
    if ((flags & CLONE_PIDFD) && (flags & CLONE_DETACHED))
        return -EINVAL;
    if (flags & CLONE_NAMESPACES)
        return -EPERM;
    if (current->process->exiting || current->killed)
        return -ERESTARTNOINTR;
    if ((flags & thread) == thread)
        return clone_thread(args);
    /* Threads with files or a directory of their own, and processes that share their signal handlers: nobody's habit. */
    if (flags & CLONE_SIGHAND)
        return -ENOSYS;
    return clone_process(args);
}

SYSCALL(clone)
{
    struct clone_args args = {.flags = a0 & 0xffffffff & ~CSIGNAL,
                              .exit_signal = a0 & CSIGNAL,
                              .stack = a1,
                              .parent_tid = a2,
                              .child_tid = a3,
                              .tls = a4};

    if (args.exit_signal > NSIG)
        return -EINVAL;
    if (args.flags & CLONE_PIDFD) {
        if (args.flags & CLONE_PARENT_SETTID)
            return -EINVAL;
        args.pidfd = a2;
    }
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
    if ((args.flags & (CLONE_THREAD | CLONE_PARENT)) && args.exit_signal)
        return -EINVAL;
    if ((args.flags & CLONE_SIGHAND) && (args.flags & CLONE_CLEAR_SIGHAND))
        return -EINVAL;
    if (args.set_tid || (args.flags & CLONE_INTO_CGROUP))
        return -EPERM;
    if (check_add(args.stack, args.stack_size, &args.stack))
        return -EINVAL;
    return clone_any(&args);
}

SYSCALL(fork)
{
    const struct clone_args args = {.exit_signal = SIGCHLD};
    return clone_any(&args);
}

SYSCALL(vfork)
{
    const struct clone_args args = {.flags = CLONE_VM | CLONE_VFORK, .exit_signal = SIGCHLD};
    return clone_any(&args);
}

SYSCALL(set_tid_address)
{
    current->clear_child_tid = a0;
    return current->tid;
}
