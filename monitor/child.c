/* SPDX-License-Identifier: MIT */
/* What a sandbox's process gives up before it runs anything of the guest's. */
#define _GNU_SOURCE
#include "machine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

void child_fail(struct thaw_boot *boot, const char *what, int error)
{
    size_t n = strlen(what);
    memcpy(boot->exit.text, what, n < sizeof(boot->exit.text) ? n + 1 : 0);
    boot->exit.code = (uint32_t)error;
    boot->exit.kind = THAW_EXIT_PANIC;
    for (;;)
        syscall(SYS_exit_group, 125);
}

void child_descriptors(struct child *c)
{
    /* Out of the way first, those that another is to replace. */
    for (int i = 0; i < CHILD_FDS; i++)
        if (c->fds[i] >= 0 && c->fds[i] < CHILD_FDS && c->fds[i] != i) {
            c->fds[i] = (int)syscall(SYS_fcntl, c->fds[i], F_DUPFD, CHILD_FDS);
            if (c->fds[i] < 0)
                child_fail(c->boot, "duplicating a descriptor", errno);
        }
    for (int i = 0; i < CHILD_FDS; i++) {
        if (c->fds[i] < 0)
            syscall(SYS_close, i);
        else if (c->fds[i] != i && syscall(SYS_dup3, c->fds[i], i, 0) < 0)
            child_fail(c->boot, "duplicating a descriptor", errno);
    }
    if (syscall(SYS_close_range, CHILD_FDS, ~0u, 0) && errno != ENOSYS)
        child_fail(c->boot, "closing descriptors", errno);
    else if (errno == ENOSYS)
        for (int fd = CHILD_FDS; fd < 65536; fd++)
            syscall(SYS_close, fd);
}

void child_limits(struct child *c, uint64_t data)
{
    struct rlimit mem = {data, data}, none = {0, 0};

    if (setrlimit(RLIMIT_CORE, &none))
        child_fail(c->boot, "setting RLIMIT_CORE", errno);
    /* A lower hard limit of the caller's stays. */
    struct rlimit old;
    if (!getrlimit(RLIMIT_DATA, &old) && old.rlim_max < data)
        mem.rlim_cur = mem.rlim_max = old.rlim_max;
#if defined(__SANITIZE_ADDRESS__) /* whose shadow of the whole address space counts as data */
    mem = old;
#endif
    if (setrlimit(RLIMIT_DATA, &mem))
        child_fail(c->boot, "setting RLIMIT_DATA", errno);
}

void child_privileges(struct child *c)
{
    struct __user_cap_header_struct hdr = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};

    if (syscall(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        child_fail(c->boot, "setting no_new_privs", errno);
    if (syscall(SYS_capset, &hdr, none))
        child_fail(c->boot, "dropping capabilities", errno);
}

void child_harden(struct child *c)
{
    struct landlock_ruleset_attr attr = {.handled_access_fs = (1ull << 13) - 1};

    if (syscall(SYS_unshare,
                CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP))
        child_fail(c->boot, "unsharing namespaces for --harden (does this host allow user namespaces?)", errno);
    int fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
    if (fd < 0 || syscall(SYS_landlock_restrict_self, fd, 0))
        child_fail(c->boot, "restricting by Landlock for --harden (does this host's kernel have it?)", errno);
    syscall(SYS_close, fd);
}

void child_begin(struct child *c)
{
    if (syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0))
        child_fail(c->boot, "asking to die with the monitor", errno);
    if ((pid_t)syscall(SYS_getppid) != c->parent)
        syscall(SYS_exit_group, 125);
}
