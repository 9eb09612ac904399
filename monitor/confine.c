/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "confine.h"

#include "share.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "monitor_filter.h" /* generated */

/* A user who may pass over permissions, root, is to see the same files in a share as without us. */
static int drop_capabilities(const struct share_set *shares)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    uint32_t keep = 0;

    if (syscall(SYS_capget, &head, data) < 0)
        return -1;
    if (!data[0].permitted && !data[1].permitted)
        return 0;
    if (shares && share_set_count(shares) > 0)
        keep |= 1u << CAP_DAC_READ_SEARCH;
    if (shares && share_set_writable(shares))
        keep |= 1u << CAP_DAC_OVERRIDE | 1u << CAP_FOWNER;
    data[0].permitted &= keep;
    data[0].effective &= keep;
    data[0].inheritable = 0;
    data[1] = (struct __user_cap_data_struct){0};
    return (int)syscall(SYS_capset, &head, data);
}

#define ACCESS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define ACCESS_WRITE                                                                                  \
    (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | \
     LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SYM)
#define ACCESS_NEVER                                                                            \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_SOCK | \
     LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK)
#define ACCESS_REFER (1ull << 13)    /* Landlock 2: rename and link between directories */
#define ACCESS_TRUNCATE (1ull << 14) /* Landlock 3 */

static int landlock_shares(const struct share_set *shares, int proc_fd)
{
    struct landlock_ruleset_attr attr = {.handled_access_fs = ACCESS_READ | ACCESS_WRITE | ACCESS_NEVER};
    unsigned count = shares ? share_set_count(shares) : 0;
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    int fd, ret = -1;

    if (abi < 1)
        return -1;
    if (abi >= 2)
        attr.handled_access_fs |= ACCESS_REFER;
    if (abi >= 3)
        attr.handled_access_fs |= ACCESS_TRUNCATE;
    fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr.handled_access_fs, 0);
    if (fd < 0)
        return -1;
    for (unsigned i = 0; i < count; i++) {
        struct landlock_path_beneath_attr rule;
        bool rdonly, is_file;

        rule.parent_fd = share_set_fd(shares, i, &rdonly, &is_file);
        rule.allowed_access = ACCESS_READ;
        if (!rdonly)
            rule.allowed_access |= ACCESS_WRITE | (attr.handled_access_fs & (ACCESS_REFER | ACCESS_TRUNCATE));
        /* A shared file is open already; rules for it would be refused anyway where they speak of directories. */
        if (!is_file && syscall(SYS_landlock_add_rule, fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
            goto out;
    }
    struct landlock_path_beneath_attr proc = {.allowed_access = LANDLOCK_ACCESS_FS_READ_DIR, .parent_fd = proc_fd};
    if (proc_fd >= 0 && syscall(SYS_landlock_add_rule, fd, LANDLOCK_RULE_PATH_BENEATH, &proc, 0) < 0)
        goto out;
    ret = (int)syscall(SYS_landlock_restrict_self, fd, 0);
out:
    close(fd);
    return ret;
}

int confine_self(const struct share_set *shares, int proc_fd, bool landlock, struct thaw_error *err)
{
    struct sock_fprog prog = {sizeof filter_base / sizeof *filter_base, (struct sock_filter *)filter_base};

    if (shares && share_set_count(shares) > 0)
        prog =
            (struct sock_fprog){sizeof filter_reading / sizeof *filter_reading, (struct sock_filter *)filter_reading};
    if (shares && share_set_writable(shares))
        prog =
            (struct sock_fprog){sizeof filter_writing / sizeof *filter_writing, (struct sock_filter *)filter_writing};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || drop_capabilities(shares) < 0)
        return thaw_error_set(err, THAW_STATUS_FAILED, errno, "thaw cannot give up its privileges: %s",
                              strerror(errno));
    if (landlock && landlock_shares(shares, proc_fd) < 0)
        return thaw_error_set(err, THAW_STATUS_FAILED, errno,
                              "--harden: thaw cannot confine itself with Landlock: %s; see `thaw doctor`",
                              strerror(errno));
#if !defined(__SANITIZE_ADDRESS__) /* whose checks at the end need more than the filter grants */
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
        return thaw_error_set(err, THAW_STATUS_FAILED, errno,
                              "thaw cannot install its seccomp filter: %s; see `thaw doctor`", strerror(errno));
#else
    (void)prog;
#endif
    return 0;
}
