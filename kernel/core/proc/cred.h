/* SPDX-License-Identifier: MIT */
/*
 * Who a process acts for: credentials(7). User 0 has every capability, any other none. What they guard is only what the
 * sandbox's own programs keep from each other: the sandbox's boundary does not depend on it.
 */
#ifndef CORE_CRED_H
#define CORE_CRED_H

#include "kernel.h"

#define ID_NONE 0xffffffffu /* in calls: leave it as it is */

struct group_info {
    u32 refs, count;
    u32 gid[];
};

struct ids {
    u32 real, effective, saved, fs;
};

struct cred {
    struct ids user, group;
    struct group_info *groups; /* NULL: none */
};

/* to is a copy of from, with a reference of its own to the groups. */
void cred_copy(struct cred *to, const struct cred *from);
void cred_put(struct cred *cred);
/* As execve(2) of a file with this owner, and S_ISUID and S_ISGID of its mode. True: it gives privileges. */
bool cred_exec(struct cred *cred, u32 mode, u32 uid, u32 gid);

static inline bool cred_capable(const struct cred *cred) { return cred->user.effective == 0; }

/* The effective or a supplementary group. */
static inline bool cred_in_group(const struct cred *cred, u32 gid, u32 effective)
{
    const struct group_info *g = cred->groups;

    for (u32 i = 0; g && i < g->count; i++)
        if (g->gid[i] == gid)
            return true;
    return gid == effective;
}

#endif
