/* SPDX-License-Identifier: MIT */
/*
 * Writes the seccomp filters that the thaw command puts on itself once its sandbox runs, as a C header. Run when
 * building, so that starting needs no libseccomp. docs/security.md explains the lists.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <asm/termbits.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../monitor/kvm.h"

#ifndef __NR_openat2
#define __NR_openat2 437
#endif
#ifndef __NR_fchmodat2
#define __NR_fchmodat2 452
#endif

/* Waiting for the sandbox, answering it, ending it, and saying how it went. */
static const int base[] = {
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(writev),
    SCMP_SYS(recvmsg),
    SCMP_SYS(sendmsg),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(close),
    SCMP_SYS(wait4),
    SCMP_SYS(waitid),
    SCMP_SYS(exit_group),
    SCMP_SYS(exit),
    SCMP_SYS(brk),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(getpid),
    SCMP_SYS(futex),
    SCMP_SYS(lseek),
};
/* Reading what is shared. */
static const int reading[] = {
    __NR_openat2, SCMP_SYS(newfstatat), SCMP_SYS(fstat), SCMP_SYS(pread64), SCMP_SYS(fstatfs), SCMP_SYS(fsync),
};
/* Writing to it, where something is shared for writing. */
static const int writing[] = {
    SCMP_SYS(pwrite64),  SCMP_SYS(mkdirat), SCMP_SYS(unlinkat), SCMP_SYS(renameat2), SCMP_SYS(linkat),
    SCMP_SYS(symlinkat), SCMP_SYS(fchmod),  __NR_fchmodat2,     SCMP_SYS(utimensat),
};

static void fail(const char *what, int rc)
{
    fprintf(stderr, "gen-monitor-filter: %s: %s\n", what, strerror(-rc));
    exit(1);
}

static void allow(scmp_filter_ctx ctx, const int *nr, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr[i], 0);

        if (rc < 0)
            fail("seccomp_rule_add", rc);
    }
}
#define ALLOW(ctx, list) allow(ctx, list, sizeof list / sizeof *list)

/* More processes in the sandbox: see monitor/processes.c. */
static int allow_processes(scmp_filter_ctx ctx)
{
    static const int calls[] = {__NR_pidfd_open,      __NR_pidfd_getfd, SCMP_SYS(memfd_create), SCMP_SYS(readlinkat),
                                SCMP_SYS(getdents64), __NR_close_range, SCMP_SYS(ftruncate),    SCMP_SYS(getppid)};
    static const unsigned long ioctls[] = {SECCOMP_IOCTL_NOTIF_RECV, SECCOMP_IOCTL_NOTIF_SEND,
                                           SECCOMP_IOCTL_NOTIF_ADDFD, 0x40082104 /* SECCOMP_IOCTL_NOTIF_SET_FLAGS */};
    int rc = 0;

    ALLOW(ctx, calls);
    for (size_t i = 0; i < sizeof ioctls / sizeof *ioctls && rc == 0; i++)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
                              SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, ioctls[i]));
    if (rc == 0) /* the keeper: a plain fork */
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_EQ, 0));
    if (rc == 0)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, SCMP_A2(SCMP_CMP_EQ, 16 /* THAW_SIG_KICK */));
    if (rc == 0)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1, SCMP_A1(SCMP_CMP_EQ, F_ADD_SEALS));
    if (rc == 0) /* the names in a directory */
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
                              SCMP_A2(SCMP_CMP_EQ, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return rc;
}

static void print(const char *name, scmp_filter_ctx ctx)
{
    int fd = memfd_create("filter", 0), rc = fd < 0 ? -errno : seccomp_export_bpf(ctx, fd);
    struct sock_filter f;
    size_t n = 0;

    if (rc < 0)
        fail("seccomp_export_bpf", rc);
    lseek(fd, 0, SEEK_SET);
    printf("static const struct sock_filter %s[] __attribute__((unused)) = {\n", name);
    while (read(fd, &f, sizeof f) == sizeof f) {
        printf("    {0x%02x, %u, %u, 0x%08x},\n", f.code, f.jt, f.jf, f.k);
        n++;
    }
    printf("};\n");
    if (n == 0 || n > 4096)
        fail("empty filter", -EINVAL);
    close(fd);
    seccomp_release(ctx);
}

static scmp_filter_ctx begin(uint32_t otherwise)
{
    scmp_filter_ctx ctx = seccomp_init(otherwise);

    if (!ctx)
        fail("seccomp_init", -ENOMEM);
    seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a binary tree */
    return ctx;
}

static void emit(const char *name, int levels)
{
    scmp_filter_ctx ctx = begin(SCMP_ACT_ERRNO(EPERM));
    int rc;

    ALLOW(ctx, base);
    /* Memory, but none that can be executed. */
    rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    if (rc == 0)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    if (rc == 0)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(madvise), 0);
    /* To ask what is ignored, not to change it. */
    if (rc == 0)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(rt_sigaction), 1, SCMP_A1(SCMP_CMP_EQ, 0));
    /* Signals only through a pidfd that we have, and SIGKILL to our child. */
    if (rc == 0)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(pidfd_send_signal), 1, SCMP_A3(SCMP_CMP_EQ, 0));
    if (rc == 0)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(kill), 1, SCMP_A1(SCMP_CMP_EQ, 9 /* SIGKILL */));
    if (rc == 0) /* its own processors: see monitor/spawned.h */
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(sched_setaffinity), 1, SCMP_A0(SCMP_CMP_EQ, 0));
    if (rc == 0)
        rc = allow_processes(ctx);
    if (rc < 0)
        fail("seccomp_rule_add", rc);
    if (levels > 0)
        ALLOW(ctx, reading);
    if (levels > 1)
        ALLOW(ctx, writing);
    print(name, ctx);
}

/* The child that runs a virtual machine: its processors, its stdio, waiting, and calls to the monitor. */
static void emit_kvm(const char *name)
{
    static const unsigned vcpu[] = {KVM_RUN, KVM_INTERRUPT, KVM_GET_VCPU_EVENTS, KVM_GET_DEBUGREGS};
    static const unsigned tty[] = {TCGETS,    TCSETS,   TCSETSW, TCSETSF, TIOCGWINSZ, TIOCSWINSZ,
                                   TIOCGPGRP, FIONREAD, TCFLSH,  TCSBRK,  TCXONC,     TIOCOUTQ};
    static const int plain[] = {
        SCMP_SYS(poll),         SCMP_SYS(ppoll),      SCMP_SYS(clock_gettime), SCMP_SYS(restart_syscall),
        SCMP_SYS(rt_sigreturn), SCMP_SYS(exit_group), SCMP_SYS(sched_yield)};
    scmp_filter_ctx ctx = begin(SCMP_ACT_KILL_PROCESS);
    int rc = 0;

    ALLOW(ctx, plain);
    for (size_t i = 0; i < sizeof vcpu / sizeof *vcpu && rc == 0; i++)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 2, SCMP_A0(SCMP_CMP_GE, KVM_FD_VCPU),
                              SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, vcpu[i]));
    for (size_t i = 0; i < sizeof tty / sizeof *tty && rc == 0; i++)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 2, SCMP_A0(SCMP_CMP_LE, THAW_FD_STDERR),
                              SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, tty[i]));
    if (rc == 0)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(read), 1, SCMP_A0(SCMP_CMP_LE, THAW_FD_STDERR));
    if (rc == 0)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(read), 1, SCMP_A0(SCMP_CMP_EQ, KVM_FD_SIGNALS));
    if (rc == 0)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(write), 1, SCMP_A0(SCMP_CMP_LE, THAW_FD_STDERR));
    if (rc == 0)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(readv), 1, SCMP_A0(SCMP_CMP_EQ, THAW_FD_CONTROL));
    if (rc == 0)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(writev), 1, SCMP_A0(SCMP_CMP_EQ, THAW_FD_CONTROL));
    if (rc == 0)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(setitimer), 1, SCMP_A0(SCMP_CMP_EQ, 0 /* ITIMER_REAL */));
    if (rc == 0) /* between its own threads */
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 2, SCMP_A0(SCMP_CMP_EQ, KVM_PID_PLACEHOLDER),
                              SCMP_A2(SCMP_CMP_EQ, THAW_SIG_KICK));
    if (rc < 0)
        fail("seccomp_rule_add", rc);
    print(name, ctx);
}

int main(void)
{
    printf("/* Generated by tools/gen-monitor-filter.c. */\n");
    emit("filter_base", 0);
    emit("filter_reading", 1);
    emit("filter_writing", 2);
    emit_kvm("filter_kvm");
    return fflush(stdout) != 0;
}
