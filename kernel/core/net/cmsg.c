/* SPDX-License-Identifier: MIT */
/* Control messages, cmsg(3), and those of all sockets: SCM_RIGHTS and SCM_CREDENTIALS, unix(7). */
#include "fs/vfs.h"
#include "unix.h"

#define SCM_RIGHTS 1
#define SCM_CREDENTIALS 2

/* ---- from sendmsg ---- */

const struct cmsghdr *cmsg_next(const struct msg *m, size_t *pos)
{
    const struct cmsghdr *c;

    if (*pos >= m->control_len || m->control_len - *pos < sizeof(*c))
        return NULL;
    c = (const void *)(m->control + *pos);
    *pos += CMSG_ALIGN(c->len);
    return c;
}

void scm_free(struct scm *scm)
{
    if (!scm)
        return;
    if (scm->counted)
        unix_inflight(scm, false);
    for (u32 i = 0; i < scm->nfiles; i++)
        file_put(scm->files[i]);
    kfree(scm);
}

static int scm_add_rights(struct scm **scm, const struct cmsghdr *c)
{
    u32 n = (u32)(cmsg_data_len(c) / sizeof(s32));
    const s32 *fds = cmsg_data(c);

    if (!n)
        return 0;
    if (!*scm)
        *scm = kmalloc(sizeof(**scm) + SCM_MAX_FD * sizeof(struct file *));
    if (!*scm)
        return -ENOMEM;
    if (n > SCM_MAX_FD - (*scm)->nfiles)
        return -EINVAL;
    for (u32 i = 0; i < n; i++) {
        struct file *f = fd_get_raw(fds[i]);

        if (!f)
            return -EBADF;
        (*scm)->files[(*scm)->nfiles++] = f;
    }
    return 0;
}

/* Who sends may say who it is; user 0 also that it is some other process that exists, or another user. */
static int scm_set_cred(struct ucred *cred, const struct cmsghdr *c)
{
    if (cmsg_data_len(c) != sizeof(*cred))
        return -EINVAL;
    memcpy(cred, cmsg_data(c), sizeof(*cred));
    if (cred->pid != current->process->pid && !process_by_pid(cred->pid))
        return -ESRCH;
    const struct cred *own = &current->process->cred;
    bool uid = cred->uid == own->user.real || cred->uid == own->user.effective || cred->uid == own->user.saved;
    bool gid = cred->gid == own->group.real || cred->gid == own->group.effective || cred->gid == own->group.saved;
    return cred_capable(own) || (uid && gid) ? 0 : -EPERM;
}

int scm_send(struct msg *m, struct scm **scm, struct ucred *cred)
{
    const struct cmsghdr *c;
    size_t pos = 0;
    int r = 0;

    *scm = NULL;
    while (r == 0 && (c = cmsg_next(m, &pos))) {
        if (c->level != SOL_SOCKET)
            continue;
        if (c->type == SCM_RIGHTS)
            r = scm_add_rights(scm, c);
        else if (c->type == SCM_CREDENTIALS)
            r = scm_set_cred(cred, c);
        else
            r = -EINVAL;
    }
    if (r < 0) {
        scm_free(*scm);
        *scm = NULL;
    }
    return r;
}

/* ---- for recvmsg ---- */

void cmsg_put(struct msg *m, int level, int type, const void *data, size_t len)
{
    struct cmsghdr c = {sizeof(c) + len, level, type};
    u64 space;

    if (m->room.left < sizeof(c)) {
        m->out_flags |= MSG_CTRUNC;
        return;
    }
    if (m->room.left < c.len) {
        m->out_flags |= MSG_CTRUNC;
        c.len = m->room.left;
    }
    if (copy_to_user((void __user *)m->room.user, &c, sizeof(c)) ||
        copy_to_user((void __user *)(m->room.user + sizeof(c)), data, c.len - sizeof(c)))
        return;
    space = min(CMSG_ALIGN(sizeof(c) + len), m->room.left);
    m->room.user += space;
    m->room.left -= space;
    m->room.used += space;
}

void scm_recv(struct msg *m, const struct scm *scm)
{
    u64 room = m->room.left < sizeof(struct cmsghdr) ? 0 : (m->room.left - sizeof(struct cmsghdr)) / sizeof(s32);
    s32 fds[SCM_MAX_FD];
    u32 n = 0;

    for (; n < scm->nfiles && n < room; n++) {
        fds[n] = fd_install(file_get(scm->files[n]), m->flags & MSG_CMSG_CLOEXEC, 0);
        if (fds[n] < 0)
            break;
    }
    if (n < scm->nfiles)
        m->out_flags |= MSG_CTRUNC;
    if (n)
        cmsg_put(m, SOL_SOCKET, SCM_RIGHTS, fds, n * sizeof(s32));
}
