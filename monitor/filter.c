/* SPDX-License-Identifier: MIT */
/*
 * The boundary of the process machine: a seccomp filter, see seccomp(2).
 *
 * A system call made from the kernel's text is one of the list below, with its arguments checked, or fails with EPERM.
 * Any other instruction pointer, and any other architecture (int $0x80), raises SIGSYS, which the kernel in the
 * sandbox serves. The instruction pointer only sorts calls; it protects nothing: a hostile program can jump into
 * the kernel's text. What it gains by that is this list.
 *
 * libseccomp cannot look at the instruction pointer, so the program is written out here.
 */
#include "filter.h"

#include "thaw_abi.h"

#include <asm/prctl.h>
#include <asm/termbits.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/futex.h>
#include <linux/mman.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

/* The kernel's text lies in 8 MiB whose addresses share the upper half and bits 23..31 of the lower. */
#define TEXT_HI ((uint32_t)(THAW_KERNEL_ADDR >> 32))
#define TEXT_LO ((uint32_t)THAW_KERNEL_ADDR)
#define TEXT_LO_MASK (~(uint32_t)(THAW_KERNEL_END - THAW_KERNEL_ADDR - 1))
_Static_assert((THAW_KERNEL_ADDR & (THAW_KERNEL_END - THAW_KERNEL_ADDR - 1)) == 0, "the window is aligned to its size");

#define ARG_LO(n) ((uint32_t)(offsetof(struct seccomp_data, args) + 8u * (n)))
#define ARG_HI(n) (ARG_LO(n) + 4u)

/*
 * What an argument must be. The unused ones of a rule are NONE. All but EQUAL64 look at the lower half, which is all
 * that the host's kernel takes of an int or an unsigned int.
 */
enum check_kind { NONE, EQUAL, EQUAL64, AT_MOST, ONE_OF };
struct check {
    enum check_kind kind;
    unsigned arg;
    uint64_t value;         /* EQUAL, EQUAL64, AT_MOST */
    const uint32_t *values; /* ONE_OF: ends with 0 behind the first */
};
struct rule {
    int nr;
    struct check check[3];
};

#define CLONE_FLAGS                                                                                    \
    (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS | \
     CLONE_PARENT_SETTID)
#define CLONE_PROCESS (CLONE_PARENT_SETTID | SIGCHLD)

/* Stands for the sandbox's own pid until that is known. No pid is as large: see proc(5), pid_max. */
#define PID_UNSET 0xffffffffu

static const uint32_t futex_ops[] = {FUTEX_WAIT, FUTEX_WAKE, FUTEX_WAIT_BITSET, 0};
static const uint32_t tty_ioctls[] = {TCGETS,   TCSETS, TCSETSW, TCSETSF, TIOCGWINSZ, TIOCSWINSZ, TIOCGPGRP,
                                      FIONREAD, TCFLSH, TCSBRK,  TCXONC,  TIOCOUTQ,   0};
static const uint32_t files[] = {THAW_FD_IMAGE, THAW_FD_SNAPSHOT, 0};
static const uint32_t advices[] = {MADV_DONTNEED, MADV_HUGEPAGE, 0};
static const uint32_t thread_signals[] = {THAW_SIG_KICK, SIGPWR /* HOST_SIG_PARK of the kernel */, 0};
static const uint32_t prctl_bases[] = {ARCH_SET_FS, ARCH_SET_GS, ARCH_GET_FS, ARCH_GET_GS, 0};

/* Frequent calls first. fd checks keep every call to the descriptors of thaw_abi.h. */
static const struct rule rules[] = {
    {SYS_rt_sigreturn, {{NONE, 0, 0, NULL}}},
    {SYS_write, {{AT_MOST, 0, THAW_FD_CONTROL, NULL}}},
    {SYS_read, {{AT_MOST, 0, THAW_FD_CONTROL, NULL}}},
    {SYS_futex, {{ONE_OF, 1, 0, futex_ops}}},
    {SYS_clock_gettime, {{AT_MOST, 0, 11, NULL}}},
    /* anonymous memory, or private pages of the image or the snapshot */
    {SYS_mmap, {{EQUAL64, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL}, {NONE, 0, 0, NULL}, {NONE, 0, 0, NULL}}},
    {SYS_mmap, {{EQUAL64, 3, MAP_PRIVATE | MAP_FIXED, NULL}, {ONE_OF, 4, 0, files}, {NONE, 0, 0, NULL}}},
    /* the memory that processes share */
    {SYS_mmap, {{EQUAL64, 3, MAP_SHARED | MAP_FIXED, NULL}, {EQUAL64, 4, THAW_FD_MEMORY, NULL}, {NONE, 0, 0, NULL}}},
    {SYS_munmap, {{NONE, 0, 0, NULL}}},
    {SYS_mprotect, {{NONE, 0, 0, NULL}}},
    {SYS_mremap, {{EQUAL64, 3, MREMAP_MAYMOVE | MREMAP_FIXED, NULL}}},
    {SYS_madvise, {{ONE_OF, 2, 0, advices}}},
    {SYS_ppoll, {{AT_MOST, 1, 3, NULL}, {EQUAL64, 3, 0, NULL}}},
    {SYS_ioctl, {{AT_MOST, 0, THAW_FD_STDERR, NULL}, {ONE_OF, 1, 0, tty_ioctls}}},
    {SYS_clone, {{EQUAL64, 0, CLONE_FLAGS, NULL}}},
    {SYS_clone, {{EQUAL64, 0, CLONE_PROCESS, NULL}}},
    {SYS_tgkill, {{EQUAL, 0, PID_UNSET, NULL}, {ONE_OF, 2, 0, thread_signals}}},
    {SYS_setitimer, {{EQUAL, 0, 0 /* ITIMER_REAL */, NULL}}},
    {SYS_arch_prctl, {{ONE_OF, 0, 0, prctl_bases}}},
    {SYS_sched_yield, {{NONE, 0, 0, NULL}}},
    {SYS_exit, {{NONE, 0, 0, NULL}}},
    {SYS_exit_group, {{NONE, 0, 0, NULL}}},
    {SYS_rt_sigprocmask, {{NONE, 0, 0, NULL}}},
    {SYS_memfd_create, {{EQUAL, 1, 0, NULL}}},
};
#define NR_RULES (sizeof(rules) / sizeof(rules[0]))

#define LOAD(off) ((struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(off)))
#define RETURN(v) ((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, (uint32_t)(v)))
/* Skips n instructions unless the condition holds. */
#define UNLESS(op, v, n) ((struct sock_filter)BPF_JUMP(BPF_JMP | (op) | BPF_K, (uint32_t)(v), 0, (uint8_t)(n)))
#define IF(op, v, n) ((struct sock_filter)BPF_JUMP(BPF_JMP | (op) | BPF_K, (uint32_t)(v), (uint8_t)(n), 0))

static size_t check_len(const struct check *c)
{
    size_t n = 0;
    switch (c->kind) {
    case NONE: return 0;
    case EQUAL64: return 4;
    case ONE_OF:
        do
            n++;
        while (c->values[n]);
        return 1 + n;
    default: return 2;
    }
}

/* Emits c; where it fails, control goes past the rule's end, `left` instructions behind this check. */
static size_t check_emit(struct sock_filter *p, const struct check *c, size_t left)
{
    size_t n = 0, len = check_len(c);

    if (c->kind == NONE)
        return 0;
    if (c->kind == EQUAL64) {
        p[n++] = LOAD(ARG_HI(c->arg));
        p[n++] = UNLESS(BPF_JEQ, c->value >> 32, len - 2 + left);
    }
    p[n++] = LOAD(ARG_LO(c->arg));
    switch (c->kind) {
    case ONE_OF:
        for (size_t i = 0; n < len; i++, n++)
            p[n] = n + 1 < len ? IF(BPF_JEQ, c->values[i], len - 1 - n) : UNLESS(BPF_JEQ, c->values[i], left);
        break;
    case AT_MOST: p[n++] = IF(BPF_JGT, c->value, left); break;
    default: p[n++] = UNLESS(BPF_JEQ, c->value, left);
    }
    return n;
}

/* The monitor decides, each time: monitor/processes.c. */
static bool is_asked(const struct rule *r)
{
    return r->nr == SYS_memfd_create || (r->nr == SYS_clone && r->check[0].value == CLONE_PROCESS);
}

static bool same_call_follows(size_t i) { return i + 1 < NR_RULES && rules[i + 1].nr == rules[i].nr; }

static size_t rule_len(size_t i)
{
    size_t n = 2; /* is it this call, and its RETURN */
    for (size_t k = 0; k < 3; k++)
        n += check_len(&rules[i].check[k]);
    return n + (i > 0 && same_call_follows(i - 1));
}

/*
 * The accumulator holds the call's number from rule to rule. A check that fails goes to the end, or, where the next
 * rule gives the same call another chance, there, and the number is loaded anew.
 */
size_t filter_build(struct sock_filter *p)
{
    size_t n = 0, behind = 0; /* instructions behind the rule up to the last one */

    for (size_t i = 0; i < NR_RULES; i++)
        behind += rule_len(i);
    p[n++] = LOAD(offsetof(struct seccomp_data, arch));
    p[n++] = UNLESS(BPF_JEQ, AUDIT_ARCH_X86_64, 6); /* to the trap below */
    p[n++] = LOAD(offsetof(struct seccomp_data, instruction_pointer) + 4);
    p[n++] = UNLESS(BPF_JEQ, TEXT_HI, 4);
    p[n++] = LOAD(offsetof(struct seccomp_data, instruction_pointer));
    p[n++] = (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, TEXT_LO_MASK);
    p[n++] = UNLESS(BPF_JEQ, TEXT_LO, 1);
    p[n++] = (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, 1);
    p[n++] = RETURN(SECCOMP_RET_TRAP);
    p[n++] = LOAD(offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < NR_RULES; i++) {
        const struct rule r = rules[i];
        size_t left = 1; /* the rule's own RETURN */
        behind -= rule_len(i);
        for (size_t k = 0; k < 3; k++)
            left += check_len(&r.check[k]);
        if (i > 0 && same_call_follows(i - 1))
            p[n++] = LOAD(offsetof(struct seccomp_data, nr));
        p[n++] = UNLESS(BPF_JEQ, r.nr, left);
        for (size_t k = 0; k < 3; k++) {
            left -= check_len(&r.check[k]);
            n += check_emit(p + n, &r.check[k], left + (same_call_follows(i) ? 0 : behind));
        }
        p[n++] = RETURN(is_asked(&r) ? SECCOMP_RET_USER_NOTIF : SECCOMP_RET_ALLOW);
    }
    p[n++] = RETURN(SECCOMP_RET_ERRNO | EPERM);
    return n;
}

void filter_set_pid(struct sock_filter *prog, size_t len, pid_t pid)
{
    for (size_t i = 0; i < len; i++)
        if (BPF_CLASS(prog[i].code) == BPF_JMP && prog[i].k == PID_UNSET)
            prog[i].k = (uint32_t)pid;
}
