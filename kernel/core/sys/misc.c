/* SPDX-License-Identifier: MIT */
/* Calls about the system, identity and limits. Inside the sandbox there is one user, 0, as in a user namespace that
 * maps nobody else: other numbers are invalid, not forbidden. */
#include "mm.h"
#include "signal.h"
#include "syscall.h"
#include "timer.h"
#include "uts.h"

/* ---- the system ---- */

static char nodename[65] = "thaw", domainname[65] = "(none)";

const char *uts_nodename(void) { return nodename; }
const char *uts_domainname(void) { return domainname; }

SYSCALL(uname)
{
    char fields[6][65] = {UTS_SYSNAME, "", UTS_RELEASE, UTS_VERSION, UTS_MACHINE, ""};
    memcpy(fields[1], nodename, sizeof(nodename));
    memcpy(fields[5], domainname, sizeof(domainname));
    return copy_to_user((void __user *)a0, fields, sizeof(fields)) ? -EFAULT : 0;
}

/* User 0 may name the sandbox: nobody outside sees it. */
static s64 name_set(char *name, u64 uaddr, u64 len)
{
    char new[65] = "";
    if (len > sizeof(new) - 1)
        return -EINVAL;
    if (copy_from_user(new, (const void __user *)uaddr, len))
        return -EFAULT;
    memcpy(name, new, sizeof(new));
    return 0;
}

SYSCALL(sethostname) { return name_set(nodename, a0, a1); }

SYSCALL(setdomainname) { return name_set(domainname, a0, a1); }

SYSCALL(acct) { return -EPERM; }

SYSCALL(syslog) { return -EPERM; }

struct sysinfo {
    s64 uptime;
    u64 loads[3];
    u64 totalram, freeram, sharedram, bufferram, totalswap, freeswap;
    u16 procs, pad;
    u64 totalhigh, freehigh;
    u32 mem_unit;
};
_Static_assert(sizeof(struct sysinfo) == 112, "struct sysinfo");

SYSCALL(sysinfo)
{
    u64 total = machine_boot()->memory_limit;
    u64 used = kmalloc_heap_end() - THAW_HEAP_ADDR + min(current->process->mm->total_vm, total / 2);
    struct sysinfo si = {
        .uptime = (s64)(machine_clock(CLOCK_MONOTONIC) / NSEC_PER_SEC),
        .totalram = total,
        .freeram = total > used ? total - used : 0,
        .procs = (u16)task_count(),
        .mem_unit = 1,
    };
    return copy_to_user((void __user *)a0, &si, sizeof(si)) ? -EFAULT : 0;
}

#define GRND_NONBLOCK 1u
#define GRND_RANDOM 2u
#define GRND_INSECURE 4u

SYSCALL(getrandom)
{
    u8 chunk[256];
    u64 n = min(a1, (u64)0x7ffff000), done = 0;

    if ((a2 & ~(u64)(GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE)) ||
        (a2 & (GRND_RANDOM | GRND_INSECURE)) == (GRND_RANDOM | GRND_INSECURE))
        return -EINVAL;
    while (done < n) {
        size_t part = min(n - done, (u64)sizeof(chunk));
        /* Up to 256 bytes come whole; more may be cut short, as random(7) has it. */
        if (done && signal_pending(current))
            break;
        random_bytes(chunk, part);
        if (copy_to_user((void __user *)(a0 + done), chunk, part)) {
            if (!done)
                return -EFAULT;
            break;
        }
        done += part;
    }
    memset(chunk, 0, sizeof(chunk));
    __asm__ volatile("" : : "r"(chunk) : "memory"); /* or the compiler leaves the wiping out */
    return (s64)done;
}

/* ---- limits and use ---- */

static int rlimit_set(struct process *p, u32 which, const struct rlimit *new)
{
    if (new->cur > new->max)
        return -EINVAL;
    if (which == RLIMIT_NOFILE && new->max > NR_OPEN)
        return -EPERM;
    p->rlimit[which] = *new;
    return 0;
}

SYSCALL(prlimit64)
{
    struct process *p = a0 ? process_by_pid((pid_t)a0) : current->process;
    struct rlimit new, old;

    if (a1 >= RLIM_NLIMITS)
        return -EINVAL;
    if (a2 && copy_from_user(&new, (const void __user *)a2, sizeof(new)))
        return -EFAULT;
    if (!p)
        return -ESRCH;
    old = p->rlimit[a1];
    if (a2) {
        int err = rlimit_set(p, (u32)a1, &new);
        if (err)
            return err;
    }
    if (a3 && copy_to_user((void __user *)a3, &old, sizeof(old)))
        return -EFAULT;
    return 0;
}

SYSCALL(getrlimit)
{
    if (a0 >= RLIM_NLIMITS)
        return -EINVAL;
    return copy_to_user((void __user *)a1, &current->process->rlimit[a0], sizeof(struct rlimit)) ? -EFAULT : 0;
}

SYSCALL(setrlimit)
{
    struct rlimit new;
    if (a0 >= RLIM_NLIMITS)
        return -EINVAL;
    if (copy_from_user(&new, (const void __user *)a1, sizeof(new)))
        return -EFAULT;
    return rlimit_set(current->process, (u32)a0, &new);
}

#define RUSAGE_SELF 0
#define RUSAGE_CHILDREN (-1)
#define RUSAGE_THREAD 1

SYSCALL(getrusage)
{
    s64 ru[18] = {0}; /* utime, stime: sec and usec each; maxrss in KiB; the rest 0 */
    int who = (int)a0;

    if (who != RUSAGE_SELF && who != RUSAGE_CHILDREN && who != RUSAGE_THREAD)
        return -EINVAL;
    u64 used = current->process->child_cpu_time;
    if (who != RUSAGE_CHILDREN)
        used = machine_clock(who == RUSAGE_SELF ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_THREAD_CPUTIME_ID);
    ru[0] = (s64)(used / NSEC_PER_SEC);
    ru[1] = (s64)(used % NSEC_PER_SEC / NSEC_PER_USEC);
    if (who != RUSAGE_CHILDREN)
        ru[4] = (s64)(min(current->process->mm->total_vm, machine_boot()->memory_limit) >> 10);
    return copy_to_user((void __user *)a1, ru, sizeof(ru)) ? -EFAULT : 0;
}

/* ---- prctl, arch_prctl ---- */

#define PR_SET_PDEATHSIG 1
#define PR_GET_PDEATHSIG 2
#define PR_GET_DUMPABLE 3
#define PR_SET_DUMPABLE 4
#define PR_GET_KEEPCAPS 7
#define PR_SET_KEEPCAPS 8
#define PR_GET_TIMING 13
#define PR_SET_TIMING 14
#define PR_SET_NAME 15
#define PR_GET_NAME 16
#define PR_GET_SECCOMP 21
#define PR_CAPBSET_READ 23
#define PR_CAPBSET_DROP 24
#define PR_GET_SECUREBITS 27
#define PR_SET_TIMERSLACK 29
#define PR_GET_TIMERSLACK 30
#define PR_SET_CHILD_SUBREAPER 36
#define PR_GET_CHILD_SUBREAPER 37
#define PR_SET_NO_NEW_PRIVS 38
#define PR_GET_NO_NEW_PRIVS 39
#define PR_GET_TID_ADDRESS 40
#define PR_GET_THP_DISABLE 42
#define PR_CAP_AMBIENT 47

#define CAP_LAST 40

SYSCALL(prctl)
{
    struct task *t = current;
    struct process *p = t->process;
    s32 value;

    switch ((int)a0) {
    case PR_SET_PDEATHSIG:
        if (a1 > NSIG)
            return -EINVAL;
        p->pdeathsig = (s32)a1;
        return 0;
    case PR_GET_PDEATHSIG: return copy_to_user((void __user *)a1, &p->pdeathsig, sizeof(p->pdeathsig)) ? -EFAULT : 0;
    case PR_GET_DUMPABLE: return p->dumpable;
    case PR_SET_DUMPABLE:
        if (a1 > 1)
            return -EINVAL;
        p->dumpable = a1;
        return 0;
    case PR_GET_KEEPCAPS:
    case PR_GET_TIMING:
    case PR_GET_SECCOMP:
    case PR_GET_SECUREBITS:
    case PR_GET_THP_DISABLE: return 0;
    case PR_SET_KEEPCAPS: return a1 > 1 ? -EINVAL : 0;
    case PR_SET_TIMING: return a1 ? -EINVAL : 0;
    case PR_SET_NAME: {
        char name[sizeof(t->comm)];
        ssize_t n = strncpy_from_user(name, (const char __user *)a1, sizeof(name) - 1);
        if (n < 0 && n != -ENAMETOOLONG) /* long names are cut */
            return n;
        n = n < 0 ? (ssize_t)sizeof(name) - 1 : n;
        memset(t->comm, 0, sizeof(t->comm));
        memcpy(t->comm, name, (size_t)n);
        return 0;
    }
    case PR_GET_NAME: return copy_to_user((void __user *)a1, t->comm, sizeof(t->comm)) ? -EFAULT : 0;
    case PR_CAPBSET_READ: return a1 > CAP_LAST ? -EINVAL : 1;
    case PR_CAPBSET_DROP: return a1 > CAP_LAST ? -EINVAL : 0;
    case PR_SET_TIMERSLACK: return 0;
    case PR_GET_TIMERSLACK: return 50000;
    case PR_SET_CHILD_SUBREAPER: p->child_subreaper = a1 != 0; return 0;
    case PR_GET_CHILD_SUBREAPER:
        value = p->child_subreaper;
        return copy_to_user((void __user *)a1, &value, sizeof(value)) ? -EFAULT : 0;
    case PR_SET_NO_NEW_PRIVS:
        if (a1 != 1 || a2 || a3 || a4)
            return -EINVAL;
        p->no_new_privs = true;
        return 0;
    case PR_GET_NO_NEW_PRIVS: return a1 || a2 || a3 || a4 ? -EINVAL : p->no_new_privs;
    case PR_GET_TID_ADDRESS:
        return copy_to_user((void __user *)a1, &t->clear_child_tid, sizeof(t->clear_child_tid)) ? -EFAULT : 0;
    case PR_CAP_AMBIENT: return a1 == 1 /* IS_SET */ || a1 == 4 /* CLEAR_ALL */ ? 0 : -EINVAL;
    default: return -EINVAL;
    }
}

#define ARCH_SET_GS 0x1001
#define ARCH_SET_FS 0x1002
#define ARCH_GET_FS 0x1003
#define ARCH_GET_GS 0x1004

SYSCALL(arch_prctl)
{
    u64 base;

    switch ((int)a0) {
    case ARCH_SET_FS:
        if (a1 >= THAW_USER_END)
            return -EPERM;
        machine_set_fsbase(a1);
        return 0;
    case ARCH_SET_GS:
        if (a1 >= THAW_USER_END)
            return -EPERM;
        return machine_set_gsbase(a1);
    case ARCH_GET_FS: base = machine_get_fsbase(); break;
    case ARCH_GET_GS: base = machine_get_gsbase(); break;
    default: return -EINVAL;
    }
    return copy_to_user((void __user *)a1, &base, sizeof(base)) ? -EFAULT : 0;
}

SYSCALL(personality)
{
    /* PER_LINUX, with or without flags about addresses that make no difference here. */
    return (u32)a0 == 0xffffffffu || !(a0 & 0xff) ? 0 : -EINVAL;
}

SYSCALL(membarrier)
{
    if (a1)
        return -EINVAL;
    return a0 == 0 /* MEMBARRIER_CMD_QUERY: none */ ? 0 : -EINVAL;
}
