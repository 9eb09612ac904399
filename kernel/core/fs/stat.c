/* SPDX-License-Identifier: MIT */
/* What is known of files and file systems: stat(2), statx(2), access(2), statfs(2). */
#include "sys/syscall.h"
#include "vfs.h"

#define NSEC 1000000000ll

/* Nanoseconds since the epoch, possibly before it. */
static void time_split(u64 ns, u64 *sec, u64 *nsec)
{
    s64 t = (s64)ns, s = t / NSEC, rest = t % NSEC;

    if (rest < 0) {
        rest += NSEC;
        s--;
    }
    *sec = (u64)s;
    *nsec = (u64)rest;
}

static int inode_stat(struct inode *inode, struct kstat *st)
{
    int r = inode_refresh(inode);

    if (r < 0)
        return r;
    memset(st, 0, sizeof(*st));
    st->st_dev = inode->sb->dev;
    st->st_ino = inode->ino;
    st->st_nlink = inode->nlink;
    st->st_mode = inode->mode;
    st->st_uid = inode->uid;
    st->st_gid = inode->gid;
    st->st_rdev = inode->rdev;
    st->st_size = (s64)inode->size;
    st->st_blksize = PAGE_SIZE;
    st->st_blocks = (s64)inode->blocks;
    time_split(inode->atime, &st->st_atime, &st->st_atime_nsec);
    time_split(inode->mtime, &st->st_mtime, &st->st_mtime_nsec);
    time_split(inode->ctime, &st->st_ctime, &st->st_ctime_nsec);
    return 0;
}

int file_stat(struct file *f, struct kstat *st) { return inode_stat(f->inode, st); }

static s64 stat_to_user(const struct kstat *st, u64 user)
{
    return copy_to_user((void __user *)user, st, sizeof(*st)) ? -EFAULT : 0;
}

static s64 stat_fd(int fd, struct kstat *st)
{
    struct file *f = fd_get_raw(fd);
    s64 r;

    if (!f)
        return -EBADF;
    r = file_stat(f, st);
    file_put(f);
    return r;
}

static s64 stat_at(int dirfd, u64 user_name, u32 flags, struct kstat *st)
{
    struct path p;
    s64 r;

    if (flags & AT_EMPTY_PATH && dirfd >= 0) { /* what fstat(3) of the C library calls: kept short */
        char c;

        if (!user_name)
            return stat_fd(dirfd, st);
        if (copy_from_user(&c, (const void __user *)user_name, 1))
            return -EFAULT;
        if (!c)
            return stat_fd(dirfd, st);
    }
    r = user_path_at(dirfd, user_name,
                     (flags & AT_SYMLINK_NOFOLLOW ? 0 : LOOKUP_FOLLOW) | (flags & AT_EMPTY_PATH ? LOOKUP_EMPTY : 0),
                     &p);
    if (r < 0)
        return r;
    r = inode_stat(p.dentry->inode, st);
    path_put(&p);
    return r;
}

static s64 do_stat(int dirfd, u64 user_name, u32 flags, u64 user_st)
{
    struct kstat st;
    s64 r = stat_at(dirfd, user_name, flags, &st);

    return r < 0 ? r : stat_to_user(&st, user_st);
}

SYSCALL(stat) { return do_stat(AT_FDCWD, a0, 0, a1); }

SYSCALL(lstat) { return do_stat(AT_FDCWD, a0, AT_SYMLINK_NOFOLLOW, a1); }

SYSCALL(fstat)
{
    struct kstat st;
    s64 r = stat_fd((int)a0, &st);

    return r < 0 ? r : stat_to_user(&st, a1);
}

SYSCALL(newfstatat)
{
    if (a3 & ~(u64)(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH))
        return -EINVAL;
    return do_stat((int)a0, a1, (u32)a3, a2);
}

/* ---- statx ---- */

struct statx_time {
    s64 sec;
    u32 nsec;
    s32 pad;
};
struct statx {
    u32 mask, blksize;
    u64 attributes;
    u32 nlink, uid, gid;
    u16 mode, pad0;
    u64 ino, size, blocks, attributes_mask;
    struct statx_time atime, btime, ctime, mtime;
    u32 rdev_major, rdev_minor, dev_major, dev_minor;
    u64 mnt_id;
    u32 dio_mem_align, dio_offset_align;
    u64 spare[12];
};
_Static_assert(sizeof(struct statx) == 256, "struct statx is Linux's");
_Static_assert(sizeof(struct kstat) == 144, "struct stat is Linux's");

#define STATX_BASIC_STATS 0x7ffu
#define STATX_RESERVED 0x80000000u

static u32 dev_major(u64 dev) { return (u32)((dev >> 8 & 0xfff) | (dev >> 32 & ~0xfffull)); }

static u32 dev_minor(u64 dev) { return (u32)((dev & 0xff) | (dev >> 12 & ~0xffull)); }

SYSCALL(statx)
{
    u32 flags = (u32)a2;
    struct kstat st;
    struct statx sx;
    s64 r;

    if (a3 & STATX_RESERVED || (flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE)
        return -EINVAL;
    if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE))
        return -EINVAL;
    r = stat_at((int)a0, a1, flags, &st);
    if (r < 0)
        return r;
    memset(&sx, 0, sizeof(sx));
    sx.mask = STATX_BASIC_STATS;
    sx.blksize = (u32)st.st_blksize;
    sx.nlink = (u32)st.st_nlink;
    sx.uid = st.st_uid;
    sx.gid = st.st_gid;
    sx.mode = (u16)st.st_mode;
    sx.ino = st.st_ino;
    sx.size = (u64)st.st_size;
    sx.blocks = (u64)st.st_blocks;
    sx.atime = (struct statx_time){(s64)st.st_atime, (u32)st.st_atime_nsec, 0};
    sx.ctime = (struct statx_time){(s64)st.st_ctime, (u32)st.st_ctime_nsec, 0};
    sx.mtime = (struct statx_time){(s64)st.st_mtime, (u32)st.st_mtime_nsec, 0};
    sx.rdev_major = dev_major(st.st_rdev);
    sx.rdev_minor = dev_minor(st.st_rdev);
    sx.dev_major = dev_major(st.st_dev);
    sx.dev_minor = dev_minor(st.st_dev);
    return copy_to_user((void __user *)a4, &sx, sizeof(sx)) ? -EFAULT : 0;
}

/* ---- access: the one user is root, so that only read-only file systems and missing x bits deny anything ---- */

static s64 do_access(int dirfd, u64 user_name, u32 mode, u32 flags)
{
    struct inode *inode;
    struct path p;
    s64 r;

    if (mode & ~7u || flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    r = user_path_at(dirfd, user_name,
                     (flags & AT_SYMLINK_NOFOLLOW ? 0 : LOOKUP_FOLLOW) | (flags & AT_EMPTY_PATH ? LOOKUP_EMPTY : 0),
                     &p);
    if (r < 0)
        return r;
    inode = p.dentry->inode;
    r = inode_refresh(inode);
    if (r == 0 && (mode & 2) && (S_ISREG(inode->mode) || S_ISDIR(inode->mode) || S_ISLNK(inode->mode)) &&
        path_rdonly(&p))
        r = -EROFS;
    if (r == 0) {
        const struct cred *c = &current->process->cred;
        bool effective = flags & AT_EACCESS;
        r = inode_permission_of(inode, mode, effective ? c->user.fs : c->user.real,
                                effective ? c->group.fs : c->group.real);
    }
    path_put(&p);
    return r;
}

SYSCALL(access) { return do_access(AT_FDCWD, a0, (u32)a1, 0); }

SYSCALL(faccessat) { return do_access((int)a0, a1, (u32)a2, 0); }

SYSCALL(faccessat2) { return do_access((int)a0, a1, (u32)a2, (u32)a3); }

/* ---- file systems ---- */

struct statfs {
    u64 type, bsize, blocks, bfree, bavail, files, ffree;
    s32 fsid[2];
    u64 namelen, frsize, flags, spare[4];
};
_Static_assert(sizeof(struct statfs) == 120, "struct statfs is Linux's");

#define ST_RDONLY 1u
#define ST_VALID 0x20u

static s64 do_statfs(const struct path *p, u64 user)
{
    struct super_block *sb = p->dentry->inode->sb;
    struct thaw_statfs ts = {.bsize = PAGE_SIZE, .namelen = NAME_MAX};
    struct statfs st = {0};

    if (sb->op && sb->op->statfs) {
        int r = sb->op->statfs(sb, &ts);

        if (r < 0)
            return r;
    }
    st.type = sb->magic;
    st.bsize = st.frsize = ts.bsize;
    st.blocks = ts.blocks;
    st.bfree = ts.bfree;
    st.bavail = ts.bavail;
    st.files = ts.files;
    st.ffree = ts.ffree;
    st.fsid[0] = (s32)sb->dev;
    st.namelen = ts.namelen;
    st.flags = ST_VALID | (path_rdonly(p) ? ST_RDONLY : 0);
    return copy_to_user((void __user *)user, &st, sizeof(st)) ? -EFAULT : 0;
}

SYSCALL(statfs)
{
    struct path p;
    s64 r = user_path_at(AT_FDCWD, a0, LOOKUP_FOLLOW, &p);

    if (r < 0)
        return r;
    r = do_statfs(&p, a1);
    path_put(&p);
    return r;
}

SYSCALL(fstatfs)
{
    struct file *f = fd_get_raw((int)a0);
    s64 r;

    if (!f)
        return -EBADF;
    r = do_statfs(&f->path, a1);
    file_put(f);
    return r;
}
