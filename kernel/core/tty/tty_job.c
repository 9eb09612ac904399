/* SPDX-License-Identifier: MIT */
/* Sessions, controlling terminals and job control. */
#include "proc/signal.h"
#include "tty.h"

#define TIOCSCTTY 0x540eu
#define TIOCGPGRP 0x540fu
#define TIOCSPGRP 0x5410u
#define TIOCNOTTY 0x5422u
#define TIOCGSID 0x5429u

struct list_head tty_list = LIST_HEAD_INIT(tty_list);

struct tty *tty_of_session(s32 sid)
{
    struct tty *tty;

    list_for_each_entry (tty, &tty_list, all)
        if (tty->session == sid && sid)
            return tty;
    return NULL;
}

static void signal_group(s32 pgrp, int sig)
{
    struct process *p;

    list_for_each_entry (p, &process_list, all)
        if (pgrp > 0 && p->pgid == pgrp)
            signal_send_process(p, sig, NULL);
}

void tty_signal(struct tty *tty, int sig) { signal_group(tty->pgrp, sig); }

static bool controls(const struct tty *tty) { return tty->session && current->process->sid == tty->session; }

static bool in_background(const struct tty *tty)
{
    return controls(tty) && tty->pgrp > 0 && current->process->pgid != tty->pgrp;
}

static bool signal_unwanted(int sig)
{
    return (current->blocked & sigmask(sig)) || current->process->sigaction[sig - 1].handler == SIG_IGN;
}

/* Nobody of the group's parents is in the session and outside the group: nobody could continue it. */
static bool group_orphaned(s32 pgrp, s32 sid)
{
    struct process *p;

    list_for_each_entry (p, &process_list, all) {
        const struct process *parent;

        if (p->pgid != pgrp || p->zombie)
            continue;
        parent = process_by_pid(p->ppid);
        if (parent && parent->pgid != pgrp && parent->sid == sid)
            return false;
    }
    return true;
}

static int background(const struct tty *tty, int sig)
{
    const struct process *p = current->process;

    if (group_orphaned(p->pgid, p->sid))
        return -EIO;
    signal_group(p->pgid, sig);
    return -ERESTARTSYS;
}

int tty_check_read(struct tty *tty)
{
    if (!in_background(tty))
        return 0;
    return signal_unwanted(SIGTTIN) ? -EIO : background(tty, SIGTTIN);
}

int tty_check_change(struct tty *tty)
{
    if (!in_background(tty) || signal_unwanted(SIGTTOU))
        return 0;
    return background(tty, SIGTTOU);
}

void tty_hangup(struct tty *tty)
{
    struct process *p;

    if (tty->session) {
        p = process_by_pid(tty->session);
        if (p) {
            signal_send_process(p, SIGHUP, NULL);
            signal_send_process(p, SIGCONT, NULL);
        }
        if (tty->pgrp != tty->session)
            tty_signal(tty, SIGHUP);
        if (tty->pgrp != tty->session)
            tty_signal(tty, SIGCONT);
    }
    tty->session = tty->pgrp = 0;
}

void tty_leader_exit(s32 sid)
{
    struct tty *tty = tty_of_session(sid);

    if (!tty)
        return;
    tty_signal(tty, SIGHUP);
    tty->session = tty->pgrp = 0;
}

static void take_session(struct tty *tty)
{
    tty->session = current->process->sid;
    tty->pgrp = current->process->pgid;
}

/* A session leader without a terminal gets the first one that it opens. */
void tty_open_session(struct tty *tty, bool noctty)
{
    const struct process *p = current->process;

    if (!noctty && p->sid == p->pid && !tty->session && !tty_of_session(p->sid))
        take_session(tty);
}

static long set_controlling(struct tty *tty, u64 arg)
{
    const struct process *p = current->process;
    struct tty *old;

    if (p->sid == p->pid && tty->session == p->sid)
        return 0;
    old = tty_of_session(p->sid);
    if (p->sid != p->pid || old)
        return -EPERM;
    if (tty->session && arg != 1) /* root may steal it */
        return -EPERM;
    take_session(tty);
    return 0;
}

static long set_foreground(struct tty *tty, u64 arg)
{
    struct process *p;
    s32 pgrp;
    int r = tty_check_change(tty);

    if (r < 0)
        return r;
    if (!controls(tty))
        return -ENOTTY;
    if (copy_from_user(&pgrp, (const void __user *)arg, sizeof(pgrp)))
        return -EFAULT;
    if (pgrp < 0)
        return -EINVAL;
    list_for_each_entry (p, &process_list, all)
        if (p->pgid == pgrp) {
            if (p->sid != tty->session)
                return -EPERM;
            tty->pgrp = pgrp;
            return 0;
        }
    return -ESRCH;
}

long tty_job_ioctl(struct tty *tty, u32 cmd, u64 arg, bool master)
{
    switch (cmd) {
    case TIOCSCTTY: return master ? -ENOTTY : set_controlling(tty, arg);
    case TIOCNOTTY:
        if (!controls(tty) || master)
            return -ENOTTY;
        if (current->process->sid == current->process->pid)
            tty_hangup(tty);
        /* Who is no leader only loses sight of it; here sessions, not processes, have terminals. */
        return 0;
    case TIOCGPGRP:
        if (!master && !controls(tty))
            return -ENOTTY;
        return copy_to_user((void __user *)arg, &tty->pgrp, sizeof(tty->pgrp));
    case TIOCSPGRP: return set_foreground(tty, arg);
    case TIOCGSID:
        if ((!master && !controls(tty)) || !tty->session)
            return -ENOTTY;
        return copy_to_user((void __user *)arg, &tty->session, sizeof(tty->session));
    default: return -ENOTTY;
    }
}
