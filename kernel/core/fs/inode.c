/* SPDX-License-Identifier: MIT */
/* Inodes and super blocks: life and death. */
#include "inotify.h"
#include "vfs.h"

static u32 nr_inodes;
u32 inode_count(void) { return nr_inodes; }

struct inode *inode_alloc(struct super_block *sb)
{
    struct inode *inode = kmalloc(sizeof(*inode));

    if (!inode)
        return NULL;
    nr_inodes++;
    inode->refs = 1;
    inode->sb = sb;
    inode->nlink = 1;
    if (current && current->process) {
        inode->uid = current->process->cred.user.fs;
        inode->gid = current->process->cred.group.fs;
    }
    list_init(&inode->flocks);
    return inode;
}

struct inode *inode_get(struct inode *inode)
{
    inode->refs++;
    return inode;
}

void inode_put(struct inode *inode)
{
    if (!inode || --inode->refs)
        return;
    if (inode->sb && inode->sb->op && inode->sb->op->evict_inode)
        inode->sb->op->evict_inode(inode);
    nr_inodes--;
    kfree(inode);
}

int inode_refresh(struct inode *inode) { return inode->op && inode->op->getattr ? inode->op->getattr(inode) : 0; }

int inode_seal_check(const struct inode *inode, u64 end)
{
    if (likely(!inode->seals))
        return 0;
    if (inode->seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
        return -EPERM;
    return (inode->seals & F_SEAL_GROW) && end > inode->size ? -EPERM : 0;
}

int inode_truncate(struct inode *inode, u64 size)
{
    if (((inode->seals & F_SEAL_SHRINK) && size < inode->size) || ((inode->seals & F_SEAL_GROW) && size > inode->size))
        return -EPERM;
    return inode->op && inode->op->truncate ? inode->op->truncate(inode, size) : -EINVAL;
}

int inode_setattr(const struct path *p, struct inode *attr, u32 which)
{
    struct inode *inode = p->dentry->inode;
    int r;

    if (path_rdonly(p))
        return -EROFS;
    if (!inode->op || !inode->op->setattr)
        return -EPERM;
    r = inode->op->setattr(inode, attr, which);
    if (r == 0)
        inotify_dentry(p->dentry, IN_ATTRIB);
    return r;
}

u64 now_realtime(void) { return machine_clock(0); }

u64 dev_alloc(void)
{
    static u64 last;

    return MKDEV(0, ++last);
}

struct super_block *super_alloc(const char *type, u64 magic, const struct super_operations *op)
{
    struct super_block *sb = kmalloc(sizeof(*sb));

    if (!sb)
        return NULL;
    sb->refs = 1;
    sb->dev = dev_alloc();
    sb->magic = magic;
    sb->type = type;
    sb->op = op;
    return sb;
}

int super_set_root(struct super_block *sb, struct inode *root)
{
    sb->root = dentry_alloc_hidden(NULL, "/", root);
    return sb->root ? 0 : -ENOMEM;
}

struct super_block *super_get(struct super_block *sb)
{
    sb->refs++;
    return sb;
}

void super_put(struct super_block *sb)
{
    if (!sb || --sb->refs)
        return;
    dentry_shrink(sb);
    dentry_put(sb->root);
    if (sb->op && sb->op->put_super)
        sb->op->put_super(sb);
    kfree(sb);
}
