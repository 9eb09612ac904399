/* SPDX-License-Identifier: MIT */
/*
 * A read-only lower file system under a writable tmpfs. What is changed is first copied up; a name that the lower
 * one has and that was removed is hidden by a whiteout in the upper directory. Upper directories made here are
 * opaque: nothing of the lower directory of that name, if there is one, shows through.
 */
#include "vfs.h"

#define OVERLAY_MAGIC 0x794c7630u
#define UPPER_INO_BASE (1ull << 32) /* numbers of the upper's own files begin here: the lower's are small */
#define COPY_CHUNK (16 * PAGE_SIZE)

struct ovl_sb {
    struct super_block *lower, *upper;
};

struct ovl_inode {
    struct inode *upper, *lower; /* at least one; both: a merged directory, or a file that was copied up while open */
    struct inode *parent;        /* where a copy up puts it; NULL once there is an upper one, and at the root */
    bool gone;                   /* its name was removed */
    u32 len;
    char name[];
};

/* An open directory: the merged listing, made when it is read from the start. */
struct ovl_name {
    u64 ino;
    u32 at; /* in names */
    u16 len;
    u8 type;
};
struct ovl_dir {
    struct file *lower; /* NULL: not opened */
    bool merged;        /* the listing under way is entries[], else the lower's own */
    struct ovl_name *entries;
    size_t count, cap;
    char *names;
    size_t used, size;
};

static const struct inode_operations ovl_dir_iops, ovl_file_iops, ovl_link_iops, ovl_special_iops;
static const struct file_operations ovl_file_fops, ovl_dir_fops;

static struct ovl_inode *ovl(const struct inode *inode) { return inode->private; }

static struct inode *ovl_real(const struct inode *inode)
{
    return ovl(inode)->upper ? ovl(inode)->upper : ovl(inode)->lower;
}

static u64 ovl_upper_ino(struct inode *upper)
{
    u64 origin = tmpfs_note(upper)->origin;

    return origin ? origin : UPPER_INO_BASE + upper->ino;
}

static void ovl_copy_attr(struct inode *inode)
{
    const struct ovl_inode *o = ovl(inode);
    const struct inode *real = ovl_real(inode);

    inode->mode = real->mode;
    inode->uid = real->uid;
    inode->gid = real->gid;
    inode->size = real->size;
    inode->blocks = real->blocks;
    inode->rdev = real->rdev;
    inode->atime = real->atime;
    inode->mtime = real->mtime;
    inode->ctime = real->ctime;
    if (!o->upper && o->gone)
        inode->nlink = 0;
    else if (S_ISDIR(real->mode) && o->upper && o->lower)
        inode->nlink = o->gone ? 0 : 1; /* not worth counting; 1 says so */
    else
        inode->nlink = real->nlink;
}

static int ovl_getattr(struct inode *inode)
{
    int r = inode_refresh(ovl_real(inode));

    ovl_copy_attr(inode);
    return r;
}

/* Takes over upper and lower, also when it fails. dir and name: where it was found. */
static struct inode *ovl_inode(struct super_block *sb, struct inode *dir, const char *name, size_t len,
                               struct inode *upper, struct inode *lower)
{
    struct ovl_inode *o = kmalloc(sizeof(*o) + len + 1);
    struct inode *inode = o ? inode_alloc(sb) : NULL;

    if (!inode) {
        kfree(o);
        inode_put(upper);
        inode_put(lower);
        return NULL;
    }
    inode->private = o;
    o->upper = upper;
    o->lower = lower;
    memcpy(o->name, name, len);
    o->len = (u32)len;
    if (!upper && dir)
        o->parent = inode_get(dir);
    if (upper)
        tmpfs_note(upper)->overlay = inode;
    inode->ino = upper ? ovl_upper_ino(upper) : lower->ino;
    ovl_copy_attr(inode);
    switch (inode->mode & S_IFMT) {
    case S_IFREG:
        inode->op = &ovl_file_iops;
        inode->fop = &ovl_file_fops;
        break;
    case S_IFDIR:
        inode->op = &ovl_dir_iops;
        inode->fop = &ovl_dir_fops;
        break;
    case S_IFLNK: inode->op = &ovl_link_iops; break;
    default: inode->op = &ovl_special_iops; break;
    }
    return inode;
}

static void ovl_evict_inode(struct inode *inode)
{
    struct ovl_inode *o = ovl(inode);

    if (o->upper && tmpfs_note(o->upper)->overlay == inode)
        tmpfs_note(o->upper)->overlay = NULL;
    inode_put(o->upper);
    inode_put(o->lower);
    inode_put(o->parent);
    kfree(o);
}

static int ovl_lower_lookup(const struct ovl_inode *od, const char *name, size_t len, struct inode **res)
{
    if (!od->lower)
        return -ENOENT;
    return od->lower->op->lookup(od->lower, name, len, res);
}

/* Its overlay inode, if the upper one has one that lives; takes over upper then. */
static bool ovl_known(struct inode *upper, struct inode **res)
{
    if (!upper || !tmpfs_note(upper)->overlay)
        return false;
    *res = inode_get(tmpfs_note(upper)->overlay);
    inode_put(upper);
    return true;
}

static int ovl_lookup(struct inode *dir, const char *name, size_t len, struct inode **res)
{
    struct ovl_inode *od = ovl(dir);
    struct inode *upper, *lower;
    int r;

again:
    upper = lower = NULL;
    if (od->upper) {
        r = od->upper->op->lookup(od->upper, name, len, &upper);
        if (r == -ENOENT && tmpfs_is_whiteout(od->upper, name, len))
            return r;
        if (r < 0 && r != -ENOENT)
            return r;
    }
    if (ovl_known(upper, res))
        return 0;
    if (!upper || (S_ISDIR(upper->mode) && !tmpfs_note(upper)->opaque)) {
        r = ovl_lower_lookup(od, name, len, &lower);
        if (r < 0)
            lower = NULL;
        /* The lower one may have dropped the lock: what was seen above may not hold any more. */
        if (!upper && od->upper && tmpfs_has(od->upper, name, len)) {
            inode_put(lower);
            goto again;
        }
        if (ovl_known(upper, res)) {
            inode_put(lower);
            return 0;
        }
        if (!upper && r < 0)
            return r;
        if (lower && upper && !S_ISDIR(lower->mode)) {
            inode_put(lower);
            lower = NULL;
        }
    }
    *res = ovl_inode(dir->sb, dir, name, len, upper, lower);
    return *res ? 0 : -ENOMEM;
}

/* ---- files of the two halves, opened for the overlay's own ones ---- */

static struct file *ovl_open_lower(struct inode *lower, u32 flags)
{
    struct file *f = kmalloc(sizeof(*f));
    int r = 0;

    if (!f)
        return ERR_PTR(-ENOMEM);
    f->refs = 1;
    f->flags = flags & ~(u32)(O_CREAT | O_EXCL | O_TRUNC);
    f->inode = inode_get(lower);
    f->op = lower->fop;
    list_init(&f->epoll_links);
    if (lower->op->open)
        r = lower->op->open(lower, f);
    if (r < 0) {
        inode_put(lower);
        kfree(f);
        return ERR_PTR(r);
    }
    return f;
}

static void ovl_close_lower(struct file *f)
{
    if (!f)
        return;
    if (f->op && f->op->release)
        f->op->release(f);
    inode_put(f->inode);
    kfree(f);
}

/* tmpfs keeps nothing in its open files: one that lives for a call will do. */
static struct file ovl_upper_file(const struct file *f)
{
    struct inode *upper = ovl(f->inode)->upper;

    return (struct file){.refs = 1, .flags = f->flags, .pos = f->pos, .inode = upper, .op = upper->fop};
}

/* ---- copy up ---- */

static void ovl_set_upper(struct inode *inode, struct inode *upper) /* takes over the reference */
{
    struct ovl_inode *o = ovl(inode);
    struct tmpfs_note *note = tmpfs_note(upper);

    note->origin = inode->ino;
    note->overlay = inode;
    o->upper = upper;
    inode_put(o->parent);
    o->parent = NULL;
    ovl_copy_attr(inode);
}

static void ovl_clone_attr(struct inode *to, const struct inode *from)
{
    to->mode = from->mode;
    to->uid = from->uid;
    to->gid = from->gid;
    to->atime = from->atime;
    to->mtime = from->mtime;
    to->ctime = from->ctime;
}

/* A copy up changes no time that the user sees of the directory it happens in. */
struct dir_times {
    u64 mtime, ctime;
};
static struct dir_times dir_times_save(const struct inode *dir) { return (struct dir_times){dir->mtime, dir->ctime}; }
static void dir_times_restore(struct inode *dir, struct dir_times t)
{
    dir->mtime = t.mtime;
    dir->ctime = t.ctime;
}

/* The parent has an upper one; inode has not. */
static int ovl_copy_up_one_dir(struct inode *inode)
{
    struct ovl_inode *o = ovl(inode);
    struct inode *dir = ovl(o->parent)->upper, *upper;
    struct dir_times times = dir_times_save(dir);
    int r;

    if (o->gone)
        return -ENOENT;
    r = dir->op->create(dir, o->name, o->len, inode->mode, 0, &upper);
    if (r < 0)
        return r;
    dir_times_restore(dir, times);
    ovl_clone_attr(upper, inode);
    ovl_set_upper(inode, upper);
    return 0;
}

static int ovl_copy_up_dir(struct inode *inode)
{
    int r;

    while (!ovl(inode)->upper) {
        struct inode *top = inode;

        while (!ovl(ovl(top)->parent)->upper)
            top = ovl(top)->parent;
        r = ovl_copy_up_one_dir(top);
        if (r < 0)
            return r;
    }
    return 0;
}

static int ovl_copy_data(struct inode *upper, struct inode *lower)
{
    struct file *from = ovl_open_lower(lower, O_RDONLY);
    struct file to = {.refs = 1, .flags = O_WRONLY, .inode = upper, .op = upper->fop};
    void *buf;
    loff_t in = 0, out = 0;
    ssize_t n;

    if (IS_ERR(from))
        return (int)PTR_ERR(from);
    buf = page_alloc(COPY_CHUNK / PAGE_SIZE);
    n = buf ? 1 : -ENOMEM;
    while (n > 0) {
        n = from->op->read ? from->op->read(from, buf, COPY_CHUNK, &in) : -EIO;
        for (ssize_t done = 0; done < n;) {
            ssize_t m = to.op->write(&to, (char *)buf + done, (size_t)(n - done), &out);

            if (m <= 0) {
                n = m < 0 ? m : -EIO;
                break;
            }
            done += m;
        }
    }
    if (buf)
        page_free(buf, COPY_CHUNK / PAGE_SIZE);
    ovl_close_lower(from);
    return (int)n;
}

/* data false: the contents are about to be thrown away. */
static int ovl_copy_up(struct inode *inode, bool data)
{
    struct ovl_inode *o = ovl(inode);
    struct inode *tmp = ((struct ovl_sb *)inode->sb->private)->upper->root->inode, *dir, *upper = NULL;
    struct dir_times times;
    char *target;
    ssize_t n;
    int r;

    if (o->upper)
        return 0;
    if (S_ISDIR(inode->mode))
        return ovl_copy_up_dir(inode);
    r = o->gone ? 0 : ovl_copy_up_dir(o->parent);
    if (r < 0)
        return r;
    dir = o->gone ? tmp : ovl(o->parent)->upper;
    times = dir_times_save(dir);
    switch (inode->mode & S_IFMT) {
    case S_IFREG: /* without a name until it is whole */
        r = tmp->op->tmpfile(tmp, inode->mode, &upper);
        if (r == 0 && data)
            r = ovl_copy_data(upper, o->lower);
        if (r == 0 && o->upper) { /* somebody else was faster while the lock was dropped */
            inode_put(upper);
            return 0;
        }
        if (r == 0 && !o->gone)
            r = dir->op->link(dir, o->name, o->len, upper);
        break;
    case S_IFLNK:
        target = kmalloc(PATH_MAX);
        n = target ? o->lower->op->readlink(o->lower, target, PATH_MAX - 1) : -ENOMEM;
        if (n < 0) {
            r = (int)n;
        } else {
            target[n] = 0;
            r = o->gone ? -ENOENT : dir->op->symlink(dir, o->name, o->len, target, &upper);
        }
        kfree(target);
        break;
    default: r = o->gone ? -ENOENT : dir->op->create(dir, o->name, o->len, inode->mode, inode->rdev, &upper);
    }
    dir_times_restore(dir, times);
    if (r < 0) {
        inode_put(upper);
        return r;
    }
    ovl_clone_attr(upper, inode);
    ovl_set_upper(inode, upper);
    return 0;
}

/* ---- directories ---- */

static bool ovl_lower_has(const struct ovl_inode *od, const char *name, size_t len)
{
    struct inode *lower;

    if (ovl_lower_lookup(od, name, len, &lower) < 0)
        return false;
    inode_put(lower);
    return true;
}

/* An upper inode was made at name: wraps it. On failure the name is as it was. */
static int ovl_made(struct inode *dir, const char *name, size_t len, bool whiteout, struct inode *upper,
                    struct inode **res)
{
    struct inode *updir = ovl(dir)->upper;

    if (S_ISDIR(upper->mode))
        tmpfs_note(upper)->opaque = true;
    *res = ovl_inode(dir->sb, dir, name, len, inode_get(upper), NULL);
    if (!*res) {
        if (whiteout)
            tmpfs_whiteout(updir, name, len); /* the entry is there: needs no memory */
        else
            updir->op->unlink(updir, name, len, upper);
    }
    inode_put(upper);
    ovl_copy_attr(dir);
    return *res ? 0 : -ENOMEM;
}

static int ovl_create(struct inode *dir, const char *name, size_t len, mode_t mode, u64 rdev, struct inode **res)
{
    struct inode *updir, *upper;
    bool whiteout;
    int r = ovl_copy_up_dir(dir);

    if (r < 0)
        return r;
    updir = ovl(dir)->upper;
    whiteout = tmpfs_is_whiteout(updir, name, len);
    r = updir->op->create(updir, name, len, mode, rdev, &upper);
    return r < 0 ? r : ovl_made(dir, name, len, whiteout, upper, res);
}

static int ovl_symlink(struct inode *dir, const char *name, size_t len, const char *target, struct inode **res)
{
    struct inode *updir, *upper;
    bool whiteout;
    int r = ovl_copy_up_dir(dir);

    if (r < 0)
        return r;
    updir = ovl(dir)->upper;
    whiteout = tmpfs_is_whiteout(updir, name, len);
    r = updir->op->symlink(updir, name, len, target, &upper);
    return r < 0 ? r : ovl_made(dir, name, len, whiteout, upper, res);
}

static int ovl_tmpfile(struct inode *dir, mode_t mode, struct inode **res)
{
    struct inode *root = ((struct ovl_sb *)dir->sb->private)->upper->root->inode, *upper;
    int r = root->op->tmpfile(root, mode, &upper);

    if (r < 0)
        return r;
    *res = ovl_inode(dir->sb, NULL, "", 0, upper, NULL);
    return *res ? 0 : -ENOMEM;
}

static int ovl_link(struct inode *dir, const char *name, size_t len, struct inode *target)
{
    struct inode *updir;
    int r;

    if (ovl(target)->gone && !ovl(target)->upper)
        return -ENOENT;
    r = ovl_copy_up(target, true);
    if (r == 0)
        r = ovl_copy_up_dir(dir);
    if (r < 0)
        return r;
    updir = ovl(dir)->upper;
    r = updir->op->link(updir, name, len, ovl(target)->upper);
    ovl_copy_attr(target);
    ovl_copy_attr(dir);
    return r;
}

static int ovl_remove(struct inode *dir, const char *name, size_t len, struct inode *victim)
{
    struct inode *updir;
    int r = ovl_copy_up_dir(dir);

    if (r < 0)
        return r;
    updir = ovl(dir)->upper;
    if (ovl_lower_has(ovl(dir), name, len))
        r = tmpfs_whiteout(updir, name, len);
    else
        r = updir->op->unlink(updir, name, len, ovl(victim)->upper);
    if (r < 0)
        return r;
    ovl(victim)->gone = true;
    ovl_copy_attr(victim);
    ovl_copy_attr(dir);
    return 0;
}

struct empty_context {
    struct dir_context dir;
    struct inode *upper;
    u64 next;
    bool found;
};

static bool is_dot(const char *name, size_t len)
{
    return name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.'));
}

static bool empty_actor(struct dir_context *ctx, const char *name, size_t len, u64 next, u64 ino, u8 type)
{
    struct empty_context *c = container_of(ctx, struct empty_context, dir);

    c->next = next;
    c->found = !is_dot(name, len) && !(c->upper && tmpfs_has(c->upper, name, len));
    return !c->found;
}

static int empty_upper(void *arg, const char *name, size_t len, struct inode *inode) { return inode ? -ENOTEMPTY : 0; }

/* Goes through a lower directory to its end, or until the actor has had enough. */
static int ovl_walk_lower(struct file *lower, struct dir_context *ctx, u64 *next, const bool *stop)
{
    u64 before;
    int r;

    lower->pos = 0;
    do {
        before = (u64)lower->pos;
        *next = before;
        r = lower->op->iterate(lower, ctx);
        if (*next != before) /* what the actor saw */
            lower->pos = (loff_t)*next;
    } while (r == 0 && !*stop && *next != before);
    return r;
}

static int ovl_check_empty(struct inode *inode)
{
    struct ovl_inode *o = ovl(inode);
    struct empty_context c = {.dir = {empty_actor}, .upper = o->upper};
    struct file *lower;
    int r = 0;

    if (o->upper)
        r = tmpfs_for_each(o->upper, empty_upper, NULL);
    if (r < 0 || !o->lower)
        return r;
    lower = ovl_open_lower(o->lower, O_RDONLY | O_DIRECTORY);
    if (IS_ERR(lower))
        return (int)PTR_ERR(lower);
    r = ovl_walk_lower(lower, &c.dir, &c.next, &c.found);
    ovl_close_lower(lower);
    return r < 0 ? r : c.found ? -ENOTEMPTY : 0;
}

static int ovl_rmdir(struct inode *dir, const char *name, size_t len, struct inode *victim)
{
    int r = ovl_check_empty(victim);

    return r < 0 ? r : ovl_remove(dir, name, len, victim);
}

static int ovl_rename(struct inode *old_dir, const char *old_name, size_t old_len, struct inode *victim,
                      struct inode *new_dir, const char *new_name, size_t new_len, struct inode *target, u32 flags)
{
    struct inode *up_old, *up_new;
    bool exchange = flags & RENAME_EXCHANGE;
    int r;

    /* A lower directory cannot be found under another name; mv and its like then copy. */
    if (S_ISDIR(victim->mode) && ovl(victim)->lower)
        return -EXDEV;
    if (exchange && S_ISDIR(target->mode) && ovl(target)->lower)
        return -EXDEV;
    if (target && !exchange && S_ISDIR(target->mode)) {
        r = ovl_check_empty(target);
        if (r < 0)
            return r;
    }
    r = ovl_copy_up(victim, true);
    if (r == 0 && exchange)
        r = ovl_copy_up(target, true);
    if (r == 0)
        r = ovl_copy_up_dir(old_dir);
    if (r == 0)
        r = ovl_copy_up_dir(new_dir);
    if (r < 0)
        return r;
    up_old = ovl(old_dir)->upper;
    up_new = ovl(new_dir)->upper;
    if (!exchange && ovl_lower_has(ovl(old_dir), old_name, old_len))
        flags |= RENAME_WHITEOUT;
    r = up_old->op->rename(up_old, old_name, old_len, ovl(victim)->upper, up_new, new_name, new_len,
                           target ? ovl(target)->upper : NULL, flags);
    if (r < 0)
        return r;
    ovl_copy_attr(victim);
    if (target) {
        if (!exchange)
            ovl(target)->gone = true;
        ovl_copy_attr(target);
    }
    ovl_copy_attr(old_dir);
    ovl_copy_attr(new_dir);
    return 0;
}

/* ---- listing ---- */

static int ovl_list_add(struct ovl_dir *od, const char *name, size_t len, u64 ino, u8 type)
{
    if (od->count == od->cap) {
        size_t cap = od->cap ? od->cap * 2 : 64;
        void *p = krealloc(od->entries, od->cap * sizeof(*od->entries), cap * sizeof(*od->entries));

        if (!p)
            return -ENOMEM;
        od->entries = p;
        od->cap = cap;
    }
    if (od->size - od->used < len) {
        size_t size = max(od->size * 2, (size_t)2048);
        void *p = krealloc(od->names, od->size, size);

        if (!p)
            return -ENOMEM;
        od->names = p;
        od->size = size;
    }
    memcpy(od->names + od->used, name, len);
    od->entries[od->count++] = (struct ovl_name){ino, (u32)od->used, (u16)len, type};
    od->used += len;
    return 0;
}

static int list_upper(void *arg, const char *name, size_t len, struct inode *inode)
{
    return inode ? ovl_list_add(arg, name, len, ovl_upper_ino(inode), (u8)((inode->mode & S_IFMT) >> 12)) : 0;
}

struct list_context {
    struct dir_context dir;
    struct ovl_dir *od;
    struct inode *upper;
    u64 next;
    int error;
    bool stop;
};

static bool list_lower(struct dir_context *ctx, const char *name, size_t len, u64 next, u64 ino, u8 type)
{
    struct list_context *c = container_of(ctx, struct list_context, dir);

    c->next = next;
    if (is_dot(name, len) || tmpfs_has(c->upper, name, len))
        return true;
    c->error = ovl_list_add(c->od, name, len, ino, type);
    c->stop = c->error < 0;
    return !c->stop;
}

static int ovl_list(struct inode *inode, struct ovl_dir *od)
{
    struct ovl_inode *o = ovl(inode);
    struct list_context c = {.dir = {list_lower}, .od = od, .upper = o->upper};
    int r;

    od->count = od->used = 0;
    r = tmpfs_for_each(o->upper, list_upper, od);
    if (r < 0 || !o->lower)
        return r;
    if (!od->lower) {
        od->lower = ovl_open_lower(o->lower, O_RDONLY | O_DIRECTORY);
        if (IS_ERR(od->lower)) {
            r = (int)PTR_ERR(od->lower);
            od->lower = NULL;
            return r;
        }
    }
    r = ovl_walk_lower(od->lower, &c.dir, &c.next, &c.stop);
    return r < 0 ? r : c.error;
}

static int ovl_iterate(struct file *f, struct dir_context *ctx)
{
    struct ovl_dir *od = f->private;
    u64 pos = (u64)f->pos;
    int r;

    if (pos == 0) {
        od->merged = ovl(f->inode)->upper != NULL;
        if (od->merged) {
            r = ovl_list(f->inode, od);
            if (r < 0)
                return r;
        }
    }
    if (!od->merged) {
        if (!od->lower) {
            od->lower = ovl_open_lower(ovl(f->inode)->lower, O_RDONLY | O_DIRECTORY);
            if (IS_ERR(od->lower)) {
                r = (int)PTR_ERR(od->lower);
                od->lower = NULL;
                return r;
            }
        }
        od->lower->pos = f->pos;
        return od->lower->op->iterate(od->lower, ctx);
    }
    if (!dir_emit_dots(f, ctx, &pos))
        return 0;
    for (; pos - 2 < od->count; pos++) {
        const struct ovl_name *e = &od->entries[pos - 2];

        if (!ctx->actor(ctx, od->names + e->at, e->len, pos + 1, e->ino, e->type))
            break;
    }
    return 0;
}

static int ovl_dir_open(struct inode *inode, struct file *f)
{
    f->op = &ovl_dir_fops;
    f->private = kmalloc(sizeof(struct ovl_dir));
    return f->private ? 0 : -ENOMEM;
}

static void ovl_dir_release(struct file *f)
{
    struct ovl_dir *od = f->private;

    ovl_close_lower(od->lower);
    kfree(od->entries);
    kfree(od->names);
    kfree(od);
}

/* ---- files ---- */

static int ovl_open(struct inode *inode, struct file *f)
{
    f->op = &ovl_file_fops;
    f->private = NULL;
    if (f->flags & (O_ACCMODE | O_TRUNC)) {
        int r = ovl_copy_up(inode, true);

        if (r < 0)
            return r;
    }
    if (!ovl(inode)->upper) {
        f->private = ovl_open_lower(ovl(inode)->lower, f->flags);
        if (IS_ERR(f->private))
            return (int)PTR_ERR(f->private);
    }
    return 0;
}

static void ovl_release(struct file *f) { ovl_close_lower(f->private); }

static ssize_t ovl_read(struct file *f, void *buf, size_t n, loff_t *pos)
{
    struct ovl_inode *o = ovl(f->inode);
    struct file *lower = f->private;

    if (o->upper) {
        struct file up = ovl_upper_file(f);
        ssize_t r = up.op->read(&up, buf, n, pos);

        f->inode->atime = o->upper->atime;
        return r;
    }
    return lower->op->read ? lower->op->read(lower, buf, n, pos) : -EINVAL;
}

static ssize_t ovl_write(struct file *f, const void *buf, size_t n, loff_t *pos)
{
    struct file up;
    ssize_t r;

    if (!ovl(f->inode)->upper)
        return -EBADF;
    up = ovl_upper_file(f);
    r = up.op->write(&up, buf, n, pos);
    ovl_copy_attr(f->inode);
    return r;
}

static loff_t ovl_llseek(struct file *f, loff_t off, int whence)
{
    struct file *lower = f->private;
    loff_t r;

    if (ovl(f->inode)->upper) {
        struct file up = ovl_upper_file(f);

        r = up.op->llseek(&up, off, whence);
    } else if (lower->op->llseek) {
        lower->pos = f->pos;
        r = lower->op->llseek(lower, off, whence);
    } else {
        return generic_llseek(f, off, whence);
    }
    if (r >= 0)
        f->pos = r;
    return r;
}

static int ovl_fallocate(struct file *f, u32 mode, u64 off, u64 len)
{
    struct file up;
    int r;

    if (!ovl(f->inode)->upper)
        return -EBADF;
    up = ovl_upper_file(f);
    r = up.op->fallocate(&up, mode, off, len);
    ovl_copy_attr(f->inode);
    return r;
}

static int ovl_fsync(struct file *f) { return 0; }

static bool ovl_map_image(struct file *f, u64 off, u64 len, u64 *image_offset)
{
    struct file *lower = f->private;

    return !ovl(f->inode)->upper && lower && lower->op->map_image &&
           lower->op->map_image(lower, off, len, image_offset);
}

static int ovl_truncate(struct inode *inode, u64 size)
{
    int r;

    if (!S_ISREG(inode->mode))
        return -EINVAL;
    r = ovl_copy_up(inode, size != 0);
    if (r < 0)
        return r;
    r = inode_truncate(ovl(inode)->upper, size);
    ovl_copy_attr(inode);
    return r;
}

static int ovl_setattr(struct inode *inode, const struct inode *attr, u32 which)
{
    struct inode *upper;
    int r = ovl_copy_up(inode, true);

    if (r < 0)
        return r;
    upper = ovl(inode)->upper;
    r = upper->op->setattr(upper, attr, which);
    ovl_copy_attr(inode);
    return r;
}

static ssize_t ovl_readlink(struct inode *inode, char *buf, size_t size)
{
    struct inode *real = ovl_real(inode);

    return real->op->readlink(real, buf, size);
}

static const struct inode_operations ovl_file_iops = {
    .getattr = ovl_getattr,
    .truncate = ovl_truncate,
    .setattr = ovl_setattr,
    .open = ovl_open,
};
static const struct inode_operations ovl_link_iops = {
    .getattr = ovl_getattr,
    .setattr = ovl_setattr,
    .readlink = ovl_readlink,
};
static const struct inode_operations ovl_special_iops = {.getattr = ovl_getattr, .setattr = ovl_setattr};
static const struct inode_operations ovl_dir_iops = {
    .lookup = ovl_lookup,
    .create = ovl_create,
    .symlink = ovl_symlink,
    .link = ovl_link,
    .unlink = ovl_remove,
    .rmdir = ovl_rmdir,
    .rename = ovl_rename,
    .tmpfile = ovl_tmpfile,
    .getattr = ovl_getattr,
    .setattr = ovl_setattr,
    .open = ovl_dir_open,
};
static void *ovl_page(struct file *f, u64 index)
{
    struct file up = ovl_upper_file(f);
    return up.op->page(&up, index);
}

/* Only a copy has pages of its own; the image's are mapped as they are. */
static bool ovl_mapped(struct file *f, int change)
{
    if (!ovl(f->inode)->upper)
        return false;
    struct file up = ovl_upper_file(f);
    return up.op->mapped(&up, change);
}

static const struct file_operations ovl_file_fops = {
    .page = ovl_page,
    .mapped = ovl_mapped,
    .read = ovl_read,
    .write = ovl_write,
    .llseek = ovl_llseek,
    .fsync = ovl_fsync,
    .release = ovl_release,
    .map_image = ovl_map_image,
    .fallocate = ovl_fallocate,
};
static const struct file_operations ovl_dir_fops = {
    .iterate = ovl_iterate,
    .fsync = ovl_fsync,
    .release = ovl_dir_release,
};

/* ---- the file system ---- */

static int ovl_statfs(struct super_block *sb, struct thaw_statfs *st)
{
    struct super_block *upper = ((struct ovl_sb *)sb->private)->upper;

    return upper->op->statfs(upper, st);
}

static void ovl_put_super(struct super_block *sb)
{
    struct ovl_sb *os = sb->private;

    super_put(os->upper);
    super_put(os->lower);
    kfree(os);
}

static const struct super_operations ovl_sops = {
    .statfs = ovl_statfs,
    .evict_inode = ovl_evict_inode,
    .put_super = ovl_put_super,
};

/* Takes over both, also when it fails. */
struct super_block *overlay_mount(struct super_block *lower, struct super_block *upper)
{
    struct super_block *sb = super_alloc("overlay", OVERLAY_MAGIC, &ovl_sops);
    struct ovl_sb *os = sb ? kmalloc(sizeof(*os)) : NULL;
    struct inode *lower_root = lower->root->inode, *upper_root = upper->root->inode, *root;

    if (!os) {
        kfree(sb);
        super_put(upper);
        super_put(lower);
        return ERR_PTR(-ENOMEM);
    }
    os->lower = lower;
    os->upper = upper;
    sb->private = os;
    ovl_clone_attr(upper_root, lower_root);
    tmpfs_note(upper_root)->origin = lower_root->ino;
    root = ovl_inode(sb, NULL, "", 0, inode_get(upper_root), inode_get(lower_root));
    if (!root || super_set_root(sb, root) < 0) {
        ovl_put_super(sb);
        kfree(sb);
        return ERR_PTR(-ENOMEM);
    }
    return sb;
}
