/* SPDX-License-Identifier: MIT */
/*
 * A host directory or file that the user shares, over file calls to the monitor.
 *
 * Each call drops the kernel lock and costs some ten microseconds, so it is made only where the host has to be asked:
 * an open brings the attributes along, and attributes serve for a moment (HOSTFS_FRESH_NS). The monitor knows files
 * by path or by handle; paths of inodes in use are kept right across renames. Handles are the monitor's and die with
 * it: what was open when a snapshot was taken answers -ESTALE after a restore.
 */
#include "machine.h"
#include "thaw_abi.h"
#include "vfs.h"

#define HOSTFS_MAGIC 0x01021997u /* as 9p, which is the nearest thing */
#define HOSTFS_FRESH_NS 1000000ull

struct hostfs_sb {
    u64 share;
    u64 start; /* boot->stats.t_entry_ns: which start of the sandbox this belongs to */
    struct list_head nodes;
};

struct hostfs_node {
    struct inode *inode;
    struct list_head all;   /* in hostfs_sb.nodes */
    struct list_head files; /* struct hostfs_file: open handles */
    char *path;             /* relative to the share, "" for itself */
    u32 len;
    bool gone;        /* removed or replaced by us: the path means something else now */
    u64 fresh_until;  /* CLOCK_MONOTONIC ns */
    u64 fresh_change; /* hostfs_changes when the attributes were asked for */
    s64 spare;        /* handle that create() opened, for the open that follows; -1: none */
};

struct hostfs_file {
    struct list_head list;
    s64 handle;
    u32 refs; /* the open file's, and of calls by others that are under way: the handle lives as long */
    bool writable;
};

/* Counts what the guest changes: one host file may be known here by several names, even in several shares. */
static u64 hostfs_changes;

static const struct inode_operations hostfs_dir_iops, hostfs_file_iops, hostfs_link_iops;
static const struct file_operations hostfs_dir_fops, hostfs_file_fops;

static struct hostfs_node *hostfs_node(const struct inode *inode) { return inode->private; }

/* ---- calls ---- */

static bool hostfs_stale(const struct hostfs_sb *hs)
{
    return hs->start != ((const struct thaw_boot *)machine_boot())->stats.t_entry_ns;
}

/*
 * Handles that were read from and are to be closed: with the next call that is made anyway. Nobody outside waits for
 * that, and many a program has no next one.
 */
#define CLOSING_MAX 8u
static struct hostfs_closing {
    u64 share, start;
    s64 handle;
} closing[CLOSING_MAX];
static u32 closing_count;

static void hostfs_close_pending(void)
{
    while (closing_count) {
        const struct hostfs_closing c = closing[--closing_count];
        struct thaw_call call = {.op = THAW_CALL_CLOSE, .arg = {c.share, (u64)c.handle}};

        if (c.start == ((const struct thaw_boot *)machine_boot())->stats.t_entry_ns)
            machine_monitor_call(&call, NULL, NULL, 0);
    }
}

static void hostfs_close_later(const struct super_block *sb, s64 handle)
{
    const struct hostfs_sb *hs = sb->private;

    if (closing_count == CLOSING_MAX)
        hostfs_close_pending();
    closing[closing_count++] = (struct hostfs_closing){hs->share, hs->start, handle};
}

/* data must not be memory that others may free meanwhile: the lock is dropped. *got: bytes of the reply. */
static s64 hostfs_call(const struct super_block *sb, struct thaw_call *call, const void *data, size_t len, void *reply,
                       size_t reply_size)
{
    const struct hostfs_sb *hs = sb->private;
    s64 r;

    if (hostfs_stale(hs))
        return -ESTALE;
    call->arg[0] = hs->share;
    call->len = (u32)len;
    hostfs_close_pending();
    r = machine_monitor_call(call, data, reply, reply_size);
    if (call->len > reply_size)
        call->len = (u32)reply_size;
    return r < -4095 ? -EIO : r;
}

/* A call on a path, whose reply are attributes. */
static s64 hostfs_call_stat(const struct super_block *sb, struct thaw_call *call, const char *path, u32 len,
                            struct thaw_stat *st)
{
    s64 r = hostfs_call(sb, call, path, len, st, sizeof(*st));

    return r >= 0 && call->len != sizeof(*st) ? -EIO : r;
}

static s64 hostfs_call_path(const struct super_block *sb, u32 op, u64 arg1, u64 arg2, const char *path, u32 len)
{
    struct thaw_call call = {.op = op, .arg = {0, arg1, arg2, 0}};

    return hostfs_call(sb, &call, path, len, NULL, 0);
}

static s64 hostfs_call_handle(const struct super_block *sb, u32 op, s64 handle, u64 arg2)
{
    struct thaw_call call = {.op = op, .arg = {0, (u64)handle, arg2, 0}};

    return hostfs_call(sb, &call, NULL, 0, NULL, 0);
}

/* ---- paths ---- */

/* dir's path, then name (unless NULL), without a NUL, into buf of THAW_CALL_NAME_MAX bytes; the length or -errno. */
static int hostfs_path(const struct inode *dir, const char *name, size_t len, char *buf)
{
    const struct hostfs_node *node = hostfs_node(dir);
    size_t n = node->len;

    if (node->gone)
        return -ENOENT;
    if (n + 1 + len >= THAW_CALL_NAME_MAX)
        return -ENAMETOOLONG;
    memcpy(buf, node->path, n);
    if (!name)
        return (int)n;
    if (n)
        buf[n++] = '/';
    memcpy(buf + n, name, len);
    return (int)(n + len);
}

static bool path_is_below(const struct hostfs_node *node, const char *path, u32 len)
{
    return node->len >= len && !memcmp(node->path, path, len) && (node->len == len || node->path[len] == '/');
}

/* Puts to in place of the first from_len bytes of the node's path. */
static void hostfs_repath(struct hostfs_node *node, u32 from_len, const char *to, u32 to_len)
{
    u32 len = node->len - from_len + to_len;
    char *path = kmalloc(len + 1);

    if (!path) {
        node->gone = true; /* rather than reach a wrong file */
        return;
    }
    memcpy(path, to, to_len);
    memcpy(path + to_len, node->path + from_len, node->len - from_len);
    kfree(node->path);
    node->path = path;
    node->len = len;
}

/* ---- attributes ---- */

static void hostfs_fill(struct inode *inode, const struct thaw_stat *st)
{
    inode->ino = st->ino;
    inode->size = st->size;
    inode->blocks = st->blocks;
    inode->atime = st->atime_ns;
    inode->mtime = st->mtime_ns;
    inode->ctime = st->ctime_ns;
    inode->mode = st->mode;
    inode->nlink = st->nlink;
    inode->uid = st->uid;
    inode->gid = st->gid;
    hostfs_node(inode)->fresh_until = machine_clock(1) + HOSTFS_FRESH_NS;
    hostfs_node(inode)->fresh_change = hostfs_changes;
}

static bool hostfs_fresh(const struct inode *inode)
{
    const struct hostfs_node *node = hostfs_node(inode);

    return node->fresh_change == hostfs_changes && machine_clock(1) < node->fresh_until;
}

static struct hostfs_file *hostfs_any_file(struct hostfs_node *node, bool writable)
{
    struct hostfs_file *hf;

    list_for_each_entry (hf, &node->files, list)
        if (hf->writable || !writable)
            return hf;
    return NULL;
}

static void hostfs_file_put(const struct super_block *sb, struct hostfs_file *hf)
{
    s64 handle = hf->handle;
    bool writable = hf->writable;

    if (--hf->refs)
        return;
    kfree(hf);
    if (writable)
        hostfs_call_handle(sb, THAW_CALL_CLOSE, handle, 0);
    else
        hostfs_close_later(sb, handle);
}

static int hostfs_getattr(struct inode *inode)
{
    struct hostfs_node *node = hostfs_node(inode);
    struct hostfs_file *hf = hostfs_any_file(node, false);
    struct thaw_call call = {.op = hf ? THAW_CALL_FSTAT : THAW_CALL_STAT};
    struct thaw_stat st;
    char path[THAW_CALL_NAME_MAX];
    int len = 0;
    s64 r;

    if (hostfs_fresh(inode))
        return 0;
    if (hf) /* the file itself, whatever its name means by now */
        call.arg[1] = (u64)hf->handle, hf->refs++;
    else if (node->gone)
        return 0;
    else
        len = hostfs_path(inode, NULL, 0, path);
    if (len < 0)
        return len;
    r = hostfs_call_stat(inode->sb, &call, path, (u32)len, &st);
    if (hf)
        hostfs_file_put(inode->sb, hf);
    if (r < 0)
        return (int)r;
    if (!hf && ((st.mode ^ inode->mode) & S_IFMT))
        return -ESTALE;
    hostfs_fill(inode, &st);
    return 0;
}

/* An inode for path, which is copied. */
static struct inode *hostfs_inode(struct super_block *sb, const char *path, u32 len, const struct thaw_stat *st)
{
    struct hostfs_sb *hs = sb->private;
    struct hostfs_node *node = kmalloc(sizeof(*node));
    char *copy = kmalloc(len + 1);
    struct inode *inode = node && copy ? inode_alloc(sb) : NULL;

    if (!inode) {
        kfree(node);
        kfree(copy);
        return NULL;
    }
    memcpy(copy, path, len);
    node->path = copy;
    node->len = len;
    node->spare = -1;
    node->inode = inode;
    list_init(&node->files);
    list_add(&node->all, &hs->nodes);
    inode->private = node;
    hostfs_fill(inode, st);
    switch (inode->mode & S_IFMT) {
    case S_IFDIR:
        inode->op = &hostfs_dir_iops;
        inode->fop = &hostfs_dir_fops;
        break;
    case S_IFLNK: inode->op = &hostfs_link_iops; break;
    default:
        inode->op = &hostfs_file_iops;
        inode->fop = &hostfs_file_fops;
        break;
    }
    return inode;
}

static void hostfs_evict_inode(struct inode *inode)
{
    struct hostfs_node *node = hostfs_node(inode);
    s64 spare;

    if (!node)
        return;
    list_del(&node->all);
    inode->private = NULL;
    spare = node->spare;
    kfree(node->path);
    kfree(node);
    if (spare >= 0)
        hostfs_call_handle(inode->sb, THAW_CALL_CLOSE, spare, 0);
}

/* ---- directories ---- */

static int hostfs_stat_path(struct super_block *sb, const char *path, u32 len, struct inode **res)
{
    struct thaw_call call = {.op = THAW_CALL_STAT};
    struct thaw_stat st;
    s64 r = hostfs_call_stat(sb, &call, path, len, &st);

    if (r < 0)
        return (int)r;
    *res = hostfs_inode(sb, path, len, &st);
    return *res ? 0 : -ENOMEM;
}

static int hostfs_lookup(struct inode *dir, const char *name, size_t len, struct inode **res)
{
    char path[THAW_CALL_NAME_MAX];
    int n = hostfs_path(dir, name, len, path);

    return n < 0 ? n : hostfs_stat_path(dir->sb, path, (u32)n, res);
}

static int hostfs_create(struct inode *dir, const char *name, size_t len, mode_t mode, u64 rdev, struct inode **res)
{
    struct thaw_call call = {.op = THAW_CALL_OPEN, .arg = {0, O_RDWR | O_CREAT | O_EXCL, mode & 07777, 0}};
    char path[THAW_CALL_NAME_MAX];
    struct thaw_stat st;
    int n = hostfs_path(dir, name, len, path);
    s64 r;

    if (n < 0)
        return n;
    switch (mode & S_IFMT) {
    case S_IFREG:
        r = hostfs_call_stat(dir->sb, &call, path, (u32)n, &st);
        if (r < 0)
            return (int)r;
        *res = hostfs_inode(dir->sb, path, (u32)n, &st);
        if (!*res) {
            hostfs_call_handle(dir->sb, THAW_CALL_CLOSE, r, 0);
            return -ENOMEM;
        }
        hostfs_node(*res)->spare = r;
        break;
    case S_IFDIR:
        r = hostfs_call_path(dir->sb, THAW_CALL_MKDIR, mode & 07777, 0, path, (u32)n);
        if (r == 0)
            r = hostfs_stat_path(dir->sb, path, (u32)n, res);
        if (r < 0)
            return (int)r;
        break;
    default: return -EPERM; /* no devices, sockets and FIFOs on the host */
    }
    hostfs_changes++;
    return 0;
}

/* Data of a call: a first text of *first bytes, then the path of name in dir. kmalloc; NULL with *error. */
static char *hostfs_two(const char *text, size_t first, struct inode *dir, const char *name, size_t len, size_t *total,
                        int *error)
{
    char *buf;
    int n;

    *error = -ENAMETOOLONG;
    if (first >= THAW_CALL_NAME_MAX)
        return NULL;
    buf = kmalloc(first + THAW_CALL_NAME_MAX);
    *error = -ENOMEM;
    if (!buf)
        return NULL;
    memcpy(buf, text, first);
    n = hostfs_path(dir, name, len, buf + first);
    if (n < 0) {
        *error = n;
        kfree(buf);
        return NULL;
    }
    *total = first + (size_t)n;
    return buf;
}

static int hostfs_symlink(struct inode *dir, const char *name, size_t len, const char *target, struct inode **res)
{
    size_t first = strlen(target), total;
    int r;
    char *buf = hostfs_two(target, first, dir, name, len, &total, &r);

    if (!buf)
        return r;
    r = (int)hostfs_call_path(dir->sb, THAW_CALL_SYMLINK, 0, first, buf, (u32)total);
    if (r == 0)
        r = hostfs_stat_path(dir->sb, buf + first, (u32)(total - first), res);
    kfree(buf);
    hostfs_changes++;
    return r;
}

static int hostfs_link(struct inode *dir, const char *name, size_t len, struct inode *target)
{
    const struct hostfs_node *node = hostfs_node(target);
    size_t total;
    int r;
    u32 first = node->len;
    char *buf;

    if (node->gone)
        return -ENOENT;
    buf = hostfs_two(node->path, first, dir, name, len, &total, &r);
    if (!buf)
        return r;
    r = (int)hostfs_call_path(dir->sb, THAW_CALL_LINK, 0, first, buf, (u32)total);
    kfree(buf);
    hostfs_changes++;
    return r;
}

static int hostfs_remove(struct inode *dir, const char *name, size_t len, struct inode *victim, u32 op)
{
    char path[THAW_CALL_NAME_MAX];
    int n = hostfs_path(dir, name, len, path);
    s64 r;

    if (n < 0)
        return n;
    r = hostfs_call_path(dir->sb, op, 0, 0, path, (u32)n);
    if (r < 0)
        return (int)r;
    hostfs_node(victim)->gone = true;
    if (victim->nlink)
        victim->nlink--;
    hostfs_changes++;
    return 0;
}

static int hostfs_unlink(struct inode *dir, const char *name, size_t len, struct inode *victim)
{
    return hostfs_remove(dir, name, len, victim, THAW_CALL_UNLINK);
}

static int hostfs_rmdir(struct inode *dir, const char *name, size_t len, struct inode *victim)
{
    return hostfs_remove(dir, name, len, victim, THAW_CALL_RMDIR);
}

static int hostfs_rename(struct inode *old_dir, const char *old_name, size_t old_len, struct inode *victim,
                         struct inode *new_dir, const char *new_name, size_t new_len, struct inode *target, u32 flags)
{
    struct hostfs_sb *hs = old_dir->sb->private;
    struct hostfs_node *node;
    char old[THAW_CALL_NAME_MAX], *new;
    int n = hostfs_path(old_dir, old_name, old_len, old), r;
    size_t total;
    u32 from, to;
    char *buf;

    if (n < 0)
        return n;
    from = (u32)n;
    buf = hostfs_two(old, from, new_dir, new_name, new_len, &total, &r);
    if (!buf)
        return r;
    r = (int)hostfs_call_path(old_dir->sb, THAW_CALL_RENAME, flags, from, buf, (u32)total);
    if (r < 0) {
        kfree(buf);
        return r;
    }
    new = buf + from;
    to = (u32)total - from;
    list_for_each_entry (node, &hs->nodes, all) {
        if (node->gone)
            continue;
        if (path_is_below(node, old, from)) {
            hostfs_repath(node, from, new, to);
        } else if (path_is_below(node, new, to)) {
            if (flags & RENAME_EXCHANGE)
                hostfs_repath(node, to, old, from);
            else
                node->gone = true;
        }
    }
    kfree(buf);
    hostfs_changes++;
    return 0;
}

static int hostfs_iterate(struct file *f, struct dir_context *ctx)
{
    const struct hostfs_file *hf = f->private;
    struct thaw_call call = {.op = THAW_CALL_READDIR, .arg = {0, (u64)hf->handle, (u64)f->pos, 0}};
    u8 *buf = page_alloc(THAW_CALL_DATA_MAX / PAGE_SIZE);
    s64 r;

    if (!buf)
        return -ENOMEM;
    r = hostfs_call(f->inode->sb, &call, NULL, 0, buf, THAW_CALL_DATA_MAX);
    /* One call's worth; the next getdents asks again. */
    for (u32 at = 0; r >= 0 && at < call.len;) {
        const struct thaw_dirent *d = (const void *)(buf + at);
        u32 left = call.len - at;
        const u32 head = offsetof(struct thaw_dirent, name);

        if (left < sizeof(*d) || d->reclen < sizeof(*d) || d->reclen % 8 || d->reclen > left ||
            strnlen(d->name, d->reclen - head) == (size_t)(d->reclen - head)) {
            r = -EIO;
            break;
        }
        if (!ctx->actor(ctx, d->name, strlen(d->name), d->next, d->ino, d->type))
            break;
        at += d->reclen;
    }
    page_free(buf, THAW_CALL_DATA_MAX / PAGE_SIZE);
    return r < 0 ? (int)r : 0;
}

/* ---- other inode operations ---- */

static ssize_t hostfs_readlink(struct inode *inode, char *buf, size_t size)
{
    struct thaw_call call = {.op = THAW_CALL_READLINK};
    char path[THAW_CALL_NAME_MAX];
    int n = hostfs_path(inode, NULL, 0, path);
    s64 r;

    if (n < 0)
        return n;
    r = hostfs_call(inode->sb, &call, path, (size_t)n, buf, size);
    return r < 0 ? r : (ssize_t)call.len;
}

static int hostfs_truncate(struct inode *inode, u64 size)
{
    struct hostfs_node *node = hostfs_node(inode);
    struct hostfs_file *hf = hostfs_any_file(node, true);
    struct thaw_call call = {.op = THAW_CALL_OPEN, .arg = {0, O_WRONLY | (size ? 0 : O_TRUNC), 0, 0}};
    char path[THAW_CALL_NAME_MAX];
    struct thaw_stat st;
    int n;
    s64 r;

    if (!S_ISREG(inode->mode))
        return -EINVAL;
    if (hf) {
        hf->refs++;
        r = hostfs_call_handle(inode->sb, THAW_CALL_FTRUNCATE, hf->handle, size);
        hostfs_file_put(inode->sb, hf);
    } else {
        s64 handle;

        n = hostfs_path(inode, NULL, 0, path);
        if (n < 0)
            return n;
        handle = r = hostfs_call_stat(inode->sb, &call, path, (u32)n, &st);
        if (handle >= 0) {
            r = size ? hostfs_call_handle(inode->sb, THAW_CALL_FTRUNCATE, handle, size) : 0;
            hostfs_call_handle(inode->sb, THAW_CALL_CLOSE, handle, 0);
        }
    }
    if (r < 0)
        return (int)r;
    inode->size = size;
    hostfs_changes++;
    return 0;
}

static int hostfs_setattr(struct inode *inode, const struct inode *attr, u32 which)
{
    char path[THAW_CALL_NAME_MAX];
    int n;
    s64 r = 0;

    /* Who owns what is the host's business. */
    if (((which & ATTR_UID) && attr->uid != inode->uid) || ((which & ATTR_GID) && attr->gid != inode->gid))
        return -EPERM;
    if (!(which & (ATTR_MODE | ATTR_ATIME | ATTR_MTIME)))
        return 0;
    n = hostfs_path(inode, NULL, 0, path);
    if (n < 0)
        return n;
    if (which & ATTR_MODE) {
        r = hostfs_call_path(inode->sb, THAW_CALL_CHMOD, attr->mode & 07777, 0, path, (u32)n);
        if (r == 0)
            inode->mode = (inode->mode & S_IFMT) | (attr->mode & 0777);
    }
    if (r == 0 && (which & (ATTR_ATIME | ATTR_MTIME)))
        r = hostfs_call_path(inode->sb, THAW_CALL_UTIMENS, which & ATTR_ATIME ? attr->atime : THAW_TIME_OMIT,
                             which & ATTR_MTIME ? attr->mtime : THAW_TIME_OMIT, path, (u32)n);
    hostfs_changes++;
    return (int)r;
}

/* ---- open files ---- */

static int hostfs_open(struct inode *inode, struct file *f)
{
    struct hostfs_node *node = hostfs_node(inode);
    u32 flags = f->flags & (O_ACCMODE | O_APPEND);
    struct thaw_call call = {.op = THAW_CALL_OPEN};
    struct hostfs_file *hf;
    struct thaw_stat st;
    char path[THAW_CALL_NAME_MAX];
    int n;
    s64 r;

    hf = kmalloc(sizeof(*hf));
    if (!hf)
        return -ENOMEM;
    if (node->spare >= 0) {
        r = node->spare;
        node->spare = -1;
        hf->writable = true;
    } else {
        if (S_ISDIR(inode->mode))
            flags |= O_DIRECTORY;
        call.arg[1] = flags;
        hf->writable = (flags & O_ACCMODE) != O_RDONLY;
        n = hostfs_path(inode, NULL, 0, path);
        r = n < 0 ? n : hostfs_call_stat(inode->sb, &call, path, (u32)n, &st);
        if (r >= 0 && ((st.mode ^ inode->mode) & S_IFMT)) {
            /* replaced on the host since it was looked up */
            hostfs_call_handle(inode->sb, THAW_CALL_CLOSE, r, 0);
            r = -ESTALE;
        }
        if (r < 0) {
            kfree(hf);
            return (int)r;
        }
        hostfs_fill(inode, &st);
    }
    hf->handle = r;
    hf->refs = 1;
    list_add(&hf->list, &node->files);
    f->private = hf;
    return 0;
}

static void hostfs_release(struct file *f)
{
    struct hostfs_file *hf = f->private;

    list_del(&hf->list);
    hostfs_file_put(f->inode->sb, hf);
}

static ssize_t hostfs_read(struct file *f, void *buf, size_t n, loff_t *pos)
{
    const struct hostfs_file *hf = f->private;
    size_t done = 0;

    if (*pos < 0)
        return -EINVAL;
    /* The read that only finds the end. */
    if ((u64)*pos >= f->inode->size && hostfs_fresh(f->inode))
        return 0;
    while (done < n) {
        size_t want = min(n - done, (size_t)THAW_CALL_DATA_MAX);
        struct thaw_call call = {.op = THAW_CALL_PREAD, .arg = {0, (u64)hf->handle, (u64)*pos, want}};
        s64 r = hostfs_call(f->inode->sb, &call, NULL, 0, (u8 *)buf + done, want);

        if (r < 0)
            return done ? (ssize_t)done : r;
        if (r != (s64)call.len)
            return -EIO;
        done += (size_t)r;
        *pos += r;
        if ((size_t)r < want)
            break;
    }
    return (ssize_t)done;
}

static ssize_t hostfs_write(struct file *f, const void *buf, size_t n, loff_t *pos)
{
    const struct hostfs_file *hf = f->private;
    struct inode *inode = f->inode;
    size_t done = 0;

    if (*pos < 0)
        return -EINVAL;
    while (done < n) {
        size_t part = min(n - done, (size_t)THAW_CALL_DATA_MAX);
        struct thaw_call call = {.op = THAW_CALL_PWRITE, .arg = {0, (u64)hf->handle, (u64)*pos, 0}};
        s64 r = hostfs_call(inode->sb, &call, (const u8 *)buf + done, part, NULL, 0);

        if (r < 0)
            return done ? (ssize_t)done : r;
        if ((u64)r > part)
            return -EIO;
        done += (size_t)r;
        *pos += r;
        inode->size = max(inode->size, (u64)*pos);
        hostfs_changes++;
        if ((size_t)r < part)
            break;
    }
    return (ssize_t)done;
}

static int hostfs_fsync(struct file *f)
{
    const struct hostfs_file *hf = f->private;

    return (int)hostfs_call_handle(f->inode->sb, THAW_CALL_FSYNC, hf->handle, 0);
}

static const struct inode_operations hostfs_dir_iops = {
    .lookup = hostfs_lookup,
    .create = hostfs_create,
    .symlink = hostfs_symlink,
    .link = hostfs_link,
    .unlink = hostfs_unlink,
    .rmdir = hostfs_rmdir,
    .rename = hostfs_rename,
    .getattr = hostfs_getattr,
    .setattr = hostfs_setattr,
    .open = hostfs_open,
};
static const struct inode_operations hostfs_file_iops = {
    .getattr = hostfs_getattr,
    .truncate = hostfs_truncate,
    .setattr = hostfs_setattr,
    .open = hostfs_open,
};
static const struct inode_operations hostfs_link_iops = {
    .readlink = hostfs_readlink,
    .getattr = hostfs_getattr,
    .setattr = hostfs_setattr,
};
static const struct file_operations hostfs_dir_fops = {
    .iterate = hostfs_iterate,
    .fsync = hostfs_fsync,
    .release = hostfs_release,
};
static const struct file_operations hostfs_file_fops = {
    .read = hostfs_read,
    .write = hostfs_write,
    .fsync = hostfs_fsync,
    .release = hostfs_release,
};

/* ---- the file system ---- */

static int hostfs_statfs(struct super_block *sb, struct thaw_statfs *st)
{
    struct thaw_call call = {.op = THAW_CALL_STATFS};
    s64 r = hostfs_call(sb, &call, NULL, 0, st, sizeof(*st));

    return r < 0 ? (int)r : call.len == sizeof(*st) ? 0 : -EIO;
}

static void hostfs_put_super(struct super_block *sb) { kfree(sb->private); }

static const struct super_operations hostfs_sops = {
    .statfs = hostfs_statfs,
    .evict_inode = hostfs_evict_inode,
    .put_super = hostfs_put_super,
};

bool hostfs_is(const struct super_block *sb) { return sb->op == &hostfs_sops; }

struct super_block *hostfs_mount(int share, bool rdonly)
{
    struct super_block *sb = super_alloc("hostfs", HOSTFS_MAGIC, &hostfs_sops);
    struct hostfs_sb *hs;
    struct inode *root;
    int r;

    if (!sb)
        return ERR_PTR(-ENOMEM);
    hs = sb->private = kmalloc(sizeof(*hs));
    if (!hs) {
        super_put(sb);
        return ERR_PTR(-ENOMEM);
    }
    hs->share = (u64)share;
    hs->start = ((const struct thaw_boot *)machine_boot())->stats.t_entry_ns;
    list_init(&hs->nodes);
    sb->flags = SB_NOCACHE | (rdonly ? SB_RDONLY : 0);
    r = hostfs_stat_path(sb, "", 0, &root);
    if (r == 0)
        r = super_set_root(sb, root);
    if (r < 0) {
        super_put(sb);
        return ERR_PTR(r);
    }
    return sb;
}
