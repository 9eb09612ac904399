/* SPDX-License-Identifier: MIT */
/* Open files. */
#include "inotify.h"
#include "vfs.h"

static const struct file_operations path_fops; /* O_PATH: nothing can be done with it */

static u32 nr_files;
u32 file_count(void) { return nr_files; }

static struct file *file_alloc(const struct file_operations *op, u32 flags)
{
    struct file *f = kmalloc(sizeof(*f));

    if (!f)
        return NULL;
    nr_files++;
    f->refs = 1;
    f->flags = flags;
    f->op = op;
    list_init(&f->epoll_links);
    return f;
}

static void file_free(struct file *f)
{
    nr_files--;
    kfree(f);
}

struct file *file_get(struct file *f)
{
    f->refs++;
    return f;
}

void file_put(struct file *f)
{
    if (!f || --f->refs)
        return;
    if (!list_empty(&f->epoll_links))
        epoll_file_gone(f);
    locks_release_file(f);
    if (!(f->flags & O_PATH))
        inotify_dentry(f->path.dentry, file_writable(f) ? IN_CLOSE_WRITE : IN_CLOSE_NOWRITE);
    if (f->op->release)
        f->op->release(f);
    inode_put(f->inode);
    path_put(&f->path);
    file_free(f);
}

struct file *file_open_path(const struct path *path, u32 flags, bool created)
{
    struct inode *inode = path->dentry->inode;
    struct file *f;
    bool write = (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
    int r = 0;

    if (flags & O_PATH) {
        f = file_alloc(&path_fops, flags & (O_PATH | O_DIRECTORY | O_NOFOLLOW));
        if (!f)
            return ERR_PTR(-ENOMEM);
        f->path = *path;
        f->inode = inode_get(inode);
        return f;
    }
    if (!created) {
        u32 want = (flags & O_ACCMODE) != O_WRONLY ? (flags & O_EXEC ? MAY_EXEC : MAY_READ) : 0;
        r = S_ISLNK(inode->mode) ? 0 : inode_permission(inode, want | (write ? MAY_WRITE : 0));
        if (r < 0)
            return ERR_PTR(r);
    }
    switch (inode->mode & S_IFMT) {
    case S_IFLNK: return ERR_PTR(-ELOOP);
    case S_IFSOCK: return ERR_PTR(-ENXIO);
    case S_IFDIR:
        if (write)
            return ERR_PTR(-EISDIR);
        break;
    case S_IFREG:
        if (write && !created && path_rdonly(path))
            return ERR_PTR(-EROFS);
        if ((flags & O_TRUNC) && !created) {
            r = inode_truncate(inode, 0);
            if (r < 0 && r != -EINVAL) /* files of /proc have no size to set */
                return ERR_PTR(r);
            inotify_dentry(path->dentry, IN_MODIFY);
        }
        break;
    }
    f = file_alloc(inode->fop, flags & ~(u32)(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC | O_EXEC));
    if (!f)
        return ERR_PTR(-ENOMEM);
    f->path = *path;
    f->inode = inode_get(inode);
    if (S_ISFIFO(inode->mode))
        r = fifo_open(inode, f);
    else if (S_ISCHR(inode->mode))
        r = chrdev_open(inode, f);
    else if (inode->op && inode->op->open)
        r = inode->op->open(inode, f);
    else
        r = 0;
    if (r == 0 && !f->op)
        r = -ENXIO;
    if (r < 0) {
        inode_put(inode);
        file_free(f);
        return ERR_PTR(r);
    }
    f->flags |= O_LARGEFILE;
    inotify_dentry(path->dentry, IN_OPEN);
    return f;
}

/* The walk's last component does not exist: makes a regular file there. */
static int open_create(struct walk *w, mode_t mode, struct path *res)
{
    struct dentry *parent = w->path.dentry, *d;
    struct inode *dir = parent->inode, *inode;
    int r;

    if (path_rdonly(&w->path))
        return -EROFS;
    if (parent->unlinked)
        return -ENOENT;
    if (!dir->op->create)
        return -EACCES;
    r = may_create(dir);
    if (r < 0)
        return r;
    r = dir->op->create(dir, w->last, w->last_len, S_IFREG | (mode & 07777 & ~fs_get_umask(current->process->fs)), 0,
                        &inode);
    if (r < 0)
        return r;
    inotify_name(parent, w->last, w->last_len, false, IN_CREATE);
    d = dentry_enter(parent, w->last, w->last_len, inode);
    if (IS_ERR(d))
        return (int)PTR_ERR(d);
    res->mnt = w->path.mnt ? mount_get(w->path.mnt) : NULL;
    res->dentry = d;
    return 0;
}

static int open_last(struct walk *w, u32 flags, mode_t mode, struct path *res, bool *created)
{
    int r;

    for (;;) {
        r = walk_parent(w);
        if (r < 0)
            return r;
        if (w->last_type != LAST_NORM)
            return flags & O_EXCL ? -EEXIST : -EISDIR;
        if (w->last_slash)
            return -EISDIR;
        r = walk_last(w, res);
        if (r == -ENOENT) {
            r = open_create(w, mode, res);
            if (r == 0)
                *created = true;
            if (r != -EEXIST || (flags & O_EXCL)) /* else: made by somebody else just now */
                return r;
            continue;
        }
        if (r < 0)
            return r;
        if (flags & O_EXCL) {
            path_put(res);
            return -EEXIST;
        }
        if (!S_ISLNK(res->dentry->inode->mode))
            break;
        if (flags & O_NOFOLLOW) {
            path_put(res);
            return -ELOOP;
        }
        r = walk_follow(w, res);
        if (r < 0)
            return r;
        if (!*w->rest) { /* a link of /proc: we are there */
            *res = w->path;
            path_get(res);
            break;
        }
    }
    if (S_ISDIR(res->dentry->inode->mode)) {
        path_put(res);
        return -EISDIR;
    }
    return 0;
}

static struct file *open_tmpfile(int dirfd, const char *name, u32 flags, mode_t mode)
{
    struct path dir, path;
    struct inode *inode;
    struct file *f;
    char label[24];
    int r = path_lookup_at(dirfd, name, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &dir);

    if (r < 0)
        return ERR_PTR(r);
    if (path_rdonly(&dir))
        r = -EROFS;
    else if (!dir.dentry->inode->op->tmpfile)
        r = -EOPNOTSUPP;
    else if (!(r = may_create(dir.dentry->inode)))
        r = dir.dentry->inode->op->tmpfile(dir.dentry->inode,
                                           S_IFREG | (mode & 07777 & ~fs_get_umask(current->process->fs)), &inode);
    if (r < 0) {
        path_put(&dir);
        return ERR_PTR(r);
    }
    snprintf(label, sizeof(label), "#%llu", (unsigned long long)inode->ino);
    path.mnt = dir.mnt ? mount_get(dir.mnt) : NULL;
    path.dentry = dentry_alloc_hidden(dir.dentry, label, inode);
    path_put(&dir);
    if (!path.dentry) {
        if (path.mnt)
            mount_put(path.mnt);
        return ERR_PTR(-ENOMEM);
    }
    path.dentry->unlinked = true;
    f = file_open_path(&path, flags & ~(u32)O_DIRECTORY, true);
    if (IS_ERR(f))
        path_put(&path);
    return f;
}

struct file *file_open_at(int dirfd, const char *name, u32 flags, mode_t mode)
{
    struct path path;
    struct file *f;
    bool created = false;
    int r;

    if (flags & O_PATH)
        flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    if ((flags & O_TMPFILE) == O_TMPFILE) {
        if ((flags & O_ACCMODE) == O_RDONLY || (flags & O_CREAT))
            return ERR_PTR(-EINVAL);
        return open_tmpfile(dirfd, name, flags, mode);
    }
    if (flags & (O_TMPFILE & ~O_DIRECTORY))
        return ERR_PTR(-EINVAL);
    if (flags & O_CREAT) {
        struct walk w;

        if (flags & O_DIRECTORY)
            return ERR_PTR(-EINVAL);
        r = walk_begin(&w, dirfd, name);
        if (r == 0)
            r = open_last(&w, flags, mode, &path, &created);
        walk_end(&w);
    } else {
        r = path_lookup_at(dirfd, name, flags & O_NOFOLLOW ? 0 : LOOKUP_FOLLOW, &path);
        if (r == 0 && (flags & O_DIRECTORY) && !S_ISDIR(path.dentry->inode->mode)) {
            path_put(&path);
            r = -ENOTDIR;
        }
    }
    if (r < 0)
        return ERR_PTR(r);
    f = file_open_path(&path, flags, created);
    if (IS_ERR(f))
        path_put(&path);
    return f;
}

struct file *file_open(const char *path, u32 flags, mode_t mode) { return file_open_at(AT_FDCWD, path, flags, mode); }

ssize_t file_pread(struct file *f, void *buf, size_t n, u64 off)
{
    size_t done = 0;
    loff_t pos = (loff_t)off;

    if (S_ISDIR(f->inode->mode))
        return -EISDIR;
    if (!f->op->read)
        return -EINVAL;
    while (done < n) {
        ssize_t r = f->op->read(f, (char *)buf + done, n - done, &pos);

        if (r < 0)
            return done ? (ssize_t)done : r;
        if (r == 0)
            break;
        done += (size_t)r;
    }
    return (ssize_t)done;
}

ssize_t file_path(struct file *f, char *buf, size_t size) { return path_string(&f->path, buf, size); }

int file_may_exec(struct file *f) { return S_ISREG(f->inode->mode) && (f->inode->mode & 0111) ? 0 : -EACCES; }

/* ---- files without a place ---- */

static struct super_block *anon_super(void)
{
    static struct super_block *sb;

    if (!sb)
        sb = super_alloc("anon_inodefs", 0x09041934, NULL);
    return sb;
}

static u64 last_ino; /* of the anonymous files */

struct file *file_anon_numbered(const char *kind, const struct file_operations *op, void *private, u32 flags,
                                mode_t mode)
{
    char name[40];

    snprintf(name, sizeof(name), "%s:[%llu]", kind, (unsigned long long)last_ino + 1);
    return file_anon(name, op, private, flags, mode);
}

struct file *file_anon(const char *name, const struct file_operations *op, void *private, u32 flags, mode_t mode)
{
    struct super_block *sb = anon_super();
    struct inode *inode = sb ? inode_alloc(sb) : NULL;
    struct file *f;

    if (!inode)
        return ERR_PTR(-ENOMEM);
    inode->ino = ++last_ino;
    inode->mode = mode;
    inode->atime = inode->mtime = inode->ctime = now_realtime();
    f = file_alloc(op, flags & ~(u32)O_CLOEXEC);
    if (!f) {
        inode_put(inode);
        return ERR_PTR(-ENOMEM);
    }
    f->inode = inode_get(inode);
    f->path.dentry = dentry_alloc_hidden(NULL, name, inode);
    if (!f->path.dentry) {
        inode_put(f->inode);
        file_free(f);
        return ERR_PTR(-ENOMEM);
    }
    f->private = private;
    return f;
}

/* ---- what many file systems do alike ---- */

bool file_seekable(const struct file *f) { return f->op->llseek || S_ISREG(f->inode->mode) || S_ISDIR(f->inode->mode); }

loff_t generic_llseek(struct file *f, loff_t off, int whence)
{
    loff_t pos;

    if (whence >= 2) {
        int r = inode_refresh(f->inode);

        if (r < 0)
            return r;
    }
    switch (whence) {
    case 0: pos = off; break;
    case 1:
        if (check_add(f->pos, off, &pos))
            return -EOVERFLOW;
        break;
    case 2:
        if (check_add((loff_t)f->inode->size, off, &pos))
            return -EOVERFLOW;
        break;
    case 3: /* SEEK_DATA: all of it is */
    case 4: /* SEEK_HOLE: at the end */
        if (off < 0 || (u64)off >= f->inode->size)
            return -ENXIO;
        pos = whence == 3 ? off : (loff_t)f->inode->size;
        break;
    default: return -EINVAL;
    }
    if (pos < 0)
        return -EINVAL;
    f->pos = pos;
    return pos;
}

bool dir_emit_dots(struct file *f, struct dir_context *ctx, u64 *pos)
{
    const struct dentry *d = f->path.dentry;
    struct path up;
    u64 ino = f->inode->ino;

    if (*pos == 0) {
        if (!ctx->actor(ctx, ".", 1, 1, ino, S_IFDIR >> 12))
            return false;
        *pos = 1;
    }
    if (*pos == 1) {
        if (d) {
            up = f->path;
            while (up.mnt && up.dentry == up.mnt->sb->root && up.mnt->mountpoint.mnt)
                up = up.mnt->mountpoint;
            ino = up.dentry->parent->inode->ino;
        }
        if (!ctx->actor(ctx, "..", 2, 2, ino, S_IFDIR >> 12))
            return false;
        *pos = 2;
    }
    return true;
}

int file_truncate(struct file *f, u64 size) { return inode_truncate(f->inode, size); }
