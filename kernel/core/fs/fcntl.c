/* SPDX-License-Identifier: MIT */
/* Descriptors: copies of them, their flags, and ioctl(2)s that do not depend on what is behind them. */
#include "sys/syscall.h"
#include "vfs.h"

SYSCALL(dup)
{
    struct file *f = fd_get_raw((int)a0);

    return f ? fd_install(f, false, 0) : -EBADF;
}

SYSCALL(dup2)
{
    struct file *f = fd_get_raw((int)a0);

    if (!f)
        return -EBADF;
    if ((int)a0 == (int)a1) {
        file_put(f);
        return (int)a1;
    }
    return fd_install_at(f, false, (int)a1);
}

SYSCALL(dup3)
{
    struct file *f;

    if (a2 & ~(u64)O_CLOEXEC || (int)a0 == (int)a1)
        return -EINVAL;
    f = fd_get_raw((int)a0);
    return f ? fd_install_at(f, a2 & O_CLOEXEC, (int)a1) : -EBADF;
}

#define F_DUPFD 0u
#define F_GETFD 1u
#define F_SETFD 2u
#define F_GETFL 3u
#define F_SETFL 4u
#define F_GETLK 5u
#define F_SETLK 6u
#define F_SETLKW 7u
#define F_SETOWN 8u
#define F_GETOWN 9u
#define F_SETSIG 10u
#define F_GETSIG 11u
#define F_SETOWN_EX 15u
#define F_GETOWN_EX 16u
#define F_OFD_GETLK 36u
#define F_OFD_SETLK 37u
#define F_OFD_SETLKW 38u
#define F_SETLEASE 1024u
#define F_GETLEASE 1025u
#define F_NOTIFY 1026u
#define DN_MULTISHOT 0x80000000u
#define F_DUPFD_CLOEXEC 1030u
#define F_SETPIPE_SZ 1031u
#define F_GETPIPE_SZ 1032u
#define F_ADD_SEALS 1033u
#define F_GET_SEALS 1034u
#define SEALS_KNOWN 31u
#define FD_CLOEXEC 1
#define F_UNLCK 2

#define SETFL_MASK (u32)(O_APPEND | O_NONBLOCK | O_ASYNC | O_DIRECT | O_NOATIME)

static s64 fcntl_dup(int fd, u64 lowest, bool cloexec)
{
    struct file *f;

    if (lowest >= fd_limit())
        return -EINVAL;
    f = fd_get_raw(fd);
    return f ? fd_install(f, cloexec, (int)lowest) : -EBADF;
}

static s64 set_owner(struct file *f, s32 owner)
{
    if (owner == INT32_MIN)
        return -EINVAL;
    if (owner > 0 && !process_by_pid(owner))
        return -ESRCH;
    f->owner = owner;
    return 0;
}

/* Threads, processes and groups by type: 0, 1, 2. A thread's process is told. */
static s64 owner_ex(struct file *f, u64 arg, bool set)
{
    s32 ex[2] = {f->owner < 0 ? 2 : 1, f->owner < 0 ? -f->owner : f->owner}; /* type, number */
    struct task *t;

    if (!set)
        return copy_to_user((void __user *)arg, ex, sizeof(ex));
    if (copy_from_user(ex, (const void __user *)arg, sizeof(ex)))
        return -EFAULT;
    if (ex[0] < 0 || ex[0] > 2 || ex[1] < 0)
        return -EINVAL;
    t = ex[0] == 0 ? task_by_tid(ex[1]) : NULL;
    if (ex[0] == 0 && ex[1] && !t)
        return -ESRCH;
    return set_owner(f, t ? t->process->pid : ex[0] == 2 ? -ex[1] : ex[1]);
}

static s64 add_seals(struct file *f, u64 seals)
{
    if (!f->inode->sealable || seals & ~(u64)SEALS_KNOWN)
        return -EINVAL;
    if (!file_writable(f) || (f->inode->seals & F_SEAL_SEAL))
        return -EPERM;
    f->inode->seals |= (u32)seals;
    return 0;
}

static s64 fcntl_file(struct file *f, u32 cmd, u64 arg)
{
    switch (cmd) {
    case F_GETFL: return f->flags;
    case F_SETFL: f->flags = (f->flags & ~SETFL_MASK) | ((u32)arg & SETFL_MASK); return 0;
    case F_GETLK:
    case F_SETLK:
    case F_SETLKW:
    case F_OFD_GETLK:
    case F_OFD_SETLK:
    case F_OFD_SETLKW: return locks_fcntl(f, cmd, arg);
    case F_SETOWN: return set_owner(f, (s32)arg);
    case F_GETOWN: return f->owner;
    case F_SETOWN_EX:
    case F_GETOWN_EX: return owner_ex(f, arg, cmd == F_SETOWN_EX);
    case F_GETSIG: return 0; /* O_ASYNC does nothing here */
    case F_SETSIG: return arg > NSIG ? -EINVAL : 0;
    case F_GETLEASE: return F_UNLCK;
    case F_NOTIFY: /* dnotify: nobody is told of anything, so only asking for nothing succeeds */
        if (!S_ISDIR(f->inode->mode))
            return -ENOTDIR;
        return (u32)arg & ~DN_MULTISHOT ? -EINVAL : 0;
    case F_ADD_SEALS: return add_seals(f, arg);
    case F_GET_SEALS: return f->inode->sealable ? (s64)f->inode->seals : -EINVAL;
    case F_SETPIPE_SZ: /* pipes take these two where they take ioctls: no ioctl has these numbers */
    case F_GETPIPE_SZ:
        if (!S_ISFIFO(f->inode->mode))
            return -EBADF;
        if (f->op->ioctl) {
            long r = f->op->ioctl(f, cmd, arg);

            if (r != -ENOTTY)
                return r;
        }
        return cmd == F_GETPIPE_SZ ? PIPE_SIZE : -EINVAL;
    default: return -EINVAL;
    }
}

SYSCALL(fcntl)
{
    struct file *f;
    u32 cmd = (u32)a1;
    s64 r;

    switch (cmd) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC: return fcntl_dup((int)a0, a2, cmd == F_DUPFD_CLOEXEC);
    case F_GETFD: return fd_get_cloexec((int)a0);
    case F_SETFD: return fd_set_cloexec((int)a0, a2 & FD_CLOEXEC);
    }
    f = cmd == F_GETFL ? fd_get_raw((int)a0) : fd_get((int)a0);
    if (!f)
        return -EBADF;
    r = fcntl_file(f, cmd, a2);
    file_put(f);
    return r;
}

/* ---- ioctl ---- */

#define FIONREAD 0x541bu
#define FIONBIO 0x5421u
#define FIONCLEX 0x5450u
#define FIOCLEX 0x5451u
#define FIOASYNC 0x5452u
#define FIOQSIZE 0x5460u

static s64 ioctl_flag(struct file *f, u64 arg, u32 flag)
{
    s32 on;

    if (copy_from_user(&on, (const void __user *)arg, sizeof(on)))
        return -EFAULT;
    f->flags = on ? f->flags | flag : f->flags & ~flag;
    return 0;
}

static s64 ioctl_file(struct file *f, u32 cmd, u64 arg)
{
    s64 size;
    s32 left;
    int r;

    switch (cmd) {
    case FIONBIO: return ioctl_flag(f, arg, O_NONBLOCK);
    case FIOASYNC: return ioctl_flag(f, arg, O_ASYNC);
    case FIONREAD:
        if (!S_ISREG(f->inode->mode))
            break;
        r = inode_refresh(f->inode);
        if (r < 0)
            return r;
        left = (s32)((s64)f->inode->size - f->pos);
        return copy_to_user((void __user *)arg, &left, sizeof(left)) ? -EFAULT : 0;
    case FIOQSIZE:
        if (!S_ISREG(f->inode->mode) && !S_ISDIR(f->inode->mode))
            break;
        r = inode_refresh(f->inode);
        if (r < 0)
            return r;
        size = (s64)f->inode->size;
        return copy_to_user((void __user *)arg, &size, sizeof(size)) ? -EFAULT : 0;
    }
    return f->op->ioctl ? f->op->ioctl(f, cmd, arg) : -ENOTTY;
}

SYSCALL(ioctl)
{
    struct file *f = fd_get((int)a0);
    u32 cmd = (u32)a1;
    s64 r;

    if (!f)
        return -EBADF;
    if (cmd == FIOCLEX || cmd == FIONCLEX)
        r = fd_set_cloexec((int)a0, cmd == FIOCLEX);
    else
        r = ioctl_file(f, cmd, a2);
    file_put(f);
    return r;
}
