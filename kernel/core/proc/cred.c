/* SPDX-License-Identifier: MIT */
/* setuid(2), setresuid(2), setgroups(2), capget(2) and their kin. */
#include "cred.h"

#include "sys/syscall.h"
#include "task.h"

#define NGROUPS_MAX 65536u

static struct cred *self(void) { return &current->process->cred; }

void cred_copy(struct cred *to, const struct cred *from)
{
    *to = *from;
    if (to->groups)
        to->groups->refs++;
}

void cred_put(struct cred *cred)
{
    if (cred->groups && !--cred->groups->refs)
        kfree(cred->groups);
    cred->groups = NULL;
}

#define S_ISUID 04000u
#define S_ISGID 02000u
#define S_IXGRP 00010u

bool cred_exec(struct cred *c, u32 mode, u32 uid, u32 gid)
{
    u32 user = c->user.effective, group = c->group.effective;

    if (mode & S_ISUID)
        c->user.effective = uid;
    if ((mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP))
        c->group.effective = gid;
    c->user.saved = c->user.fs = c->user.effective;
    c->group.saved = c->group.fs = c->group.effective;
    return c->user.effective != user || c->group.effective != group;
}

/* ---- users and their groups: one rule for both ---- */

/* Whose effective ids change may know what the new user shall not see: /proc becomes the superuser's, until execve. */
static s64 ids_set(struct ids *ids, u32 real, u32 effective, u32 saved)
{
    if (ids->effective != effective || ids->fs != effective)
        current->process->dumpable = false;
    *ids = (struct ids){real, effective, saved, effective};
    return 0;
}

static bool may_take(const struct ids *ids, u32 id, bool saved)
{
    return id == ID_NONE || cred_capable(self()) || id == ids->real || id == ids->effective ||
           (saved && id == ids->saved);
}

/* setuid(2) */
static s64 set_one(struct ids *ids, u32 id)
{
    if (id == ID_NONE)
        return -EINVAL;
    if (cred_capable(self()))
        return ids_set(ids, id, id, id);
    return id == ids->real || id == ids->saved ? ids_set(ids, ids->real, id, ids->saved) : -EPERM;
}

/* setreuid(2) */
static s64 set_two(struct ids *ids, u32 r, u32 e)
{
    u32 effective = e != ID_NONE ? e : ids->effective;
    bool saves = r != ID_NONE || (e != ID_NONE && e != ids->real);

    if (!may_take(ids, r, false) || !may_take(ids, e, true))
        return -EPERM;
    return ids_set(ids, r != ID_NONE ? r : ids->real, effective, saves ? effective : ids->saved);
}

/* setresuid(2) */
static s64 set_three(struct ids *ids, u32 r, u32 e, u32 s)
{
    if (!may_take(ids, r, true) || !may_take(ids, e, true) || !may_take(ids, s, true))
        return -EPERM;
    return ids_set(ids, r != ID_NONE ? r : ids->real, e != ID_NONE ? e : ids->effective, s != ID_NONE ? s : ids->saved);
}

/* setfsuid(2): gives back the id that was, whether or not it changes it. */
static s64 set_fs(struct ids *ids, u32 id)
{
    u32 old = ids->fs;

    if (id != ID_NONE && id != old && may_take(ids, id, true)) {
        current->process->dumpable = false;
        ids->fs = id;
    }
    return old;
}

static s64 put_ids(const struct ids *ids, u64 r, u64 e, u64 s)
{
    return copy_to_user((void __user *)r, &ids->real, sizeof(u32)) ||
                   copy_to_user((void __user *)e, &ids->effective, sizeof(u32)) ||
                   copy_to_user((void __user *)s, &ids->saved, sizeof(u32))
               ? -EFAULT
               : 0;
}

SYSCALL(getuid) { return self()->user.real; }
SYSCALL(geteuid) { return self()->user.effective; }
SYSCALL(getgid) { return self()->group.real; }
SYSCALL(getegid) { return self()->group.effective; }
SYSCALL(setuid) { return set_one(&self()->user, (u32)a0); }
SYSCALL(setgid) { return set_one(&self()->group, (u32)a0); }
SYSCALL(setreuid) { return set_two(&self()->user, (u32)a0, (u32)a1); }
SYSCALL(setregid) { return set_two(&self()->group, (u32)a0, (u32)a1); }
SYSCALL(setresuid) { return set_three(&self()->user, (u32)a0, (u32)a1, (u32)a2); }
SYSCALL(setresgid) { return set_three(&self()->group, (u32)a0, (u32)a1, (u32)a2); }
SYSCALL(setfsuid) { return set_fs(&self()->user, (u32)a0); }
SYSCALL(setfsgid) { return set_fs(&self()->group, (u32)a0); }
SYSCALL(getresuid) { return put_ids(&self()->user, a0, a1, a2); }
SYSCALL(getresgid) { return put_ids(&self()->group, a0, a1, a2); }

/* ---- groups ---- */

SYSCALL(getgroups)
{
    const struct group_info *g = self()->groups;
    u32 count = g ? g->count : 0;

    if ((s32)a0 < 0 || (a0 && a0 < count))
        return -EINVAL;
    if (a0 && count && copy_to_user((void __user *)a1, g->gid, count * sizeof(u32)))
        return -EFAULT;
    return count;
}

SYSCALL(setgroups)
{
    struct cred *c = self();
    u32 count = (u32)a0;

    if (!cred_capable(c))
        return -EPERM;
    if (count > NGROUPS_MAX)
        return -EINVAL;
    struct group_info *g = count ? kmalloc(sizeof(*g) + count * sizeof(u32)) : NULL;
    if (count && !g)
        return -ENOMEM;
    if (count && copy_from_user(g->gid, (const void __user *)a1, count * sizeof(u32))) {
        kfree(g);
        return -EFAULT;
    }
    if (g)
        g->refs = 1, g->count = count;
    cred_put(c);
    c->groups = g;
    return 0;
}

/* ---- capabilities ---- */

#define CAP_LAST 40
#define CAP_VERSION_1 0x19980330u
#define CAP_VERSION_2 0x20071026u
#define CAP_VERSION_3 0x20080522u

struct cap_header {
    u32 version;
    s32 pid;
};

/* Checks the header; the number of 32-bit parts, 0 for a version that only asks which there is, or -errno. */
static int cap_check(u64 uheader, struct cap_header *h)
{
    if (copy_from_user(h, (const void __user *)uheader, sizeof(*h)))
        return -EFAULT;
    if (h->version == CAP_VERSION_1)
        return 1;
    if (h->version == CAP_VERSION_2 || h->version == CAP_VERSION_3)
        return 2;
    u32 version = CAP_VERSION_3;
    return copy_to_user((void __user *)uheader, &version, sizeof(version)) ? -EFAULT : 0;
}

SYSCALL(capget)
{
    struct cap_header h;
    int parts = cap_check(a0, &h);
    u32 data[6] = {~0u, ~0u, 0, (1u << (CAP_LAST - 31)) - 1, (1u << (CAP_LAST - 31)) - 1, 0};

    if (parts < 0)
        return parts;
    if (!parts)
        return a1 ? -EINVAL : 0;
    if (h.pid < 0)
        return -EINVAL;
    const struct task *t = h.pid ? task_by_tid(h.pid) : current;
    if (!t)
        return -ESRCH;
    if (!cred_capable(&t->process->cred))
        memset(data, 0, sizeof(data));
    return a1 && copy_to_user((void __user *)a1, data, (size_t)parts * 12) ? -EFAULT : 0;
}

/* What they would allow beyond the sandbox does not exist here: giving one up changes nothing. */
SYSCALL(capset)
{
    struct cap_header h;
    u32 data[6];
    int parts = cap_check(a0, &h);

    if (parts <= 0)
        return parts ? parts : -EINVAL;
    if (h.pid && h.pid != current->tid)
        return -EPERM;
    if (copy_from_user(data, (const void __user *)a1, (size_t)parts * 12))
        return -EFAULT;
    if (cred_capable(self()))
        return 0;
    for (int i = 0; i < parts * 3; i++)
        if (i % 3 != 2 && data[i]) /* effective or permitted */
            return -EPERM;
    return 0;
}
