/* SPDX-License-Identifier: MIT */
/* Directories: listing them, and making, removing, moving and linking names. */
#include "inotify.h"
#include "sys/syscall.h"
#include "vfs.h"

static bool dir_rdonly(const struct walk *w) { return path_rdonly(&w->path); }

/* ---- getdents ---- */

struct dirent64 {
    u64 ino;
    s64 off;
    u16 reclen;
    u8 type;
    char name[];
} __packed;

struct getdents_context {
    struct dir_context dir;
    char *buf;
    size_t size, used;
    u64 next; /* position behind the last entry taken */
    bool old; /* the layout of getdents(2), type behind the name */
    bool any, full;
};

static bool getdents_actor(struct dir_context *ctx, const char *name, size_t len, u64 next, u64 ino, u8 type)
{
    struct getdents_context *c = container_of(ctx, struct getdents_context, dir);
    size_t head = c->old ? 18 : offsetof(struct dirent64, name);
    size_t reclen = round_up(head + len + 1 + (c->old ? 1 : 0), (size_t)8);
    struct dirent64 *d = (struct dirent64 *)(c->buf + c->used);
    char *at = (char *)d + head;

    if (c->size - c->used < reclen) {
        c->full = true;
        return false;
    }
    memset((char *)d + reclen - 8, 0, 8);
    d->ino = ino;
    d->off = (s64)next;
    d->reclen = (u16)reclen;
    if (c->old)
        ((char *)d)[reclen - 1] = (char)type;
    else
        d->type = type;
    memcpy(at, name, len);
    at[len] = 0;
    c->used += reclen;
    c->next = next;
    c->any = true;
    return true;
}

static s64 dir_read(struct file *f, u64 user, u64 size, bool old)
{
    struct getdents_context c = {.dir = {getdents_actor}, .old = old};
    s64 r;

    if (!S_ISDIR(f->inode->mode) || !f->op->iterate)
        return -ENOTDIR;
    if (f->path.dentry && f->path.dentry->unlinked)
        return -ENOENT;
    c.buf = bounce_get();
    if (!c.buf)
        return -ENOMEM;
    c.size = min(size, (u64)BOUNCE_SIZE);
    r = f->op->iterate(f, &c.dir);
    if (c.any) {
        r = copy_to_user((void __user *)user, c.buf, c.used) ? -EFAULT : (s64)c.used;
        if (r >= 0)
            f->pos = (loff_t)c.next;
    } else if (r == 0 && c.full) {
        r = -EINVAL;
    }
    bounce_put(c.buf);
    return r;
}

static s64 fd_getdents(int fd, u64 user, u64 size, bool old)
{
    struct file *f = fd_get(fd);
    s64 r;

    if (!f)
        return -EBADF;
    r = dir_read(f, user, size, old);
    file_put(f);
    return r;
}

SYSCALL(getdents) { return fd_getdents((int)a0, a1, (u32)a2, true); }

SYSCALL(getdents64) { return fd_getdents((int)a0, a1, (u32)a2, false); }

/* ---- making ---- */

/* Walks to where a new name shall be: 0 if it can be made there. walk_end() in either case. */
static int create_begin(struct walk *w, int dirfd, const char *name, bool directory)
{
    struct dentry *d;
    int r = walk_begin(w, dirfd, name);

    if (r == 0)
        r = walk_parent(w);
    if (r < 0)
        return r;
    if (w->last_type != LAST_NORM)
        return -EEXIST;
    if (!S_ISDIR(w->path.dentry->inode->mode))
        return -ENOTDIR;
    d = dentry_lookup(w->path.dentry, w->last, w->last_len);
    if (!IS_ERR(d)) {
        dentry_put(d);
        return -EEXIST;
    }
    if (PTR_ERR(d) != -ENOENT)
        return (int)PTR_ERR(d);
    if (w->last_slash && !directory)
        return -ENOENT;
    if (dir_rdonly(w))
        return -EROFS;
    return w->path.dentry->unlinked ? -ENOENT : may_create(w->path.dentry->inode);
}

/* The new name goes into the cache. */
static int create_end(struct walk *w, int error, struct inode *inode)
{
    struct dentry *d;

    if (error < 0)
        return error;
    inotify_name(w->path.dentry, w->last, w->last_len, S_ISDIR(inode->mode), IN_CREATE);
    d = dentry_enter(w->path.dentry, w->last, w->last_len, inode);
    if (!IS_ERR(d)) /* without memory for it the next lookup finds it all the same */
        dentry_put(d);
    return 0;
}

static int make_at(int dirfd, const char *name, mode_t mode, u64 rdev)
{
    struct walk w = {0};
    struct inode *dir, *inode = NULL;
    int r = create_begin(&w, dirfd, name, S_ISDIR(mode));

    if (r == 0) {
        dir = w.path.dentry->inode;
        r = dir->op->create ? dir->op->create(dir, w.last, w.last_len, mode, rdev, &inode) : -EPERM;
        r = create_end(&w, r, inode);
    }
    walk_end(&w);
    return r;
}

int vfs_make(const char *name, mode_t mode) { return make_at(AT_FDCWD, name, mode, 0); }

int vfs_make_device(const char *name, mode_t mode, u64 rdev) { return make_at(AT_FDCWD, name, mode, rdev); }

static s64 do_mknod(int dirfd, u64 user_name, mode_t mode, u64 rdev)
{
    struct filename fn;
    int r = filename_get(&fn, user_name);

    if (r < 0)
        return r;
    r = make_at(dirfd, fn.name, mode & ~(fs_get_umask(current->process->fs) & 0777), rdev);
    filename_put(&fn);
    return r;
}

SYSCALL(mkdir) { return do_mknod(AT_FDCWD, a0, S_IFDIR | ((mode_t)a1 & 01777), 0); }

SYSCALL(mkdirat) { return do_mknod((int)a0, a1, S_IFDIR | ((mode_t)a2 & 01777), 0); }

static s64 mknod_at(int dirfd, u64 user_name, mode_t mode, u64 rdev)
{
    switch (mode & S_IFMT) {
    case 0: mode |= S_IFREG; __attribute__((fallthrough));
    case S_IFREG:
    case S_IFIFO:
    case S_IFSOCK: rdev = 0; break;
    case S_IFCHR:
    case S_IFBLK:
        if (!cred_capable(&current->process->cred))
            return -EPERM;
        break;
    case S_IFDIR: return -EPERM;
    default: return -EINVAL;
    }
    return do_mknod(dirfd, user_name, mode & (S_IFMT | 07777), rdev);
}

SYSCALL(mknod) { return mknod_at(AT_FDCWD, a0, (mode_t)a1, (u32)a2); }

SYSCALL(mknodat) { return mknod_at((int)a0, a1, (mode_t)a2, (u32)a3); }

static s64 do_symlink(u64 user_target, int dirfd, u64 user_name)
{
    struct filename target, fn;
    struct walk w = {0};
    struct inode *dir, *inode = NULL;
    int r = filename_get(&target, user_target);

    if (r < 0)
        return r;
    if (!*target.name) {
        filename_put(&target);
        return -ENOENT;
    }
    r = filename_get(&fn, user_name);
    if (r < 0) {
        filename_put(&target);
        return r;
    }
    r = create_begin(&w, dirfd, fn.name, false);
    if (r == 0) {
        dir = w.path.dentry->inode;
        r = dir->op->symlink ? dir->op->symlink(dir, w.last, w.last_len, target.name, &inode) : -EPERM;
        r = create_end(&w, r, inode);
    }
    walk_end(&w);
    filename_put(&fn);
    filename_put(&target);
    return r;
}

SYSCALL(symlink) { return do_symlink(a0, AT_FDCWD, a1); }

SYSCALL(symlinkat) { return do_symlink(a0, (int)a1, a2); }

static int link_to(const struct path *old, struct walk *w)
{
    struct inode *inode = old->dentry->inode, *dir = w->path.dentry->inode;
    int r;

    if (old->mnt != w->path.mnt || inode->sb != dir->sb)
        return -EXDEV;
    if (S_ISDIR(inode->mode) || !dir->op->link)
        return -EPERM;
    r = dir->op->link(dir, w->last, w->last_len, inode);
    if (r < 0 || (dir->sb->flags & SB_NOCACHE))
        return r;
    return create_end(w, 0, inode_get(inode));
}

static s64 do_link(int old_dirfd, u64 user_old, int new_dirfd, u64 user_new, u32 flags)
{
    struct filename fn;
    struct walk w = {0};
    struct path old;
    int r;

    if (flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    r = user_path_at(old_dirfd, user_old,
                     (flags & AT_SYMLINK_FOLLOW ? LOOKUP_FOLLOW : 0) | (flags & AT_EMPTY_PATH ? LOOKUP_EMPTY : 0),
                     &old);
    if (r < 0)
        return r;
    r = filename_get(&fn, user_new);
    if (r == 0) {
        r = create_begin(&w, new_dirfd, fn.name, false);
        if (r == 0)
            r = link_to(&old, &w);
        walk_end(&w);
        filename_put(&fn);
    }
    path_put(&old);
    return r;
}

SYSCALL(link) { return do_link(AT_FDCWD, a0, AT_FDCWD, a1, 0); }

SYSCALL(linkat) { return do_link((int)a0, a1, (int)a2, a3, (u32)a4); }

/* ---- removing ---- */

static int remove_last(struct walk *w, bool directory)
{
    struct inode *dir = w->path.dentry->inode, *victim;
    struct dentry *d;
    int r;

    if (dir_rdonly(w))
        return -EROFS;
    d = dentry_lookup(w->path.dentry, w->last, w->last_len);
    if (IS_ERR(d))
        return (int)PTR_ERR(d);
    victim = d->inode;
    r = may_delete(dir, victim);
    if (r < 0) {
        dentry_put(d);
        return r;
    }
    if (directory) {
        if (!S_ISDIR(victim->mode))
            r = -ENOTDIR;
        else if (d->mounted)
            r = -EBUSY;
        else
            r = dir->op->rmdir ? dir->op->rmdir(dir, w->last, w->last_len, victim) : -EPERM;
    } else {
        if (S_ISDIR(victim->mode))
            r = -EISDIR;
        else if (w->last_slash)
            r = -ENOTDIR;
        else if (d->mounted)
            r = -EBUSY;
        else
            r = dir->op->unlink ? dir->op->unlink(dir, w->last, w->last_len, victim) : -EPERM;
    }
    if (r == 0)
        dentry_unlink(d);
    if (r == 0 && unlikely(inotify_watches)) {
        inode_refresh(victim);
        inotify_tell(d, directory || !victim->nlink ? IN_DELETE_SELF : IN_ATTRIB);
        inotify_tell_name(w->path.dentry, w->last, w->last_len, directory, IN_DELETE, 0);
    }
    dentry_put(d);
    return r;
}

static int remove_at(int dirfd, const char *name, bool directory)
{
    struct walk w;
    int r = walk_begin(&w, dirfd, name);

    if (r == 0)
        r = walk_parent(&w);
    if (r == 0) {
        if (w.last_type == LAST_NORM)
            r = remove_last(&w, directory);
        else if (!directory)
            r = -EISDIR;
        else
            r = w.last_type == LAST_DOTDOT ? -ENOTEMPTY : w.last_type == LAST_DOT ? -EINVAL : -EBUSY;
    }
    walk_end(&w);
    return r;
}

int vfs_remove(const char *name, bool directory) { return remove_at(AT_FDCWD, name, directory); }

static s64 do_remove(int dirfd, u64 user_name, bool directory)
{
    struct filename fn;
    int r = filename_get(&fn, user_name);

    if (r < 0)
        return r;
    r = remove_at(dirfd, fn.name, directory);
    filename_put(&fn);
    return r;
}

SYSCALL(unlink) { return do_remove(AT_FDCWD, a0, false); }

SYSCALL(rmdir) { return do_remove(AT_FDCWD, a0, true); }

SYSCALL(unlinkat)
{
    if (a2 & ~(u64)AT_REMOVEDIR)
        return -EINVAL;
    return do_remove((int)a0, a1, a2 & AT_REMOVEDIR);
}

/* ---- renaming ---- */

/* Both names were looked up; target is NULL if the new one does not exist. */
static int rename_dentries(struct walk *from, struct dentry *old, struct walk *to, struct dentry *target, u32 flags)
{
    struct inode *old_dir = from->path.dentry->inode, *new_dir = to->path.dentry->inode;
    bool exchange = flags & RENAME_EXCHANGE;
    int r;

    if (!S_ISDIR(old->inode->mode)) {
        if (from->last_slash || (!exchange && to->last_slash))
            return -ENOTDIR;
    }
    if (exchange && !S_ISDIR(target->inode->mode) && to->last_slash)
        return -ENOTDIR;
    if (dentry_is_below(to->path.dentry, old))
        return -EINVAL;
    if (target && dentry_is_below(from->path.dentry, target))
        return exchange ? -EINVAL : -ENOTEMPTY;
    if (target && target->inode == old->inode)
        return 0;
    if (target && !exchange) {
        if (S_ISDIR(old->inode->mode) && !S_ISDIR(target->inode->mode))
            return -ENOTDIR;
        if (!S_ISDIR(old->inode->mode) && S_ISDIR(target->inode->mode))
            return -EISDIR;
    }
    if (to->path.dentry->unlinked)
        return -ENOENT;
    r = may_delete(old_dir, old->inode);
    if (r == 0)
        r = target ? may_delete(new_dir, target->inode) : may_create(new_dir);
    /* Of a directory that moves the entry for its parent changes. */
    if (r == 0 && old_dir != new_dir && S_ISDIR(old->inode->mode))
        r = inode_permission(old->inode, MAY_WRITE);
    if (r < 0)
        return r;
    if (old->mounted || (target && target->mounted))
        return -EBUSY;
    if (!old_dir->op->rename)
        return -EPERM;
    r = old_dir->op->rename(old_dir, from->last, from->last_len, old->inode, new_dir, to->last, to->last_len,
                            target ? target->inode : NULL, flags);
    if (r < 0)
        return r;
    if (unlikely(inotify_watches)) {
        u32 cookie = inotify_cookie();
        bool directory = S_ISDIR(old->inode->mode);

        inotify_tell_name(from->path.dentry, from->last, from->last_len, directory, IN_MOVED_FROM, cookie);
        inotify_tell_name(to->path.dentry, to->last, to->last_len, directory, IN_MOVED_TO, cookie);
        inotify_tell(old, IN_MOVE_SELF);
        if (target && !exchange)
            inotify_tell(target, target->inode->nlink ? IN_ATTRIB : IN_DELETE_SELF);
    }
    if (exchange) {
        dentry_exchange(old, target);
    } else {
        if (target)
            dentry_unlink(target);
        dentry_rename(old, to->path.dentry, to->last, to->last_len);
    }
    return 0;
}

static int rename_walked(struct walk *from, struct walk *to, u32 flags)
{
    struct dentry *old, *target;
    int r;

    if (from->path.mnt != to->path.mnt)
        return -EXDEV;
    if (from->last_type != LAST_NORM)
        return -EBUSY;
    if (to->last_type != LAST_NORM)
        return flags & RENAME_NOREPLACE ? -EEXIST : -EBUSY;
    if (dir_rdonly(from))
        return -EROFS;
    old = dentry_lookup(from->path.dentry, from->last, from->last_len);
    if (IS_ERR(old))
        return (int)PTR_ERR(old);
    target = dentry_lookup(to->path.dentry, to->last, to->last_len);
    if (IS_ERR(target)) {
        r = (int)PTR_ERR(target);
        if (r != -ENOENT || (flags & RENAME_EXCHANGE)) {
            dentry_put(old);
            return r;
        }
        target = NULL;
    }
    r = target && (flags & RENAME_NOREPLACE) ? -EEXIST : rename_dentries(from, old, to, target, flags);
    dentry_put(target);
    dentry_put(old);
    return r;
}

static s64 do_rename(int old_dirfd, u64 user_old, int new_dirfd, u64 user_new, u32 flags)
{
    struct filename old, new;
    struct walk from = {0}, to = {0};
    int r;

    if (flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE) || flags == (RENAME_NOREPLACE | RENAME_EXCHANGE))
        return -EINVAL;
    r = filename_get(&old, user_old);
    if (r < 0)
        return r;
    r = filename_get(&new, user_new);
    if (r < 0) {
        filename_put(&old);
        return r;
    }
    r = walk_begin(&from, old_dirfd, old.name);
    if (r == 0)
        r = walk_parent(&from);
    if (r == 0)
        r = walk_begin(&to, new_dirfd, new.name);
    if (r == 0)
        r = walk_parent(&to);
    if (r == 0 && (!S_ISDIR(from.path.dentry->inode->mode) || !S_ISDIR(to.path.dentry->inode->mode)))
        r = -ENOTDIR;
    if (r == 0)
        r = rename_walked(&from, &to, flags);
    walk_end(&from);
    walk_end(&to);
    filename_put(&new);
    filename_put(&old);
    return r;
}

SYSCALL(rename) { return do_rename(AT_FDCWD, a0, AT_FDCWD, a1, 0); }

SYSCALL(renameat) { return do_rename((int)a0, a1, (int)a2, a3, 0); }

SYSCALL(renameat2) { return do_rename((int)a0, a1, (int)a2, a3, (u32)a4); }

/* ---- symbolic links ---- */

static s64 do_readlink(int dirfd, u64 user_name, u64 user_buf, s32 size)
{
    struct inode *inode;
    struct path p;
    char *buf;
    s64 r;

    if (size <= 0)
        return -EINVAL;
    r = user_path_at(dirfd, user_name, LOOKUP_EMPTY, &p);
    if (r < 0)
        return r;
    inode = p.dentry->inode;
    if (!S_ISLNK(inode->mode) || !inode->op->readlink) {
        path_put(&p);
        return -EINVAL;
    }
    buf = kmalloc(PATH_MAX);
    r = buf ? inode->op->readlink(inode, buf, min((size_t)size, (size_t)PATH_MAX)) : -ENOMEM;
    if (r >= 0) {
        r = min(r, (s64)size);
        if (copy_to_user((void __user *)user_buf, buf, (size_t)r))
            r = -EFAULT;
    }
    kfree(buf);
    path_put(&p);
    return r;
}

SYSCALL(readlink) { return do_readlink(AT_FDCWD, a0, a1, (s32)a2); }

SYSCALL(readlinkat) { return do_readlink((int)a0, a1, a2, (s32)a3); }
