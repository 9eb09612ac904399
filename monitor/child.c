/* SPDX-License-Identifier: MIT */
/* What a sandbox's process gives up before it runs anything of the guest's. */
#define _GNU_SOURCE
#include "machine.h"

#include "raw_syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

void child_fail(struct thaw_boot *boot, const char *what, int error)
{
    size_t n = 0;

    for (; n < sizeof boot->exit.text - 1 && what[n]; n++)
        boot->exit.text[n] = what[n];
    boot->exit.text[n] = 0;
    boot->exit.code = (uint32_t)error;
    boot->exit.kind = THAW_EXIT_PANIC;
    for (;;)
        raw_syscall(SYS_exit_group, 125);
}

void child_check(struct thaw_boot *boot, const char *what, long ret)
{
    if (ret < 0)
        child_fail(boot, what, (int)-ret);
}

void child_close_from(struct thaw_boot *boot, int first)
{
    long ret = raw_syscall(SYS_close_range, first, ~0u, 0);

    if (ret != -ENOSYS)
        child_check(boot, "closing descriptors", ret);
    else
        for (int fd = first; fd < 65536; fd++)
            raw_syscall(SYS_close, fd);
}

void child_descriptors(struct child *c)
{
    /* Out of the way first, those that another is to replace. */
    for (int i = 0; i < CHILD_FDS; i++)
        if (c->fds[i] >= 0 && c->fds[i] < CHILD_FDS && c->fds[i] != i) {
            c->fds[i] = (int)raw_syscall(SYS_fcntl, c->fds[i], F_DUPFD, CHILD_FDS);
            child_check(c->boot, "duplicating a descriptor", c->fds[i]);
        }
    for (int i = 0; i < CHILD_FDS; i++) {
        if (c->fds[i] < 0)
            raw_syscall(SYS_close, i);
        else if (c->fds[i] != i)
            child_check(c->boot, "duplicating a descriptor", raw_syscall(SYS_dup3, c->fds[i], i, 0));
    }
    child_close_from(c->boot, CHILD_FDS);
}

void child_limits(struct thaw_boot *boot, uint64_t data)
{
    struct rlimit mem = {data, data}, none = {0, 0}, old;

    child_check(boot, "setting RLIMIT_CORE", raw_syscall(SYS_prlimit64, 0, RLIMIT_CORE, &none, 0));
    /* A lower hard limit of the caller's stays. */
    if (!raw_syscall(SYS_prlimit64, 0, RLIMIT_DATA, 0, &old) && old.rlim_max < data)
        mem.rlim_cur = mem.rlim_max = old.rlim_max;
#if defined(__SANITIZE_ADDRESS__) /* whose shadow of the whole address space counts as data */
    mem = old;
#endif
    child_check(boot, "setting RLIMIT_DATA", raw_syscall(SYS_prlimit64, 0, RLIMIT_DATA, &mem, 0));
}

void child_privileges(struct thaw_boot *boot)
{
    struct __user_cap_header_struct hdr = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};

    child_check(boot, "setting no_new_privs", raw_syscall(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1));
    child_check(boot, "dropping capabilities", raw_syscall(SYS_capset, &hdr, none));
}

/* No file can be opened, made or removed any more. 0 or -errno: the host may not have it. */
static long child_landlock(void)
{
    struct landlock_ruleset_attr attr = {.handled_access_fs = (1ull << 13) - 1};
    long fd = raw_syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
    long err = fd < 0 ? fd : raw_syscall(SYS_landlock_restrict_self, fd, 0);

    if (fd >= 0)
        raw_syscall(SYS_close, fd);
    return err;
}

void child_landlock_if_there(void) { child_landlock(); }

void child_harden(struct thaw_boot *boot)
{
    child_check(boot, "unsharing namespaces for --harden (does this host allow user namespaces?)",
                raw_syscall(SYS_unshare, CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |
                                             CLONE_NEWCGROUP));
    child_check(boot, "restricting by Landlock for --harden (does this host's kernel have it?)", child_landlock());
}

void child_begin(struct thaw_boot *boot, pid_t parent)
{
    child_check(boot, "asking to die with the monitor", raw_syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL));
    if (raw_syscall(SYS_getppid) != parent)
        raw_syscall(SYS_exit_group, 125);
}
