/* SPDX-License-Identifier: MIT */
/* A file system in the kernel's own memory: tmpfs(5). Also the upper half of the overlay. */
#include "vfs.h"

#define TMPFS_MAGIC 0x01021994u
#define TMPFS_SIZE_MAX 0x7fffffffffffffffull
#define RADIX_BITS 9
#define RADIX_SLOTS (1u << RADIX_BITS)
#define TABLE_MIN 16u /* directories with fewer names are searched in order */

struct tmpfs_sb {
    u64 max_pages, used_pages;
    u64 next_ino, inodes;
};

/* A name in a directory. inode NULL: a whiteout, which only the overlay sees. */
struct tmpfs_entry {
    struct list_head list; /* in order of pos */
    struct tmpfs_entry *hash_next;
    u64 pos;
    struct inode *inode;
    u32 hash;
    u16 len;
    char name[];
};

/* A page that is no part of its file any more, but may still be mapped. */
struct orphan {
    struct orphan *next;
    void *page;
};

struct tmpfs_node {
    struct tmpfs_note note;
    bool linkable; /* made by O_TMPFILE: may be given its first name */
    union {
        struct { /* a radix tree of pages; height 0: root is the only page */
            void *root;
            u32 height;
            u32 mapped;             /* mappings that share the pages */
            struct orphan *orphans; /* pages that were cut off meanwhile */
        } file;
        struct {
            struct list_head entries;
            struct tmpfs_entry **table;
            struct tmpfs_entry *hint; /* where the last listing stopped */
            u32 buckets, count, live; /* live: without whiteouts */
            u64 next_pos;
        } dir;
        char *target;
    };
};

static const struct inode_operations tmpfs_file_iops, tmpfs_dir_iops, tmpfs_link_iops, tmpfs_special_iops;
static const struct file_operations tmpfs_file_fops, tmpfs_dir_fops;

static struct tmpfs_node *tmpfs_node(const struct inode *inode) { return inode->private; }

struct tmpfs_note *tmpfs_note(struct inode *inode) { return &tmpfs_node(inode)->note; }

/* ---- pages ---- */

static int tmpfs_charge(struct inode *inode, u64 pages)
{
    struct tmpfs_sb *ts = inode->sb->private;

    if (ts->max_pages - ts->used_pages < pages)
        return -ENOSPC;
    ts->used_pages += pages;
    return 0;
}

static void tmpfs_uncharge(struct inode *inode, u64 pages)
{
    struct tmpfs_sb *ts = inode->sb->private;

    ts->used_pages -= pages;
}

static void *tmpfs_page_alloc(struct inode *inode, int *error)
{
    void *page;

    *error = tmpfs_charge(inode, 1);
    if (*error)
        return NULL;
    page = page_alloc(1);
    if (!page) {
        tmpfs_uncharge(inode, 1);
        *error = -ENOMEM;
    }
    return page;
}

static void tmpfs_page_free(struct inode *inode, void *page)
{
    page_free(page, 1);
    tmpfs_uncharge(inode, 1);
}

/* Off the file. False: no memory to remember it by, it stays, emptied. */
static bool tmpfs_page_drop(struct inode *inode, void *page)
{
    struct tmpfs_node *node = tmpfs_node(inode);
    struct orphan *o;

    if (!node->file.mapped) {
        tmpfs_page_free(inode, page);
        return true;
    }
    o = kmalloc(sizeof(*o));
    if (!o) {
        memset(page, 0, PAGE_SIZE);
        return false;
    }
    *o = (struct orphan){node->file.orphans, page};
    node->file.orphans = o;
    return true;
}

static bool radix_covers(const struct tmpfs_node *node, u64 index)
{
    return index >> (RADIX_BITS * node->file.height) == 0;
}

static u32 radix_slot(u64 index, u32 level) /* level 1 is the lowest node */
{
    return (index >> (RADIX_BITS * (level - 1))) & (RADIX_SLOTS - 1);
}

static void *tmpfs_page(const struct tmpfs_node *node, u64 index)
{
    void *p = node->file.root;

    if (!radix_covers(node, index))
        return NULL;
    for (u32 level = node->file.height; level && p; level--)
        p = ((void **)p)[radix_slot(index, level)];
    return p;
}

/* The page at index, made if it is not there. */
static void *tmpfs_page_make(struct inode *inode, u64 index, int *error)
{
    struct tmpfs_node *node = tmpfs_node(inode);
    void **slot;

    while (!radix_covers(node, index)) {
        if (node->file.root) {
            void **top = tmpfs_page_alloc(inode, error);

            if (!top)
                return NULL;
            top[0] = node->file.root;
            node->file.root = top;
        }
        node->file.height++;
    }
    slot = &node->file.root;
    for (u32 level = node->file.height;; level--) {
        if (!*slot) {
            *slot = tmpfs_page_alloc(inode, error);
            if (!*slot)
                return NULL;
            if (level == 0)
                inode->blocks += PAGE_SIZE / 512;
        }
        if (level == 0)
            return *slot;
        slot = (void **)*slot + radix_slot(index, level);
    }
}

/* Frees the pages [from, to) below *slot, which covers [base, base + 512^level); nodes that become empty too. */
static void radix_drop(struct inode *inode, void **slot, u32 level, u64 base, u64 from, u64 to)
{
    u64 step;
    bool empty = true;

    if (!*slot)
        return;
    if (level == 0) {
        if (!tmpfs_page_drop(inode, *slot))
            return;
        inode->blocks -= PAGE_SIZE / 512;
        *slot = NULL;
        return;
    }
    step = 1ull << (RADIX_BITS * (level - 1));
    for (u32 i = 0; i < RADIX_SLOTS; i++) {
        u64 start = base + i * step;
        void **below = (void **)*slot + i;

        if (*below && start < to && start + step > from)
            radix_drop(inode, below, level - 1, start, from, to);
        empty &= !*below;
    }
    if (empty) {
        tmpfs_page_free(inode, *slot);
        *slot = NULL;
    }
}

static void tmpfs_drop_pages(struct inode *inode, u64 from, u64 to)
{
    struct tmpfs_node *node = tmpfs_node(inode);

    if (from < to && radix_covers(node, from))
        radix_drop(inode, &node->file.root, node->file.height, 0, from, to);
    if (!node->file.root)
        node->file.height = 0;
}

/* The first page at or after index that is there; its index, or ~0. */
static u64 radix_next(void *p, u32 level, u64 base, u64 index)
{
    u64 step;

    if (!p)
        return ~0ull;
    if (level == 0)
        return base;
    step = 1ull << (RADIX_BITS * (level - 1));
    for (u32 i = index > base ? (u32)min((index - base) / step, (u64)RADIX_SLOTS) : 0; i < RADIX_SLOTS; i++) {
        u64 found = radix_next(((void **)p)[i], level - 1, base + i * step, index);

        if (found != ~0ull)
            return found;
    }
    return ~0ull;
}

/* Zeroes [from, to), which lies within one page. */
static void tmpfs_zero(struct inode *inode, u64 from, u64 to)
{
    u8 *page = tmpfs_page(tmpfs_node(inode), from >> PAGE_SHIFT);

    if (page && from < to)
        memset(page + (from & ~PAGE_MASK), 0, to - from);
}

/* ---- inodes ---- */

static void tmpfs_touch(struct inode *inode) { inode->mtime = inode->ctime = now_realtime(); }

/* dir NULL: a root, or a file without a place. */
static struct inode *tmpfs_inode(struct super_block *sb, struct inode *dir, mode_t mode, u64 rdev)
{
    struct tmpfs_sb *ts = sb->private;
    struct tmpfs_node *node = kmalloc(sizeof(*node));
    struct inode *inode = node ? inode_alloc(sb) : NULL;

    if (!inode) {
        kfree(node);
        return NULL;
    }
    inode->private = node;
    inode->ino = ts->next_ino++;
    ts->inodes++;
    inode->mode = mode;
    inode->rdev = rdev;
    inode->atime = inode->mtime = inode->ctime = now_realtime();
    if (dir && (dir->mode & S_ISGID)) {
        inode->gid = dir->gid;
        if (S_ISDIR(mode))
            inode->mode |= S_ISGID;
    }
    switch (mode & S_IFMT) {
    case S_IFREG:
        inode->op = &tmpfs_file_iops;
        inode->fop = &tmpfs_file_fops;
        break;
    case S_IFDIR:
        inode->op = &tmpfs_dir_iops;
        inode->fop = &tmpfs_dir_fops;
        inode->nlink = 2;
        list_init(&node->dir.entries);
        node->dir.next_pos = 2; /* behind "." and ".." */
        break;
    case S_IFLNK: inode->op = &tmpfs_link_iops; break;
    default: inode->op = &tmpfs_special_iops; break;
    }
    return inode;
}

/* Frees the names of a directory and all that lives only by them. A loop, not a recursion: trees may be deep. */
static void tmpfs_evict_dir(struct tmpfs_node *node)
{
    struct list_head *entries = &node->dir.entries;

    while (!list_empty(entries)) {
        struct tmpfs_entry *e = list_first_entry(entries, struct tmpfs_entry, list);
        struct inode *child = e->inode;

        list_del(&e->list);
        kfree(e);
        if (!child)
            continue;
        if (child->refs == 1 && S_ISDIR(child->mode)) {
            struct list_head *below = &tmpfs_node(child)->dir.entries;

            while (!list_empty(below)) {
                struct list_head *l = below->next;

                list_del(l);
                list_add_tail(l, entries);
            }
        }
        inode_put(child);
    }
    kfree(node->dir.table);
}

static void tmpfs_evict_inode(struct inode *inode)
{
    struct tmpfs_node *node = tmpfs_node(inode);
    struct tmpfs_sb *ts = inode->sb->private;

    if (S_ISREG(inode->mode))
        tmpfs_drop_pages(inode, 0, ~0ull);
    else if (S_ISDIR(inode->mode))
        tmpfs_evict_dir(node);
    else if (S_ISLNK(inode->mode))
        kfree(node->target);
    ts->inodes--;
    kfree(node);
}

/* ---- directories ---- */

static u32 tmpfs_hash(const char *name, size_t len)
{
    u32 h = 2166136261u;

    for (size_t i = 0; i < len; i++)
        h = (h ^ (u8)name[i]) * 16777619u;
    return h ^ (h >> 15);
}

static bool entry_is(const struct tmpfs_entry *e, u32 hash, const char *name, size_t len)
{
    return e->hash == hash && e->len == len && !memcmp(e->name, name, len);
}

static struct tmpfs_entry *tmpfs_find(struct inode *dir, const char *name, size_t len)
{
    struct tmpfs_node *node = tmpfs_node(dir);
    u32 hash = tmpfs_hash(name, len);
    struct tmpfs_entry *e;

    if (node->dir.table) {
        for (e = node->dir.table[hash % node->dir.buckets]; e; e = e->hash_next)
            if (entry_is(e, hash, name, len))
                return e;
        return NULL;
    }
    list_for_each_entry (e, &node->dir.entries, list)
        if (entry_is(e, hash, name, len))
            return e;
    return NULL;
}

static void table_add(struct tmpfs_node *node, struct tmpfs_entry *e)
{
    struct tmpfs_entry **head = &node->dir.table[e->hash % node->dir.buckets];

    e->hash_next = *head;
    *head = e;
}

/* A table that fits count names; without memory for it the search is only slower. */
static void table_grow(struct tmpfs_node *node)
{
    u32 buckets = node->dir.buckets ? node->dir.buckets * 4 : TABLE_MIN * 4;
    struct tmpfs_entry **table = kmalloc(buckets * sizeof(*table)), *e;

    if (!table)
        return;
    kfree(node->dir.table);
    node->dir.table = table;
    node->dir.buckets = buckets;
    list_for_each_entry (e, &node->dir.entries, list)
        table_add(node, e);
}

/* A new name, still a whiteout. The name is not there. */
static struct tmpfs_entry *tmpfs_add(struct inode *dir, const char *name, size_t len)
{
    struct tmpfs_node *node = tmpfs_node(dir);
    struct tmpfs_entry *e = kmalloc(sizeof(*e) + len + 1);

    if (!e)
        return NULL;
    memcpy(e->name, name, len);
    e->len = (u16)len;
    e->hash = tmpfs_hash(name, len);
    e->pos = node->dir.next_pos++;
    list_add_tail(&e->list, &node->dir.entries);
    node->dir.count++;
    if (node->dir.table)
        table_add(node, e);
    if (node->dir.count > max(node->dir.buckets, TABLE_MIN))
        table_grow(node);
    return e;
}

static void tmpfs_remove(struct inode *dir, struct tmpfs_entry *e)
{
    struct tmpfs_node *node = tmpfs_node(dir);

    if (node->dir.table) {
        struct tmpfs_entry **p = &node->dir.table[e->hash % node->dir.buckets];

        while (*p != e)
            p = &(*p)->hash_next;
        *p = e->hash_next;
    }
    if (node->dir.hint == e)
        node->dir.hint = e->list.prev != &node->dir.entries ? list_entry(e->list.prev, struct tmpfs_entry, list) : NULL;
    list_del(&e->list);
    node->dir.count--;
    kfree(e);
}

static struct tmpfs_entry *tmpfs_find_or_add(struct inode *dir, const char *name, size_t len)
{
    struct tmpfs_entry *e = tmpfs_find(dir, name, len);

    return e ? e : tmpfs_add(dir, name, len);
}

/* Puts inode behind a whiteout; takes over a reference. */
static void entry_fill(struct inode *dir, struct tmpfs_entry *e, struct inode *inode)
{
    e->inode = inode;
    tmpfs_node(dir)->dir.live++;
    dir->size += 20;
    if (S_ISDIR(inode->mode))
        dir->nlink++;
}

/* Takes the inode out, its reference to the caller. */
static struct inode *entry_empty(struct inode *dir, struct tmpfs_entry *e)
{
    struct inode *inode = e->inode;

    e->inode = NULL;
    tmpfs_node(dir)->dir.live--;
    dir->size -= 20;
    if (S_ISDIR(inode->mode))
        dir->nlink--;
    return inode;
}

static int tmpfs_lookup(struct inode *dir, const char *name, size_t len, struct inode **res)
{
    struct tmpfs_entry *e = tmpfs_find(dir, name, len);

    if (!e || !e->inode)
        return -ENOENT;
    *res = inode_get(e->inode);
    return 0;
}

static int tmpfs_enter(struct inode *dir, const char *name, size_t len, struct inode *inode, struct inode **res)
{
    struct tmpfs_entry *e = tmpfs_find_or_add(dir, name, len);

    if (!e) {
        inode_put(inode);
        return -ENOMEM;
    }
    entry_fill(dir, e, inode);
    tmpfs_touch(dir);
    *res = inode_get(inode);
    return 0;
}

static int tmpfs_create(struct inode *dir, const char *name, size_t len, mode_t mode, u64 rdev, struct inode **res)
{
    struct inode *inode = tmpfs_inode(dir->sb, dir, mode, rdev);

    return inode ? tmpfs_enter(dir, name, len, inode, res) : -ENOMEM;
}

static int tmpfs_symlink(struct inode *dir, const char *name, size_t len, const char *target, struct inode **res)
{
    char *copy = kstrdup(target);
    struct inode *inode = copy ? tmpfs_inode(dir->sb, dir, S_IFLNK | 0777, 0) : NULL;

    if (!inode) {
        kfree(copy);
        return -ENOMEM;
    }
    tmpfs_node(inode)->target = copy;
    inode->size = strlen(copy);
    return tmpfs_enter(dir, name, len, inode, res);
}

static int tmpfs_tmpfile(struct inode *dir, mode_t mode, struct inode **res)
{
    struct inode *inode = tmpfs_inode(dir->sb, dir, mode, 0);

    if (!inode)
        return -ENOMEM;
    inode->nlink = 0;
    tmpfs_node(inode)->linkable = true;
    *res = inode;
    return 0;
}

static int tmpfs_link(struct inode *dir, const char *name, size_t len, struct inode *target)
{
    struct inode *ignored;
    int r;

    if (target->nlink == 0 && !tmpfs_node(target)->linkable)
        return -ENOENT;
    r = tmpfs_enter(dir, name, len, inode_get(target), &ignored);
    if (r < 0)
        return r;
    inode_put(ignored);
    tmpfs_node(target)->linkable = false;
    target->nlink++;
    target->ctime = now_realtime();
    return 0;
}

/* The inode lost a name of its own. */
static void tmpfs_unlinked(struct inode *inode)
{
    inode->ctime = now_realtime();
    inode->nlink -= S_ISDIR(inode->mode) ? 2 : 1;
    inode_put(inode);
}

static int tmpfs_unlink(struct inode *dir, const char *name, size_t len, struct inode *victim)
{
    struct tmpfs_entry *e = tmpfs_find(dir, name, len);

    if (!e || !e->inode)
        return -ENOENT;
    tmpfs_unlinked(entry_empty(dir, e));
    tmpfs_remove(dir, e);
    tmpfs_touch(dir);
    return 0;
}

static int tmpfs_rmdir(struct inode *dir, const char *name, size_t len, struct inode *victim)
{
    if (tmpfs_node(victim)->dir.live)
        return -ENOTEMPTY;
    return tmpfs_unlink(dir, name, len, victim);
}

static int tmpfs_rename(struct inode *old_dir, const char *old_name, size_t old_len, struct inode *victim,
                        struct inode *new_dir, const char *new_name, size_t new_len, struct inode *target, u32 flags)
{
    struct tmpfs_entry *from = tmpfs_find(old_dir, old_name, old_len), *to;
    struct inode *moved, *other = NULL;

    if (flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT))
        return -EINVAL;
    if (!from || !from->inode)
        return -ENOENT;
    to = tmpfs_find_or_add(new_dir, new_name, new_len);
    if (!to)
        return -ENOMEM;
    if (flags & RENAME_EXCHANGE) {
        if (!to->inode)
            return -ENOENT;
        moved = entry_empty(old_dir, from);
        other = entry_empty(new_dir, to);
        entry_fill(old_dir, from, other);
        other->ctime = now_realtime();
    } else {
        if (to->inode) {
            if (flags & RENAME_NOREPLACE)
                return -EEXIST;
            if (S_ISDIR(to->inode->mode) && tmpfs_node(to->inode)->dir.live)
                return -ENOTEMPTY;
            other = entry_empty(new_dir, to);
        }
        moved = entry_empty(old_dir, from);
        if (!(flags & RENAME_WHITEOUT))
            tmpfs_remove(old_dir, from);
        if (other)
            tmpfs_unlinked(other);
    }
    entry_fill(new_dir, to, moved);
    moved->ctime = now_realtime();
    tmpfs_touch(old_dir);
    tmpfs_touch(new_dir);
    return 0;
}

int tmpfs_whiteout(struct inode *dir, const char *name, size_t len)
{
    struct tmpfs_entry *e = tmpfs_find_or_add(dir, name, len);

    if (!e)
        return -ENOMEM;
    if (e->inode)
        tmpfs_unlinked(entry_empty(dir, e));
    tmpfs_touch(dir);
    return 0;
}

bool tmpfs_is_whiteout(struct inode *dir, const char *name, size_t len)
{
    struct tmpfs_entry *e = tmpfs_find(dir, name, len);

    return e && !e->inode;
}

bool tmpfs_has(struct inode *dir, const char *name, size_t len) { return tmpfs_find(dir, name, len) != NULL; }

int tmpfs_for_each(struct inode *dir, int (*fn)(void *arg, const char *name, size_t len, struct inode *inode),
                   void *arg)
{
    struct tmpfs_entry *e;
    int r;

    list_for_each_entry (e, &tmpfs_node(dir)->dir.entries, list) {
        r = fn(arg, e->name, e->len, e->inode);
        if (r < 0)
            return r;
    }
    return 0;
}

static int tmpfs_iterate(struct file *f, struct dir_context *ctx)
{
    struct inode *dir = f->inode;
    struct tmpfs_node *node = tmpfs_node(dir);
    u64 pos = (u64)f->pos;
    struct tmpfs_entry *e = node->dir.hint;

    if (!dir_emit_dots(f, ctx, &pos))
        return 0;
    if (!e || e->pos > pos)
        e = list_entry(node->dir.entries.next, struct tmpfs_entry, list);
    for (; &e->list != &node->dir.entries; e = list_entry(e->list.next, struct tmpfs_entry, list)) {
        if (e->pos < pos || !e->inode)
            continue;
        node->dir.hint = e;
        if (!ctx->actor(ctx, e->name, e->len, e->pos + 1, e->inode->ino, (u8)((e->inode->mode & S_IFMT) >> 12)))
            break;
    }
    return 0;
}

/* ---- files ---- */

static ssize_t tmpfs_read(struct file *f, void *buf, size_t n, loff_t *pos)
{
    struct inode *inode = f->inode;
    struct tmpfs_node *node = tmpfs_node(inode);
    u64 at = (u64)*pos;
    size_t done = 0;

    if (at >= inode->size)
        return 0;
    n = min((u64)n, inode->size - at);
    while (done < n) {
        size_t off = at & ~PAGE_MASK, chunk = min(n - done, PAGE_SIZE - off);
        const u8 *page = tmpfs_page(node, at >> PAGE_SHIFT);

        if (page)
            memcpy((u8 *)buf + done, page + off, chunk);
        else
            memset((u8 *)buf + done, 0, chunk);
        done += chunk;
        at += chunk;
    }
    *pos = (loff_t)at;
    if (inode->atime <= inode->mtime && !(f->flags & O_NOATIME))
        inode->atime = now_realtime(); /* relatime */
    return (ssize_t)done;
}

static ssize_t tmpfs_write(struct file *f, const void *buf, size_t n, loff_t *pos)
{
    struct inode *inode = f->inode;
    u64 at = (u64)*pos;
    size_t done = 0;
    int error = 0;

    if (at >= TMPFS_SIZE_MAX)
        return -EFBIG;
    n = min((u64)n, TMPFS_SIZE_MAX - at);
    while (done < n) {
        size_t off = at & ~PAGE_MASK, chunk = min(n - done, PAGE_SIZE - off);
        u8 *page = tmpfs_page_make(inode, at >> PAGE_SHIFT, &error);

        if (!page)
            break;
        memcpy(page + off, (const u8 *)buf + done, chunk);
        done += chunk;
        at += chunk;
    }
    if (!done && n)
        return error;
    *pos = (loff_t)at;
    if (at > inode->size)
        inode->size = at;
    tmpfs_touch(inode);
    return (ssize_t)done;
}

static int tmpfs_truncate(struct inode *inode, u64 size)
{
    if (!S_ISREG(inode->mode))
        return -EINVAL;
    if (size > TMPFS_SIZE_MAX)
        return -EFBIG;
    if (size < inode->size)
        tmpfs_zero(inode, size, page_align(size));
    if (size <= inode->size) /* equal: fallocate may have left pages behind the end */
        tmpfs_drop_pages(inode, page_align(size) >> PAGE_SHIFT, ~0ull);
    inode->size = size;
    tmpfs_touch(inode);
    return 0;
}

#define FALLOC_FL_KEEP_SIZE 1u
#define FALLOC_FL_PUNCH_HOLE 2u
#define FALLOC_FL_ZERO_RANGE 16u

static int tmpfs_fallocate(struct file *f, u32 mode, u64 off, u64 len)
{
    struct inode *inode = f->inode;
    struct tmpfs_sb *ts = inode->sb->private;
    u64 end, first = off >> PAGE_SHIFT, last;
    int error = 0;

    if (check_add(off, len, &end) || end > TMPFS_SIZE_MAX)
        return -EFBIG;
    last = page_align(end) >> PAGE_SHIFT;
    if (mode == (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE) || (mode & ~FALLOC_FL_KEEP_SIZE) == FALLOC_FL_ZERO_RANGE) {
        if (first == end >> PAGE_SHIFT) {
            tmpfs_zero(inode, off, end);
        } else {
            if (off & ~PAGE_MASK)
                tmpfs_zero(inode, off, page_align(off));
            if (end & ~PAGE_MASK)
                tmpfs_zero(inode, end & PAGE_MASK, end);
            tmpfs_drop_pages(inode, page_align(off) >> PAGE_SHIFT, end >> PAGE_SHIFT);
        }
    } else if (mode & ~FALLOC_FL_KEEP_SIZE) {
        return -EOPNOTSUPP;
    } else {
        if (last - first > ts->max_pages)
            return -ENOSPC;
        for (u64 i = first; i < last; i++)
            if (!tmpfs_page_make(inode, i, &error))
                return error;
    }
    if (!(mode & FALLOC_FL_KEEP_SIZE) && end > inode->size)
        inode->size = end;
    tmpfs_touch(inode);
    return 0;
}

#define SEEK_DATA 3
#define SEEK_HOLE 4

static loff_t tmpfs_llseek(struct file *f, loff_t off, int whence)
{
    struct inode *inode = f->inode;
    struct tmpfs_node *node = tmpfs_node(inode);
    u64 index, found;

    if (whence != SEEK_DATA && whence != SEEK_HOLE)
        return generic_llseek(f, off, whence);
    if (off < 0 || (u64)off >= inode->size)
        return -ENXIO;
    index = (u64)off >> PAGE_SHIFT;
    if (whence == SEEK_DATA) {
        found = radix_covers(node, index) ? radix_next(node->file.root, node->file.height, 0, index) : ~0ull;
        if (found == ~0ull || found << PAGE_SHIFT >= inode->size)
            return -ENXIO;
        f->pos = (loff_t)max((u64)off, found << PAGE_SHIFT);
    } else {
        while (index << PAGE_SHIFT < inode->size && tmpfs_page(node, index))
            index++;
        f->pos = (loff_t)min(max((u64)off, index << PAGE_SHIFT), inode->size);
    }
    return f->pos;
}

static int tmpfs_setattr(struct inode *inode, const struct inode *attr, u32 which)
{
    if (which & ATTR_MODE)
        inode->mode = (inode->mode & S_IFMT) | (attr->mode & 07777);
    if (which & ATTR_UID)
        inode->uid = attr->uid;
    if (which & ATTR_GID)
        inode->gid = attr->gid;
    if (which & ATTR_ATIME)
        inode->atime = attr->atime;
    if (which & ATTR_MTIME)
        inode->mtime = attr->mtime;
    inode->ctime = now_realtime();
    return 0;
}

static ssize_t tmpfs_readlink(struct inode *inode, char *buf, size_t size)
{
    size_t n = min(size, (size_t)inode->size);

    memcpy(buf, tmpfs_node(inode)->target, n);
    return (ssize_t)n;
}

static int tmpfs_fsync(struct file *f) { return 0; }

static void *tmpfs_file_page(struct file *f, u64 index)
{
    int error;
    void *page = tmpfs_page_make(f->inode, index, &error);
    return page ? page : ERR_PTR(error);
}

static bool tmpfs_mapped(struct file *f, int change)
{
    struct tmpfs_node *node = tmpfs_node(f->inode);

    node->file.mapped += (u32)change;
    while (!node->file.mapped && node->file.orphans) {
        struct orphan *o = node->file.orphans;
        node->file.orphans = o->next;
        tmpfs_page_free(f->inode, o->page);
        kfree(o);
    }
    return true;
}

static const struct inode_operations tmpfs_file_iops = {.truncate = tmpfs_truncate, .setattr = tmpfs_setattr};
static const struct inode_operations tmpfs_link_iops = {.readlink = tmpfs_readlink, .setattr = tmpfs_setattr};
static const struct inode_operations tmpfs_special_iops = {.setattr = tmpfs_setattr};
static const struct inode_operations tmpfs_dir_iops = {
    .lookup = tmpfs_lookup,
    .create = tmpfs_create,
    .symlink = tmpfs_symlink,
    .link = tmpfs_link,
    .unlink = tmpfs_unlink,
    .rmdir = tmpfs_rmdir,
    .rename = tmpfs_rename,
    .tmpfile = tmpfs_tmpfile,
    .setattr = tmpfs_setattr,
};
static const struct file_operations tmpfs_file_fops = {
    .read = tmpfs_read,
    .write = tmpfs_write,
    .llseek = tmpfs_llseek,
    .fallocate = tmpfs_fallocate,
    .fsync = tmpfs_fsync,
    .page = tmpfs_file_page,
    .mapped = tmpfs_mapped,
};
static const struct file_operations tmpfs_dir_fops = {.iterate = tmpfs_iterate, .fsync = tmpfs_fsync};

/* ---- the file system ---- */

static int tmpfs_statfs(struct super_block *sb, struct thaw_statfs *st)
{
    struct tmpfs_sb *ts = sb->private;

    st->bsize = PAGE_SIZE;
    st->blocks = ts->max_pages;
    st->bfree = st->bavail = ts->max_pages - ts->used_pages;
    st->files = ts->max_pages;
    st->ffree = ts->max_pages > ts->inodes ? ts->max_pages - ts->inodes : 0;
    st->namelen = NAME_MAX;
    return 0;
}

static void tmpfs_put_super(struct super_block *sb) { kfree(sb->private); }

static const struct super_operations tmpfs_sops = {
    .statfs = tmpfs_statfs,
    .evict_inode = tmpfs_evict_inode,
    .put_super = tmpfs_put_super,
};

struct super_block *tmpfs_mount(mode_t root_mode, u64 max_bytes)
{
    struct super_block *sb = super_alloc("tmpfs", TMPFS_MAGIC, &tmpfs_sops);
    struct tmpfs_sb *ts = sb ? kmalloc(sizeof(*ts)) : NULL;
    struct inode *root;

    if (!ts) {
        kfree(sb);
        return ERR_PTR(-ENOMEM);
    }
    sb->private = ts;
    ts->max_pages = max_bytes >> PAGE_SHIFT;
    ts->next_ino = 1;
    root = tmpfs_inode(sb, NULL, S_IFDIR | (root_mode & 07777), 0);
    if (!root || super_set_root(sb, root) < 0) {
        kfree(ts);
        kfree(sb);
        return ERR_PTR(-ENOMEM);
    }
    return sb;
}

struct file *tmpfs_memfd(const char *name, u32 flags, mode_t mode)
{
    static struct super_block *hidden;
    struct path path = {NULL, NULL};
    struct inode *inode;
    struct file *f;

    if (!hidden) {
        struct thaw_boot *boot = machine_boot();
        struct super_block *sb = tmpfs_mount(0700, boot ? boot->memory_limit : 1ull << 40);

        if (IS_ERR(sb))
            return ERR_PTR(PTR_ERR(sb));
        hidden = sb;
    }
    inode = tmpfs_inode(hidden, NULL, S_IFREG | mode, 0);
    if (!inode)
        return ERR_PTR(-ENOMEM);
    inode->nlink = 0;
    path.dentry = dentry_alloc_hidden(NULL, name, inode);
    if (!path.dentry)
        return ERR_PTR(-ENOMEM);
    path.dentry->unlinked = true;
    f = file_open_path(&path, flags, true);
    if (IS_ERR(f))
        path_put(&path);
    return f;
}
