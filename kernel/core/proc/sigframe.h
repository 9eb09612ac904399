/* SPDX-License-Identifier: MIT */
/* What a signal handler of x86-64 Linux finds on its stack: asm/sigcontext.h, asm/ucontext.h, asm/sigframe.h there. */
#ifndef CORE_SIGFRAME_H
#define CORE_SIGFRAME_H

#include "task.h"

struct sigcontext {
    u64 r8, r9, r10, r11, r12, r13, r14, r15;
    u64 rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, eflags;
    u16 cs, gs, fs, ss;
    u64 err, trapno, oldmask, cr2;
    u64 fpstate; /* user address */
    u64 reserved[8];
};

struct sigaltstack {
    u64 sp;
    u32 flags, pad;
    u64 size;
};

struct ucontext {
    u64 flags; /* UC_* */
    u64 link;
    struct sigaltstack stack;
    struct sigcontext mcontext;
    sigset_t sigmask;
};
#define UC_FP_XSTATE 1u
#define UC_SIGCONTEXT_SS 2u
#define UC_STRICT_RESTORE_SS 4u

struct rt_sigframe {
    u64 pretcode; /* the handler's return address: the restorer */
    struct ucontext uc;
    struct siginfo info;
};

/* Bytes 464 to 511 of the FPU state in a frame. */
struct fpx_sw_bytes {
    u32 magic1;
    u32 extended_size; /* up to and with magic2 */
    u64 xfeatures;
    u32 xstate_size;
    u32 padding[7];
};
#define FP_XSTATE_MAGIC1 0x46505853u
#define FP_XSTATE_MAGIC2 0x46505845u
#define FXSAVE_SIZE 512u
#define FPX_SW_OFFSET 464u
#define XSAVE_HEADER_SIZE 64u

_Static_assert(sizeof(struct sigcontext) == 256, "struct sigcontext");
_Static_assert(sizeof(struct ucontext) == 304, "struct ucontext");
_Static_assert(offsetof(struct ucontext, mcontext) == 40, "struct ucontext");
_Static_assert(sizeof(struct siginfo) == 128, "siginfo_t");
_Static_assert(sizeof(struct rt_sigframe) == 440, "struct rt_sigframe");
_Static_assert(offsetof(struct rt_sigframe, info) == 312, "struct rt_sigframe");
_Static_assert(sizeof(struct fpx_sw_bytes) == 48, "struct _fpx_sw_bytes");

#endif
