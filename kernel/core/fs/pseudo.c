/* SPDX-License-Identifier: MIT */
#include "pseudo.h"

#include "proc/task.h"

/* ---- text ---- */

static bool seq_room(struct seq *s, size_t n)
{
    size_t cap = max(s->cap * 2, round_up(s->len + n, (size_t)1024));
    char *buf;

    if (s->failed)
        return false;
    if (s->cap - s->len >= n)
        return true;
    buf = krealloc(s->buf, s->cap, cap);
    if (!buf) {
        s->failed = true;
        return false;
    }
    s->buf = buf;
    s->cap = cap;
    return true;
}

void seq_write(struct seq *s, const void *data, size_t n)
{
    if (!n || !seq_room(s, n))
        return;
    memcpy(s->buf + s->len, data, n);
    s->len += n;
}

void seq_printf(struct seq *s, const char *fmt, ...)
{
    va_list ap;
    int n;

    if (!seq_room(s, 256))
        return;
    va_start(ap, fmt);
    n = vsnprintf(s->buf + s->len, s->cap - s->len, fmt, ap);
    va_end(ap);
    if (n < 0)
        return;
    if ((size_t)n >= s->cap - s->len) {
        if (!seq_room(s, (size_t)n + 1))
            return;
        va_start(ap, fmt);
        vsnprintf(s->buf + s->len, s->cap - s->len, fmt, ap);
        va_end(ap);
    }
    s->len += (size_t)n;
}

/* ---- inodes ---- */

struct pseudo_node {
    const struct pseudo_entry *entry;
    struct pseudo_ref ref;
};

static const struct inode_operations pseudo_iops, pseudo_follow_iops;
static const struct file_operations pseudo_dir_fops, pseudo_file_fops;

static struct pseudo_node *pseudo_node(const struct inode *inode) { return inode->private; }

/* One number for one file: by its entry's address, its descriptor, its thread. */
static u64 pseudo_ino(const struct pseudo_entry *e, const struct pseudo_ref *ref)
{
    return (u64)(u32)ref->tid << 42 | (u64)(u32)(ref->fd + 1) << 24 | ((uintptr_t)e >> 3 & 0xffffff);
}

static int pseudo_inode(struct super_block *sb, const struct pseudo_entry *e, const struct pseudo_ref *ref,
                        struct inode **res)
{
    struct pseudo_node *node = kmalloc(sizeof(*node));
    struct inode *inode = node ? inode_alloc(sb) : NULL;

    if (!inode) {
        kfree(node);
        return -ENOMEM;
    }
    node->entry = e;
    node->ref = *ref;
    inode->private = node;
    inode->ino = pseudo_ino(e, ref);
    inode->mode = e->mode;
    const struct process *p = ref->pid ? process_or_zombie(ref->pid) : NULL;
    inode->uid = p && p->dumpable ? p->cred.user.effective : 0;
    inode->gid = p && p->dumpable ? p->cred.group.effective : 0;
    inode->nlink = S_ISDIR(e->mode) ? 2 : 1;
    inode->atime = inode->mtime = inode->ctime = now_realtime();
    inode->op = e->follow ? &pseudo_follow_iops : &pseudo_iops;
    inode->fop = S_ISDIR(e->mode) ? &pseudo_dir_fops : &pseudo_file_fops;
    *res = inode;
    return 0;
}

const struct pseudo_ref *pseudo_ref_of(const struct inode *inode, const struct pseudo_entry *entry)
{
    bool ours = inode->op == &pseudo_iops || inode->op == &pseudo_follow_iops;
    return ours && pseudo_node(inode)->entry == entry ? &pseudo_node(inode)->ref : NULL;
}

static void pseudo_evict_inode(struct inode *inode) { kfree(inode->private); }

/* A name that is a number, as the kernel writes it. */
static bool name_number(const char *name, size_t len, u64 *number)
{
    *number = 0;
    if (!len || len > 10 || (name[0] == '0' && len > 1))
        return false;
    for (size_t i = 0; i < len; i++) {
        if (name[i] < '0' || name[i] > '9')
            return false;
        *number = *number * 10 + (u64)(name[i] - '0');
    }
    return true;
}

static int pseudo_lookup(struct inode *dir, const char *name, size_t len, struct inode **res)
{
    const struct pseudo_node *node = pseudo_node(dir);
    const struct pseudo_entry *e = node->entry;
    struct pseudo_ref ref = node->ref;
    u64 number;

    if (!S_ISDIR(dir->mode))
        return -ENOTDIR;
    for (const struct pseudo_entry *c = e->children; c && c->name; c++)
        if (strlen(c->name) == len && !memcmp(c->name, name, len))
            return pseudo_inode(dir->sb, c, &ref, res);
    if (e->numbered && name_number(name, len, &number) && e->number_ref(&node->ref, number, &ref))
        return pseudo_inode(dir->sb, e->numbered, &ref, res);
    return -ENOENT;
}

#define POS_NUMBERED (1ull << 16) /* behind "." and ".." and the children */

static int pseudo_iterate(struct file *f, struct dir_context *ctx)
{
    const struct pseudo_node *node = pseudo_node(f->inode);
    const struct pseudo_entry *e = node->entry, *c = e->children;
    struct pseudo_ref ref;
    u64 pos = (u64)f->pos;
    s64 number;

    if (f->pos < 0 || !dir_emit_dots(f, ctx, &pos))
        return 0;
    for (u64 at = 2; c && c->name; c++, at++) {
        if (at < pos)
            continue;
        if (!ctx->actor(ctx, c->name, strlen(c->name), at + 1, pseudo_ino(c, &node->ref), (u8)(c->mode >> 12)))
            return 0;
    }
    if (!e->numbered)
        return 0;
    for (pos = max(pos, POS_NUMBERED); (number = e->number_next(&node->ref, pos - POS_NUMBERED)) >= 0;) {
        char name[24];
        int len = snprintf(name, sizeof(name), "%lld", (long long)number);

        pos = POS_NUMBERED + (u64)number + 1;
        ref = node->ref;
        if (!e->number_ref(&node->ref, (u64)number, &ref))
            continue;
        if (!ctx->actor(ctx, name, (size_t)len, pos, pseudo_ino(e->numbered, &ref), (u8)(e->numbered->mode >> 12)))
            return 0;
    }
    return 0;
}

static ssize_t pseudo_readlink(struct inode *inode, char *buf, size_t size)
{
    const struct pseudo_node *node = pseudo_node(inode);

    return node->entry->readlink ? node->entry->readlink(&node->ref, buf, size) : -EINVAL;
}

static int pseudo_follow(struct inode *inode, struct path *res)
{
    const struct pseudo_node *node = pseudo_node(inode);

    return node->entry->follow(&node->ref, res);
}

static const struct inode_operations pseudo_iops = {.lookup = pseudo_lookup, .readlink = pseudo_readlink};
/* follow stands in the table only where there is one: NULL means an ordinary link. */
static const struct inode_operations pseudo_follow_iops = {.readlink = pseudo_readlink, .follow = pseudo_follow};

/* ---- files ---- */

static int pseudo_fill(struct file *f)
{
    const struct pseudo_node *node = pseudo_node(f->inode);
    struct seq *s = f->private;
    int r;

    if (!s) {
        s = f->private = kmalloc(sizeof(*s));
        if (!s)
            return -ENOMEM;
    }
    s->len = 0;
    s->failed = false;
    r = node->entry->show ? node->entry->show(s, &node->ref) : -EINVAL;
    return r < 0 ? r : s->failed ? -ENOMEM : 0;
}

static ssize_t pseudo_read(struct file *f, void *buf, size_t n, loff_t *pos)
{
    const struct seq *s;

    if (*pos < 0)
        return -EINVAL;
    /* Made at the start and kept to the end, so that what is read in pieces fits together. */
    if (*pos == 0 || !f->private) {
        int r = pseudo_fill(f);

        if (r < 0)
            return r;
    }
    s = f->private;
    if ((u64)*pos >= s->len)
        return 0;
    n = min(n, s->len - (size_t)*pos);
    memcpy(buf, s->buf + *pos, n);
    *pos += (loff_t)n;
    return (ssize_t)n;
}

static ssize_t pseudo_write(struct file *f, const void *buf, size_t n, loff_t *pos)
{
    const struct pseudo_node *node = pseudo_node(f->inode);
    ssize_t r = node->entry->write ? node->entry->write(&node->ref, buf, n) : -EPERM;

    if (r > 0)
        *pos += r;
    return r;
}

static void pseudo_release(struct file *f)
{
    struct seq *s = f->private;

    if (s)
        kfree(s->buf);
    kfree(s);
}

static const struct file_operations pseudo_dir_fops = {.iterate = pseudo_iterate};
static const struct file_operations pseudo_file_fops = {
    .read = pseudo_read,
    .write = pseudo_write,
    .release = pseudo_release,
};

/* ---- the file system ---- */

static int pseudo_statfs(struct super_block *sb, struct thaw_statfs *st)
{
    *st = (struct thaw_statfs){.bsize = PAGE_SIZE, .namelen = NAME_MAX};
    return 0;
}

static const struct super_operations pseudo_sops = {.statfs = pseudo_statfs, .evict_inode = pseudo_evict_inode};

struct super_block *pseudo_mount(const char *type, u64 magic, const struct pseudo_entry *root)
{
    static const struct pseudo_ref none = {0, 0, -1};
    struct super_block *sb = super_alloc(type, magic, &pseudo_sops);
    struct inode *inode;
    int r;

    if (!sb)
        return ERR_PTR(-ENOMEM);
    sb->flags = SB_NOCACHE;
    r = pseudo_inode(sb, root, &none, &inode);
    if (r == 0)
        r = super_set_root(sb, inode);
    if (r < 0) {
        super_put(sb);
        return ERR_PTR(r);
    }
    return sb;
}
