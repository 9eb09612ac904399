/* SPDX-License-Identifier: MIT */
/* Changing what is known of a file: mode, owner, times, size. */
#include "sys/syscall.h"
#include "vfs.h"

#define NSEC 1000000000ll
#define UTIME_NOW ((1l << 30) - 1)
#define UTIME_OMIT ((1l << 30) - 2)

static int fd_path(int fd, struct path *p, bool raw)
{
    struct file *f = raw ? fd_get_raw(fd) : fd_get(fd);

    if (!f)
        return -EBADF;
    *p = f->path;
    path_get(p);
    file_put(f);
    return 0;
}

static u32 lookup_flags(u32 at_flags)
{
    return (at_flags & AT_SYMLINK_NOFOLLOW ? 0 : LOOKUP_FOLLOW) | (at_flags & AT_EMPTY_PATH ? LOOKUP_EMPTY : 0);
}

/* ---- mode ---- */

static s64 path_chmod(struct path *p, mode_t mode) /* consumes p */
{
    struct inode attr = {.mode = mode & 07777};
    s64 r = S_ISLNK(p->dentry->inode->mode) ? -EOPNOTSUPP : may_setattr(p->dentry->inode, &attr, ATTR_MODE);

    if (r == 0)
        r = inode_setattr(p, &attr, ATTR_MODE);

    path_put(p);
    return r;
}

static s64 do_chmod(int dirfd, u64 user_name, mode_t mode, u32 flags)
{
    struct path p;
    int r;

    if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    r = user_path_at(dirfd, user_name, lookup_flags(flags), &p);
    return r < 0 ? r : path_chmod(&p, mode);
}

SYSCALL(chmod) { return do_chmod(AT_FDCWD, a0, (mode_t)a1, 0); }

SYSCALL(fchmodat) { return do_chmod((int)a0, a1, (mode_t)a2, 0); }

SYSCALL(fchmodat2) { return do_chmod((int)a0, a1, (mode_t)a2, (u32)a3); }

SYSCALL(fchmod)
{
    struct path p;
    int r = fd_path((int)a0, &p, false);

    return r < 0 ? r : path_chmod(&p, (mode_t)a1);
}

/* ---- owner ---- */

static s64 path_chown(struct path *p, u32 uid, u32 gid) /* consumes p */
{
    struct inode *inode = p->dentry->inode;
    struct inode attr = {.uid = uid, .gid = gid, .mode = inode->mode & 07777};
    u32 which = (uid != ~0u ? ATTR_UID : 0) | (gid != ~0u ? ATTR_GID : 0);
    s64 r;

    if (which && S_ISREG(inode->mode) && (inode->mode & (S_ISUID | S_ISGID))) {
        attr.mode &= ~(mode_t)S_ISUID;
        if (inode->mode & 010) /* without group x the bit means mandatory locking */
            attr.mode &= ~(mode_t)S_ISGID;
        which |= ATTR_MODE;
    }
    if (which)
        r = (r = may_setattr(inode, &attr, which)) < 0 ? r : inode_setattr(p, &attr, which);
    else
        r = path_rdonly(p) ? -EROFS : 0;
    path_put(p);
    return r;
}

static s64 do_chown(int dirfd, u64 user_name, u32 uid, u32 gid, u32 flags)
{
    struct path p;
    int r;

    if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    r = user_path_at(dirfd, user_name, lookup_flags(flags), &p);
    return r < 0 ? r : path_chown(&p, uid, gid);
}

SYSCALL(chown) { return do_chown(AT_FDCWD, a0, (u32)a1, (u32)a2, 0); }

SYSCALL(lchown) { return do_chown(AT_FDCWD, a0, (u32)a1, (u32)a2, AT_SYMLINK_NOFOLLOW); }

SYSCALL(fchownat) { return do_chown((int)a0, a1, (u32)a2, (u32)a3, (u32)a4); }

SYSCALL(fchown)
{
    struct path p;
    int r = fd_path((int)a0, &p, false);

    return r < 0 ? r : path_chown(&p, (u32)a1, (u32)a2);
}

/* ---- times ---- */

struct timespec {
    s64 sec, nsec;
};

static u64 time_join(const struct timespec *t)
{
    s64 ns;

    if (check_mul(t->sec, NSEC, &ns) || check_add(ns, t->nsec, &ns))
        return t->sec < 0 ? (u64)INT64_MIN : (u64)INT64_MAX; /* as near as it can be kept */
    return (u64)ns;
}

/* times NULL: both now. Consumes p. */
static s64 path_utimes(struct path *p, const struct timespec *times)
{
    struct inode *inode = p->dentry->inode, attr = {0};
    u32 which = 0;
    s64 r = 0;

    if (!times) {
        attr.atime = attr.mtime = now_realtime();
        which = ATTR_ATIME | ATTR_MTIME;
    } else {
        if (times[0].nsec != UTIME_OMIT) {
            attr.atime = times[0].nsec == UTIME_NOW ? now_realtime() : time_join(&times[0]);
            which |= ATTR_ATIME;
        }
        if (times[1].nsec != UTIME_OMIT) {
            attr.mtime = times[1].nsec == UTIME_NOW ? now_realtime() : time_join(&times[1]);
            which |= ATTR_MTIME;
        }
    }
    if (which && !inode_owned(inode)) {
        bool now = !times || (times[0].nsec == UTIME_NOW && times[1].nsec == UTIME_NOW);
        r = now ? inode_permission(inode, MAY_WRITE) : -EPERM;
    }
    if (which && r == 0)
        r = inode_setattr(p, &attr, which);
    path_put(p);
    return r;
}

static s64 do_utimes(int dirfd, u64 user_name, const struct timespec *times, u32 flags)
{
    struct path p;
    int r;

    if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    if (!user_name && dirfd != AT_FDCWD) {
        if (flags)
            return -EINVAL;
        r = fd_path(dirfd, &p, false);
    } else {
        r = user_path_at(dirfd, user_name, lookup_flags(flags), &p);
    }
    return r < 0 ? r : path_utimes(&p, times);
}

static bool nsec_valid(s64 nsec) { return (nsec >= 0 && nsec < NSEC) || nsec == UTIME_NOW || nsec == UTIME_OMIT; }

SYSCALL(utimensat)
{
    struct timespec times[2];

    if (!a2)
        return do_utimes((int)a0, a1, NULL, (u32)a3);
    if (copy_from_user(times, (const void __user *)a2, sizeof(times)))
        return -EFAULT;
    if (times[0].nsec == UTIME_OMIT && times[1].nsec == UTIME_OMIT)
        return 0;
    if (!nsec_valid(times[0].nsec) || !nsec_valid(times[1].nsec))
        return -EINVAL;
    return do_utimes((int)a0, a1, times, (u32)a3);
}

/* struct timeval[2]: microseconds. */
static s64 do_futimesat(int dirfd, u64 user_name, u64 user_times)
{
    struct timespec times[2];

    if (!user_times)
        return do_utimes(dirfd, user_name, NULL, 0);
    if (copy_from_user(times, (const void __user *)user_times, sizeof(times)))
        return -EFAULT;
    for (int i = 0; i < 2; i++) {
        if (times[i].nsec < 0 || times[i].nsec >= 1000000)
            return -EINVAL;
        times[i].nsec *= 1000;
    }
    return do_utimes(dirfd, user_name, times, 0);
}

SYSCALL(utimes) { return do_futimesat(AT_FDCWD, a0, a1); }

SYSCALL(futimesat) { return do_futimesat((int)a0, a1, a2); }

SYSCALL(utime)
{
    struct timespec times[2] = {{0, 0}, {0, 0}};
    s64 seconds[2];

    if (!a1)
        return do_utimes(AT_FDCWD, a0, NULL, 0);
    if (copy_from_user(seconds, (const void __user *)a1, sizeof(seconds)))
        return -EFAULT;
    times[0].sec = seconds[0];
    times[1].sec = seconds[1];
    return do_utimes(AT_FDCWD, a0, times, 0);
}

/* ---- size ---- */

#define SIGXFSZ 25

static s64 size_limit(u64 size)
{
    if (size > current->process->rlimit[RLIMIT_FSIZE].cur) {
        signal_send_task(current, SIGXFSZ, NULL);
        return -EFBIG;
    }
    return 0;
}

static s64 resize(struct inode *inode, u64 size)
{
    s64 r = inode_refresh(inode);

    if (r == 0 && size > inode->size)
        r = size_limit(size);
    return r < 0 ? r : inode_truncate(inode, size);
}

SYSCALL(truncate)
{
    struct inode *inode;
    struct path p;
    s64 r;

    if ((s64)a1 < 0)
        return -EINVAL;
    r = user_path_at(AT_FDCWD, a0, LOOKUP_FOLLOW, &p);
    if (r < 0)
        return r;
    inode = p.dentry->inode;
    if (S_ISDIR(inode->mode))
        r = -EISDIR;
    else if (!S_ISREG(inode->mode))
        r = -EINVAL;
    else
        r = path_rdonly(&p) ? -EROFS : (r = inode_permission(inode, MAY_WRITE)) < 0 ? r : resize(inode, a1);
    path_put(&p);
    return r;
}

SYSCALL(ftruncate)
{
    struct file *f;
    s64 r;

    if ((s64)a1 < 0)
        return -EINVAL;
    f = fd_get((int)a0);
    if (!f)
        return -EBADF;
    r = !S_ISREG(f->inode->mode) || !file_writable(f) ? -EINVAL : resize(f->inode, a1);
    file_put(f);
    return r;
}

SYSCALL(fallocate)
{
    struct file *f;
    u64 end;
    s64 r = 0;

    if ((s64)a2 < 0 || (s64)a3 <= 0)
        return -EINVAL;
    f = fd_get((int)a0);
    if (!f)
        return -EBADF;
    if (!file_writable(f))
        r = -EBADF;
    else if (S_ISFIFO(f->inode->mode))
        r = -ESPIPE;
    else if (S_ISDIR(f->inode->mode))
        r = -EISDIR;
    else if (!S_ISREG(f->inode->mode))
        r = -ENODEV;
    else if (check_add(a2, a3, &end) || (s64)end < 0)
        r = -EFBIG;
    else if (!f->op->fallocate)
        r = -EOPNOTSUPP;
    else if (!(a1 & 1)) /* may make the file longer */
        r = size_limit(end);
    if (r == 0 && f->inode->seals)
        r = a1 & 2                                                    ? inode_seal_check(f->inode, 0)
            : (f->inode->seals & F_SEAL_GROW) && end > f->inode->size ? -EPERM
                                                                      : 0;
    if (r == 0)
        r = f->op->fallocate(f, (u32)a1, a2, a3);
    file_put(f);
    return r;
}
