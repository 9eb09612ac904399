/* SPDX-License-Identifier: MIT */
/* pidfd_open(2), pidfd_send_signal(2): processes as files. */
#include "pidfd.h"

#include "fs_impl.h"
#include "poll.h"
#include "signal.h"
#include "syscall.h"
#include "task.h"

static u32 pidfd_poll(struct file *f, struct poll_table *pt)
{
    struct process *p = f->private;

    if (poll_wants(pt, POLLIN | POLLRDNORM))
        poll_wait(f, &p->pidfd_wait, pt);
    return p->zombie ? POLLIN | POLLRDNORM : 0;
}

static void pidfd_release(struct file *f) { process_put(f->private); }

static const struct file_operations pidfd_fops = {
    .poll = pidfd_poll,
    .release = pidfd_release,
};

struct file *pidfd_file(struct process *p, u32 flags)
{
    struct file *f = file_anon("anon_inode:[pidfd]", &pidfd_fops, p, O_RDWR | flags, 0600);
    if (!IS_ERR(f))
        process_get(p);
    return f;
}

struct process *pidfd_process(int fd, bool *nonblock)
{
    struct file *f = fd_get(fd);
    struct process *p = ERR_PTR(-EBADF);

    if (!f)
        return p;
    if (f->op == &pidfd_fops) {
        p = f->private;
        process_get(p);
        if (nonblock)
            *nonblock = f->flags & O_NONBLOCK;
    }
    file_put(f);
    return p;
}

SYSCALL(pidfd_open)
{
    UNUSED6;
    if ((a1 & ~(u64)O_NONBLOCK) || (pid_t)a0 <= 0)
        return -EINVAL;
    struct process *p = process_or_zombie((pid_t)a0);
    if (!p)
        return task_by_tid((pid_t)a0) ? -EINVAL : -ESRCH;
    struct file *f = pidfd_file(p, (u32)a1);
    return IS_ERR(f) ? PTR_ERR(f) : fd_install(f, true, 0);
}

SYSCALL(pidfd_send_signal)
{
    struct siginfo info;
    int sig = (int)a1;

    UNUSED6;
    if (a3 || sig < 0 || sig > NSIG)
        return -EINVAL;
    struct process *p = pidfd_process((int)a0, NULL);
    struct file *dir = IS_ERR(p) ? fd_get((int)a0) : NULL;
    if (dir) { /* before there were pidfds it was directories of /proc */
        struct process *named = proc_pid_process(dir->inode);
        p = named ? named : p;
        if (named)
            process_get(named);
        file_put(dir);
    }
    if (IS_ERR(p))
        return PTR_ERR(p);
    s64 ret = 0;
    if (a2) {
        ret = siginfo_from_user(&info, a2, p->pid, sig);
        if (!ret && info.si_signo != sig)
            ret = -EINVAL;
    } else {
        info = siginfo_user(sig, SI_USER);
    }
    if (!ret && list_empty(&p->all))
        ret = -ESRCH;
    if (!ret && !signal_may_send(p, sig))
        ret = -EPERM;
    if (!ret && sig)
        ret = signal_send_process(p, sig, &info);
    process_put(p);
    return ret;
}
