/* SPDX-License-Identifier: MIT */
/*
 * Direct calls: a hot `syscall` of a program becomes a jump into the kernel, without the host's SIGSYS in between.
 *
 * Only code that is known to the byte is rewritten:
 *
 *     mov $NR, %eax; syscall      becomes  jmp *ENTRY, of seven bytes as well
 *     xor %eax, %eax; syscall     becomes  jmp over to the padding behind the function, there: jmp *ENTRY
 *
 * ENTRY is a word at 0x050fXXXX. The jump's last two bytes are then 0f 05, `syscall`, and stand where that was: whoever is
 * between the two instructions, or jumps there, or comes back there to repeat a call, finds it. What is rewritten is a
 * copy of the page, which then takes the page's place at once (mremap(2)): nothing is writable and executable at a
 * time, and no other thread sees half of it.
 *
 * ENTRY leads to a trampoline beside it and that to direct_entry (direct.S), which finds the thread's kernel stack by the
 * GS base. A program that wants that register for itself has its calls by SIGSYS as before; so have the calls that
 * need all of user mode's state (fork, execve, rt_sigreturn), and those that end with a signal to deliver.
 */
#ifndef PROCESS_DIRECT_H
#define PROCESS_DIRECT_H

/* What the trampolines of an address space take up, in user memory: mm->direct_used of it. */
#define DIRECT_ADDR 0x050f0000
#define DIRECT_SIZE 0x10000             /* none left, or not to be used any more */
#define DIRECT_NONE (DIRECT_SIZE + 1)   /* there is no such area, nor will be */
#define DIRECT_LATE DIRECT_ADDR         /* a `syscall` by which a direct call goes on as one by SIGSYS */
#define DIRECT_COMMON (DIRECT_ADDR + 8) /* a word: where the trampolines lead to */
#define DIRECT_FIRST 16                 /* offset of the first trampoline */

/* Offsets in a trampoline. */
#define TRAMPOLINE_CODE 8
#define TRAMPOLINE_PLAIN 20 /* the same call by `syscall` */
#define TRAMPOLINE_NR 21
#define TRAMPOLINE_SITE 32
#define TRAMPOLINE_SIZE 40

/* Offsets in struct thread_info. */
#define TI_USER_RSP 80
#define TI_FLAGS 88
#define TI_GS 96

#ifndef __ASSEMBLER__
#include "process.h"

extern char direct_entry[], direct_entry_checked[], direct_off[], direct_exit[], direct_exit_jump[];

/* A system call by SIGSYS is about to be served, the next instruction is at rip: it may be the one to be rewritten. */
void direct_count(u64 rip, u64 nr);
/* Entry to the kernel with user mode's registers: if a direct call goes on with it, regs become those behind that. */
bool direct_resume(struct thread_info *ti, struct pt_regs *regs);
/* The only thread, at boot and after a restore: it gets a GS base when it has use for it. */
void direct_begin_first(struct thread_info *ti);
/* A thread that the calling one is making; entry.S loads its GS base. */
void direct_prepare(struct thread_info *ti);
/* The program wants GS base for itself; 0: no more. 0 or -ENOMEM. */
int direct_set_user_gs(u64 base);
#endif

#endif
