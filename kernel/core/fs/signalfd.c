/* SPDX-License-Identifier: MIT */
/* signalfd(2): signals that are blocked, read as records. What is pending is that of who reads. */
#include "fs_impl.h"
#include "poll.h"
#include "signal.h"
#include "syscall.h"

struct signalfd {
    sigset_t mask;
};

struct signalfd_siginfo {
    u32 signo;
    s32 error, code;
    u32 pid, uid;
    s32 fd;
    u32 tid, band, overrun, trapno;
    s32 status, value;
    u64 ptr, utime, stime, addr;
    u16 addr_lsb, pad;
    s32 syscall;
    u64 call_addr;
    u32 arch;
    u8 fill[28];
};
_Static_assert(sizeof(struct signalfd_siginfo) == 128, "struct signalfd_siginfo is the ABI's");

static sigset_t pending(void) { return current->pending.set | current->process->pending.set; }

static struct signalfd_siginfo record(const struct siginfo *i)
{
    struct signalfd_siginfo r = {.signo = (u32)i->si_signo, .error = i->si_errno, .code = i->si_code};

    switch (i->si_code) {
    case SI_TIMER:
        r.tid = (u32)i->timer.tid;
        r.overrun = (u32)i->timer.overrun;
        r.value = (s32)i->timer.value;
        r.ptr = i->timer.value;
        return r;
    case SI_QUEUE:
        r.value = (s32)i->rt.value;
        r.ptr = i->rt.value;
        break;
    case SI_USER:
    case SI_TKILL: break;
    default:
        if (sigmask(i->si_signo) &
            (sigmask(SIGSEGV) | sigmask(SIGBUS) | sigmask(SIGILL) | sigmask(SIGFPE) | sigmask(SIGTRAP))) {
            r.addr = i->fault.addr;
            r.addr_lsb = (u16)i->fault.addr_lsb;
            return r;
        }
        if (i->si_signo == SIGCHLD) {
            r.status = i->chld.status;
            r.utime = (u64)i->chld.utime;
            r.stime = (u64)i->chld.stime;
        }
    }
    r.pid = (u32)i->rt.pid;
    r.uid = i->rt.uid;
    return r;
}

static ssize_t signalfd_read(struct file *f, void *buf, size_t n, loff_t *pos)
{
    struct signalfd *s = f->private;
    size_t done = 0;

    if (n < sizeof(struct signalfd_siginfo))
        return -EINVAL;
    while (n - done >= sizeof(struct signalfd_siginfo)) {
        struct signalfd_siginfo r;
        struct siginfo info;
        long w;

        if (signal_dequeue(current, s->mask, &info)) {
            r = record(&info);
            memcpy((u8 *)buf + done, &r, sizeof(r));
            done += sizeof(r);
            continue;
        }
        if (done)
            break;
        if (f->flags & O_NONBLOCK)
            return -EAGAIN;
        w = wait_event(&signalfd_wait, pending() & s->mask);
        if (w < 0)
            return w;
    }
    return (ssize_t)done;
}

static u32 signalfd_poll(struct file *f, struct poll_table *pt)
{
    const struct signalfd *s = f->private;

    poll_wait(f, &signalfd_wait, pt);
    return pending() & s->mask ? POLLIN | POLLRDNORM : 0;
}

static void signalfd_release(struct file *f) { kfree(f->private); }

static const struct file_operations signalfd_fops = {
    .read = signalfd_read,
    .poll = signalfd_poll,
    .release = signalfd_release,
};

static s64 do_signalfd(int fd, u64 umask, u64 size, u32 flags)
{
    struct signalfd *s;
    struct file *f;
    sigset_t mask;

    if (flags & ~(u32)(O_CLOEXEC | O_NONBLOCK) || size != sizeof(mask))
        return -EINVAL;
    if (copy_from_user(&mask, (const void __user *)umask, sizeof(mask)))
        return -EFAULT;
    mask &= ~(sigmask(SIGKILL) | sigmask(SIGSTOP));
    if (fd != -1) {
        f = fd_get(fd);
        if (!f)
            return -EBADF;
        if (f->op != &signalfd_fops) {
            file_put(f);
            return -EINVAL;
        }
        s = f->private;
        s->mask = mask;
        wake_up(&signalfd_wait);
        file_put(f);
        return fd;
    }
    s = kmalloc(sizeof(*s));
    if (!s)
        return -ENOMEM;
    s->mask = mask;
    f = file_anon("anon_inode:[signalfd]", &signalfd_fops, s, O_RDWR | (flags & O_NONBLOCK), 0600);
    if (IS_ERR(f)) {
        kfree(s);
        return PTR_ERR(f);
    }
    return fd_install(f, flags & O_CLOEXEC, 0);
}

SYSCALL(signalfd) { return do_signalfd((int)a0, a1, a2, 0); }

SYSCALL(signalfd4) { return do_signalfd((int)a0, a1, a2, (u32)a3); }
