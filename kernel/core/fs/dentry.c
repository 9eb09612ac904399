/* SPDX-License-Identifier: MIT */
/* Names in the tree, and the cache of those that nobody holds. */
#include "vfs.h"

#define DENTRY_HASH 1024u
#define DENTRY_UNUSED_MAX 4096u

static struct dentry *dentry_table[DENTRY_HASH];
static struct list_head dentry_lru = LIST_HEAD_INIT(dentry_lru); /* oldest first */
static u32 dentry_unused;

static u32 dentry_hash(const struct dentry *parent, const char *name, size_t len)
{
    u64 h = (u64)(uintptr_t)parent >> 4;

    for (size_t i = 0; i < len; i++)
        h = (h ^ (u8)name[i]) * 0x9e3779b97f4a7c15ull, h ^= h >> 29;
    return (u32)(h ^ (h >> 32));
}

static void dentry_link(struct dentry *d)
{
    struct dentry **head = &dentry_table[d->hash % DENTRY_HASH];

    d->hash_next = *head;
    *head = d;
    d->hashed = true;
}

static void dentry_unhash(struct dentry *d)
{
    struct dentry **p = &dentry_table[d->hash % DENTRY_HASH];

    if (!d->hashed)
        return;
    while (*p != d)
        p = &(*p)->hash_next;
    *p = d->hash_next;
    d->hashed = false;
}

static void lru_del(struct dentry *d)
{
    list_del(&d->lru);
    dentry_unused--;
    d->inode->sb->unused_names--;
}

struct dentry *dentry_get(struct dentry *d)
{
    if (d->refs++ == 0)
        lru_del(d);
    return d;
}

/* d has no references any more: true if it stays as a cached name. */
static bool dentry_keep(struct dentry *d)
{
    if (!d->hashed || (d->inode->sb->flags & SB_NOCACHE))
        return false;
    list_add_tail(&d->lru, &dentry_lru);
    dentry_unused++;
    d->inode->sb->unused_names++;
    return true;
}

/* Frees d, which has no references, and each ancestor that only it held. A loop: paths may be deep. */
static void dentry_free(struct dentry *d)
{
    while (d) {
        struct dentry *parent = d->parent != d ? d->parent : NULL;

        dentry_unhash(d);
        list_del(&d->sibling);
        inode_put(d->inode);
        kfree(d->name);
        kfree(d);
        if (!parent || --parent->refs || dentry_keep(parent))
            break;
        d = parent;
    }
}

static void dentry_evict_oldest(void)
{
    struct dentry *d = list_first_entry(&dentry_lru, struct dentry, lru);

    lru_del(d);
    dentry_free(d);
}

void dentry_put(struct dentry *d)
{
    if (!d || --d->refs)
        return;
    if (!dentry_keep(d))
        dentry_free(d);
    while (dentry_unused > DENTRY_UNUSED_MAX)
        dentry_evict_oldest();
}

void dentry_shrink(struct super_block *sb)
{
    struct list_head *at = &dentry_lru;

    /* A parent that freeing a name leaves unused goes to the list's end: one pass sees it too. */
    while (at->next != &dentry_lru && (!sb || sb->unused_names)) {
        struct dentry *d = list_entry(at->next, struct dentry, lru);

        if (sb && d->inode->sb != sb) {
            at = at->next;
            continue;
        }
        lru_del(d);
        dentry_free(d);
    }
}

static struct dentry *dentry_make(struct dentry *parent, const char *name, size_t len, struct inode *inode)
{
    struct dentry *d = kmalloc(sizeof(*d));

    if (d)
        d->name = kmalloc(len + 1);
    if (!d || !d->name) {
        kfree(d);
        inode_put(inode);
        return NULL;
    }
    memcpy(d->name, name, len);
    d->len = (u32)len;
    d->refs = 1;
    d->inode = inode;
    d->parent = parent ? dentry_get(parent) : d;
    list_init(&d->children);
    list_init(&d->sibling);
    list_init(&d->lru);
    if (parent)
        list_add(&d->sibling, &parent->children);
    return d;
}

static struct dentry *dentry_alloc(struct dentry *parent, const char *name, size_t len, struct inode *inode)
{
    struct dentry *d = dentry_make(parent, name, len, inode);

    if (d) {
        d->hash = dentry_hash(parent, name, len);
        dentry_link(d);
    }
    return d;
}

struct dentry *dentry_alloc_hidden(struct dentry *parent, const char *name, struct inode *inode)
{
    return dentry_make(parent, name, strlen(name), inode);
}

static struct dentry *dentry_find(struct dentry *parent, const char *name, size_t len)
{
    u32 hash = dentry_hash(parent, name, len);

    for (struct dentry *d = dentry_table[hash % DENTRY_HASH]; d; d = d->hash_next)
        if (d->hash == hash && d->parent == parent && d->len == len && !memcmp(d->name, name, len))
            return d;
    return NULL;
}

struct dentry *dentry_lookup(struct dentry *parent, const char *name, size_t len)
{
    struct inode *dir = parent->inode, *inode;
    bool nocache = dir->sb->flags & SB_NOCACHE;
    struct dentry *d = dentry_find(parent, name, len);
    int r;

    if (d && !nocache)
        return dentry_get(d);
    if (len > NAME_MAX)
        return ERR_PTR(-ENAMETOOLONG);
    if (!dir->op->lookup)
        return ERR_PTR(-ENOTDIR);
    r = dir->op->lookup(dir, name, len, &inode);

    if (r < 0) {
        d = dentry_find(parent, name, len);
        if (d && d->mounted)
            return dentry_get(d);
        if (d && r == -ENOENT)
            dentry_unlink(d);
        return ERR_PTR(r);
    }
    return dentry_enter(parent, name, len, inode);
}

struct dentry *dentry_enter(struct dentry *parent, const char *name, size_t len, struct inode *inode)
{
    /* The lock may have been dropped since the name was looked for: somebody else may have entered it. */
    struct dentry *d = dentry_find(parent, name, len);
    struct inode *known;

    if (d) {
        known = d->inode;
        dentry_get(d);
        if (!(known->sb->flags & SB_NOCACHE) || d->mounted || known == inode) {
            inode_put(inode);
            return d;
        }
        if (known->ino == inode->ino && ((known->mode ^ inode->mode) & S_IFMT) == 0) {
            /* the same file: keep the inode that locks and open files know, with what is new about it */
            known->mode = inode->mode;
            known->uid = inode->uid;
            known->gid = inode->gid;
            known->nlink = inode->nlink;
            known->size = inode->size;
            known->blocks = inode->blocks;
            known->atime = inode->atime;
            known->mtime = inode->mtime;
            known->ctime = inode->ctime;
            inode_put(inode);
            return d;
        }
        dentry_unlink(d);
        dentry_put(d);
    }
    d = dentry_alloc(parent, name, len, inode);
    return d ? d : ERR_PTR(-ENOMEM);
}

void dentry_unlink(struct dentry *d)
{
    d->unlinked = true;
    dentry_unhash(d);
    if (!d->refs) { /* it was only cached */
        lru_del(d);
        dentry_free(d);
    }
}

/* The name was moved; whoever holds d, as a working directory or an open file, sees the new one. */
void dentry_rename(struct dentry *d, struct dentry *parent, const char *name, size_t len)
{
    char *copy = kmalloc(len + 1);
    struct dentry *old = d->parent;

    dentry_unhash(d);
    if (!copy)
        return; /* not cached any more: the next lookup makes a new one */
    memcpy(copy, name, len);
    kfree(d->name);
    d->name = copy;
    d->len = (u32)len;
    if (old != parent) {
        list_del(&d->sibling);
        d->parent = dentry_get(parent);
        list_add(&d->sibling, &parent->children);
        dentry_put(old);
    }
    d->hash = dentry_hash(parent, copy, len);
    dentry_link(d);
}

void dentry_exchange(struct dentry *a, struct dentry *b)
{
    struct dentry *parent = a->parent;
    char *name = a->name;
    u32 len = a->len;

    dentry_unhash(a);
    dentry_unhash(b);
    list_del(&a->sibling);
    list_del(&b->sibling);
    a->name = b->name;
    a->len = b->len;
    a->parent = b->parent; /* the references change hands */
    b->name = name;
    b->len = len;
    b->parent = parent;
    list_add(&a->sibling, &a->parent->children);
    list_add(&b->sibling, &b->parent->children);
    a->hash = dentry_hash(a->parent, a->name, a->len);
    b->hash = dentry_hash(b->parent, b->name, b->len);
    dentry_link(a);
    dentry_link(b);
}

bool dentry_is_below(const struct dentry *d, const struct dentry *ancestor)
{
    for (; d != ancestor; d = d->parent)
        if (d->parent == d)
            return false;
    return true;
}
