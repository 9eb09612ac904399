/* SPDX-License-Identifier: MIT */
/* Between test_signal.c, which sees libc's <signal.h>, and signal_frame.c, which sees the kernel's. */
#ifndef SIGNAL_FRAME_H
#define SIGNAL_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In the order of libc's gregs: R8 to R15, RDI, RSI, RBP, RBX, RDX, RAX, RCX, RSP, RIP, EFLAGS. */
enum {
    T_R8,
    T_R9,
    T_R10,
    T_R11,
    T_R12,
    T_R13,
    T_R14,
    T_R15,
    T_RDI,
    T_RSI,
    T_RBP,
    T_RBX,
    T_RDX,
    T_RAX,
    T_RCX,
    T_RSP,
    T_RIP,
    T_EFLAGS,
    T_NREGS
};

struct layout {
    const char *name;
    size_t offset;
};
extern const struct layout kernel_layout[]; /* the kernel's; ends with NULL */

void frame_init(void);
/* The FPU image of the thread whose user mode is imagined; size as machine_fpu() tells it. */
void frame_set_fpu(void *image, size_t size);
bool frame_fpu_was_reset(void);
void frame_set_mask(uint64_t mask);
uint64_t frame_mask(void);
void frame_set_altstack(uint64_t sp, uint64_t size, unsigned flags);
/* What a handler for sig would be started with: regs go in as user mode's and come out as the handler's. */
void frame_deliver(uint64_t *regs, int sig, uint64_t handler, uint64_t flags, uint64_t restorer);
/* The same for an interrupted system call: its number, its result (-errno, also the kernel's own). */
void frame_deliver_after_call(uint64_t *regs, int sig, uint64_t flags, long nr);
/* No signal at all, just the way back. */
void frame_return_after_call(uint64_t *regs, long nr);
/* rt_sigreturn with the stack pointer at sp. */
void frame_sigreturn(uint64_t *regs, uint64_t sp);
int frame_ended_by(void); /* signal that ended the process since the last call, 0: none */
int frame_pending(void);  /* lowest pending signal */
void frame_forget(void);

#endif
