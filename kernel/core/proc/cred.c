/* SPDX-License-Identifier: MIT */
/* setuid(2), setresuid(2), setgroups(2), capget(2) and their kin. */
#include "cred.h"

#include "sys/syscall.h"
#include "task.h"

#define NGROUPS_MAX 65536u

static struct cred *self(void) { return &current->process->cred; }

/* Whose effective ids change may know what the new user shall not see: /proc becomes the superuser's, until execve. */
static void effective_set(u32 *which, u32 id)
{
    if (*which != id)
        current->process->dumpable = false;
    *which = id;
}

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
    u32 euid = c->euid, egid = c->egid;

    if (mode & S_ISUID)
        c->euid = uid;
    if ((mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP))
        c->egid = gid;
    c->suid = c->fsuid = c->euid;
    c->sgid = c->fsgid = c->egid;
    return c->euid != euid || c->egid != egid;
}

/* ---- users ---- */

SYSCALL(getuid) { return self()->uid; }
SYSCALL(geteuid) { return self()->euid; }
SYSCALL(getgid) { return self()->gid; }
SYSCALL(getegid) { return self()->egid; }

SYSCALL(setuid)
{
    struct cred *c = self();
    u32 id = (u32)a0;

    if (id == ID_NONE)
        return -EINVAL;
    if (cred_capable(c))
        c->uid = c->suid = id;
    else if (id != c->uid && id != c->suid)
        return -EPERM;
    effective_set(&c->euid, id);
    effective_set(&c->fsuid, id);
    return 0;
}

SYSCALL(setgid)
{
    struct cred *c = self();
    u32 id = (u32)a0;

    if (id == ID_NONE)
        return -EINVAL;
    if (cred_capable(c))
        c->gid = c->sgid = id;
    else if (id != c->gid && id != c->sgid)
        return -EPERM;
    effective_set(&c->egid, id);
    effective_set(&c->fsgid, id);
    return 0;
}

/* Real, effective and saved, of users or of groups. */
struct ids {
    u32 r, e, s;
};

static bool may_take(const struct ids *ids, u32 id, bool saved)
{
    return id == ID_NONE || cred_capable(self()) || id == ids->r || id == ids->e || (saved && id == ids->s);
}

static s64 set_two(struct ids *ids, u32 r, u32 e)
{
    struct ids old = *ids;

    if (!may_take(&old, r, false) || !may_take(&old, e, true))
        return -EPERM;
    ids->r = r != ID_NONE ? r : old.r;
    ids->e = e != ID_NONE ? e : old.e;
    if (r != ID_NONE || (e != ID_NONE && e != old.r))
        ids->s = ids->e;
    return 0;
}

static s64 set_three(struct ids *ids, u32 r, u32 e, u32 s)
{
    if (!may_take(ids, r, true) || !may_take(ids, e, true) || !may_take(ids, s, true))
        return -EPERM;
    ids->r = r != ID_NONE ? r : ids->r;
    ids->e = e != ID_NONE ? e : ids->e;
    ids->s = s != ID_NONE ? s : ids->s;
    return 0;
}

static s64 users_set(const struct ids *ids)
{
    struct cred *c = self();
    c->uid = ids->r;
    effective_set(&c->euid, ids->e);
    effective_set(&c->fsuid, ids->e);
    c->suid = ids->s;
    return 0;
}

static s64 groups_set(const struct ids *ids)
{
    struct cred *c = self();
    c->gid = ids->r;
    effective_set(&c->egid, ids->e);
    effective_set(&c->fsgid, ids->e);
    c->sgid = ids->s;
    return 0;
}

SYSCALL(setreuid)
{
    struct ids ids = {self()->uid, self()->euid, self()->suid};
    s64 err = set_two(&ids, (u32)a0, (u32)a1);
    return err ? err : users_set(&ids);
}

SYSCALL(setregid)
{
    struct ids ids = {self()->gid, self()->egid, self()->sgid};
    s64 err = set_two(&ids, (u32)a0, (u32)a1);
    return err ? err : groups_set(&ids);
}

SYSCALL(setresuid)
{
    struct ids ids = {self()->uid, self()->euid, self()->suid};
    s64 err = set_three(&ids, (u32)a0, (u32)a1, (u32)a2);
    return err ? err : users_set(&ids);
}

SYSCALL(setresgid)
{
    struct ids ids = {self()->gid, self()->egid, self()->sgid};
    s64 err = set_three(&ids, (u32)a0, (u32)a1, (u32)a2);
    return err ? err : groups_set(&ids);
}

static s64 put_ids(const u64 to[3], const u32 ids[3])
{
    for (int i = 0; i < 3; i++)
        if (copy_to_user((void __user *)to[i], &ids[i], sizeof(ids[i])))
            return -EFAULT;
    return 0;
}

SYSCALL(getresuid)
{
    const struct cred *c = self();
    return put_ids((const u64[]){a0, a1, a2}, (const u32[]){c->uid, c->euid, c->suid});
}

SYSCALL(getresgid)
{
    const struct cred *c = self();
    return put_ids((const u64[]){a0, a1, a2}, (const u32[]){c->gid, c->egid, c->sgid});
}

/* These give back the id that was, whether or not they changed it. */
SYSCALL(setfsuid)
{
    struct cred *c = self();
    u32 id = (u32)a0, old = c->fsuid;

    if (id != ID_NONE && (cred_capable(c) || id == c->uid || id == c->euid || id == c->suid))
        effective_set(&c->fsuid, id);
    return old;
}

SYSCALL(setfsgid)
{
    struct cred *c = self();
    u32 id = (u32)a0, old = c->fsgid;

    if (id != ID_NONE && (cred_capable(c) || id == c->gid || id == c->egid || id == c->sgid))
        effective_set(&c->fsgid, id);
    return old;
}

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
