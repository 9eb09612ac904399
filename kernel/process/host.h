/* SPDX-License-Identifier: MIT */
/*
 * The host's system calls that the kernel makes, and the host's structures. The complete list: what is not
 * wrapped here is not allowed by monitor/filter.c either. Constants are Linux's for x86-64.
 */
#ifndef PROCESS_HOST_H
#define PROCESS_HOST_H

#include "kernel.h"

#define HOST_read 0
#define HOST_write 1
#define HOST_close 3
#define HOST_mmap 9
#define HOST_mprotect 10
#define HOST_munmap 11
#define HOST_rt_sigaction 13
#define HOST_rt_sigprocmask 14
#define HOST_rt_sigreturn 15
#define HOST_ioctl 16
#define HOST_sched_yield 24
#define HOST_mremap 25
#define HOST_madvise 28
#define HOST_setitimer 38
#define HOST_clone 56
#define HOST_exit 60
#define HOST_prctl 157
#define HOST_arch_prctl 158
#define HOST_futex 202
#define HOST_clock_gettime 228
#define HOST_exit_group 231
#define HOST_tgkill 234
#define HOST_ppoll 271
#define HOST_preadv 295
#define HOST_seccomp 317
#define HOST_memfd_create 319
#define HOST_process_madvise 440
#define HOST_PIDFD_SELF ((u64)(s64)-10000) /* PIDFD_SELF_THREAD */

#define HOST_PROT_READ 1
#define HOST_PROT_WRITE 2
#define HOST_PROT_EXEC 4
#define HOST_MAP_SHARED 1
#define HOST_MAP_PRIVATE 2
#define HOST_MAP_FIXED 0x10
#define HOST_MAP_ANONYMOUS 0x20
#define HOST_MAP_NORESERVE 0x4000
#define HOST_MREMAP_MAYMOVE 1
#define HOST_MREMAP_FIXED 2
#define HOST_MADV_DONTNEED 4
#define HOST_MADV_HUGEPAGE 14
#define HOST_MADV_POPULATE_READ 22
#define HOST_MADV_POPULATE_WRITE 23

/* Never the private ones: what is slept on may come to be shared with other processes. */
#define HOST_FUTEX_WAIT 0
#define HOST_FUTEX_WAKE 1
#define HOST_FUTEX_WAIT_BITSET 9

#define HOST_SA_SIGINFO 4ul
#define HOST_SA_RESTORER 0x04000000ul
#define HOST_SA_ONSTACK 0x08000000ul
#define HOST_SA_NODEFER 0x40000000ul

#define HOST_SIG_KICK 16 /* SIGSTKFLT, which does not queue: a thread is wanted out of user mode or out of its sleep */

#define HOST_SIG_PARK 30 /* SIGPWR: a thread is to keep still while the kernel's memory is moved */

/* VM, FS, FILES, SIGHAND, THREAD, SYSVSEM, SETTLS, PARENT_SETTID */
#define HOST_CLONE_THREAD 0x001d0f00ul
/* PARENT_SETTID, SIGCHLD */
#define HOST_CLONE_PROCESS 0x00100011ul

#define HOST_ARCH_SET_GS 0x1001
#define HOST_ARCH_SET_FS 0x1002
#define HOST_ARCH_GET_FS 0x1003
#define HOST_ARCH_GET_GS 0x1004

struct host_sigaction {
    u64 handler, flags, restorer, mask;
};
struct host_siginfo {
    s32 signo, error, code, pad;
    union {
        struct {
            s32 pid;
            u32 uid;
            u64 value;
        } kill;
        struct {
            u64 addr;
        } fault;
        struct {
            u64 call_addr;
            s32 syscall;
            u32 arch;
        } sys;
        u8 fill[112];
    };
};
struct host_ucontext {
    u64 flags, link;
    u64 stack_sp;
    u32 stack_flags, stack_pad;
    u64 stack_size;
    u64 r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, eflags;
    u16 cs, gs, fs, ss;
    u64 err, trapno, oldmask, cr2, fpstate, reserved[8];
    u64 sigmask;
};
#define HOST_UC_FP_XSTATE 1ul
#define HOST_UC_SIGCONTEXT_SS 2ul
#define HOST_UC_STRICT_RESTORE_SS 4ul

struct host_timespec {
    s64 sec, nsec;
};
struct host_pollfd {
    s32 fd;
    s16 events, revents;
};
struct host_sock_fprog {
    u16 len;
    const void *filter;
};

static inline s64 host_syscall(long nr, u64 a0, u64 a1, u64 a2, u64 a3, u64 a4, u64 a5)
{
    register u64 r10 __asm__("r10") = a3;
    register u64 r8 __asm__("r8") = a4;
    register u64 r9 __asm__("r9") = a5;
    s64 ret;
    __asm__ volatile("syscall"
                     : "=a"(ret)
                     : "a"(nr), "D"(a0), "S"(a1), "d"(a2), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return ret;
}

#endif
