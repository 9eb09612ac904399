/* SPDX-License-Identifier: MIT */
/* From path names to places: path_resolution(7). */
#include "sys/syscall.h"
#include "vfs.h"

int filename_get(struct filename *fn, u64 uptr)
{
    const char __user *user = (const char __user *)uptr;
    ssize_t n = strncpy_from_user(fn->small, user, sizeof(fn->small));

    fn->name = fn->small;
    if (n != -ENAMETOOLONG)
        return n < 0 ? (int)n : 0;
    fn->name = kmalloc(PATH_MAX);
    if (!fn->name)
        return -ENOMEM;
    n = strncpy_from_user(fn->name, user, PATH_MAX);
    if (n < 0) {
        kfree(fn->name);
        return (int)n;
    }
    return 0;
}

void filename_put(struct filename *fn)
{
    if (fn->name != fn->small)
        kfree(fn->name);
}

void path_get(const struct path *p)
{
    if (p->mnt)
        mount_get(p->mnt);
    if (p->dentry)
        dentry_get(p->dentry);
}

void path_put(struct path *p)
{
    struct path old = *p;

    p->mnt = NULL;
    p->dentry = NULL;
    dentry_put(old.dentry);
    if (old.mnt)
        mount_put(old.mnt);
}

bool path_is_mountpoint(const struct path *p)
{
    return p->dentry->mounted || (p->mnt && p->dentry == p->mnt->sb->root);
}

bool path_rdonly(const struct path *p)
{
    return (p->dentry->inode->sb->flags & SB_RDONLY) || (p->mnt && (p->mnt->flags & MNT_RDONLY));
}

/* Writes the path of p from the end of buf backwards; the place where it begins, or NULL: too long. */
static char *path_build(const struct path *p, char *buf, char *end)
{
    struct path root;
    struct mount *mnt = p->mnt;
    struct dentry *d = p->dentry;
    char *at = end;

    fs_get_paths(current && current->process ? current->process->fs : NULL, NULL, &root);
    for (;;) {
        if (d == root.dentry && mnt == root.mnt)
            break;
        if (mnt && d == mnt->sb->root) {
            d = mnt->mountpoint.dentry;
            mnt = mnt->mountpoint.mnt;
            if (!mnt)
                break;
            continue;
        }
        if (d->parent == d)
            break;
        if ((size_t)(at - buf) < d->len + 1u) {
            at = NULL;
            break;
        }
        at -= d->len;
        memcpy(at, d->name, d->len);
        *--at = '/';
        d = d->parent;
    }
    path_put(&root);
    if (at && at == end) {
        if (at == buf)
            return NULL;
        *--at = '/';
    }
    return at;
}

ssize_t path_string(const struct path *p, char *buf, size_t size)
{
    static const char deleted[] = " (deleted)";
    const char *tail = p->dentry->unlinked ? deleted : "";
    size_t tail_len = strlen(tail), len;
    char *at;

    if (!p->mnt) { /* a file without a place: its name is all there is */
        len = p->dentry->len;
        if (len + tail_len >= size)
            return -ENAMETOOLONG;
        memcpy(buf, p->dentry->name, len);
        memcpy(buf + len, tail, tail_len + 1);
        return (ssize_t)(len + tail_len);
    }
    if (size < tail_len + 2)
        return -ENAMETOOLONG;
    at = path_build(p, buf, buf + size - tail_len - 1);
    if (!at)
        return -ENAMETOOLONG;
    len = (size_t)(buf + size - tail_len - 1 - at);
    memmove(buf, at, len);
    memcpy(buf + len, tail, tail_len + 1);
    return (ssize_t)(len + tail_len);
}

/* ---- walking ---- */

static void walk_move(struct walk *w, struct path *to) /* consumes to */
{
    path_put(&w->path);
    w->path = *to;
}

/* Down to the root of whatever is mounted on *p. */
static void path_cross(struct path *p)
{
    struct mount *m;

    while (p->dentry->mounted && (m = mount_find(p))) {
        struct path below = {mount_get(m), dentry_get(m->sb->root)};

        path_put(p);
        *p = below;
    }
}

static void walk_root(struct walk *w)
{
    struct path root;

    fs_get_paths(current && current->process ? current->process->fs : NULL, NULL, &root);
    walk_move(w, &root);
}

static void walk_up(struct walk *w)
{
    struct path root, at = w->path;

    path_get(&at);
    fs_get_paths(current && current->process ? current->process->fs : NULL, NULL, &root);
    for (;;) {
        struct path up;

        if (at.dentry == root.dentry && at.mnt == root.mnt)
            break;
        if (at.dentry->parent != at.dentry) {
            up = (struct path){at.mnt ? mount_get(at.mnt) : NULL, dentry_get(at.dentry->parent)};
            path_put(&at);
            at = up;
            path_cross(&at);
            break;
        }
        if (!at.mnt || !at.mnt->mountpoint.mnt)
            break;
        up = at.mnt->mountpoint;
        path_get(&up);
        path_put(&at);
        at = up;
    }
    path_put(&root);
    walk_move(w, &at);
}

int walk_begin(struct walk *w, int dirfd, const char *name)
{
    struct file *f;

    memset(w, 0, sizeof(*w));
    w->rest = name;
    if (!*name)
        return -ENOENT;
    if (*name == '/') {
        walk_root(w);
    } else if (dirfd == AT_FDCWD) {
        fs_get_paths(current && current->process ? current->process->fs : NULL, &w->path, NULL);
    } else {
        f = fd_get_raw(dirfd);
        if (!f)
            return -EBADF;
        if (!S_ISDIR(f->inode->mode)) {
            file_put(f);
            return -ENOTDIR;
        }
        w->path = f->path;
        path_get(&w->path);
        file_put(f);
    }
    return w->path.dentry ? 0 : -ENOENT;
}

void walk_end(struct walk *w)
{
    path_put(&w->path);
    kfree(w->buf);
    w->buf = NULL;
}

int walk_last(struct walk *w, struct path *res)
{
    struct dentry *d = dentry_lookup(w->path.dentry, w->last, w->last_len);

    if (IS_ERR(d))
        return (int)PTR_ERR(d);
    res->mnt = w->path.mnt ? mount_get(w->path.mnt) : NULL;
    res->dentry = d;
    path_cross(res);
    return 0;
}

int walk_follow(struct walk *w, struct path *link)
{
    struct inode *inode = link->dentry->inode;
    struct path to;
    size_t rest_len = strlen(w->rest);
    char *buf;
    ssize_t n;
    int r;

    if (++w->links > SYMLINK_MAX) {
        path_put(link);
        return -ELOOP;
    }
    if (inode->op->follow) {
        r = inode->op->follow(inode, &to);
        path_put(link);
        if (r == 0)
            walk_move(w, &to);
        return r;
    }
    buf = inode->op->readlink ? kmalloc(PATH_MAX + rest_len + 1) : NULL;
    if (!buf) {
        r = inode->op->readlink ? -ENOMEM : -EINVAL;
        path_put(link);
        return r;
    }
    n = inode->op->readlink(inode, buf, PATH_MAX);
    path_put(link);
    if (n <= 0 || n >= (ssize_t)PATH_MAX) {
        kfree(buf);
        return n < 0 ? (int)n : n == 0 ? -ENOENT : -ENAMETOOLONG;
    }
    memcpy(buf + n, w->rest, rest_len + 1);
    kfree(w->buf);
    w->rest = w->buf = buf;
    if (*buf == '/')
        walk_root(w);
    return 0;
}

static int component_type(const char *name, u32 len)
{
    if (name[0] != '.' || len > 2)
        return LAST_NORM;
    if (len == 1)
        return LAST_DOT;
    return name[1] == '.' ? LAST_DOTDOT : LAST_NORM;
}

int walk_parent(struct walk *w)
{
    struct path next;
    int r;

    for (;;) {
        const char *p = w->rest, *end;

        w->last_slash = *p == '/';
        while (*p == '/')
            p++;
        w->last = p;
        if (!*p) {
            w->last_len = 0;
            w->last_type = LAST_ROOT;
            w->rest = p;
            return 0;
        }
        if (!S_ISDIR(w->path.dentry->inode->mode))
            return -ENOTDIR;
        r = inode_permission(w->path.dentry->inode, MAY_EXEC);
        if (r < 0)
            return r;
        while (*p && *p != '/')
            p++;
        w->last_len = (u32)(p - w->last);
        w->last_type = component_type(w->last, w->last_len);
        w->rest = end = p;
        while (*end == '/')
            end++;
        if (!*end) {
            w->last_slash = *p == '/';
            return 0;
        }
        if (w->last_type == LAST_DOT)
            continue;
        if (w->last_type == LAST_DOTDOT) {
            walk_up(w);
            continue;
        }
        r = walk_last(w, &next);
        if (r < 0)
            return r;
        if (S_ISLNK(next.dentry->inode->mode)) {
            r = walk_follow(w, &next);
            if (r < 0)
                return r;
        } else {
            walk_move(w, &next);
        }
    }
}

static int walk_all(struct walk *w, u32 flags)
{
    struct path next;
    bool dir = flags & LOOKUP_DIRECTORY;
    int r;

    for (;;) {
        r = walk_parent(w);
        if (r < 0)
            return r;
        dir |= w->last_slash;
        if (w->last_type == LAST_DOTDOT)
            walk_up(w);
        if (w->last_type != LAST_NORM)
            break;
        r = walk_last(w, &next);
        if (r < 0)
            return r;
        if (S_ISLNK(next.dentry->inode->mode) && ((flags & LOOKUP_FOLLOW) || w->last_slash)) {
            r = walk_follow(w, &next);
            if (r < 0)
                return r;
            continue;
        }
        walk_move(w, &next);
        break;
    }
    return dir && !S_ISDIR(w->path.dentry->inode->mode) ? -ENOTDIR : 0;
}

int path_lookup_at(int dirfd, const char *name, u32 flags, struct path *res)
{
    struct walk w;
    int r;

    if (!*name && (flags & LOOKUP_EMPTY)) {
        struct file *f;

        if (dirfd == AT_FDCWD) {
            fs_get_paths(current->process->fs, res, NULL);
            return 0;
        }
        f = fd_get_raw(dirfd);
        if (!f)
            return -EBADF;
        *res = f->path;
        path_get(res);
        file_put(f);
        return 0;
    }
    r = walk_begin(&w, dirfd, name);
    if (r == 0)
        r = walk_all(&w, flags);
    if (r == 0) {
        *res = w.path;
        path_get(res);
    }
    walk_end(&w);
    return r;
}

int path_lookup(const char *name, u32 flags, struct path *res) { return path_lookup_at(AT_FDCWD, name, flags, res); }

int user_path_at(int dirfd, u64 uptr, u32 flags, struct path *res)
{
    struct filename fn;
    int r = filename_get(&fn, uptr);

    if (r < 0)
        return r;
    r = path_lookup_at(dirfd, fn.name, flags, res);
    filename_put(&fn);
    return r;
}
