/* SPDX-License-Identifier: MIT */
/* Who may do what with a file: path_resolution(7), inode(7), credentials(7). */
#include "vfs.h"

#include "proc/cred.h"
#include "proc/task.h"

static const struct cred root;

static const struct cred *cred_now(void) { return current && current->process ? &current->process->cred : &root; }

int inode_permission_of(const struct inode *inode, u32 mask, u32 uid, u32 gid)
{
    u32 mode = inode->mode;

    if (!uid) /* CAP_DAC_OVERRIDE */
        return (mask & MAY_EXEC) && S_ISREG(mode) && !(mode & 0111) ? -EACCES : 0;
    if (uid == inode->uid)
        mode >>= 6;
    else if (cred_in_group(cred_now(), inode->gid, gid))
        mode >>= 3;
    return mask & ~mode & 7 ? -EACCES : 0;
}

int inode_permission(const struct inode *inode, u32 mask)
{
    const struct cred *c = cred_now();
    return inode_permission_of(inode, mask, c->user.fs, c->group.fs);
}

bool inode_owned(const struct inode *inode)
{
    const struct cred *c = cred_now();
    return !c->user.fs || c->user.fs == inode->uid;
}

int may_create(const struct inode *dir) { return inode_permission(dir, MAY_WRITE | MAY_EXEC); }

int may_delete(const struct inode *dir, const struct inode *victim)
{
    int err = may_create(dir);

    if (err)
        return err;
    return (dir->mode & S_ISVTX) && !inode_owned(victim) && !inode_owned(dir) ? -EPERM : 0;
}

int may_setattr(const struct inode *inode, struct inode *attr, u32 which)
{
    const struct cred *c = cred_now();

    if (!c->user.fs)
        return 0;
    if ((which & ATTR_UID) && (c->user.fs != inode->uid || attr->uid != inode->uid))
        return -EPERM;
    if ((which & ATTR_GID) &&
        (c->user.fs != inode->uid || !(attr->gid == inode->gid || cred_in_group(c, attr->gid, c->group.fs))))
        return -EPERM;
    if ((which & ATTR_MODE) && !(which & (ATTR_UID | ATTR_GID))) {
        if (c->user.fs != inode->uid)
            return -EPERM;
        if (!S_ISDIR(inode->mode) && !cred_in_group(c, inode->gid, c->group.fs))
            attr->mode &= ~(mode_t)S_ISGID;
    }
    return 0;
}
