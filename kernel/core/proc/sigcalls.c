/* SPDX-License-Identifier: MIT */
/* The system calls about signals. */
#include "signal.h"
#include "syscall.h"
#include "timer.h"

#define SA_KNOWN                                                                                      \
    (SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | SA_ONSTACK | SA_RESTART | SA_NODEFER | SA_RESETHAND | \
     SA_EXPOSE_TAGBITS | SA_RESTORER)

static bool signal_valid(u64 sig) { return sig >= 1 && sig <= NSIG; }

SYSCALL(rt_sigaction)
{
    int sig = (int)a0;
    struct process *p = current->process;
    struct k_sigaction new, *ka;

    if (a3 != sizeof(sigset_t) || sig < 1 || sig > NSIG || (a1 && (sig == SIGKILL || sig == SIGSTOP)))
        return -EINVAL;
    ka = &p->sigaction[sig - 1];
    struct k_sigaction old = *ka;
    if (a1) {
        if (copy_from_user(&new, (const void __user *)a1, sizeof(new)))
            return -EFAULT;
        new.flags &= SA_KNOWN;
        new.mask &= ~(sigmask(SIGKILL) | sigmask(SIGSTOP));
        *ka = new;
        /* POSIX: setting a signal to be ignored discards what is pending of it. */
        sigset_t ignored_by_default = sigmask(SIGCHLD) | sigmask(SIGCONT) | sigmask(SIGURG) | sigmask(SIGWINCH);
        if (new.handler == SIG_IGN || (new.handler == SIG_DFL && (sigmask(sig) & ignored_by_default))) {
            struct task *t;
            signal_flush(&p->pending, sigmask(sig));
            list_for_each_entry (t, &p->threads, sibling)
                signal_flush(&t->pending, sigmask(sig));
        }
    }
    if (a2 && copy_to_user((void __user *)a2, &old, sizeof(old)))
        return -EFAULT;
    return 0;
}

SYSCALL(rt_sigprocmask)
{
    struct task *t = current;
    sigset_t old = t->blocked, set;

    if (a3 != sizeof(sigset_t))
        return -EINVAL;
    if (a1) {
        if (copy_from_user(&set, (const void __user *)a1, sizeof(set)))
            return -EFAULT;
        switch ((int)a0) {
        case 0: /* SIG_BLOCK */ set |= old; break;
        case 1: /* SIG_UNBLOCK */ set = old & ~set; break;
        case 2: /* SIG_SETMASK */ break;
        default: return -EINVAL;
        }
        signal_set_blocked(t, set);
    }
    if (a2 && copy_to_user((void __user *)a2, &old, sizeof(old)))
        return -EFAULT;
    return 0;
}

SYSCALL(rt_sigpending)
{
    struct task *t = current;
    sigset_t set = (t->pending.set | t->process->pending.set) & t->blocked;

    if (a1 > sizeof(set))
        return -EINVAL;
    return copy_to_user((void __user *)a0, &set, a1) ? -EFAULT : 0;
}

/* Sleeps until a signal that is not blocked comes. */
static void signal_sleep(struct task *t)
{
    for (;;) {
        machine_block_prepare();
        if (signal_pending(t))
            return;
        machine_block(0);
    }
}

SYSCALL(rt_sigsuspend)
{
    if (!a0)
        return -EFAULT;
    int err = sigmask_set_user(a0, a1);
    if (err)
        return err;
    signal_sleep(current);
    return -ERESTARTNOHAND; /* the old mask comes back on the way to user mode */
}

SYSCALL(pause)
{
    signal_sleep(current);
    return -ERESTARTNOHAND;
}

SYSCALL(rt_sigtimedwait)
{
    struct task *t = current;
    struct siginfo info;
    sigset_t set;
    u64 timeout = 0, deadline = 0;
    int sig;

    if (a3 != sizeof(set))
        return -EINVAL;
    if (copy_from_user(&set, (const void __user *)a0, sizeof(set)))
        return -EFAULT;
    if (a2) {
        int err = get_timespec(&timeout, a2);
        if (err)
            return err;
        deadline = deadline_after(machine_clock(CLOCK_MONOTONIC), timeout);
    }
    set &= ~(sigmask(SIGKILL) | sigmask(SIGSTOP));
    t->sigwait = set;
    for (;;) {
        machine_block_prepare();
        sig = signal_dequeue(t, set, &info);
        if (sig)
            break;
        if (signal_pending(t)) {
            sig = -EINTR;
            break;
        }
        if (a2 && (!timeout || machine_block(deadline) == -ETIMEDOUT)) {
            sig = signal_dequeue(t, set, &info);
            if (!sig)
                sig = -EAGAIN;
            break;
        }
        if (!a2)
            machine_block(0);
    }
    t->sigwait = 0;
    if (sig > 0 && a1 && copy_to_user((void __user *)a1, &info, sizeof(info)))
        return -EFAULT;
    return sig;
}

/* ---- sending ---- */

struct siginfo siginfo_user(int sig, int code)
{
    struct siginfo info = {.si_signo = sig, .si_code = code};
    info.chld.pid = current->process->pid;
    info.chld.uid = current->process->cred.user.real;
    return info;
}

bool signal_may_send(const struct process *p, int sig)
{
    const struct cred *from = &current->process->cred, *to = &p->cred;

    return cred_capable(from) || from->user.effective == to->user.real || from->user.effective == to->user.saved ||
           from->user.real == to->user.real || from->user.real == to->user.saved ||
           (sig == SIGCONT && current->process->sid == p->sid);
}

static int send_process(struct process *p, int sig, const struct siginfo *info)
{
    if (!signal_may_send(p, sig))
        return -EPERM;
    return sig ? signal_send_process(p, sig, info) : 0;
}

SYSCALL(kill)
{
    pid_t pid = (pid_t)a0;
    int sig = (int)a1;
    struct process *self = current->process, *p;
    struct siginfo info = siginfo_user(sig, SI_USER);
    int ret = -ESRCH;

    if (sig && !signal_valid((u32)sig))
        return -EINVAL;
    if (pid > 0) {
        struct task *t = task_by_tid(pid);
        p = process_or_zombie(pid);
        if (!p && t) /* Linux takes any thread's number */
            p = t->process;
        return p ? send_process(p, sig, &info) : -ESRCH;
    }
    if (pid == (pid_t)0x80000000)
        return -ESRCH;
    list_for_each_entry (p, &process_list, all) {
        if (pid == -1 ? p == self : p->pgid != (pid ? -pid : self->pgid))
            continue;
        int err = send_process(p, sig, &info);
        if (ret) /* one that was reached is enough */
            ret = err;
    }
    return ret;
}

static s64 send_thread(pid_t tgid, pid_t tid, int sig, const struct siginfo *info)
{
    if (tid <= 0 || tgid == 0 || tgid < -1 || (sig && !signal_valid((u32)sig)))
        return -EINVAL;
    struct task *t = task_by_tid(tid);
    if (!t || (tgid > 0 && t->process->pid != tgid))
        return -ESRCH;
    if (!signal_may_send(t->process, sig))
        return -EPERM;
    return sig ? signal_send_task(t, sig, info) : 0;
}

SYSCALL(tkill)
{
    struct siginfo info = siginfo_user((int)a1, SI_TKILL);
    return send_thread(-1, (pid_t)a0, (int)a1, &info);
}

SYSCALL(tgkill)
{
    struct siginfo info = siginfo_user((int)a2, SI_TKILL);
    if ((pid_t)a0 <= 0)
        return -EINVAL;
    return send_thread((pid_t)a0, (pid_t)a1, (int)a2, &info);
}

/* A siginfo that user mode made up. It may not pass for the kernel's own, except to itself. */
int siginfo_from_user(struct siginfo *info, u64 uinfo, pid_t pid, int sig)
{
    if (copy_from_user(info, (const void __user *)uinfo, sizeof(*info)))
        return -EFAULT;
    if ((info->si_code >= 0 || info->si_code == SI_TKILL) && pid != current->process->pid)
        return -EPERM;
    info->si_signo = sig;
    return 0;
}

SYSCALL(rt_sigqueueinfo)
{
    struct siginfo info;
    int sig = (int)a1, err = siginfo_from_user(&info, a2, (pid_t)a0, sig);
    if (err)
        return err;
    if (sig && !signal_valid((u32)sig))
        return -EINVAL;
    struct process *p = process_or_zombie((pid_t)a0);
    return p ? send_process(p, sig, &info) : -ESRCH;
}

SYSCALL(rt_tgsigqueueinfo)
{
    struct siginfo info;
    if ((pid_t)a0 <= 0 || (pid_t)a1 <= 0)
        return -EINVAL;
    int sig = (int)a2, err = siginfo_from_user(&info, a3, (pid_t)a0, sig);
    return err ? err : send_thread((pid_t)a0, (pid_t)a1, sig, &info);
}
